"""Keys out of sound (ITU-T Q.23, Q.24): short, overlapping blocks, the power at the eight frequencies, and rules of what a key is.

It finds what RFC 4733 and INFO do not bring: keys whose tones are in the audio. Speech and music must not look like one, so both tones
together have to be nearly all there is, for about 30 ms on end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .tones import DTMF_HZ, FULL_SCALE
from .wav import Samples

_BLOCK_S: Final = 0.01275
"""102 samples at 8 kHz: neighbours of a row then lie near each other's zeros."""
_BLOCKS_TO_BEGIN: Final = 5
"""Overlapping by half they span 38 ms, and the outer two may stand out by a third: a tone of 40 ms has as many, wherever it begins, and one
of 24 ms has not."""
_BLOCKS_TO_END: Final = 4
"""What interrupts a tone for less than about 20 ms does not make it two."""
_QUIETEST_DBFS: Final = -36.0
"""Of each tone. Q.24 asks for -25 dBm at least."""
_TWIST_DB: Final = (-11.0, 7.0)
"""The high tone may be so much weaker or stronger: Q.24's 8 and 4 dB, and what a block measures wrongly."""
_ALONE_DB: Final = 7.0
"""So far the other tones of the row and of the column lie below."""
_SHARE: Final = 0.62
"""Of the block's energy in the two tones; a frequency 1.5 % off, which has to be taken, costs a quarter."""
_HARMONIC_DB: Final = 12.0
"""So far the second harmonic of the high tone lies below: a voice has one. Those of the low tones lie beside the high ones."""

_ROWS: Final = tuple(sorted({low for low, _ in DTMF_HZ.values()}))
_COLUMNS: Final = tuple(sorted({high for _, high in DTMF_HZ.values()}))
_DIGITS: Final = {(_ROWS.index(low), _COLUMNS.index(high)): digit for digit, (low, high) in DTMF_HZ.items()}


@dataclass(frozen=True, slots=True)
class Press:
    """A key that was found; `at_s` is when its tones began, in seconds from the first sample, right to about 10 ms."""

    digit: str
    at_s: float


class DtmfDetector:
    """Keys in one stream of audio, whatever the pieces are that it comes in. Knows no clock: time is the count of samples."""

    def __init__(self, rate_hz: int = 8000) -> None:
        self._rate_hz = rate_hz
        self._size = round(_BLOCK_S * rate_hz)
        self._hop = self._size // 2
        hz = np.array([*_ROWS, *_COLUMNS, *(2 * tone for tone in _COLUMNS)])
        self._basis = np.exp(-2j * np.pi * np.outer(np.arange(self._size), hz) / rate_hz)
        self._rest: NDArray[np.float64] = np.zeros(0)
        self._blocks = 0
        self._seen, self._seen_blocks = "", 0
        self._down, self._missed = "", 0

    def feed(self, samples: Samples) -> list[Press]:
        """The keys that begin in this audio; each is told once, 30 to 50 ms after its beginning."""
        audio = np.concatenate([self._rest, samples / (FULL_SCALE + 1)])
        count = max(0, (len(audio) - self._size) // self._hop + 1)
        self._rest = audio[count * self._hop :]
        if not count:
            return []
        blocks = np.lib.stride_tricks.sliding_window_view(audio, self._size)[:: self._hop][:count]
        return [press for digit in self._digits(blocks) if (press := self._take(digit)) is not None]

    def _take(self, digit: str) -> Press | None:
        """One block further: the key that it makes certain."""
        self._blocks += 1
        self._seen_blocks = self._seen_blocks + 1 if digit == self._seen else 1
        self._seen = digit
        self._missed = 0 if digit == self._down else self._missed + 1
        if self._missed >= _BLOCKS_TO_END:
            self._down = ""
        if not digit or digit == self._down or self._seen_blocks < _BLOCKS_TO_BEGIN:
            return None
        self._down, self._missed = digit, 0
        return Press(digit, (self._blocks - _BLOCKS_TO_BEGIN) * self._hop / self._rate_hz)

    def _digits(self, blocks: NDArray[np.float64]) -> list[str]:
        """For each block the key that it sounds like; empty for none."""
        power = np.abs(blocks @ self._basis) ** 2 * (2 / self._size**2) + 1e-15  # of a sine: half its amplitude squared
        rows, columns, harmonics = power[:, :4], power[:, 4:8], power[:, 8:]
        row, column = rows.argmax(axis=1), columns.argmax(axis=1)
        every = np.arange(len(blocks))
        low, high = rows[every, row], columns[every, column]
        energy = (blocks**2).mean(axis=1) + 1e-15
        twist_db = 10 * np.log10(high / low)
        quietest = 10 ** (_QUIETEST_DBFS / 10) / 2
        is_key = (
            (np.minimum(low, high) > quietest)
            & (twist_db > _TWIST_DB[0])
            & (twist_db < _TWIST_DB[1])
            & (_second(rows) < low * 10 ** (-_ALONE_DB / 10))
            & (_second(columns) < high * 10 ** (-_ALONE_DB / 10))
            & (low + high > _SHARE * energy)
            & (harmonics[every, column] < high * 10 ** (-_HARMONIC_DB / 10))
        )
        return [_DIGITS[int(r), int(c)] if yes else "" for r, c, yes in zip(row, column, is_key, strict=True)]


def _second(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """The second strongest of each row."""
    second: NDArray[np.float64] = np.partition(power, -2, axis=1)[:, -2]
    return second
