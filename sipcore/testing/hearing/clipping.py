"""Peaks that were cut flat, at full scale or, turned down afterwards, anywhere below. Pure: arrays in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_NEAR_THE_TOP: Final = 0.975
"""Of the loudest sample: the next step of G.711 below it has 0.97."""
_FLAT_S: Final = 0.0004
"""A flat top lasts at least so long: three samples at 8 kHz."""
_FALL: Final = 0.80
"""Two samples beyond a flat top the wave is below this much of it: a round top of that length has not fallen so far."""
_FEWEST: Final = 5
"""Flat tops in a capture: fewer may be the shape of a sound."""


@dataclass(frozen=True, slots=True)
class Clipping:
    """Where a capture is clipped."""

    first_s: float
    last_s: float
    tops: int
    """Peaks that are flat."""
    level_dbfs: float
    """Of the flat tops; 0 is full scale."""


def clipping(wave: NDArray[np.floating], rate_hz: int) -> Clipping | None:
    """Look for flat tops; `None` when there are no more than chance makes."""
    top = float(np.abs(wave).max(initial=0.0))
    if top <= 0.001:
        return None
    length = max(3, round(_FLAT_S * rate_hz))
    tops = [at for sign in (1, -1) for at in _flat_tops(wave * (sign / top), length, rate_hz)]
    if len(tops) < _FEWEST:
        return None
    return Clipping(min(tops) / rate_hz, max(tops) / rate_hz, len(tops), float(20 * np.log10(top)))


def _flat_tops(wave: NDArray[np.floating], length: int, rate_hz: int) -> list[int]:
    """Where the positive peaks of a wave of size 1 are flat for `length` samples and steep on both sides."""
    edges = np.diff(np.concatenate([[0], (wave >= _NEAR_THE_TOP).astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    step = max(1, round(2 * rate_hz / 8000))
    is_inside = (starts >= step) & (ends + step <= len(wave)) & (ends - starts >= length)
    starts, ends = starts[is_inside], ends[is_inside]
    is_steep = (wave[starts - step] < _FALL) & (wave[ends - 1 + step] < _FALL)
    return [int(at) for at in starts[is_steep]]
