"""Ready audio on disk: one canonical WAV for each key, written whole or not at all, the longest unused thrown out."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from . import wav
from .cancel import Cancellation
from .wav import Samples

MIN_DURATION_S = 0.1
"""Shorter audio is padded with silence: PJSIP's player needs one frame of 20 ms at least."""
KEEP_S = 300.0
"""An entry used this recently is never thrown out: a call may be about to open it."""
_MARK_SHARE = 0.2
"""How much of that time may pass before the next use of an entry is marked on disk: a mark is a write."""
_TIME_STEP_NS = 20_000_000
_MAX_SEEN = 4096
"""Entries that are remembered; about 500 bytes each."""
_STALE_PART_S = 3600.0
_PART = ".part"


@dataclass(frozen=True, slots=True)
class PreparedAudio:
    """A canonical WAV (16-bit PCM, mono, 44-byte header) in the cache, ready for the player."""

    path: Path
    duration_s: float
    rate_hz: int


@dataclass(slots=True)
class _Seen:
    """An entry that was found good, what its file was like then, and when that was."""

    audio: PreparedAudio
    file: _File
    at_ns: int

    @property
    def is_settled(self) -> bool:
        """Whether a change after that would show in the time of the file, which has the steps of the kernel's clock."""
        return self.at_ns - self.file[2] > _TIME_STEP_NS


_File = tuple[int, int, int]
"""Inode, size, time of the last mark or change in ns: the same file as long as all three are the same."""


def cache_key(**parameters: object) -> str:
    """Return the SHA-256, in hex, of all parameters, whatever they contain."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()


class Cache:
    """A directory of WAV files at ``rate_hz``. Threads and processes may share it."""

    def __init__(self, directory: Path, rate_hz: int, *, max_bytes: int, keep_s: float = KEEP_S) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.directory = directory.resolve()
        self._rate_hz = rate_hz
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._mark_s = keep_s * _MARK_SHARE
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}
        self._seen: dict[str, _Seen] = {}
        self._drop_stale_parts()

    @contextmanager
    def exclusive(self, key: str, cancellation: Cancellation) -> Iterator[None]:
        """Hold ``key`` among the threads of this process, so that one makes the audio and the others find it."""
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        try:
            with cancellation.holding(lock):
                yield
        finally:
            with self._guard:
                lock, users = self._locks.pop(key)
                if users > 1:
                    self._locks[key] = (lock, users - 1)

    def recall(self, key: str) -> PreparedAudio | None:
        """As :meth:`get`, by one ``stat``, for an entry that was found good here, has not been touched since and is marked; or None."""
        seen = self._seen.get(key)
        if seen is None or not seen.is_settled:
            return None
        try:
            status = seen.audio.path.stat()
        except OSError:
            return None
        return seen.audio if _file(status) == seen.file and status.st_mtime >= time.time() - self._mark_s else None

    def get(self, key: str) -> PreparedAudio | None:
        """Return the entry and mark it used; None when there is none. What is damaged or cut short is removed."""
        if (known := self.recall(key)) is not None:
            return known
        path = self._path(key)
        try:
            status = path.lstat()
            info = self._checked(path)
            if status.st_mtime < time.time() - self._mark_s:
                os.utime(path)
                status = path.lstat()
        except FileNotFoundError:
            return None
        except (wav.BadWav, OSError):
            with suppress(OSError):
                path.unlink()
            return None
        return self._remember(key, PreparedAudio(path, info.duration_s, info.rate_hz), _file(status))

    def put(self, key: str, blocks: Iterable[Samples]) -> PreparedAudio:
        """Store ``blocks`` one after the other, padded to 0.1 s, and make room. What ``blocks`` raises leaves nothing behind."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)  # it may be deleted at any time
        handle, name = tempfile.mkstemp(suffix=_PART, dir=self.directory)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(bytes(wav.HEADER_BYTES))
                frames = 0
                for block in blocks:
                    file.write(block.astype("<i2").tobytes())
                    frames += len(block)
                short = max(0, -(-int(MIN_DURATION_S * self._rate_hz * 1000) // 1000) - frames)
                file.write(bytes(short * wav.SAMPLE_BYTES))
                frames += short
                file.seek(0)
                file.write(wav.header(frames, self._rate_hz))
            part.replace(self._path(key))
        finally:
            part.unlink(missing_ok=True)
        self._make_room(key)
        return PreparedAudio(self._path(key), frames / self._rate_hz, self._rate_hz)

    def _remember(self, key: str, audio: PreparedAudio, file: _File) -> PreparedAudio:
        with self._guard:
            self._seen.pop(key, None)
            self._seen[key] = _Seen(audio, file, time.time_ns())
            if len(self._seen) > _MAX_SEEN:
                del self._seen[next(iter(self._seen))]
        return audio

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}.wav"

    def _checked(self, path: Path) -> wav.WavInfo:
        info = wav.read_info(path)
        if info.rate_hz != self._rate_hz or info.duration_s < MIN_DURATION_S:
            raise wav.BadWav(f"{info.rate_hz} Hz, {info.duration_s:g} s: not written by this cache")
        return info

    def _make_room(self, keep: str) -> None:
        """Remove the longest unused entries beyond the bound, but none used in the last minutes: the bound gives way to them."""
        entries = [(path, status) for path in self.directory.glob("*.wav") if (status := _status(path)) is not None]
        excess = sum(status.st_size for _path, status in entries) - self._max_bytes
        newest = time.time() - self._keep_s - self._mark_s  # the mark of a use may be as old as that
        for path, status in sorted(entries, key=lambda entry: entry[1].st_mtime):
            if excess <= 0 or status.st_mtime > newest:
                return
            if path.stem != keep:
                path.unlink(missing_ok=True)
                excess -= status.st_size

    def _drop_stale_parts(self) -> None:
        """Remove what a killed process left. Younger parts may be at work."""
        for path in self.directory.glob(f"*{_PART}"):
            status = _status(path)
            if status is not None and status.st_mtime < time.time() - _STALE_PART_S:
                path.unlink(missing_ok=True)


def _file(status: os.stat_result) -> _File:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
