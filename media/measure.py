"""Listen to audio with numbers: what tone, how loud, where silent, which recording, how well heard.

numpy only. Levels are dBFS after AES17: a full-scale *sine* is 0 dBFS, in RMS too. Silence has -inf.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_FULL_SCALE = 32768.0
_ENERGY_FLOOR = 1e-2
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Match:
    """Where a reference was found, and how alike the two are there."""

    correlation: float
    """Normalised: 1 the same up to gain, 0 unrelated, -1 inverted. The best absolute value wins."""
    delay_s: float
    """Start of the reference in what was heard; negative when the hearing began in the middle of it."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, in seconds from the first sample."""

    start_s: float
    end_s: float


def best_match(heard: ArrayLike, reference: ArrayLike, rate_hz: int, *, min_overlap: float = 0.5) -> Match:
    """Find ``reference`` in ``heard``: FFT cross-correlation, normalised on the overlapping segment of each lag.

    Gain, G.711 coding and either one being cut do not matter; a different clock does. Only lags at which both
    overlap by ``min_overlap`` of the shorter one, with some energy in the overlap of each, are looked at.

    Returns correlation 0 when either is empty or silent.
    """
    ear, ref = _floats(heard), _floats(reference)
    if not len(ear) or not len(ref):
        return Match(0.0, 0.0)
    ear, ref = ear - ear.mean(), ref - ref.mean()
    size = len(ear) + len(ref) - 1
    padded = 1 << (size - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(ear, padded) * np.conj(np.fft.rfft(ref, padded)), padded)
    lags = np.arange(-(len(ref) - 1), len(ear))
    cross = product[lags % padded]
    ear_energy = _overlap_energy(ear, np.clip(lags, 0, len(ear)), np.clip(lags + len(ref), 0, len(ear)))
    ref_energy = _overlap_energy(ref, np.clip(-lags, 0, len(ref)), np.clip(len(ear) - lags, 0, len(ref)))
    overlap = np.minimum(lags + len(ref), len(ear)) - np.maximum(lags, 0)
    usable = overlap >= min_overlap * min(len(ear), len(ref))
    usable &= (ear_energy > _ENERGY_FLOOR * ear_energy.max()) & (ref_energy > _ENERGY_FLOOR * ref_energy.max())
    if not usable.any():
        return Match(0.0, 0.0)
    score = np.zeros(size)
    score[usable] = cross[usable] / np.sqrt(ear_energy[usable] * ref_energy[usable])
    best = int(np.argmax(np.abs(score)))
    return Match(float(score[best]), float(lags[best] / rate_hz))


def snr_db(heard: ArrayLike, reference: ArrayLike, rate_hz: int) -> float:
    """Return how far the reference stands above everything else heard during it, after best delay and gain, in dB.

    -inf when nothing matches, inf for an exact copy. G.711 alone allows about 37 dB.
    """
    ear, ref = _floats(heard), _floats(reference)
    shift = round(best_match(ear, ref, rate_hz).delay_s * rate_hz)
    ear, ref = ear[max(shift, 0) :], ref[max(-shift, 0) :]
    common = min(len(ear), len(ref))
    ear, ref = ear[:common], ref[:common]
    energy = float(ref @ ref)
    if energy == 0.0:
        return -np.inf
    fitted = ref * (float(ear @ ref) / energy)
    return _ratio_db(float(fitted @ fitted), float(np.sum((ear - fitted) ** 2)))


def rms_dbfs(samples: ArrayLike) -> float:
    """Return the RMS level."""
    wave = _floats(samples)
    return _level_db(float(np.sqrt(np.mean(wave**2) * 2))) if len(wave) else -np.inf


def tone_level_db(samples: ArrayLike, hz: float, rate_hz: int) -> float:
    """Return the level of one frequency in dBFS: a single-bin transform (Goertzel) under a Hann window.

    Other tones are ignored when they are 4 / duration Hz or more away.
    """
    wave = _floats(samples)
    if not len(wave):
        return -np.inf
    window = np.hanning(len(wave))
    turn = np.exp(-2j * np.pi * hz / rate_hz * np.arange(len(wave)))
    return _level_db(float(abs(np.sum(wave * window * turn)) * 2 / max(np.sum(window), 1e-9)))


def dominant_hz(samples: ArrayLike, rate_hz: int) -> float:
    """Return the strongest frequency, 0.0 for silence. Finer than one FFT bin: the peak is interpolated."""
    wave = _floats(samples)
    if len(wave) < 4 or not np.any(wave - wave.mean()):
        return 0.0
    power = _spectrum(wave)
    peak = int(np.argmax(power[1:-1])) + 1
    left, mid, right = np.log(power[peak - 1 : peak + 2] + 1e-20)
    curve = left - 2 * mid + right
    offset = 0.5 * (left - right) / curve if curve else 0.0
    return float((peak + offset) * rate_hz / len(wave))


def tone_to_rest_db(samples: ArrayLike, hz: float, rate_hz: int, *, width_hz: float = 20.0) -> float:
    """Return the energy within ``width_hz`` either side of ``hz`` against all other energy, in dB. DC does not count."""
    wave = _floats(samples)
    if len(wave) < 4:
        return -np.inf
    power = _spectrum(wave)
    bins_hz = np.arange(len(power)) * rate_hz / len(wave)
    near = np.abs(bins_hz - hz) <= max(width_hz, 3 * rate_hz / len(wave))
    near[0] = False
    return _ratio_db(float(power[near].sum()), float(power[1:][~near[1:]].sum()))


def silent_spans(samples: ArrayLike, rate_hz: int, *, threshold_dbfs: float = -50.0, min_s: float = 0.1) -> list[Span]:
    """Return the stretches of at least ``min_s`` in which every 10 ms block is quieter than ``threshold_dbfs`` (RMS)."""
    wave = _floats(samples)
    block = max(1, round(0.01 * rate_hz))
    edges = np.arange(0, len(wave), block)
    if not len(edges):
        return []
    counts = np.diff(np.append(edges, len(wave)))
    rms = np.sqrt(np.add.reduceat(wave**2, edges) / counts * 2)
    quiet = np.concatenate([[False], rms < 10 ** (threshold_dbfs / 20), [False]])
    turns = np.flatnonzero(quiet[1:] != quiet[:-1])
    spans = [
        Span(begin * block / rate_hz, min(end * block, len(wave)) / rate_hz) for begin, end in zip(turns[::2], turns[1::2], strict=True)
    ]
    return [span for span in spans if span.end_s - span.start_s >= min_s - 1e-9]


def _floats(samples: ArrayLike) -> _Floats:
    array = np.asarray(samples)
    return array.astype(np.float64) / _FULL_SCALE if array.dtype.kind in "iu" else array.astype(np.float64)


def _overlap_energy(wave: _Floats, begin: NDArray[np.int64], end: NDArray[np.int64]) -> _Floats:
    total = np.concatenate([[0.0], np.cumsum(wave**2)])
    energy: _Floats = total[end] - total[begin]
    return energy


def _spectrum(wave: _Floats) -> _Floats:
    power: _Floats = np.abs(np.fft.rfft((wave - wave.mean()) * np.hanning(len(wave)))) ** 2
    return power


def _level_db(amplitude: float) -> float:
    return float(20 * np.log10(amplitude)) if amplitude > 0 else -np.inf


def _ratio_db(signal: float, rest: float) -> float:
    if signal <= 0:
        return -np.inf
    return float(10 * np.log10(signal / rest)) if rest > 0 else np.inf
