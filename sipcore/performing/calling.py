"""`answer`, `reject`, `transfer` and `connect`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, assert_never

from sipcore import bridge
from sipcore.actions import Answer, Connect, Reject, Transfer
from sipcore.call import HangupReason, Status, reason_of_refusal
from sipcore.events import CallAnswered, CallEvent, CallHangup
from sipcore.performing.refused import NobodyAnswered, Refused
from sipcore.preparation import Piece
from sipcore.session import Session

if TYPE_CHECKING:
    from sipcore.performer import Performer

UNAVAILABLE = 480
BUSY = 486

_SPOKEN_OUTCOMES = {
    bridge.Outcome.NOBODY: "nobody answered: every leg was refused or failed",
    bridge.Outcome.TIMEOUT: "nobody answered in time",
}


async def answer(performer: Performer, _action: Answer, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`answer`; done at the caller's ACK."""
    performer.session.answer()
    await asyncio.shield(performer.session.answered)


async def reject(performer: Performer, action: Reject, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`reject`."""
    if not performer.session.reject(action.code, action.phrase):
        raise Refused("only a call from outside that is not answered can be rejected")


async def transfer(performer: Performer, action: Transfer, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`transfer`."""
    if performer.session.record.status != Status.PROGRESSING:
        raise Refused("the call is not answered")
    try:
        told = await performer.session.transfer(performer.host.transfer_uri(action.address), action.timeout_s)
    except TimeoutError:
        raise Refused(f"no outcome within {action.timeout_s:g} s") from None
    if not 200 <= told.sip_code < 300:
        raise Refused(f"{told.sip_code} {told.sip_phrase}".strip())
    performer.session.finish_action("done")
    performer.session.hang_up()


async def connect(performer: Performer, action: Connect, pieces: list[Piece], legs: list[Session]) -> None:
    """`connect`; its legs are added to `legs`."""
    session, (ringback,) = performer.session, pieces
    session.ring(early_media=True)
    ringback_id = session.start_play(await ringback.path(), loop=True)
    try:
        # A leg takes its place until its end is confirmed, and the call has reserved no more places than one connect rings.
        for leg in performer.legs:
            await asyncio.shield(leg.over)
        outcome = await _ring_and_bridge(performer, action, legs, ringback_id)
    finally:
        session.stop_play(ringback_id)
    if outcome is not bridge.Outcome.BRIDGED:
        is_busy = any(reason_of_refusal(leg.record.sip_code) is HangupReason.BUSY for leg in legs)
        performer.sip_code = BUSY if is_busy else UNAVAILABLE
        raise NobodyAnswered(_SPOKEN_OUTCOMES[outcome])


async def _ring_and_bridge(performer: Performer, action: Connect, legs: list[Session], ringback_id: str) -> bridge.Outcome:
    inputs: asyncio.Queue[bridge.Input] = asyncio.Queue()
    legs += performer.host.ring_legs(performer.session, action, lambda event: _forward(event, inputs))
    performer.legs = legs
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
                    performer.session.stop_play(ringback_id)
                    performer.session.answer()
                    performer.session.bridge(step.leg_id)
                    performer.peer = by_id[step.leg_id]
                case bridge.Finish():
                    outcome = step.outcome
                case _:
                    assert_never(step)

    performer.take_input = take
    try:
        while outcome is None:
            take(await inputs.get())
        return outcome
    finally:
        timer.cancel()
        take(bridge.CallerGone())
        performer.take_input = performer.peer = None


def _forward(event: CallEvent, inputs: asyncio.Queue[bridge.Input]) -> None:
    match event:
        case CallAnswered():
            inputs.put_nowait(bridge.LegAnswered(event.call_id))
        case CallHangup():
            inputs.put_nowait(bridge.LegEnded(event.call_id))
