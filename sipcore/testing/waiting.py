"""Who waits for what: the report of a deadlock."""

from __future__ import annotations

import asyncio
import linecache
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from sipcore.session import Session

_OURS = Path(__file__).parents[1]


def describe_waiting(tasks: Iterable[asyncio.Task[Any]], sessions: Iterable[Session], now_s: float) -> str:
    """The calls that are up, and where each task stands, the user's own code first."""
    lines = [f"at {now_s:g} s of virtual time"]
    lines += [
        f"  call {session.id} {session.record.direction}, {session.record.destination.target}: {_doing(session)}" for session in sessions
    ]
    told = [(task.get_name(), _frames(task)) for task in tasks if not task.done()]
    for name, frames in sorted(told, key=lambda each: (not _is_of_user(each[1]), each[0])):
        lines += [f"  task {name} waits", *(f"    {_place(frame)}" for frame in frames[:1] + frames[1:][-1:])]
    return "\n".join(lines)


def _doing(session: Session) -> str:
    started = [type(event).__name__ for event in session.history]
    return f"{session.record.status}, last was {started[-1] if started else 'nothing'}"


def _frames(task: asyncio.Task[Any]) -> list[FrameType]:
    """From the task's coroutine down to what waits: the user's frames when there are some, all others when not."""
    coroutine: Any = task.get_coro()
    frames: list[FrameType] = []
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return [frame for frame in frames if _is_user_frame(frame)] or frames


def _is_user_frame(frame: FrameType) -> bool:
    path = Path(frame.f_code.co_filename)
    return not path.is_relative_to(_OURS) and "asyncio" not in path.parts


def _is_of_user(frames: list[FrameType]) -> bool:
    return any(_is_user_frame(frame) for frame in frames)


def _place(frame: FrameType) -> str:
    name, line = frame.f_code.co_filename, frame.f_lineno
    return f"{Path(name).name}:{line} in {frame.f_code.co_name}: {linecache.getline(name, line).strip()}"
