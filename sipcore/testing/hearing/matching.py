"""Find a reference in what was heard, whatever gain, delay and codec did to it. Pure: arrays in, values out.

The two are compared in the telephone band, first all of it, then its lower part, which codecs that keep the ear happy rather than the
waveform (GSM) change least. A receiver whose jitter buffer leaves out or puts in some milliseconds moves everything after that; so when
the whole does not fit in one piece, pieces of half a second are found one after another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from media.measure import Span

RATE_HZ: Final = 8000
_BANDS_HZ: Final = ((200.0, 3400.0), (200.0, 2000.0))
_ENOUGH_OF_THE_BAND: Final = 0.5
"""The lower band says something about a reference only when so much of its energy is there."""
_PIECE_S: Final = 0.5
_SLIP_S: Final = 0.06
"""So far one piece may be moved against the one before: three packets."""
_WINDOW_S: Final = 0.2
_NOT_HEARD: Final = 0.5
"""A window of the reference less alike than this was not heard. Speech after GSM has 0.8 in its worst windows."""
_ENERGY_FLOOR: Final = 1e-2
"""Of the most energetic overlap: what has less is noise that could look like anything."""
_PAUSE_DB: Final = -30.0
"""Of the loudest window: what is quieter is a pause, in which there is nothing to be found."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """Where a reference was found, and how well."""

    correlation: float
    """1: the same up to gain; 0: unrelated."""
    delay_s: float
    """Start of the reference in what was heard; negative when the hearing began in the middle of it."""
    coverage: float
    """How much of the reference lies within what was heard, 0 to 1."""
    missing: tuple[Span, ...] = ()
    """Stretches of the reference that were not heard, in seconds of the reference; its pauses are not looked at."""
    slips_ms: tuple[tuple[float, float], ...] = ()
    """Where the receiver moved in time: seconds of the reference, and how far."""

    @property
    def longest_missing_s(self) -> float:
        """The longest stretch that was not heard."""
        return max((span.end_s - span.start_s for span in self.missing), default=0.0)


def find(heard: NDArray[np.floating], reference: NDArray[np.floating], *, good: float, min_overlap: float = 0.9) -> Found:
    """Find `reference` in `heard`, both at 8 kHz. What takes longer is tried only while the correlation is below `good`."""
    best: Found | None = None
    for band in _BANDS_HZ:
        ear, ref = _in_band(heard, band), _in_band(reference, band)
        if best is not None and float(ref @ ref) < _ENOUGH_OF_THE_BAND * float(np.sum(np.square(reference, dtype=np.float64))):
            break
        found = _in_one_piece(ear, ref, min_overlap)
        if found.correlation < good:
            found = _in_pieces(ear, ref, found)
        if best is None or found.correlation > best.correlation:
            best = found
        if best.correlation >= good:
            break
    assert best is not None
    return best


def _in_one_piece(ear: _Floats, ref: _Floats, min_overlap: float) -> Found:
    correlation, lag = _best_lag(ear, ref, min_overlap)
    covered = min(lag + len(ref), len(ear)) - max(lag, 0)
    found = Found(abs(correlation), lag / RATE_HZ, max(0.0, covered / len(ref)) if len(ref) else 0.0)
    return replace(found, missing=_missing(_cut(ear, lag, len(ref)), ref))


def _best_lag(ear: _Floats, ref: _Floats, min_overlap: float) -> tuple[float, int]:
    """Normalised cross-correlation at the lag where its size is greatest, and that lag in samples.

    Only lags are looked at where the two overlap by `min_overlap` of the shorter one, and where each has some energy in the overlap.
    """
    if not len(ear) or not len(ref):
        return 0.0, 0
    overlap = max(1, int(np.ceil(min_overlap * min(len(ear), len(ref)))))
    lags = np.arange(overlap - len(ref), len(ear) - overlap + 1)
    size = 1 << (len(ear) + len(ref) - 2).bit_length()
    product = np.fft.irfft(np.fft.rfft(ear, size) * np.conj(np.fft.rfft(ref, size)), size)
    cross = np.concatenate([product[size + lags[0] :], product[: lags[-1] + 1]]) if lags[0] < 0 else product[lags[0] : lags[-1] + 1]
    ear_energy = _energy(ear, np.clip(lags, 0, len(ear)), np.clip(lags + len(ref), 0, len(ear)))
    ref_energy = _energy(ref, np.clip(-lags, 0, len(ref)), np.clip(len(ear) - lags, 0, len(ref)))
    is_usable = (ear_energy > _ENERGY_FLOOR * ear_energy.max()) & (ref_energy > _ENERGY_FLOOR * ref_energy.max())
    score = np.where(is_usable, cross / np.sqrt(np.maximum(ear_energy * ref_energy, 1e-24)), 0.0)
    best = int(np.argmax(np.abs(score)))
    return float(score[best]), int(lags[best])


def _energy(wave: _Floats, begin: NDArray[np.int64], end: NDArray[np.int64]) -> _Floats:
    total = np.concatenate([[0.0], np.cumsum(wave**2)])
    energy: _Floats = total[end] - total[begin]
    return energy


def _in_pieces(ear: _Floats, ref: _Floats, whole: Found) -> Found:
    """Follow the reference through what was heard, piece by piece, from where the whole fits best."""
    size, reach = round(_PIECE_S * RATE_HZ), round(_SLIP_S * RATE_HZ)
    lag = round(whole.delay_s * RATE_HZ)
    starts = range(0, len(ref), size)
    anchor = _best_piece(ear, ref, lag, size)
    lags = dict.fromkeys(starts, lag)
    for order in (range(anchor, len(ref), size), range(anchor - size, -1, -size)):
        lag = lags[anchor]
        for start in order:
            lag = _nearby(ear, ref[start : start + size], lag + start, reach) - start
            lags[start] = lag
    aligned = np.concatenate([_cut(ear, start + lags[start], min(size, len(ref) - start)) for start in starts] or [np.zeros(0)])
    correlation = abs(_correlation(aligned, ref))
    if correlation <= whole.correlation:
        return whole
    slips = tuple((after / RATE_HZ, (lags[after] - lags[before]) * 1000 / RATE_HZ) for before, after in pairwise(starts))
    return Found(
        correlation, lags[0] / RATE_HZ, whole.coverage, _missing(aligned, ref), tuple((at, slip) for at, slip in slips if abs(slip) >= 1)
    )


def _best_piece(ear: _Floats, ref: _Floats, lag: int, size: int) -> int:
    """Start of the piece that is most surely where the whole says."""
    starts = range(0, len(ref), size)
    products = [abs(float(_cut(ear, start + lag, len(ref[start : start + size])) @ ref[start : start + size])) for start in starts]
    return int(np.argmax(products)) * size if products else 0


def _nearby(ear: _Floats, piece: _Floats, at: int, reach: int) -> int:
    """Where `piece` is most alike, at most `reach` samples from `at`; `at` itself when nothing is."""
    around = _cut(ear, at - reach, len(piece) + 2 * reach)
    cross = np.correlate(around, piece, "valid") if len(piece) < 64 else _fast_correlate(around, piece)
    total = np.concatenate([[0.0], np.cumsum(around**2)])
    energy = total[len(piece) :] - total[: len(total) - len(piece)]
    score = np.abs(cross) / np.sqrt(np.maximum(energy, 1e-12) * max(float(piece @ piece), 1e-12))
    best = int(np.argmax(score))
    return at - reach + best if score[best] > _NOT_HEARD else at


def _fast_correlate(around: _Floats, piece: _Floats) -> _Floats:
    size = 1 << (len(around) - 1).bit_length()
    product: _Floats = np.fft.irfft(np.fft.rfft(around, size) * np.conj(np.fft.rfft(piece, size)), size)
    return product[: len(around) - len(piece) + 1]


def _missing(aligned: _Floats, ref: _Floats) -> tuple[Span, ...]:
    """The windows of `ref`, pauses left out, that `aligned` has nothing alike of; neighbours as one."""
    size = round(_WINDOW_S * RATE_HZ)
    count = len(ref) // size
    if not count:
        return ()
    there, wanted = aligned[: count * size].reshape(count, size), ref[: count * size].reshape(count, size)
    energy = (wanted**2).sum(axis=1)
    alike = np.abs((there * wanted).sum(axis=1)) / np.sqrt(np.maximum((there**2).sum(axis=1) * energy, 1e-12))
    is_sound = energy > energy.max() * 10 ** (_PAUSE_DB / 10)
    return _spans((alike < _NOT_HEARD) & is_sound, ~is_sound)


def _spans(is_missing: NDArray[np.bool_], is_pause: NDArray[np.bool_]) -> tuple[Span, ...]:
    """Missing windows in a row; a pause between two of them belongs to them."""
    spans: list[Span] = []
    open_until: int | None = None
    for index in np.flatnonzero(is_missing):
        if open_until is not None and is_pause[open_until:index].all():
            spans[-1] = Span(spans[-1].start_s, (int(index) + 1) * _WINDOW_S)
        else:
            spans.append(Span(int(index) * _WINDOW_S, (int(index) + 1) * _WINDOW_S))
        open_until = int(index) + 1
    return tuple(spans)


def _in_band(wave: NDArray[np.floating], band_hz: tuple[float, float]) -> _Floats:
    if not len(wave):
        return np.zeros(0)
    size = 1 << (len(wave) - 1).bit_length()
    spectrum = np.fft.rfft(wave.astype(np.float32), size)
    low, high = (round(hz * size / RATE_HZ) for hz in band_hz)
    spectrum[:low] = 0
    spectrum[high + 1 :] = 0
    return np.fft.irfft(spectrum, size)[: len(wave)].astype(np.float64)


def _cut(wave: _Floats, start: int, length: int) -> _Floats:
    """`wave[start : start + length]` with zeros where it has nothing."""
    part = np.zeros(length)
    begin, end = max(start, 0), min(start + length, len(wave))
    if end > begin:
        part[begin - start : end - start] = wave[begin:end]
    return part


def _correlation(one: _Floats, other: _Floats) -> float:
    energy = float(one @ one) * float(other @ other)
    return float(one @ other) / float(np.sqrt(energy)) if energy > 0 else 0.0
