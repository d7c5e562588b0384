"""Stretches in which sound is cut out: nothing at all, with sound cut off on either side. Pure: arrays in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from media.measure import Span

if TYPE_CHECKING:
    from sipcore.testing.phone.rtp import ReceivedPacket

_BLOCK_S: Final = 0.0025
_NOTHING: Final = 10 ** (-60 / 20)
"""Peak of a block with nothing in it; the smallest steps of G.711 lie below."""
_SHORTEST_S: Final = 0.12
"""A mouth, and a synthesizer more so, closes for up to a tenth of a second before a "p" or "k"."""
_EDGE_BLOCKS, _BEFORE_BLOCKS = 2, 8
_CUT_OFF_DB: Final = -16.0
"""Against the level of all that was heard: sound that loud 5 ms before a gap ..."""
_SUDDEN_DB: Final = -4.0
"""... and no quieter than this against the 20 ms before, did not fade by itself."""
_AUDIBLE_DB: Final = -20.0
"""Against the loudest window of a reference: what is quieter need not be heard."""
_SILENT_DB: Final = -26.0
"""Against what the same window of the reference says there should be."""
_WINDOW_S: Final = 0.01


def dropouts(wave: NDArray[np.floating], rate_hz: int, min_s: float) -> list[Span]:
    """Return the stretches of `min_s` and more, 0.12 s at least, with nothing in them, before which the sound was cut off.

    A pause between two words fades in, and is none. About half of the gaps that fall anywhere into speech begin so clearly; `against` finds
    nearly all of them.
    """
    size = max(1, round(_BLOCK_S * rate_hz))
    count = len(wave) // size
    if not count:
        return []
    blocks = wave[: count * size].astype(np.float64).reshape(count, size)
    is_empty = np.abs(blocks).max(axis=1) < _NOTHING
    power = (blocks**2).mean(axis=1)
    if is_empty.all():
        return []
    floor = float(power[~is_empty].mean()) * 10 ** (_CUT_OFF_DB / 10)
    found = []
    for start, end in _runs(is_empty):
        if start and end < count and (end - start) * size >= max(min_s, _SHORTEST_S) * rate_hz:
            edge = float(power[max(0, start - _EDGE_BLOCKS) : start].mean())
            before = float(power[max(0, start - _BEFORE_BLOCKS) : start].mean())
            if edge > floor and edge > before * 10 ** (_SUDDEN_DB / 10):
                found.append(Span(start * size / rate_hz, end * size / rate_hz))
    return found


def against(heard: NDArray[np.floating], reference: NDArray[np.floating], rate_hz: int, min_s: float) -> list[Span]:
    """Return the stretches of at least `min_s` in which `reference` is audible and `heard`, which begins with it, is not."""
    size = round(_WINDOW_S * rate_hz)
    count = min(len(heard), len(reference)) // size
    if not count:
        return []
    there, wanted = ((wave[: count * size].astype(np.float64).reshape(count, size) ** 2).mean(axis=1) for wave in (heard, reference))
    is_wanted = wanted > wanted.max() * 10 ** (_AUDIBLE_DB / 10)
    gain = float(np.median(there[is_wanted] / wanted[is_wanted])) or 1.0
    is_lost = is_wanted & (there < gain * wanted * 10 ** (_SILENT_DB / 10))
    is_quiet = there < gain * wanted.max() * 10 ** ((_AUDIBLE_DB + _SILENT_DB) / 10)
    return [
        Span(start * _WINDOW_S, end * _WINDOW_S)
        for start, end in _runs(is_lost | (is_quiet & _beside(is_lost)))
        if is_lost[start:end].mean() > 0.5 and (end - start) * _WINDOW_S >= min_s - 1e-9
    ]


def _beside(marks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Windows at most 50 ms from a marked one, on both sides of which there are marked ones."""
    reach = np.ones(11)
    near: NDArray[np.bool_] = np.convolve(marks, reach, "same") >= 2
    return near


def arrival_gaps(packets: Sequence[ReceivedPacket], max_ms: float) -> list[Span]:
    """Return the times, from the first packet on, in which for more than `max_ms` no packet came."""
    return [
        Span(earlier.arrival_s - packets[0].arrival_s, later.arrival_s - packets[0].arrival_s)
        for earlier, later in pairwise(packets)
        if (later.arrival_s - earlier.arrival_s) * 1000 > max_ms
    ]


def _runs(marks: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.diff(np.concatenate([[0], marks.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))
