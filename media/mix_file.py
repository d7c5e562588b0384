"""Writes audio that comes in frames to a WAV file, on a thread of its own: whoever has the frames never waits for the disk.

The header is kept true, so that the file of a process that was killed plays to its last second.
"""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from .wav import SAMPLE_BYTES, Samples, header

_MAX_WAITING: Final = 1500
"""Half a minute of frames of 20 ms: a disk that hangs for longer loses audio, and says so."""
_HEADER_EACH_S: Final = 1.0


class MixFile:
    """One file, from its first frame to `close`.

    Args:
        path: Must not be there yet; its folder must.
        max_bytes: Of samples; beyond it nothing is written.
        on_fault: Called once, from the thread of the file, with why no more can be written; `close` must follow all the same.
    """

    def __init__(self, path: Path, max_bytes: int, on_fault: Callable[[str], None]) -> None:
        self._path, self._max_bytes, self._on_fault = path, max_bytes, on_fault
        self._waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._fault = ""
        self._thread = threading.Thread(target=self._run, name="mix-file", daemon=True)
        self._thread.start()

    def write(self, samples: Samples, rate_hz: int) -> None:
        """Take a frame; the rate is that of the first. Never blocks; after a fault it does nothing."""
        if self._fault:
            return
        if self._waiting.qsize() >= _MAX_WAITING:
            self._fail("the disk is too slow")
            return
        self._rate_hz = rate_hz
        self._waiting.put(samples.astype("<i2").tobytes())

    def close(self) -> None:
        """Write what waits, and let go of the file. Blocks."""
        self._waiting.put(b"")
        self._thread.join()

    def _run(self) -> None:
        try:
            self._write_all()
        except OSError as error:
            self._fail(error.strerror or str(error))

    def _write_all(self) -> None:
        frames = noted = 0
        first = self._waiting.get()
        if not first:
            return
        with self._path.open("xb") as file:
            file.write(header(0, self._rate_hz))
            for data in itertools.chain((first,), iter(self._waiting.get, b"")):
                file.write(data)
                frames += len(data) // SAMPLE_BYTES
                if frames - noted >= _HEADER_EACH_S * self._rate_hz:
                    file.seek(0)
                    file.write(header(frames, self._rate_hz))
                    file.seek(0, 2)
                    file.flush()
                    noted = frames
                if frames * SAMPLE_BYTES >= self._max_bytes:
                    self._fail("size")
                    break
            file.seek(0)
            file.write(header(frames, self._rate_hz))

    def _fail(self, why: str) -> None:
        if not self._fault:
            self._fault = why
            self._on_fault(why)
