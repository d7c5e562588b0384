"""Actions that somebody orders of a live call while its list or its handler goes on: beside the action that runs, not after it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from media import MediaError
from sipcore.actions import (
    Action,
    Beep,
    Hold,
    Mute,
    Play,
    RecordingPause,
    RecordingResume,
    RecordingStart,
    RecordingStop,
    Talk,
    Unhold,
    Unmute,
)
from sipcore.errors import ActionFailed, InvalidRequest, InvalidState
from sipcore.performing.refused import Refused
from sipcore.performing.table import PERFORMERS
from sipcore.session import PlaybackFailed, Session

if TYPE_CHECKING:
    from sipcore.performer import Performer

log = logging.getLogger(__name__)

_SOUNDS: Final = (Beep, Play, Talk)
_STATES: Final = (Hold, Mute, RecordingPause, RecordingResume, RecordingStart, RecordingStop, Unhold, Unmute)


async def perform_now(performer: Performer, action: Action) -> None:
    """Carry an action out at once; one that is heard goes on after that.

    Raises:
        InvalidRequest: it cannot be done at once, or not here at all.
        InvalidState: the call is not up, or is playing something already.
        ActionFailed: it could not be done.
    """
    session = performer.session
    if not isinstance(action, (*_SOUNDS, *_STATES)):
        names = ", ".join(sorted(kind.type for kind in (*_SOUNDS, *_STATES)))
        raise InvalidRequest(f"{action.type} has to wait for its turn; at once are possible {names}")
    action = performer.filled(action)
    performer.host.check_actions((action,), "actions")
    if not session.is_up:
        raise InvalidState(session.id, str(session.record.status), action.type)
    if isinstance(action, _SOUNDS):
        if session.is_playing:
            raise InvalidState(session.id, f"{session.record.status} and is playing something", action.type)
        performer.host.work(session, _heard(performer, action))
        return
    task = performer.host.work(session, _done(performer, action))
    try:
        await task
    except asyncio.CancelledError:
        if task.cancelled() and not _is_cancelled():
            raise InvalidState(session.id, str(session.record.status), action.type) from None
        raise
    except (Refused, MediaError, OSError) as error:
        raise ActionFailed(session.id, action.type, str(error)) from error


def _is_cancelled() -> bool:
    current = asyncio.current_task()
    return current is not None and bool(current.cancelling())


async def _done(performer: Performer, action: Action) -> list[Session]:
    prepared = performer.prepare(action)
    try:
        await PERFORMERS[type(action)](performer, action, prepared.pieces(0), [])
    finally:
        await prepared.stop()
    return []


async def _heard(performer: Performer, action: Action) -> list[Session]:
    """To the end, or until the call plays something else."""
    try:
        return await _done(performer, action)
    except (PlaybackFailed, MediaError, OSError) as error:
        log.warning("call %s: %s that was ordered meanwhile: %s", performer.session.id, action.type, error)
        return []
