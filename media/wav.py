"""Canonical WAV: RIFF/WAVE, 16-bit PCM, mono, a 44-byte header, then the samples.

PJSIP's player takes this and little else, so this is all that the cache ever holds.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.int16]
"""Mono 16-bit PCM."""

HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
HEADER_BYTES = HEADER.size  # 44
SAMPLE_BYTES = 2
_PCM = 1


class BadWav(ValueError):
    """The file is not a canonical 16-bit mono WAV, or shorter than its header says."""


@dataclass(frozen=True, slots=True)
class WavInfo:
    """What the header of a canonical WAV says."""

    rate_hz: int
    frames: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate_hz


def header(frames: int, rate_hz: int) -> bytes:
    """Return the 44 bytes before ``frames`` samples."""
    size = frames * SAMPLE_BYTES
    return HEADER.pack(b"RIFF", 36 + size, b"WAVE", b"fmt ", 16, _PCM, 1, rate_hz, rate_hz * SAMPLE_BYTES, SAMPLE_BYTES, 16, b"data", size)


def parse_header(data: bytes) -> WavInfo:
    """Read the first 44 bytes of a canonical WAV.

    Raises:
        BadWav: it is something else.
    """
    if len(data) < HEADER_BYTES:
        raise BadWav(f"{len(data)} bytes are too short for a WAV header")
    info = WavInfo(rate_hz=struct.unpack_from("<I", data, 24)[0], frames=struct.unpack_from("<I", data, 40)[0] // SAMPLE_BYTES)
    if info.rate_hz == 0 or data[:HEADER_BYTES] != header(info.frames, info.rate_hz):
        raise BadWav("not a canonical 16-bit mono WAV")
    return info


def read_info(path: Path) -> WavInfo:
    """Check the header of ``path`` against its length.

    Raises:
        BadWav: another format, or the file is longer or shorter than the header says.
        OSError: the file cannot be read. A symbolic link is not followed.
    """
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return _checked(file)


def read(path: Path) -> tuple[Samples, int]:
    """Return samples and rate (Hz) of a canonical WAV. Raises like :func:`read_info`."""
    with path.open("rb") as file:
        info = _checked(file)
        return np.frombuffer(file.read(info.frames * SAMPLE_BYTES), dtype="<i2").astype(np.int16), info.rate_hz


def write(path: Path, samples: Samples, rate_hz: int) -> None:
    """Write ``samples`` to ``path``, which is replaced."""
    with path.open("wb") as file:
        file.write(header(len(samples), rate_hz))
        file.write(samples.astype("<i2").tobytes())


def missing_bytes(file: BinaryIO) -> int:
    """Return how many bytes of audio a RIFF/WAVE file lacks, 0 when it is whole or of another format.

    libsndfile plays a truncated WAV to where it ends and says nothing, so this walks the chunks. Sizes of streaming
    writers, who could not know (0, or close to 2^31 or 2^32), are not held against them. Moves the file position.
    """
    file.seek(0, os.SEEK_END)
    length = file.tell()
    file.seek(0)
    riff = file.read(12)
    if riff[:4] != b"RIFF" or riff[8:12] != b"WAVE":
        return 0
    while len(chunk := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data":
            return 0 if size >= 0x7FFFF000 else max(0, file.tell() + size - length)
        file.seek(size + (size & 1), os.SEEK_CUR)
    return 0


def _checked(file: BinaryIO) -> WavInfo:
    info = parse_header(file.read(HEADER_BYTES))
    expected, actual = HEADER_BYTES + info.frames * SAMPLE_BYTES, os.fstat(file.fileno()).st_size
    if actual != expected:
        raise BadWav(f"{actual} bytes long, the header says {expected}")
    return info
