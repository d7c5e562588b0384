"""Tones made from numbers: sines, sums of sines, ringback."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
DTMF_HZ = {
    digit: (low, high)
    for low, row in ((697.0, "123A"), (770.0, "456B"), (852.0, "789C"), (941.0, "*0#D"))
    for digit, high in zip(row, (1209.0, 1336.0, 1477.0, 1633.0), strict=True)
}
"""The two frequencies of each key (ITU-T Q.23)."""
DTMF_DBM0 = -6.0
"""Level of the lower one; the higher is 2 dB louder (ITU-T Q.24, ETSI ES 201 235-2)."""
DTMF_TWIST_DB = 2.0
BEEP_DBFS = -12.0
_EDGE_S = 0.005
_BLOCK = 1 << 16


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


def dtmf(digits: str, duration_s: float, interval_s: float, rate_hz: int) -> Samples:
    """Return keys as tones, each followed by silence (ITU-T Q.23).

    Raises:
        KeyError: not a key.
    """
    level_dbfs = DTMF_DBM0 - FULL_SCALE_DBM0
    gap = silence(interval_s, rate_hz)
    parts = [gap[:0]]
    for digit in digits:
        low, high = DTMF_HZ[digit]
        press = tone(low, duration_s, rate_hz, level_dbfs=level_dbfs) + tone(
            high, duration_s, rate_hz, level_dbfs=level_dbfs + DTMF_TWIST_DB
        )
        parts += [press, gap]
    return np.concatenate(parts)


def beep(frequency_hz: float, duration_s: float, rate_hz: int, *, volume_db: float = 0.0) -> Samples:
    """Return a tone with faded edges."""
    return faded(tone(frequency_hz, duration_s, rate_hz, level_dbfs=BEEP_DBFS + volume_db), rate_hz)


def faded(samples: Samples, rate_hz: int) -> Samples:
    """Return the samples with edges of 5 ms that do not click."""
    edge = np.linspace(0.0, 1.0, min(round(_EDGE_S * rate_hz), len(samples) // 2))
    wave = samples.astype(np.float64)
    wave[: len(edge)] *= edge
    wave[len(wave) - len(edge) :] *= edge[::-1]
    return np.rint(wave).astype(np.int16)


def amplified(samples: Samples, volume_db: float) -> Iterator[Samples]:
    """Yield the samples louder or quieter, a block at a time; what does not fit is clipped."""
    gain = 10 ** (volume_db / 20) / (FULL_SCALE + 1)
    for start in range(0, len(samples), _BLOCK):
        yield to_int16(samples[start : start + _BLOCK] * gain)


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
