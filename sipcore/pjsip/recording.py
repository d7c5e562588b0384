"""Legs recorded by PJSIP's own C writer: what the far end says in one WAV file, what it hears in another, no Python per frame."""

from __future__ import annotations

import os
import struct
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pjsua2 as pj

from sipcore.engine import RecordingFinished, StartRecording, recording_files

from .siptext import readable

MAX_RECORDINGS: Final = 14
"""PJSIP's table holds 32 files, two for each; those that wait for their burial count."""

LOOK_S: Final = 1.0
"""How often the headers are brought up to date: so much a process that is killed can lose."""

_BURIAL_DELAY_S: Final = 0.25
"""See `playback`."""

_CLOSING_S: Final = 0.1
"""From the destruction of a recorder to a complete file: five frames of the bridge."""

_MAX_TRIES: Final = 5
_STALLS: Final = 3
"""Looks in a row at a file that does not grow, until it is given up: PJSIP hides that it cannot write."""

_HEADER_BYTES: Final = 44
_SAMPLE_BYTES: Final = 2


class RecordingError(Exception):
    """The recording cannot be made; the text is for `RecordingFinished.error`."""


class LegRecorder:
    """The two files of one recording, the same number of samples at any moment.

    Attributes:
        order: The command it carries out.
        said: Takes what the far end says.
        heard: Takes what the far end hears.
    """

    def __init__(self, order: StartRecording, silence: Any) -> None:
        self.order = order
        self.error = ""
        self._silence = silence
        self._paths = recording_files(order.path)
        self._sizes = (-1, -1)
        self._stalls = 0
        self.said, self.heard = self._aligned_pair()

    def _aligned_pair(self) -> tuple[Any, Any]:
        """Two recorders that have begun with the same frame.

        A recorder to which nothing is connected writes nothing, so silence is connected to both all the time: that starts them, and keeps
        them in step while nobody is heard. The bridge connects later, at the next tick of its clock. Both orders were given before the same
        tick when, after the second, not even the first is carried out.
        """
        for _ in range(_MAX_TRIES):
            pair = (pj.AudioMediaRecorder(), pj.AudioMediaRecorder())
            for recorder, path in zip(pair, self._paths, strict=True):
                recorder.createRecorder(path)
            for recorder in pair:
                self._silence.startTransmit(recorder)
            info = self._silence.getPortInfo()  # its list dies with it
            connected = set(info.listeners)
            if connected.isdisjoint(recorder.getPortId() for recorder in pair):
                return pair
            self._retry(pair)
        raise RecordingError("the bridge's clock is too fast for us")

    def _retry(self, pair: tuple[Any, Any]) -> None:
        for recorder in pair:
            self._silence.stopTransmit(recorder)
        time.sleep(_BURIAL_DELAY_S)  # rarer than once in a thousand recordings

    def stop(self) -> None:
        """Write no more; its sources must be connected no longer than it lives."""
        for recorder in (self.said, self.heard):
            self._silence.stopTransmit(recorder)

    def let_go(self) -> None:
        """Destroy both. Their files are closed by the bridge's clock, at its next tick."""
        self.said = self.heard = None

    def look(self) -> None:
        """Make the headers say what is there; notice when nothing more can be written."""
        sizes = (_complete_header(self._paths[0]), _complete_header(self._paths[1]))
        is_stalled = any(now <= before for now, before in zip(sizes, self._sizes, strict=True))
        self._sizes = sizes
        self._stalls = self._stalls + 1 if is_stalled else 0
        if self._stalls >= _STALLS:
            self.error = "nothing more can be written: " + _why_not(self._paths[0])

    def samples(self) -> int:
        """What both files have."""
        sizes = [_size_bytes(path) for path in self._paths]
        return max(0, min(sizes) - _HEADER_BYTES) // _SAMPLE_BYTES


class RecorderPool:
    """Creates recorders and buries them, by the rules of `playback.PlayerPool`."""

    def __init__(self, rate_hz: int, emit: Callable[[RecordingFinished], None]) -> None:
        self._rate_hz = rate_hz
        self._emit = emit
        self._live: list[LegRecorder] = []
        self._graves: deque[tuple[float, LegRecorder]] = deque()
        self._closing: deque[tuple[float, LegRecorder]] = deque()
        """Those destroyed: the bridge's clock writes the rest and closes the files at its next tick."""
        self._next_look_s = 0.0

    def create(self, order: StartRecording) -> LegRecorder:
        """A recorder that runs, and hears silence on both sides.

        Raises:
            RecordingError: a file cannot be made, or too many are being written.
        """
        if len(self._live) + len(self._graves) + len(self._closing) >= MAX_RECORDINGS:
            raise RecordingError(f"more than {MAX_RECORDINGS} recordings at once in one worker")
        silence = pj.Endpoint.instance().audDevManager().getCaptureDevMedia()  # the null device
        try:
            recorder = LegRecorder(order, silence)
        except pj.Error as error:
            raise RecordingError(f"{order.path}: {readable(error.reason)}") from None
        self._live.append(recorder)
        return recorder

    def bury(self, recorder: LegRecorder) -> None:
        """Stop a recorder now and destroy it in a while; then it has finished."""
        self._live.remove(recorder)
        recorder.stop()
        self._graves.append((time.monotonic() + _BURIAL_DELAY_S, recorder))

    def take_broken(self) -> list[LegRecorder]:
        """About once a second: those that cannot write any more."""
        now_s = time.monotonic()
        if not self._live or now_s < self._next_look_s:
            return []
        self._next_look_s = now_s + LOOK_S
        for recorder in self._live:
            recorder.look()
        return [recorder for recorder in self._live if recorder.error]

    def dig(self) -> float | None:
        """Finish those whose time has come. Not inside a callback. Returns when the next is due (monotonic), `None` without one."""
        now_s = time.monotonic()
        while self._closing and self._closing[0][0] <= now_s:
            self._finish(self._closing.popleft()[1])
        while self._graves and self._graves[0][0] <= now_s:
            _, recorder = self._graves.popleft()
            recorder.let_go()
            self._closing.append((now_s + _CLOSING_S, recorder))
        return min((waiting[0][0] for waiting in (self._graves, self._closing) if waiting), default=None)

    def clear(self) -> None:
        """Finish all, at the end of the worker."""
        for recorder in tuple(self._live):
            self.bury(recorder)
        for _, recorder in self._graves:
            recorder.let_go()
        if self._graves or self._closing:
            time.sleep(_CLOSING_S)
        for _, recorder in (*self._closing, *self._graves):
            self._finish(recorder)

    def _finish(self, recorder: LegRecorder) -> None:
        recorder.look()
        order = recorder.order
        self._emit(RecordingFinished(order.call_id, order.recording_id, recorder.samples() / self._rate_hz, recorder.error))


def _size_bytes(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _complete_header(path: str) -> int:
    """Put the sizes of what is there into a header that PJSIP completes only at the end; returns the size of the file."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        size_bytes = os.fstat(file).st_size
        data_bytes = (size_bytes - _HEADER_BYTES) // _SAMPLE_BYTES * _SAMPLE_BYTES
        if data_bytes > 0:
            os.pwrite(file, struct.pack("<I", data_bytes + _HEADER_BYTES - 8), 4)
            os.pwrite(file, struct.pack("<I", data_bytes), _HEADER_BYTES - 4)
    except OSError:
        return 0
    finally:
        os.close(file)
    return size_bytes


def _why_not(path: str) -> str:
    try:
        is_full = os.statvfs(Path(path).parent).f_bavail == 0
    except OSError as error:
        return error.strerror or str(error)
    return "the disk is full" if is_full else "the file does not grow"
