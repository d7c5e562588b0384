"""Carries out the actions of one call, one at a time: for its action list, and for a handler in Python.

Before a call from outside is answered, what is played to it is early media, and a `connect` answers it when the other side answers.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from media import MediaError
from sipcore import bridge
from sipcore.actions import Action, Connect, Run, parse_action
from sipcore.actions.templates import expanded
from sipcore.addresses import Address
from sipcore.clock import Clock
from sipcore.conferences.registry import ConferenceRegistry
from sipcore.errors import ActionFailed, InvalidState, SipcoreError
from sipcore.events import CallEvent, LegResult
from sipcore.flow import Flow, FlowLimits
from sipcore.performing.conference import done_inside
from sipcore.performing.digits import INBAND
from sipcore.performing.relaying import UNAVAILABLE
from sipcore.performing.results import leg_results
from sipcore.performing.running import run_function
from sipcore.performing.table import PERFORMERS
from sipcore.preparation import MediaHost, Piece, Preparation
from sipcore.recordings.recorder import Recorder
from sipcore.session import PlaybackFailed, Session
from sipcore.web import WebClient

log = logging.getLogger(__name__)


class PerformerHost(MediaHost, Protocol):
    """What a performer needs of the switch."""

    def ring_legs(
        self, caller: Session, action: Connect, destinations: Mapping[str, Address], listener: Callable[[CallEvent], None]
    ) -> list[Session]:
        """Create a leg for each of these destinations, by call id, and dial them; their events go to `listener`."""

    def performer(self, session: Session) -> Performer:
        """What carries out the actions of a call."""

    def digit_mode(self, session: Session) -> str:
        """How the far end of a call wants keys pressed: `rfc4733`, `info` or `inband`."""

    def transfer_uri(self, target: Address) -> str:
        """The URI that a far end is to call."""

    def work(self, session: Session, task: Coroutine[Any, Any, list[Session]]) -> asyncio.Task[list[Session]]:
        """Run a part of a call that is cancelled when the call ends."""

    def run_function(self, session: Session, task: Coroutine[Any, Any, str]) -> asyncio.Task[str]:
        """Run code of the user's that is cancelled when the call ends; closing does not wait for it for ever."""

    as_call: Callable[[Session], object]
    """What code of the user's is given for a call."""
    clock: Clock
    recorder: Recorder
    conferences: ConferenceRegistry
    web: WebClient
    flow_limits: FlowLimits
    max_fetch_bytes: int
    ring_in_order_s: float

    def check_actions(self, actions: Sequence[Action], place: str) -> None:
        """Whether this switch can do what a list asks for; raises `InvalidRequest` when not."""


