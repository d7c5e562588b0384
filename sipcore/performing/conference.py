"""`conference_join`, and what can be ordered of a call while it is in a conference."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sipcore.actions import Action, ConferenceJoin, Mute, Unmute
from sipcore.conferences.registry import Seat, WhyLeft
from sipcore.digits import is_among
from sipcore.events import CallEvent, DigitReceived
from sipcore.performing.refused import Refused
from sipcore.preparation import Piece
from sipcore.session import Session

if TYPE_CHECKING:
    from sipcore.performer import Performer


async def conference_join(performer: Performer, action: ConferenceJoin, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`conference_join`; done when the call has left."""
    session, conferences = performer.session, performer.host.conferences
    session.answer()
    if not await asyncio.shield(session.answered):
        raise Refused("the call is not answered")
    seat = conferences.join(session, action)
    session.variables.update({"conference.id": seat.conference.id, "conference.name": seat.conference.name})
    try:
        why = await _left(session, seat, action)
    finally:
        seat.leave(WhyLeft.LEFT if session.is_up else WhyLeft.HANGUP)  # when nobody waits for it any more
    if why == WhyLeft.AUDIO:
        raise Refused(f"the call has no live audio: {seat.error}")
    session.variables.update({"conference.left_by": str(why)})
    session.digits.clear()  # they were for the conference
    session.finish_action("done", str(why))


async def _left(session: Session, seat: Seat, action: ConferenceJoin) -> WhyLeft:
    """Wait until the call has left: by its key or after its time, or because somebody has let it out."""

    def told(event: CallEvent) -> None:
        if isinstance(event, DigitReceived) and is_among(event.digit, action.leave_key):
            seat.leave(WhyLeft.KEY)

    stop = session.listen(told)
    loop = asyncio.get_running_loop()
    timer = loop.call_later(action.max_duration_s, seat.leave, WhyLeft.DURATION) if action.max_duration_s else None
    try:
        return await asyncio.shield(seat.left)
    finally:
        stop()
        if timer is not None:
            timer.cancel()


def done_inside(performer: Performer, action: Action) -> bool:
    """Carry out an action that does not wait until the call has left its conference; False: it is none, or the call is in none."""
    seat = performer.host.conferences.seat(performer.session.id)
    if seat is None or not isinstance(action, Mute | Unmute):
        return False
    is_muted = isinstance(action, Mute)
    performer.session.mute(action.direction, is_muted=is_muted)
    if action.direction != "out":
        seat.mute(is_muted=is_muted)
    return True
