"""Runs the action list of one call, top to bottom.

Audio for the whole list is prepared while the call is dialling and ringing, so that an answer is followed by sound at once. An action
that fails is told to the listeners and skipped; after the last one the call is hung up. When the call ends, the runner is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from media import MediaError
from sipcore import bridge
from sipcore.actions import Action, Connect
from sipcore.call import HangupReason, Status
from sipcore.errors import SipcoreError
from sipcore.events import CallAnswered, CallEvent, CallHangup, LegResult
from sipcore.preparation import MediaHost, Piece, Preparation
from sipcore.session import PlaybackFailed, Session

log = logging.getLogger(__name__)

_SPOKEN_OUTCOMES = {
    bridge.Outcome.NOBODY: "nobody answered: every leg was refused or failed",
    bridge.Outcome.TIMEOUT: "nobody answered in time",
}


class RunnerHost(MediaHost, Protocol):
    """What a runner needs of the switch."""

    def ring_legs(self, caller: Session, action: Connect, listener: Callable[[CallEvent], None]) -> list[Session]:
        """Create one leg for each destination and dial them all; their events go to `listener`."""


class ActionRunner:
    """The action list of one call."""

    def __init__(self, session: Session, actions: Sequence[Action], host: RunnerHost) -> None:
        self._session = session
        self._actions = actions
        self._host = host
        self._legs: list[Session] = []

    async def run(self) -> None:
        """Wait for the answer, carry the list out, hang up. Cancelled when the call ends."""
        prepared = Preparation(self._actions, self._host)
        try:
            if not await asyncio.shield(self._session.answered):
                return
            for index, action in enumerate(self._actions):
                if self._session.record.status != Status.PROGRESSING:
                    return  # a listener ended the call; so after each event
                self._session.start_action(index, action.type, action.id)
                if self._session.record.status == Status.PROGRESSING:
                    await self._perform(index, action, prepared)
            self._session.hang_up(HangupReason.NORMAL)
        finally:
            await prepared.stop()

    async def _perform(self, index: int, action: Action, prepared: Preparation) -> None:
        try:
            if isinstance(action, Connect):
                await self._connect(action, prepared.pieces(index)[0])
                return
            for piece in prepared.pieces(index):
                await self._session.play(await piece.path())
        except (MediaError, PlaybackFailed, SipcoreError, OSError) as error:  # OSError: the cache cannot be written
            self._session.finish_action("failed", str(error))
        else:
            self._session.finish_action("done")

    # ----------------------------------------------------------------------------------------------- connect

    async def _connect(self, action: Connect, ringback: Piece) -> None:
        ringback_id = self._session.start_play(await ringback.path(), loop=True)
        legs: list[Session] = []
        try:
            # A leg takes its place until its end is confirmed, and the call has reserved no more places than one connect rings.
            for leg in self._legs:
                await asyncio.shield(leg.over)
            outcome = await self._ring_and_bridge(action, legs, ringback_id)
        finally:
            self._session.stop_play(ringback_id)
        results = tuple(_leg_result(leg) for leg in legs)
        if outcome is bridge.Outcome.BRIDGED:
            self._session.finish_action("done", legs=results)
        else:
            self._session.finish_action("failed", _SPOKEN_OUTCOMES[outcome], results)

    async def _ring_and_bridge(self, action: Connect, legs: list[Session], ringback_id: str) -> bridge.Outcome:
        inputs: asyncio.Queue[bridge.Input] = asyncio.Queue()
        legs += self._host.ring_legs(self._session, action, lambda event: _forward(event, inputs))
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
                        self._session.stop_play(ringback_id)
                        self._session.bridge(step.leg_id)
                    case bridge.Finish():
                        outcome = step.outcome

        try:
            while outcome is None:
                take(await inputs.get())
            return outcome
        finally:
            timer.cancel()
            take(bridge.CallerGone())


def _forward(event: CallEvent, inputs: asyncio.Queue[bridge.Input]) -> None:
    match event:
        case CallAnswered():
            inputs.put_nowait(bridge.LegAnswered(event.call_id))
        case CallHangup():
            inputs.put_nowait(bridge.LegEnded(event.call_id))


def _leg_result(leg: Session) -> LegResult:
    record = leg.record
    is_answered = record.tm_progressing is not None
    reason = str(record.hangup_reason) or ("" if record.status != Status.HANGUP else "normal")
    return LegResult(leg.id, str(record.destination), is_answered, reason, record.sip_code)
