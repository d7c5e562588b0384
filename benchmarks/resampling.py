"""What resampling live audio in frames of 20 ms costs, and how much it holds back: soxr, and our own filter.

python benchmarks/resampling.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import soxr

from media.resampling import StreamResampler

import harness

PAIRS = ((8000, 16_000), (16_000, 8000), (8000, 48_000), (48_000, 8000), (22_050, 8000))
FRAMES = 500
NOTHING = np.zeros(0, np.int16)


def ours(from_hz: int, to_hz: int) -> Callable[[Any], Any]:
    return StreamResampler(from_hz, to_hz).feed


def soxr_stream(from_hz: int, to_hz: int) -> Callable[[Any], Any]:
    return soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16", quality="HQ").resample_chunk


def soxr_variable(from_hz: int, to_hz: int) -> Callable[[Any], Any]:
    return soxr.ResampleStream(from_hz, to_hz, 1, dtype="int16", quality="HQ", vr=True).resample_chunk


def measure(feed: Callable[[Any], Any], from_hz: int, to_hz: int) -> tuple[float, float]:
    """The longest that a sample was held back, in ms, and the CPU time of a frame, in us."""
    size = from_hz // 50
    wave = (10_000 * np.sin(2 * np.pi * 440 * np.arange(size * FRAMES) / from_hz)).astype(np.int16)
    made, held_s, cpu_s = 0, 0.0, time.process_time()
    for frame in range(FRAMES):
        made += len(feed(wave[frame * size : (frame + 1) * size]))
        held_s = max(held_s, (frame + 1) / 50 - made / to_hz)
    return held_s * 1000, (time.process_time() - cpu_s) / FRAMES * 1e6


def main() -> None:
    for name, make in (("soxr, HQ", soxr_stream), ("soxr, HQ, variable rate", soxr_variable), ("media.resampling", ours)):
        rows = []
        for from_hz, to_hz in PAIRS:
            held_ms, cpu_us = measure(make(from_hz, to_hz), from_hz, to_hz)
            rows.append((f"{from_hz} to {to_hz} Hz", f"holds back {held_ms:.1f} ms, {cpu_us:.0f} us of CPU a frame"))
        harness.print_table(rows, name)


if __name__ == "__main__":
    main()
