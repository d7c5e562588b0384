"""`run`: a function of the user's own, as one action of a list.

It orders actions itself, so it is not carried out as one of those, of which only one is at a time: they are carried out within it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from sipcore.actions.run import Run

if TYPE_CHECKING:
    from sipcore.performer import Performer

log = logging.getLogger(__name__)


async def run_function(performer: Performer, action: Run, index: int) -> None:
    """Call the function and tell how it went; cancelled when the call ends, and then it is not waited for."""
    session = performer.session
    session.start_function(index, action.label, action.id)
    if not session.is_up:
        return  # a listener ended the call
    task = performer.host.run_function(session, _outcome(performer, action))
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        session.finish_function("interrupted")
        raise
    if task.cancelled():
        session.finish_function("interrupted")
    elif error := task.result():
        session.finish_function("failed", error)
    else:
        session.finish_function("done")


async def _outcome(performer: Performer, action: Run) -> str:
    """What went wrong; empty when nothing did."""
    session = performer.session
    try:
        await action.function(performer.host.as_call(session))
    except Exception as error:
        if session.is_up:
            log.exception("call %s: %s failed", session.id, action.label)
        return f"{type(error).__name__}: {error}"
    return ""
