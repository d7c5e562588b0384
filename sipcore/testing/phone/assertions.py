"""Assertions on what a call heard; each failure says what was heard instead."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from .audio import RATE_HZ, read_samples

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SILENCE_DBFS = -50.0


class HeardAssertions:
    """The `assert_*` methods; raise `AssertionError`."""

    @abstractmethod
    def heard(self) -> NDArray[np.int16]:
        """Return what was heard, 8 kHz."""

    @property
    @abstractmethod
    def digits(self) -> str:
        """The keys pressed by the other side."""

    @property
    @abstractmethod
    def max_gap_ms(self) -> float:
        """The longest time between two RTP packets."""

    @property
    @abstractmethod
    def lost_packets(self) -> int:
        """How many RTP packets are missing."""

    def assert_heard(self, reference: str | Path | NDArray[np.int16], min_correlation: float = 0.9, min_coverage: float = 0.9) -> None:
        """Fail unless `reference` (a sound file, or samples at 8 kHz) is in what was heard.

        `min_correlation` (0 to 1) is how alike they are where they overlap, `min_coverage` how much of the reference must be there.
        """
        from media.measure import best_match

        wanted = read_samples(reference) if isinstance(reference, str | Path) else reference
        heard = self._something_heard()
        match = best_match(heard, wanted, RATE_HZ, min_overlap=min_coverage)
        start = round(match.delay_s * RATE_HZ)
        coverage = (min(start + len(wanted), len(heard)) - max(start, 0)) / max(1, len(wanted))
        if abs(match.correlation) < min_correlation or coverage < min_coverage:
            name = reference if isinstance(reference, str | Path) else f"{len(wanted) / RATE_HZ:.2f} s of samples"
            raise AssertionError(
                f"{self} did not hear {name}: correlation {match.correlation:.3f} with {coverage:.0%} of it from {match.delay_s:.3f} s, "
                f"wanted {min_correlation} with {min_coverage:.0%}; heard {_described(heard)}"
            )

    def assert_tone(self, hz: float, tolerance_hz: float = 10.0) -> None:
        """Fail unless a tone of `hz` is the strongest thing in what was heard."""
        from media.measure import dominant_hz

        heard = self._something_heard()
        strongest_hz = dominant_hz(heard, RATE_HZ)
        if abs(strongest_hz - hz) > tolerance_hz or _level_dbfs(heard) < _SILENCE_DBFS:
            raise AssertionError(f"{self} did not hear {hz:g} Hz but {strongest_hz:.1f} Hz; heard {_described(heard)}")

    def assert_silence(self, max_dbfs: float = _SILENCE_DBFS) -> None:
        """Fail if any 20 ms of what was heard is louder than `max_dbfs` (RMS); nothing at all is silence too."""
        heard = self.heard()
        frames = heard[: len(heard) // 160 * 160].reshape(-1, 160)
        loud = [index for index, frame in enumerate(frames) if _level_dbfs(frame) > max_dbfs]
        if loud:
            raise AssertionError(f"{self} heard something from {loud[0] * 0.02:.2f} s to {loud[-1] * 0.02:.2f} s: {_described(heard)}")

    def assert_digits(self, digits: str) -> None:
        """Fail unless exactly these keys were pressed (RFC 4733)."""
        if self.digits != digits:
            raise AssertionError(f"{self} got the digits {self.digits!r}, not {digits!r}")

    def assert_no_gaps(self, max_ms: float = 60.0) -> None:
        """Fail if two RTP packets were further apart than `max_ms`, a hold included, or if there were none."""
        self._something_heard()
        if self.max_gap_ms > max_ms:
            raise AssertionError(
                f"{self} had a gap of {self.max_gap_ms:.0f} ms, {self.lost_packets} packets lost; allowed are {max_ms:g} ms"
            )

    def _something_heard(self) -> NDArray[np.int16]:
        heard = self.heard()
        if not len(heard):
            raise AssertionError(f"{self} got no audio at all")
        return heard


def _level_dbfs(samples: NDArray[np.int16]) -> float:
    """Return the RMS level; a full-scale sine has 0 dBFS."""
    from media.measure import rms_dbfs

    return rms_dbfs(samples)


def _described(heard: NDArray[np.int16]) -> str:
    return f"{len(heard) / RATE_HZ:.2f} s at {_level_dbfs(heard):.1f} dBFS"
