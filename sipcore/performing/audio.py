"""`talk`, `play` and `beep`."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

from sipcore.actions import Beep, Play, Talk
from sipcore.performing.digits import until_pressed
from sipcore.preparation import Piece
from sipcore.session import Session

if TYPE_CHECKING:
    from sipcore.performer import Performer


async def play(performer: Performer, action: Talk | Play, pieces: list[Piece], _legs: list[Session]) -> None:
    """Play the pieces one after the other, until a key stops them."""
    performer.session.ring(early_media=True)
    await until_pressed(performer.session, action.barge_in, _rounds(performer.session, action, pieces))


async def beep(performer: Performer, _action: Beep, pieces: list[Piece], _legs: list[Session]) -> None:
    """`beep`."""
    performer.session.ring(early_media=True)
    await _all(performer.session, pieces, 0.0)


async def _rounds(session: Session, action: Talk | Play, pieces: list[Piece]) -> None:
    between_pieces_s = action.pause_ms / 1000 if isinstance(action, Play) else 0.0  # the pieces of a talk are its sentences
    for number in itertools.count(1):
        await _all(session, pieces, between_pieces_s)
        if number == action.loop:
            return
        await asyncio.sleep(action.pause_ms / 1000)


async def _all(session: Session, pieces: list[Piece], pause_s: float) -> None:
    for index, piece in enumerate(pieces):
        path = await piece.path()
        if index:
            await asyncio.sleep(pause_s)
        await session.play(path)
