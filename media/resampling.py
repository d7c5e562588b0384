"""Another sampling rate while the audio comes: 20 ms in, 20 ms out, and next to no delay.

soxr, which makes files, works in blocks inside: streamed in frames of 20 ms it holds back 40 to 170 ms, and 15 to 30 ms with variable
rates (``benchmarks/resampling.py``). Here a sample is out as soon as half a filter of later ones is in, which is 3 ms at 8 kHz.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import numpy as np
import numpy.typing as npt

from .wav import Samples

ZERO_CROSSINGS: Final = 24
"""Of the filter on either side of its middle, at the lower of the two rates."""
_KAISER_BETA: Final = 7.0  # 70 dB
_CUTOFF: Final = 0.925
"""Of the lower rate's half: flat to 3.3 kHz at 8 kHz, and what would fold back below it is 70 dB down."""
_MAX_STEPS: Final = 1024
"""Places between two samples that are told apart: exact for all usual rates; among odd ones it costs 59 dB of noise distance."""
_FULL_SCALE: Final = 32767

Floats = npt.NDArray[np.float32]


class StreamResampler:
    """One channel from one rate to another. The first sample out is at the time of the first one in: nothing is shifted, only late."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        common = math.gcd(from_hz, to_hz)
        self._up, self._down = to_hz // common, from_hz // common
        self._filters = _filters(self._up, self._down)
        self._half = self._filters.shape[1] // 2
        self.latency_s = self._half / from_hz
        """How much later than its own moment a sample is out."""
        self._reset()

    def _reset(self) -> None:
        self._kept: Floats = np.zeros(self._half - 1, np.float32)
        """Samples that are still needed, from number `_first` on, counted from the first one in."""
        self._first = 1 - self._half
        self._made = 0

    def feed(self, samples: Samples) -> Samples:
        """What can be made with these."""
        self._kept = np.concatenate((self._kept, samples), dtype=np.float32)
        # Sample n out lies after sample (n * down) // up in, and needs `half` beyond that.
        ready = (self._first + len(self._kept) - self._half) * self._up
        return self._upto(max(self._made, -(-ready // self._down)))

    def flush(self) -> Samples:
        """The rest, as if silence followed; begins anew."""
        taken = self._first + len(self._kept)
        self._kept = np.concatenate((self._kept, np.zeros(self._half, np.float32)))
        rest = self._upto(-(-taken * self._up // self._down))
        self._reset()
        return rest

    def _upto(self, end: int) -> Samples:
        at = np.arange(self._made, end) * self._down
        before, phases = np.divmod(at, self._up)
        self._made = end
        if not len(at):
            return np.zeros(0, np.int16)
        steps = len(self._filters)
        if steps != self._up:
            phases = phases * steps // self._up
        size = len(self._kept) - 2 * self._half + 1
        windows = np.lib.stride_tricks.as_strided(self._kept, (size, 2 * self._half), self._kept.strides * 2)
        made = np.einsum("ij,ij->i", windows[before - (self._half - 1 + self._first)], self._filters[phases])
        done = (end * self._down) // self._up - self._half + 1 - self._first
        self._kept = self._kept[done:]
        self._first += done
        samples: Samples = np.clip(np.rint(made), -_FULL_SCALE - 1, _FULL_SCALE).astype(np.int16)
        return samples


@functools.lru_cache(maxsize=32)
def _filters(up: int, down: int) -> Floats:
    """For each place between two samples, the weights of those around it."""
    steps = min(up, _MAX_STEPS)
    cutoff = _CUTOFF * min(1.0, up / down)
    half = math.ceil(ZERO_CROSSINGS / min(1.0, up / down))
    distance = np.arange(1 - half, half + 1)[None, :] - np.arange(steps)[:, None] / steps
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, 1))) / np.i0(_KAISER_BETA)
    weights = cutoff * np.sinc(cutoff * distance) * window
    filters: Floats = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return filters
