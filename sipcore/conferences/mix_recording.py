"""The recording of one conference: all that is said in its room, in one mono file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from media.mix_file import MixFile
from sipcore.conferences.record import Conference
from sipcore.conferences.room import Room
from sipcore.ids import new_id
from sipcore.recordings.recorder import Recorder, RecorderHost
from sipcore.recordings.recording import Recording, RecordingStatus

log = logging.getLogger(__name__)

SIZE: Final = "size"
"""What a `MixFile` says of itself when it has become as large as it may."""


class MixRecording:
    """Records a room from `start` to `stop`, or until it is too long or cannot be written. Lives on the event loop.

    Args:
        room: Its `ear` is taken.
        on_over: Told when it has stopped by itself.
        on_file: Told when the file is there, or cannot be.
    """

    def __init__(
        self,
        room: Room,
        recorder: Recorder,
        host: RecorderHost,
        on_over: Callable[[], None],
        on_file: Callable[[Recording], None],
    ) -> None:
        self.recording: Recording | None = None
        """`None` until it has begun."""
        self._room, self._recorder, self._host = room, recorder, host
        self._on_over, self._on_file = on_over, on_file
        self._file: MixFile | None = None
        self._is_stopped = False
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, conference: Conference) -> Recording | None:
        """Begin; `None` when it was stopped before it could.

        Raises:
            OSError: there is no room for it.
        """
        now = self._host.next_time()
        recording = Recording(new_id(), conference.id, now, conference.user_id, "conference", tm_start=now)
        path = await self._recorder.begin_mix(recording)
        if self._is_stopped:
            stopping = replace(recording, status=RecordingStatus.STOPPING, tm_end=now, tm_update=now, end_reason="stopped")
            self._recorder.end_mix(stopping, lambda: None, self._on_file)
            return None
        loop = asyncio.get_running_loop()
        limits = self._recorder.limits
        self._file = MixFile(path, limits.max_bytes, lambda why: _soon(loop, lambda: self._fail(why)))
        self._timer = loop.call_later(limits.max_s, lambda: self._end("duration"))
        self.recording = recording
        self._room.ear = self._file.write
        log.info("conference %s: recording %s", conference.id, recording.id)
        return recording

    def stop(self, reason: str = "stopped") -> None:
        """End it, as `end_reason`; `on_over` is not told. Idempotent."""
        if self._is_stopped:
            return
        self._is_stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self.recording is None or self._file is None:
            return
        self._room.ear = None
        now = self._host.clock.now()
        self.recording = replace(self.recording, status=RecordingStatus.STOPPING, tm_end=now, tm_update=now, end_reason=reason)
        self._recorder.end_mix(self.recording, self._file.close, self._on_file)

    def _fail(self, why: str) -> None:
        if self.recording is None:
            return
        if why != SIZE:
            log.warning("recording %s: %s", self.recording.id, why)
            self.recording = replace(self.recording, error=why)
        self._end(SIZE if why == SIZE else "error")

    def _end(self, reason: str) -> None:
        if not self._is_stopped:
            self.stop(reason)
            self._on_over()


def _soon(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    """From another thread; nothing once the loop is closed."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(work)
