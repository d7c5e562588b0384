"""Carries out the actions of one call, one at a time: for its action list, and for a handler in Python.

Before a call from outside is answered, what is played to it is early media, and a `connect` answers it when the other side answers.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from media import MediaError
from sipcore import bridge
from sipcore.actions import Action, Connect
from sipcore.addresses import Address
from sipcore.call import Status
from sipcore.errors import ActionFailed, InvalidState, SipcoreError
from sipcore.events import CallEvent, LegResult
from sipcore.performing.calling import UNAVAILABLE
from sipcore.performing.table import PERFORMERS
from sipcore.preparation import MediaHost, Piece, Preparation
from sipcore.session import PlaybackFailed, Session


class PerformerHost(MediaHost, Protocol):
    """What a performer needs of the switch."""

    def ring_legs(self, caller: Session, action: Connect, listener: Callable[[CallEvent], None]) -> list[Session]:
        """Create one leg for each destination and dial them all; their events go to `listener`."""

    def performer(self, session: Session) -> Performer:
        """What carries out the actions of a call."""

    def transfer_uri(self, target: Address) -> str:
        """The URI that a far end is to call."""

    def work(self, session: Session, task: Coroutine[Any, Any, list[Session]]) -> asyncio.Task[list[Session]]:
        """Run a part of a call that is cancelled when the call ends."""


class Performer:
    """The actions of one call."""

    def __init__(self, session: Session, host: PerformerHost) -> None:
        self.session = session
        self.host = host
        self.legs: list[Session] = []
        """Those of the `connect` that runs, or ran last."""
        self._indexes = itertools.count()
        self._one_at_a_time = asyncio.Lock()
        self.peer: Session | None = None
        """The leg that the call is bridged with by a `connect`."""
        self.take_input: Callable[[bridge.Input], None] | None = None
        """What the `connect` that runs is told by."""
        self.sip_code = UNAVAILABLE
        """What a caller is told when nothing has answered him in the end: 486 once those he was to be connected to were busy."""

    def let_go(self) -> None:
        """Take the bridged leg out of its `connect`, which leaves it up."""
        if self.take_input is not None and self.peer is not None:
            self.take_input(bridge.LegEnded(self.peer.id))
            self.legs = [leg for leg in self.legs if leg is not self.peer]
            self.peer = None

    def of(self, leg: Session) -> Performer:
        """One for another call of the same switch."""
        return self.host.performer(leg)

    def prepare(self, *actions: Action) -> Preparation:
        """Start to make the audio of these actions ready; `stop` must follow."""
        return Preparation(actions, self.host)

    async def perform(self, action: Action, pieces: list[Piece]) -> list[Session]:
        """Carry one action out and tell how it went; the legs of a `connect`.

        Raises:
            ActionFailed: it could not be done, and everybody has been told so.
        """
        session = self.session
        async with self._one_at_a_time:
            session.start_action(next(self._indexes), action.type, action.id)
            if not session.is_up:
                return []  # a listener ended the call; so after each event
            legs: list[Session] = []
            try:
                await PERFORMERS[type(action)](self, action, pieces, legs)
            except (MediaError, PlaybackFailed, SipcoreError, OSError) as error:  # OSError: the cache cannot be written
                session.finish_action("failed", str(error), _results(legs))
                raise ActionFailed(session.id, action.type, str(error)) from error
            session.finish_action("done", legs=_results(legs))
            return legs

    async def order(self, action: Action) -> list[Session]:
        """As `perform`, from any task: prepares the audio first, and is ended by the end of the call.

        Raises:
            ActionFailed: as `perform`.
            InvalidState: the call is not up, or ended meanwhile.
        """
        if not self.session.is_up:
            raise self._ended(action)
        task = self.host.work(self.session, self._ordered(action))
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not task.cancelled() or (current is not None and current.cancelling()):
                raise
            raise self._ended(action) from None

    async def _ordered(self, action: Action) -> list[Session]:
        prepared = self.prepare(action)
        try:
            return await self.perform(action, prepared.pieces(0))
        finally:
            await prepared.stop()

    def _ended(self, action: Action) -> InvalidState:
        return InvalidState(self.session.id, str(self.session.record.status), action.type)


def _results(legs: list[Session]) -> tuple[LegResult, ...]:
    return tuple(_leg_result(leg) for leg in legs)


def _leg_result(leg: Session) -> LegResult:
    record = leg.record
    is_answered = record.tm_progressing is not None
    reason = str(record.hangup_reason) or ("" if record.status != Status.HANGUP else "normal")
    return LegResult(leg.id, str(record.destination), is_answered, reason, record.sip_code)
