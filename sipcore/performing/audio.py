"""`talk` and `play`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipcore.actions import Action
from sipcore.preparation import Piece
from sipcore.session import Session

if TYPE_CHECKING:
    from sipcore.performer import Performer


async def play(performer: Performer, _action: Action, pieces: list[Piece], _legs: list[Session]) -> None:
    """Play the pieces one after the other."""
    performer.session.ring(early_media=True)
    for piece in pieces:
        await performer.session.play(await piece.path())
