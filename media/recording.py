"""Recordings: two mono WAV files for each stretch, what one side said and what it heard -> one file, mixed or in stereo.

Or one file, what all sides said together: that is a mix already.

The files may be those of a process that was killed: what counts is the samples that are there, not what the header says of them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from .errors import Cancelled
from .wav import HEADER_BYTES, SAMPLE_BYTES, Samples

SUBTYPES: Final = {"wav": ("WAV", "PCM_16"), "flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "OPUS"), "mp3": ("MP3", "MPEG_LAYER_III")}
"""What libsndfile calls each format."""
SILENCE_DBFS: Final = -42.0
"""Louder is somebody who speaks: an average amplitude of 256, which telephone systems have long used."""

_BLOCK_FRAMES: Final = 8000
_METER_S: Final = 0.02
_LOSSY_SHARE: Final = 0.9
"""Of the frames, what must be found again in a file whose coder cuts its edges."""

Pair = tuple[Path, Path] | tuple[Path]


class RecordingFailed(Exception):
    """The file could not be made; the text says why."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What was made; `size_bytes` is 0 and there is no file when nothing had been recorded."""

    duration_s: float
    size_bytes: int


def finish(pairs: Sequence[Pair], target: Path, kind: str, *, is_stereo: bool, is_cancelled: Callable[[], bool] = bool) -> Finished:
    """Make `target` of these pairs, one after the other, each as long as the shorter of both; it appears whole or not at all.

    Raises:
        RecordingFailed: it could not be written (disk full).
        Cancelled: `is_cancelled` has become true.
    """
    rate_hz = next((rate for pair in pairs for path in pair if (rate := _rate_hz(path))), 0)
    if not rate_hz:
        return Finished(0.0, 0)
    part = target.with_name(f".{target.name}.part")
    try:
        frames = _write(part, kind, rate_hz, _mixed(pairs, is_stereo=is_stereo), channels=2 if is_stereo else 1, is_cancelled=is_cancelled)
        if not frames:
            return Finished(0.0, 0)
        _check(part, frames)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except (soundfile.SoundFileError, AssertionError, OSError) as error:  # soundfile asserts that all was written
        raise RecordingFailed(getattr(error, "strerror", None) or str(error) or "it could not be written whole") from None
    finally:
        part.unlink(missing_ok=True)
    return Finished(frames / rate_hz, target.stat().st_size)


class SilenceMeter:
    """For how long nobody has spoken at the end of a WAV file that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = HEADER_BYTES
        self._rate_hz = 0
        self.silent_s = 0.0

    def look(self) -> float:
        """Read what is new; returns the silence at the end in seconds. Blocks for as long as a read from the page cache does."""
        self._rate_hz = self._rate_hz or _rate_hz(self._path)
        if not self._rate_hz:
            return self.silent_s
        block = round(_METER_S * self._rate_hz)
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        data = data[: len(data) // (block * SAMPLE_BYTES) * block * SAMPLE_BYTES]
        self._offset += len(data)
        samples = np.frombuffer(data, "<i2").astype(np.float64).reshape(-1, block) / 32768
        loud = np.flatnonzero(np.sqrt(np.mean(samples**2, axis=1) * 2) > 10 ** (SILENCE_DBFS / 20))
        self.silent_s = (len(samples) - 1 - loud[-1]) * _METER_S if len(loud) else self.silent_s + len(samples) * _METER_S
        return self.silent_s


def _rate_hz(path: Path) -> int:
    """Of a file that PJSIP has begun to write; 0 when not even its header is there."""
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except OSError:
        return 0
    return int(struct.unpack_from("<I", head, 24)[0]) if len(head) == HEADER_BYTES and head[:4] == b"RIFF" else 0


def _mixed(pairs: Iterable[Pair], *, is_stereo: bool) -> Iterator[Samples]:
    for pair in pairs:
        if not all(path.exists() for path in pair):
            continue
        if len(pair) == 1:
            yield from _as_it_is(pair[0])
            continue
        said_path, heard_path = pair
        with said_path.open("rb") as said_file, heard_path.open("rb") as heard_file:
            said_file.seek(HEADER_BYTES)
            heard_file.seek(HEADER_BYTES)
            while True:
                said, heard = (_samples(file.read(_BLOCK_FRAMES * SAMPLE_BYTES)) for file in (said_file, heard_file))
                common = min(len(said), len(heard))
                if not common:
                    break
                said, heard = said[:common], heard[:common]
                yield np.column_stack((said, heard)) if is_stereo else mix(said, heard)


def _as_it_is(path: Path) -> Iterator[Samples]:
    with path.open("rb") as file:
        file.seek(HEADER_BYTES)
        while len(block := _samples(file.read(_BLOCK_FRAMES * SAMPLE_BYTES))):
            yield block


def mix(one: Samples, other: Samples) -> Samples:
    """Both at once; what is too loud for 16 bits is cut off, never wrapped."""
    both: Samples = np.clip(one.astype(np.int32) + other, -32768, 32767).astype(np.int16)
    return both


def _samples(data: bytes) -> Samples:
    return np.frombuffer(data[: len(data) // SAMPLE_BYTES * SAMPLE_BYTES], "<i2").astype(np.int16)


def _write(path: Path, kind: str, rate_hz: int, blocks: Iterator[Samples], *, channels: int, is_cancelled: Callable[[], bool]) -> int:
    name, subtype = SUBTYPES[kind]
    frames = 0
    with soundfile.SoundFile(path, "w", rate_hz, channels, subtype, format=name) as file:
        for block in blocks:
            if is_cancelled():
                raise Cancelled
            file.write(block)
            frames += len(block)
    return frames


def _check(path: Path, frames: int) -> None:
    """libsndfile does not always tell that a disk was full."""
    with soundfile.SoundFile(path) as file:
        if file.frames < frames * (1.0 if file.format in {"WAV", "FLAC"} else _LOSSY_SHARE):
            raise RecordingFailed("not all of it could be written: is the disk full?")
