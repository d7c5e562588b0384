"""What a phone says: clips and tones at 8 kHz. Sources have no clock; the sender asks for the samples at a position."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE_HZ = 8000
FRAME_MS = 20
FRAME_SAMPLES = RATE_HZ * FRAME_MS // 1000


class Source(Protocol):
    """Endless audio; silence after its end."""

    def frame(self, start: int) -> NDArray[np.int16]:
        """Return `FRAME_SAMPLES` samples from sample `start` on."""


@dataclass(frozen=True, slots=True)
class Tone:
    """A sine that never ends; a full-scale sine has 0 dBFS."""

    frequency_hz: float
    level_dbfs: float = -12.0

    def frame(self, start: int) -> NDArray[np.int16]:
        """Return the sine's samples from `start` on; without a seam between frames."""
        phase = (2 * np.pi * self.frequency_hz / RATE_HZ) * np.arange(start, start + FRAME_SAMPLES)
        peak = 32767 * 10 ** (self.level_dbfs / 20)
        samples: NDArray[np.int16] = np.rint(peak * np.sin(phase)).astype(np.int16)
        return samples


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """16-bit samples at 8 kHz, once."""

    samples: NDArray[np.int16]

    def frame(self, start: int) -> NDArray[np.int16]:
        """Return the clip's samples from `start` on, with zeros after its end."""
        part = self.samples[start : start + FRAME_SAMPLES]
        frame = np.zeros(FRAME_SAMPLES, dtype=np.int16)
        frame[: len(part)] = part
        return frame


SILENCE = Clip(np.zeros(0, dtype=np.int16))


def source_of(what: str | Path | float | Source) -> Source:
    """Return a source for a WAV file's path, or a tone's frequency in Hz."""
    if isinstance(what, str | Path):
        return Clip(read_samples(what))
    return Tone(float(what)) if isinstance(what, int | float) else what


def read_samples(path: str | Path) -> NDArray[np.int16]:
    """Return a sound file as 16-bit mono at 8 kHz; anything but such a WAV is mixed down and resampled.

    Raises:
        ValueError: it is not a sound file.
    """
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE_HZ):
                return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)
    except (wave.Error, EOFError):
        pass  # perhaps another format, which the decoder below knows
    return _decode(Path(path))


def _decode(path: Path) -> NDArray[np.int16]:
    import soundfile
    import soxr

    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path} is not a sound file: {error}") from error
    at_8k = soxr.resample(samples.mean(axis=1), rate_hz, RATE_HZ)
    clipped: NDArray[np.int16] = np.rint(np.clip(at_8k, -1, 1) * 32767).astype(np.int16)
    return clipped


def write_samples(path: str | Path, samples: NDArray[np.int16]) -> None:
    """Write a 16-bit mono 8 kHz WAV."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.astype("<i2").tobytes())
