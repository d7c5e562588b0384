"""Tones in what was heard, frame by frame. Pure: arrays in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.measure import Span

_FRAME_S: Final = 0.1
"""Tells tones apart that are 40 Hz from each other, as those of the American ringing tone."""
_HOP_S: Final = 0.02
_SHARE: Final = 0.3
"""Of a frame's energy round the tone: of two together the weaker one has that when it is 3 dB below."""
_HALF_THERE_DB: Final = -6.0
"""A frame whose middle is where the tone begins or ends has so much of it."""
_BINS: Final = 2
"""On either side of a peak: the main lobe of a Hann window."""
_FRAMES_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Frames:
    """One value for each 20 ms, about the 100 ms with that in the middle."""

    hz: NDArray[np.float64]
    """The strongest frequency."""
    level_dbfs: NDArray[np.float64]
    is_tone: NDArray[np.bool_]
    """Whether the wanted tone is in it, loud enough and with its share of the energy."""

    @property
    def hop_s(self) -> float:
        """From one frame to the next."""
        return _HOP_S

    def longest(self) -> Span | None:
        """The longest stretch of the wanted tone without an interruption."""
        spans = self.spans()
        return max(spans, key=lambda span: span.end_s - span.start_s, default=None)

    def spans(self) -> list[Span]:
        """All its stretches; an end is right to about 20 ms."""
        edges = np.diff(np.concatenate([[0], self.is_tone.astype(np.int8), [0]]))
        starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        return [Span(float(start * _HOP_S), float((end - 1) * _HOP_S)) for start, end in zip(starts, ends, strict=True)]


def listen_for(wave: NDArray[np.floating], rate_hz: int, hz: float, tolerance_hz: float, quietest_dbfs: float) -> Frames:
    """Look for a tone of `hz` in every frame."""
    size, hop = round(_FRAME_S * rate_hz), round(_HOP_S * rate_hz)
    padded = np.pad(wave, size // 2)  # so that the first frame has the first sample in its middle
    if len(padded) < size:
        return Frames(np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.bool_))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    parts = [_judge(frames[at : at + _FRAMES_AT_ONCE], rate_hz, hz, tolerance_hz) for at in range(0, len(frames), _FRAMES_AT_ONCE)]
    strongest, level, is_near = (np.concatenate(column) for column in zip(*parts, strict=True))
    usual_dbfs = float(np.median(level[is_near])) if is_near.any() else 0.0
    return Frames(strongest, level, is_near & (level > max(quietest_dbfs, usual_dbfs + _HALF_THERE_DB)))


def _judge(
    frames: NDArray[np.floating], rate_hz: int, hz: float, tolerance_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Strongest frequency and level of each frame, and whether a peak near `hz` has its share of the energy."""
    size = frames.shape[1]
    window = np.hanning(size).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)).astype(np.float64) ** 2
    power[:, 0] = 0  # DC
    scale = 4 / (size * float(np.square(window, dtype=np.float64).sum()))  # Parseval; a full-scale sine has 0 dBFS
    level = 10 * np.log10(np.maximum(power.sum(axis=1) * scale, 1e-12))
    bin_hz = rate_hz / size
    strongest = _peak(power, np.argmax(power[:, 1:-1], axis=1) + 1) * bin_hz
    low = max(1, int(np.floor((hz - tolerance_hz) / bin_hz)) - 1)
    high = min(power.shape[1] - 2, int(np.ceil((hz + tolerance_hz) / bin_hz)) + 1)
    if low > high:
        return strongest, level, np.zeros(len(frames), dtype=np.bool_)
    near = np.argmax(power[:, low : high + 1], axis=1) + low
    exact_hz = _peak(power, near) * bin_hz
    total = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    every = np.arange(len(power))
    around = total[every, np.minimum(near + _BINS + 1, power.shape[1])] - total[every, np.maximum(near - _BINS, 0)]
    return strongest, level, (np.abs(exact_hz - hz) <= tolerance_hz) & (around > _SHARE * np.maximum(total[:, -1], 1e-15))


def _peak(power: NDArray[np.float64], index: NDArray[np.int64]) -> NDArray[np.float64]:
    """The place of a peak between bins: a parabola through the logarithms of three."""
    every = np.arange(len(power))
    left, mid, right = (np.log(power[every, index + step] + 1e-20) for step in (-1, 0, 1))
    curve = left - 2 * mid + right
    offset: NDArray[np.float64] = np.where(curve < 0, 0.5 * (left - right) / np.where(curve < 0, curve, -1.0), 0.0).clip(-1, 1)
    return index + offset
