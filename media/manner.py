"""How something is said: pace, pitch, loudness."""

from __future__ import annotations

from dataclasses import dataclass

RATE_RANGE = (0.25, 3.0)
PITCH_RANGE = (0.5, 2.0)
VOLUME_RANGE_DB = (-60.0, 20.0)
SILENT_DB = -200.0


@dataclass(frozen=True, slots=True)
class Manner:
    """How a text is said. The engine sees to pace and pitch, :class:`media.AudioLibrary` to the loudness."""

    rate: float = 1.0
    """Pace: 2 is twice as fast."""
    pitch: float = 1.0
    """Pitch: 2 is an octave higher."""
    volume_db: float = 0.0
    """Louder or quieter; ``SILENT_DB`` is silence as long as the text."""

    def within(self, outer: Manner) -> Manner:
        """This manner inside of another: both apply, within what can be listened to."""
        return Manner(
            _clamped(self.rate * outer.rate, RATE_RANGE),
            _clamped(self.pitch * outer.pitch, PITCH_RANGE),
            SILENT_DB if SILENT_DB in {self.volume_db, outer.volume_db} else _clamped(self.volume_db + outer.volume_db, VOLUME_RANGE_DB),
        )


PLAIN = Manner()


def _clamped(value: float, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return round(min(max(value, low), high), 4)
