"""Attended transfer: the far end gets somebody we have called first, and takes our place if it will (RFC 5589 §7.3).

The two hear each other through us as soon as he has answered. Whether the far end then takes our place or not, they talk.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from sipcore.actions import Connect
from sipcore.performing.connecting import connect
from sipcore.performing.results import leg_results
from sipcore.preparation import Piece
from sipcore.session import Session

if TYPE_CHECKING:
    from sipcore.performer import Performer

log = logging.getLogger(__name__)

_OUTCOME_S: Final = 32.0
"""For the far end to say what became of it: as long as its own INVITE may take (RFC 3261 timer B)."""
_LAST_WORD_S: Final = 2.0
"""Its NOTIFY, once he has left us: by then the two are connected."""


async def attended_transfer(performer: Performer, consultation: Connect, pieces: list[Piece], legs: list[Session]) -> None:
    """Connect the two, and ask the far end to go on without us; done when they have talked, or it has."""
    session = performer.session
    handing_over: list[asyncio.Task[None]] = []

    def on_joined(leg: Session) -> None:
        handing_over.append(asyncio.create_task(_hand_over(session, leg), name=f"sipcore call {session.id} transfer"))

    try:
        await connect(performer, consultation, pieces, legs, on_joined)
        if handing_over:
            await asyncio.wait(handing_over, timeout=_LAST_WORD_S)
    finally:
        for task in handing_over:
            task.cancel()
    session.finish_action("done", legs=leg_results(leg.record for leg in legs))
    session.hang_up()


async def _hand_over(session: Session, leg: Session) -> None:
    """REFER with Replaces; when the far end is in our place, ours are over."""
    try:
        told = await session.transfer("", _OUTCOME_S, leg.id)
    except TimeoutError:
        log.info("call %s: no outcome of the transfer: the two go on through us", session.id)
        return
    if not 200 <= told.sip_code < 300:
        log.info("call %s: the far end does not take our place: %d %s", session.id, told.sip_code, told.sip_phrase)
        return
    await asyncio.wait([leg.over], timeout=_LAST_WORD_S)  # his side of the call that was replaced is his to end (RFC 3891 §3)
    leg.hang_up()
