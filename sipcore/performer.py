"""Carries out the actions of one call, one at a time: for its action list, and for a handler in Python.

Before a call from outside is answered, what is played to it is early media, and a `connect` answers it when the other side answers.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, assert_never

from media import MediaError
from sipcore import bridge
from sipcore.actions import Action, Answer, Connect, Play, Reject, Talk, Transfer
from sipcore.addresses import Address
from sipcore.call import HangupReason, Status, reason_of_refusal
from sipcore.errors import ActionFailed, InvalidState, SipcoreError
from sipcore.events import CallAnswered, CallEvent, CallHangup, LegResult
from sipcore.preparation import MediaHost, Piece, Preparation
from sipcore.session import PlaybackFailed, Session

UNAVAILABLE = 480
BUSY = 486

_SPOKEN_OUTCOMES = {
    bridge.Outcome.NOBODY: "nobody answered: every leg was refused or failed",
    bridge.Outcome.TIMEOUT: "nobody answered in time",
}


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


class Refused(SipcoreError):
    """The action cannot be carried out; the text says why. Stays inside."""


class NobodyAnswered(Refused):
    """A `connect` that connected nobody."""


class Performer:
    """The actions of one call."""

    def __init__(self, session: Session, host: PerformerHost) -> None:
        self.session = session
        self._host = host
        self._legs: list[Session] = []
        self._indexes = itertools.count()
        self._one_at_a_time = asyncio.Lock()
        self.peer: Session | None = None
        """The leg that the call is bridged with by a `connect`."""
        self._take: Callable[[bridge.Input], None] | None = None
        self.sip_code = UNAVAILABLE
        """What a caller is told when nothing has answered him in the end: 486 once those he was to be connected to were busy."""

    def let_go(self) -> None:
        """Take the bridged leg out of its `connect`, which leaves it up."""
        if self._take is not None and self.peer is not None:
            self._take(bridge.LegEnded(self.peer.id))
            self._legs = [leg for leg in self._legs if leg is not self.peer]
            self.peer = None

    def of(self, leg: Session) -> Performer:
        """One for another call of the same switch."""
        return self._host.performer(leg)

    def prepare(self, *actions: Action) -> Preparation:
        """Start to make the audio of these actions ready; `stop` must follow."""
        return Preparation(actions, self._host)

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
                await self._carry_out(action, pieces, legs)
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
        task = self._host.work(self.session, self._ordered(action))
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

    async def _carry_out(self, action: Action, pieces: list[Piece], legs: list[Session]) -> None:
        match action:
            case Talk() | Play():
                self.session.ring(early_media=True)
                for piece in pieces:
                    await self.session.play(await piece.path())
            case Connect():
                await self._connect(action, pieces[0], legs)
            case Answer():
                self.session.answer()
                await asyncio.shield(self.session.answered)
            case Reject():
                if not self.session.reject(action.code, action.phrase):
                    raise Refused("only a call from outside that is not answered can be rejected")
            case Transfer():
                await self._transfer(action)
            case _:
                raise AssertionError(action)

    async def _transfer(self, action: Transfer) -> None:
        if self.session.record.status != Status.PROGRESSING:
            raise Refused("the call is not answered")
        try:
            told = await self.session.transfer(self._host.transfer_uri(action.address), action.timeout_s)
        except TimeoutError:
            raise Refused(f"no outcome within {action.timeout_s:g} s") from None
        if not 200 <= told.sip_code < 300:
            raise Refused(f"{told.sip_code} {told.sip_phrase}".strip())
        self.session.finish_action("done")
        self.session.hang_up()

    # ----------------------------------------------------------------------------------------------- connect

    async def _connect(self, action: Connect, ringback: Piece, legs: list[Session]) -> None:
        session = self.session
        session.ring(early_media=True)
        ringback_id = session.start_play(await ringback.path(), loop=True)
        try:
            # A leg takes its place until its end is confirmed, and the call has reserved no more places than one connect rings.
            for leg in self._legs:
                await asyncio.shield(leg.over)
            outcome = await self._ring_and_bridge(action, legs, ringback_id)
        finally:
            session.stop_play(ringback_id)
        if outcome is not bridge.Outcome.BRIDGED:
            is_busy = any(reason_of_refusal(leg.record.sip_code) is HangupReason.BUSY for leg in legs)
            self.sip_code = BUSY if is_busy else UNAVAILABLE
            raise NobodyAnswered(_SPOKEN_OUTCOMES[outcome])

    async def _ring_and_bridge(self, action: Connect, legs: list[Session], ringback_id: str) -> bridge.Outcome:
        inputs: asyncio.Queue[bridge.Input] = asyncio.Queue()
        legs += self._host.ring_legs(self.session, action, lambda event: _forward(event, inputs))
        self._legs = legs
        by_id = {leg.id: leg for leg in legs}
        connecting = bridge.Connecting.of(list(by_id))
        timer = asyncio.get_running_loop().call_later(action.timeout_s, inputs.put_nowait, bridge.TimeIsUp())
        outcome: bridge.Outcome | None = None

        def take(given: bridge.Input) -> None:
            nonlocal connecting, outcome
            connecting, steps = connecting.handle(given)
            for step in steps:
                match step:
                    case bridge.HangUpLeg():
                        by_id[step.leg_id].hang_up(HangupReason.DIALOUT if step.is_timeout else HangupReason.NORMAL)
                    case bridge.Join():
                        timer.cancel()
                        self.session.stop_play(ringback_id)
                        self.session.answer()
                        self.session.bridge(step.leg_id)
                        self.peer = by_id[step.leg_id]
                    case bridge.Finish():
                        outcome = step.outcome
                    case _:
                        assert_never(step)

        self._take = take
        try:
            while outcome is None:
                take(await inputs.get())
            return outcome
        finally:
            timer.cancel()
            take(bridge.CallerGone())
            self._take = self.peer = None


def _forward(event: CallEvent, inputs: asyncio.Queue[bridge.Input]) -> None:
    match event:
        case CallAnswered():
            inputs.put_nowait(bridge.LegAnswered(event.call_id))
        case CallHangup():
            inputs.put_nowait(bridge.LegEnded(event.call_id))


def _results(legs: list[Session]) -> tuple[LegResult, ...]:
    return tuple(_leg_result(leg) for leg in legs)


def _leg_result(leg: Session) -> LegResult:
    record = leg.record
    is_answered = record.tm_progressing is not None
    reason = str(record.hangup_reason) or ("" if record.status != Status.HANGUP else "normal")
    return LegResult(leg.id, str(record.destination), is_answered, reason, record.sip_code)
