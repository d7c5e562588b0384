"""Assertions on what a call heard: those of `sipcore.testing.hearing`, as methods. Each failure says where in time it went wrong."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from media.measure import Span
    from sipcore.testing.hearing import Capture, Found, Hearable, Quality

_SILENCE_DBFS = -50.0


class HeardAssertions:
    """The `assert_*` methods; raise `AssertionError`."""

    @abstractmethod
    def capture(self) -> Capture:
        """Return what was heard so far."""

    def assert_heard(
        self, reference: Hearable, min_correlation: float = 0.9, min_coverage: float = 0.9, max_missing_s: float = 1.0
    ) -> Found:
        """Fail unless `reference` (a sound file of any rate, or samples at 8 kHz) is in what was heard; return delay and correlation.

        `min_correlation` (0 to 1) is how alike they are, `min_coverage` how much of the reference must lie within what was heard,
        `max_missing_s` how long a stretch of it may be missing all the same.
        """
        from sipcore.testing import hearing

        return hearing.assert_heard(self.capture(), reference, min_correlation, min_coverage, max_missing_s)

    def assert_not_heard(self, reference: Hearable, max_correlation: float = 0.5) -> None:
        """Fail if `reference` (a sound file of any rate, or samples at 8 kHz), or more than half of it, is in what was heard."""
        from sipcore.testing import hearing

        hearing.assert_not_heard(self.capture(), reference, max_correlation)

    def assert_tone(self, hz: float, tolerance_hz: float = 10.0, min_s: float | None = None) -> Span | None:
        """Fail unless a tone of `hz` was heard for `min_s` on end, or is the strongest thing in what was heard when that is `None`."""
        from sipcore.testing import hearing

        return hearing.assert_tone(self.capture(), hz, tolerance_hz, min_s)

    def assert_silence(self, max_dbfs: float = _SILENCE_DBFS) -> None:
        """Fail if any 20 ms of what was heard is louder than `max_dbfs` (RMS); nothing at all is silence too."""
        from sipcore.testing import hearing

        hearing.assert_silence(self.capture(), max_dbfs)

    def assert_digits(self, digits: str) -> None:
        """Fail unless exactly these keys were pressed: as telephone-events (RFC 4733), or as tones where there were none."""
        from sipcore.testing import hearing

        hearing.assert_digits(self.capture(), digits)

    def assert_no_gaps(self, max_ms: float = 60.0, *, reference: Hearable | None = None) -> None:
        """Fail if two RTP packets were further apart than `max_ms`, a hold included, or if there were none.

        With a `reference` also if that is audible for so long where nothing was heard.
        """
        from sipcore.testing import hearing

        hearing.assert_no_gaps(self.capture(), max_ms, reference=reference)

    def assert_not_clipped(self) -> None:
        """Fail if peaks of what was heard were cut flat."""
        from sipcore.testing import hearing

        hearing.assert_not_clipped(self.capture())

    def quality(self, reference: Hearable | None = None) -> Quality:
        """Return how good it sounded: `quality().mos` is the E-model's, from the packets that came."""
        from sipcore.testing import hearing

        return hearing.quality(self.capture(), reference)
