"""`connect`: carries out what `sipcore.bridge` decides."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never

from media import MediaError
from sipcore import bridge
from sipcore.actions import Connect
from sipcore.bridge import LegPhase, Outcome, Why
from sipcore.call import HangupReason, reason_of_refusal
from sipcore.events import CallAnswered, CallEvent, CallHangup, CallMediaStarted, DigitReceived
from sipcore.ids import new_id
from sipcore.performing.digits import DigitRelay
from sipcore.performing.refused import NobodyAnswered
from sipcore.performing.relaying import BUSY, UNAVAILABLE, relayed
from sipcore.performing.results import leg_results
from sipcore.preparation import Piece
from sipcore.reason_header import ANSWERED_ELSEWHERE
from sipcore.session import PlaybackFailed, Session

if TYPE_CHECKING:
    from sipcore.performer import Performer

log = logging.getLogger(__name__)

_ANSWER_COMES_S: Final = 0.05
"""The audio of a leg that is answered is up a moment before the answer is told: what comes so close to it is no early media."""

_RINGBACK_COMES_S: Final = 1.0
"""How long nobody is rung for a ringback file that is not ready yet."""

_SPOKEN_OUTCOMES: Final = {
    Outcome.NOBODY: "nobody answered: every leg was refused, failed, rang too long or did not accept",
    Outcome.TIMEOUT: "nobody answered in time",
}
_REASONS: Final = {
    Why.NOT_NEEDED: HangupReason.NORMAL,
    Why.ANSWERED_ELSEWHERE: HangupReason.NORMAL,
    Why.RANG_TOO_LONG: HangupReason.DIALOUT,
    Why.TALKED_TOO_LONG: HangupReason.TIMEOUT,
}


async def connect(
    performer: Performer,
    action: Connect,
    pieces: list[Piece],
    legs: list[Session],
    on_joined: Callable[[Session], None] = lambda _: None,
) -> None:
    """`connect`; its legs are added to `legs`, and `on_joined` is told the one that is bridged."""
    session, sounds = performer.session, _Sounds.of(action, pieces)
    session.ring(early_media=True)
    run = _Run(performer, action, legs, await sounds.ringback(session.id), sounds.question)
    run.on_joined = on_joined
    try:
        # A leg takes its place until its end is confirmed, and the call has reserved no more places than one connect rings.
        for leg in performer.legs:
            await asyncio.shield(leg.over)
        performer.legs = legs
        outcome = await run.outcome()
    finally:
        await run.stop()
    if outcome is not Outcome.BRIDGED:
        _tell_nobody(performer, action, legs, outcome)


def _tell_nobody(performer: Performer, action: Connect, legs: list[Session], outcome: Outcome) -> None:
    records = [leg.record for leg in legs]
    is_busy = any(reason_of_refusal(record.sip_code) is HangupReason.BUSY for record in records)
    performer.sip_code = BUSY if is_busy else UNAVAILABLE
    text = _SPOKEN_OUTCOMES[outcome]
    if action.relay_reason:
        code, phrase, reason = relayed(records)
        performer.session.finish_action("failed", text, leg_results(records))
        if not performer.session.reject(code, phrase, reason):
            performer.session.hang_up(reason)
    raise NobodyAnswered(text)


@dataclass(frozen=True, slots=True)
class _Sounds:
    """The pieces of audio of one connect, as `Preparation` lays them out."""

    tone: Piece
    own_ringback: Piece | None
    question: Piece | None

    @classmethod
    def of(cls, action: Connect, pieces: list[Piece]) -> _Sounds:
        tone, *others = pieces
        own = others.pop(0) if action.ringback else None
        return cls(tone, own, others.pop(0) if action.confirm else None)

    async def ringback(self, call_id: str) -> str:
        """What the caller hears; a file that cannot be had, or is slow to come, costs nobody the call."""
        if self.own_ringback is not None:
            try:
                async with asyncio.timeout(_RINGBACK_COMES_S):
                    return await self.own_ringback.path()
            except (MediaError, OSError) as error:  # TimeoutError is one
                log.warning("call %s: no ringback of its own: %s", call_id, str(error) or "it takes too long")
        return await self.tone.path()


class _Run:
    """One connect while it lasts."""

    def __init__(self, performer: Performer, action: Connect, legs: list[Session], ringback: str, question: Piece | None) -> None:
        self._performer, self._action, self._legs = performer, action, legs
        self._session = performer.session
        self._ringback, self._question = ringback, question
        self._loop = asyncio.get_running_loop()
        self._inputs: asyncio.Queue[bridge.Input] = asyncio.Queue()
        self._destinations = {new_id(): destination for destination in action.addresses}
        manner = bridge.Manner(action.ring == "in_order", action.confirm is not None, action.early_media, action.unchained)
        self._connecting = bridge.Connecting.of(list(self._destinations), manner)
        self._by_id: dict[str, Session] = {}
        self._outcome: Outcome | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._questions: dict[str, asyncio.Task[None]] = {}
        self._heard_id = ""
        self.on_joined: Callable[[Session], None] = lambda _: None
        self._relay: DigitRelay | None = None
        self._ringback_id = self._session.start_play(ringback, loop=True)

    async def outcome(self) -> Outcome:
        """Run it to its end."""
        self._performer.take_input = self.take
        self._later(self._action.timeout_s, bridge.TimeIsUp())
        self.take(bridge.Begin())
        while self._outcome is None:
            self.take(await self._inputs.get())
        return self._outcome

    async def stop(self) -> None:
        """Leave nothing behind: no ringing leg, no timer, no task, no ringback."""
        for timer in self._timers:
            timer.cancel()
        self.take(bridge.CallerGone())
        self._stop_ringback()
        if self._relay is not None:
            self._relay.stop()
            self._session.digits.clear()  # they were for the other side
        self._performer.take_input = None
        self._performer.peer = None
        for leg_id in tuple(self._questions):
            self._stop_asking(leg_id)

    def take(self, given: bridge.Input) -> None:
        """Carry out what one input leads to."""
        if isinstance(given, bridge.LegEnded):
            self._stop_asking(given.leg_id)
        self._connecting, steps = self._connecting.handle(given)
        for step in steps:
            self._carry_out(step)

    def _carry_out(self, step: bridge.Step) -> None:
        match step:
            case bridge.RingLegs():
                self._ring(step.leg_ids)
            case bridge.Hear():
                self._hear(step.leg_id)
            case bridge.AskLeg():
                self._ask(step.leg_id)
            case bridge.HangUpLeg():
                self._stop_asking(step.leg_id)
                if leg := self._by_id.get(step.leg_id):  # none where dialling was refused
                    leg.hang_up(_REASONS[step.why], ANSWERED_ELSEWHERE if step.why is Why.ANSWERED_ELSEWHERE else "")
            case bridge.Join():
                self._join(step.leg_id)
            case bridge.Finish():
                self._outcome = step.outcome
            case _:
                assert_never(step)

    def _ring(self, leg_ids: tuple[str, ...]) -> None:
        destinations = {leg_id: self._destinations[leg_id] for leg_id in leg_ids}
        legs = self._performer.host.ring_legs(self._session, self._action, destinations, self._listen)
        self._legs += legs
        self._by_id |= {leg.id: leg for leg in legs}
        for leg_id in leg_ids:
            self._later(self._action.ring_s(self._performer.host.ring_in_order_s), bridge.LegTimeIsUp(leg_id, LegPhase.RINGING))

    def _hear(self, leg_id: str) -> None:
        if self._heard_id:
            self._session.unbridge(self._heard_id)
        self._heard_id = leg_id
        if leg_id:
            self._stop_ringback()
            self._session.bridge(leg_id)
        else:
            self._ringback_id = self._session.start_play(self._ringback, loop=True)

    def _join(self, leg_id: str) -> None:
        self._stop_asking(leg_id)
        self._stop_ringback()
        if self._heard_id not in {"", leg_id}:
            self._session.unbridge(self._heard_id)
        self._session.answer()
        self._session.bridge(leg_id)
        if self._action.max_duration_s is not None:
            self._later(self._action.max_duration_s, bridge.TalkTimeIsUp())
        self._relay = DigitRelay(self._session, self._by_id[leg_id], self._performer.host)
        self._performer.joined(self._by_id[leg_id])
        self.on_joined(self._by_id[leg_id])

    def _stop_ringback(self) -> None:
        if self._ringback_id:
            self._session.stop_play(self._ringback_id)
            self._ringback_id = ""

    # ------------------------------------------------------------------------------------------------- questions

    def _ask(self, leg_id: str) -> None:
        self._questions[leg_id] = asyncio.create_task(self._put_question(self._by_id[leg_id]))
        self._by_id[leg_id].await_digits(is_awaited=True)  # his key joins the two without delay

    async def _put_question(self, leg: Session) -> None:
        assert self._question is not None
        assert self._action.confirm is not None
        wait_s = self._action.confirm.timeout_s
        try:
            await leg.play(await self._question.path())
            if not self._action.confirm.digit:
                self._inputs.put_nowait(bridge.LegAccepted(leg.id))
                return
        except (MediaError, PlaybackFailed, OSError) as error:
            log.warning("call %s: cannot be asked whether it takes the call: %s", leg.id, error)
            wait_s = 0.0
        self._later(wait_s, bridge.LegTimeIsUp(leg.id, LegPhase.ASKED))

    def _stop_asking(self, leg_id: str) -> None:
        if task := self._questions.pop(leg_id, None):
            task.cancel()
            self._by_id[leg_id].await_digits(is_awaited=False)

    # ---------------------------------------------------------------------------------------------------- inputs

    def _later(self, delay_s: float, given: bridge.Input) -> None:
        self._timers.append(self._loop.call_later(delay_s, self._inputs.put_nowait, given))

    def _listen(self, event: CallEvent) -> None:
        """Hear what a leg does."""
        match event:
            case CallMediaStarted():
                self._later(_ANSWER_COMES_S, bridge.EarlyMedia(event.call_id))
            case CallAnswered():
                self._inputs.put_nowait(bridge.LegAnswered(event.call_id))
            case DigitReceived() if self._action.confirm is not None and event.digit == self._action.confirm.digit:
                self._inputs.put_nowait(bridge.LegAccepted(event.call_id))
            case CallHangup():
                self._inputs.put_nowait(bridge.LegEnded(event.call_id))
