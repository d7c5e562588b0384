"""`recording_start` and its kin, `echo`, `mute`, `hold`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from sipcore.actions import Action, Echo, Hold, Mute, RecordingPause, RecordingResume, RecordingStart, RecordingStop, Unhold, Unmute
from sipcore.actions.recording import DEFAULT_ECHO_MS
from sipcore.call import Status
from sipcore.performing.refused import Refused
from sipcore.preparation import Piece
from sipcore.session import Session

if TYPE_CHECKING:
    from sipcore.performer import Performer


async def recording_start(performer: Performer, action: RecordingStart, pieces: list[Piece], _legs: list[Session]) -> None:
    """`recording_start`; done when the beep is over and it has begun."""
    for piece in pieces:
        performer.session.ring(early_media=True)
        await performer.session.play(await piece.path())
    await performer.host.recorder.start(performer.session, action)


async def recording_stop(performer: Performer, _action: RecordingStop, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`recording_stop`."""
    performer.host.recorder.stop(performer.session)


async def recording_pause(performer: Performer, _action: RecordingPause, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`recording_pause`."""
    performer.host.recorder.pause(performer.session)


async def recording_resume(performer: Performer, _action: RecordingResume, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`recording_resume`."""
    performer.host.recorder.resume(performer.session)


async def echo(performer: Performer, action: Echo, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`echo`: the leg is bridged with itself."""
    session = performer.session
    session.ring(early_media=True)
    session.bridge(session.id)
    try:
        await asyncio.sleep((action.duration_ms or DEFAULT_ECHO_MS) / 1000)
    finally:
        session.unbridge(session.id)


async def mute(performer: Performer, action: Mute | Unmute, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`mute` and `unmute`."""
    performer.session.mute(action.direction, is_muted=isinstance(action, Mute))


async def hold(performer: Performer, _action: Hold, pieces: list[Piece], _legs: list[Session]) -> None:
    """`hold`; its music plays on beside the actions that follow, until one of them plays something else."""
    _check_answered(performer.session)
    paths = [await piece.path() for piece in pieces]
    performer.session.hold(is_held=True)
    for path in paths:
        performer.music_id = performer.session.start_play(path, loop=True)


async def unhold(performer: Performer, _action: Unhold, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`unhold`."""
    _check_answered(performer.session)
    if performer.music_id:
        performer.session.stop_play(performer.music_id)
        performer.music_id = ""
    performer.session.hold(is_held=False)


def _check_answered(session: Session) -> None:
    if session.record.status != Status.PROGRESSING:
        raise Refused("the call is not answered")


PERFORMERS: Final[Mapping[type[Action], Callable[[Any, Any, Any, Any], Awaitable[None]]]] = {
    Echo: echo,
    Hold: hold,
    Mute: mute,
    RecordingPause: recording_pause,
    RecordingResume: recording_resume,
    RecordingStart: recording_start,
    RecordingStop: recording_stop,
    Unhold: unhold,
    Unmute: mute,
}
