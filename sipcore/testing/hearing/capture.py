"""What was heard, in one form, wherever it comes from: samples, a sound file, a call of the phone, a capture of the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from media.dtmf_detector import Press
from media.measure import Span

if TYPE_CHECKING:
    from sipcore.testing.phone.rtp import ReceivedPacket

Wave: TypeAlias = NDArray[np.float32]
"""Mono samples; full scale is 1."""

_CAPTURE_FILES = frozenset({".pcap", ".pcapng", ".cap"})
_TELEPHONE_HZ = 8000


@dataclass(frozen=True, slots=True, eq=False)
class Capture:
    """A stretch of audio that something was heard in. Times in it are seconds from its first sample."""

    wave: Wave
    rate_hz: int
    name: str
    packets: tuple[ReceivedPacket, ...] = ()
    """The RTP that it was made of, in order of arrival; empty for a sound file."""
    presses: tuple[Press, ...] | None = None
    """Keys that came as telephone-events (RFC 4733); `None` when none could: then keys are looked for in the audio."""
    codec: str = ""
    """RTP name, empty when unknown."""
    held_up: tuple[Span, ...] = ()
    """When the telephone that heard it was held up itself, by its machine or its process: it sent late, and others may have too."""

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.wave) / self.rate_hz

    def at_rate(self, rate_hz: int) -> Wave:
        """The samples at another rate."""
        if rate_hz == self.rate_hz or not len(self.wave):
            return self.wave
        resampled: Wave = soxr.resample(self.wave, self.rate_hz, rate_hz)
        return resampled


@runtime_checkable
class Heard(Protocol):
    """Something with ears: a phone, its call, an `RtpSink`."""

    def capture(self) -> Capture:
        """Return what it heard so far."""


Hearable: TypeAlias = "Capture | Heard | str | Path | NDArray[Any]"


def capture_of(what: Hearable, *, rate_hz: int = _TELEPHONE_HZ, channel: int | None = None, stream: int | None = None) -> Capture:
    """Return what was heard.

    Args:
        what: A sound file of any format and rate, a pcap or pcapng file with RTP in it, samples, a phone, a call of it, or a `Capture`.
        rate_hz: Of samples; files know their own.
        channel: Which one of a sound file with several, from 0; all of them mixed when `None`.
        stream: Which RTP stream of a network capture, from 0; may be left out when there is only one.

    Raises:
        ValueError: the file is not what its name says, or the choice is missing or impossible; the message says what there is.
        OSError: the file cannot be read.
    """
    if isinstance(what, Capture):
        return what
    if isinstance(what, str | Path):
        path = Path(what)
        if path.suffix.lower() in _CAPTURE_FILES:
            from .rtp_capture import read_capture

            return read_capture(path, stream)
        return _sound_file(path, channel)
    if isinstance(what, np.ndarray):
        return Capture(_as_wave(what), rate_hz, f"{len(what) / rate_hz:.2f} s of samples")
    if isinstance(what, Heard):
        return what.capture()
    raise TypeError(_no_ears(what))


def _no_ears(what: object) -> str:
    hint = ": give the path of its file, switch.recordings.path(recording)" if type(what).__name__ == "Recording" else ""
    return f"nothing can be heard in a {type(what).__name__}{hint}"


def _sound_file(path: Path, channel: int | None) -> Capture:
    if not path.is_file():
        raise FileNotFoundError(f"there is no sound file {path}")
    try:
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path} is not a sound file: {error}") from error
    count = samples.shape[1]
    if channel is None:
        return Capture(samples.mean(axis=1, dtype=np.float32) if count > 1 else samples[:, 0], rate_hz, str(path))
    if not 0 <= channel < count:
        raise ValueError(f"{path} has {count} channels, counted from 0: there is no channel {channel}")
    return Capture(np.ascontiguousarray(samples[:, channel]), rate_hz, f"channel {channel} of {path}")


def _as_wave(samples: NDArray[Any]) -> Wave:
    if samples.ndim != 1:
        raise ValueError(f"samples are a row of numbers, one channel, not an array of shape {samples.shape}")
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) / np.float32(1 << (8 * samples.itemsize - 1))
    if samples.dtype.kind != "f":
        raise ValueError(f"samples are signed integers or floats, not {samples.dtype}")
    wave: Wave = samples.astype(np.float32)
    return wave
