"""`answer`, `reject` and `transfer`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sipcore.actions import Answer, Reject, Transfer
from sipcore.call import Status
from sipcore.performing.refused import Refused
from sipcore.performing.transferring import attended_transfer
from sipcore.preparation import Piece
from sipcore.session import Session

if TYPE_CHECKING:
    from sipcore.performer import Performer


async def answer(performer: Performer, _action: Answer, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`answer`; done at the caller's ACK."""
    performer.session.answer()
    await asyncio.shield(performer.session.answered)


async def reject(performer: Performer, action: Reject, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`reject`."""
    if not performer.session.reject(action.code, action.phrase):
        raise Refused("only a call from outside that is not answered can be rejected")


async def transfer(performer: Performer, action: Transfer, pieces: list[Piece], legs: list[Session]) -> None:
    """`transfer`."""
    if performer.session.record.status != Status.PROGRESSING:
        raise Refused("the call is not answered")
    if (consultation := action.consultation) is not None:
        await attended_transfer(performer, consultation, pieces, legs)
        return
    try:
        told = await performer.session.transfer(performer.host.transfer_uri(action.address), action.timeout_s)
    except TimeoutError:
        raise Refused(f"no outcome within {action.timeout_s:g} s") from None
    if not 200 <= told.sip_code < 300:
        raise Refused(f"{told.sip_code} {told.sip_phrase}".strip())
    performer.session.finish_action("done")
    performer.session.hang_up()
