"""Runs the action list of one call, top to bottom.

Audio for the whole list is prepared while the call is dialling and ringing, so that an answer is followed by sound at once. The list of an
outgoing call starts at the answer, that of a call from outside at once. An action that fails is told to the listeners and skipped; after
the last one the call is hung up, or refused when it was never answered. When the call ends, the runner is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from sipcore.actions import Action
from sipcore.errors import ActionFailed
from sipcore.performer import Performer
from sipcore.session import Session


async def run_list(session: Session, actions: Sequence[Action], performer: Performer) -> None:
    """Carry the list out. Cancelled when the call ends."""
    prepared = performer.prepare(*actions)
    try:
        if not session.is_up and not await asyncio.shield(session.answered):
            return
        for index, action in enumerate(actions):
            if not session.is_up:
                return  # a listener ended the call; so after each event
            with contextlib.suppress(ActionFailed):
                await performer.perform(action, prepared.pieces(index))
        end(session, performer)
    finally:
        await prepared.stop()


def end(session: Session, performer: Performer) -> None:
    """Nothing is left to do for the call: hang it up, or refuse a caller whom nothing has answered."""
    if not session.reject(performer.sip_code):
        session.hang_up()
