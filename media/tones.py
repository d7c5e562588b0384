"""Tones made from numbers: sines, sums of sines, ringback."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .wav import Samples

FULL_SCALE = 32767
FULL_SCALE_DBM0 = 3.17
"""Level of a full-scale sine in mu-law, so 0 dBm0 is 3.17 dB below full scale (ITU-T G.711 table 2)."""

RINGBACK_HZ = (440.0, 480.0)
RINGBACK_ON_S = 2.0
RINGBACK_OFF_S = 4.0
"""North American ringback: 440+480 Hz, 2 s on, 4 s off (ITU-T E.180 supplement 2)."""
RINGBACK_DBM0 = -19.0
"""Level of each of the two frequencies."""
_EDGE_S = 0.005


def tone(frequencies_hz: float | Sequence[float], duration_s: float, rate_hz: int, *, level_dbfs: float = -12.0) -> Samples:
    """Return a sum of sines, each at ``level_dbfs`` (a full-scale sine is 0 dBFS). What does not fit is clipped."""
    wanted = [frequencies_hz] if isinstance(frequencies_hz, int | float) else frequencies_hz
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    wave = np.zeros(len(time_s))
    for hz in wanted:
        wave += np.sin(2 * np.pi * hz * time_s)
    return to_int16(wave * 10 ** (level_dbfs / 20))


def silence(duration_s: float, rate_hz: int) -> Samples:
    """Return zeros."""
    return np.zeros(round(duration_s * rate_hz), dtype=np.int16)


def ringback(rate_hz: int) -> Samples:
    """Return six seconds which, looped, are North American ringback. Edges are faded over 5 ms: no clicks."""
    level_dbfs = RINGBACK_DBM0 - FULL_SCALE_DBM0
    ring = tone(RINGBACK_HZ, RINGBACK_ON_S, rate_hz, level_dbfs=level_dbfs).astype(np.float64) / FULL_SCALE
    edge = np.linspace(0.0, 1.0, round(_EDGE_S * rate_hz))
    ring[: len(edge)] *= edge
    ring[len(ring) - len(edge) :] *= edge[::-1]
    return np.concatenate([to_int16(ring), silence(RINGBACK_OFF_S, rate_hz)])


def to_int16(wave: NDArray[np.floating]) -> Samples:
    """Scale -1..1 to 16 bits, rounded; what is outside is clipped, never wrapped, and NaN becomes silence."""
    scaled = np.nan_to_num(wave * (FULL_SCALE + 1), nan=0.0, posinf=FULL_SCALE, neginf=-FULL_SCALE - 1)
    samples: Samples = np.clip(np.rint(scaled), -FULL_SCALE - 1, FULL_SCALE).astype(np.int16)
    return samples