class Performer:
    """The actions of one call."""

    def __init__(self, session: Session, host: PerformerHost) -> None:
        self.session = session
        self.host = host
        self.legs: list[Session] = []
        """Those of the `connect` that runs, or ran last."""
        self.flow: Flow | None = None
        """The list that is carried out; `None` while there is none."""
        self._indexes = itertools.count()
        self._one_at_a_time = asyncio.Lock()
        self.peer: Session | None = None
        """The leg that the call is bridged with by a `connect`."""
        self.take_input: Callable[[bridge.Input], None] | None = None
        """What the `connect` that runs is told by."""
        self._bridging: asyncio.Task[list[Session]] | None = None
        """The `connect` of a handler that has gone on meanwhile."""
        self._on_joined: asyncio.Future[Session] | None = None
        self.music_id = ""
        """What plays while the far end is on hold."""
        self.sip_code = UNAVAILABLE
        """What a caller is told when nothing has answered him in the end: 486 once those he was to be connected to were busy."""

    def let_go(self) -> None:
        """Take the bridged leg out of its `connect`, which leaves it up."""
        if self.take_input is not None and self.peer is not None:
            self.take_input(bridge.LegEnded(self.peer.id))
            self.legs = [leg for leg in self.legs if leg is not self.peer]
            self.peer = None

    def joined(self, peer: Session) -> None:
        """The `connect` that runs has bridged the call with this leg."""
        self.peer = peer
        if self._on_joined is not None and not self._on_joined.done():
            self._on_joined.set_result(peer)

    async def bridge_over(self) -> None:
        """Wait until the call is not bridged any more by a `connect` of its handler."""
        if self._bridging is not None:
            await asyncio.wait([self._bridging])

    def of(self, leg: Session) -> Performer:
        """One for another call of the same switch."""
        return self.host.performer(leg)

    def prepare(self, *actions: Action) -> Preparation:
        """Start to make the audio of these actions ready; `stop` must follow."""
        return Preparation(actions, self.host)

    async def perform(self, action: Action, pieces: list[Piece], on_joined: asyncio.Future[Session] | None = None) -> list[Session]:
        """Carry one action out and tell how it went; the legs of a `connect`. `on_joined` gets the leg that it bridges, at once.

        Raises:
            ActionFailed: it could not be done, and everybody has been told so.
        """
        session = self.session
        async with self._one_at_a_time:
            self._on_joined = on_joined
            session.start_action(next(self._indexes), action.type, action.id)
            if not session.is_up:
                return []  # a listener ended the call; so after each event
            if self.host.digit_mode(session) == INBAND:
                session.hear_tones()
            legs: list[Session] = []
            try:
                await PERFORMERS[type(action)](self, action, pieces, legs)
            except asyncio.CancelledError:
                session.finish_action("interrupted", legs=_results(legs))
                raise
            except (MediaError, PlaybackFailed, SipcoreError, OSError) as error:  # OSError: the cache cannot be written
                session.finish_action("failed", str(error), _results(legs))
                raise ActionFailed(session.id, action.type, str(error)) from error
            session.finish_action("done", legs=_results(legs))
            return legs

    def filled(self, action: Action) -> Action:
        """The action with values for its variables, checked again.

        Raises:
            InvalidRequest: it cannot be so.
        """
        with_values = expanded(action, self.session.variables)
        return action if with_values is action else parse_action(with_values, action.type)

    async def run_function(self, action: Run) -> None:
        """Carry out an action that is a function of the user's; see `performing.running`."""
        await run_function(self, action, next(self._indexes))

    def refuse(self, action: Action, why: str) -> None:
        """Tell everybody that an action cannot even be tried."""
        self.session.start_action(next(self._indexes), action.type, action.id)
        self.session.finish_action("failed", why)

    async def order(self, action: Action) -> list[Session]:
        """As `perform`, from any task: prepares the audio first, and is ended by the end of the call.

        Raises:
            ActionFailed: as `perform`.
            InvalidState: the call is not up, or ended meanwhile.
        """
        if not self.session.is_up:
            raise self._ended(action)
        if done_inside(self, action):
            return []
        return await self._outcome(self.host.work(self.session, self._ordered(action)), action)

    async def connect(self, action: Connect) -> Session:
        """As `order`, but done when the call is bridged: the leg. The `connect` itself goes on until the bridge is over.

        Raises:
            ActionFailed, InvalidState: as `order`.
        """
        if not self.session.is_up:
            raise self._ended(action)
        on_joined: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        task = self.host.work(self.session, self._ordered(action, on_joined))
        waiting: list[asyncio.Future[Any]] = [task, on_joined]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        if not on_joined.done():
            await self._outcome(task, action)
            raise self._ended(action)  # a listener ended the call before anything was done
        if not task.done():
            self._bridging = task
            task.add_done_callback(self._bridged)
        return on_joined.result()

    def _bridged(self, task: asyncio.Task[list[Session]]) -> None:
        self._bridging = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("call %s: internal error while it was bridged", self.session.id, exc_info=error)

    async def _outcome(self, task: asyncio.Task[list[Session]], action: Action) -> list[Session]:
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if not task.cancelled() or (current is not None and current.cancelling()):
                raise
            raise self._ended(action) from None

    async def _ordered(self, action: Action, on_joined: asyncio.Future[Session] | None = None) -> list[Session]:
        action = self.filled(action)
        prepared = self.prepare(action)
        try:
            return await self.perform(action, prepared.pieces(0), on_joined)
        finally:
            await prepared.stop()

    def _ended(self, action: Action) -> InvalidState:
        return InvalidState(self.session.id, str(self.session.record.status), action.type)


def _results(legs: list[Session]) -> tuple[LegResult, ...]:
    return leg_results(leg.record for leg in legs)
