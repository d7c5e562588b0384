"""G.711 companding between 16-bit linear PCM and 8-bit mu-law or A-law, as numpy lookup tables (ITU-T G.711)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MU_LAW_SILENCE = 0xFF
A_LAW_SILENCE = 0xD5

_MU_LAW_BIAS = 33  # G.711 table 2a: the segments of mu-law start 33 (of 8192) below zero, so that they double in width
_MU_LAW_CLIP = 8158  # with the bias the largest 13-bit number: the last step of segment 7
_A_LAW_TOGGLE = 0x55  # G.711 §3.2: every second bit is inverted on the line


def _mu_law_decoding() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.int32) & 0xFF  # all bits travel inverted
    segment, step = (code >> 4) & 7, code & 0xF
    magnitude = ((2 * step + _MU_LAW_BIAS) << segment) - _MU_LAW_BIAS  # 14-bit scale
    return (np.where(code & 0x80, -magnitude, magnitude) * 4).astype(np.int16)


def _a_law_decoding() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.int32) ^ _A_LAW_TOGGLE
    segment, step = (code >> 4) & 7, code & 0xF
    magnitude = np.where(segment == 0, 2 * step + 1, (2 * step + 33) << np.maximum(segment - 1, 0))  # 13-bit scale
    return (np.where(code & 0x80, magnitude, -magnitude) * 8).astype(np.int16)


def _segment_of(magnitude: NDArray[np.int32], first_bits: int) -> NDArray[np.int32]:
    """Return in which of the eight segments each magnitude is; segment 0 ends at `2**first_bits - 1`."""
    ends = (1 << np.arange(first_bits, first_bits + 7, dtype=np.int32)) - 1
    return np.searchsorted(ends, magnitude, side="left").astype(np.int32)


def _mu_law_encoding() -> NDArray[np.uint8]:
    linear = np.arange(-32768, 32768, dtype=np.int32) >> 2
    magnitude = np.minimum(np.abs(linear), _MU_LAW_CLIP) + _MU_LAW_BIAS
    segment = _segment_of(magnitude, first_bits=6)
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 0xF)
    line: NDArray[np.int32] = np.where(linear < 0, code | 0x80, code) ^ 0xFF
    return line.astype(np.uint8)


def _a_law_encoding() -> NDArray[np.uint8]:
    linear = np.arange(-32768, 32768, dtype=np.int32) >> 3
    magnitude = np.where(linear < 0, -linear - 1, linear)
    segment = _segment_of(magnitude, first_bits=5)
    code = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 0xF)
    line: NDArray[np.int32] = np.where(linear < 0, code, code | 0x80) ^ _A_LAW_TOGGLE
    return line.astype(np.uint8)


_MU_LAW_TO_LINEAR = _mu_law_decoding()
_A_LAW_TO_LINEAR = _a_law_decoding()
_LINEAR_TO_MU_LAW = _mu_law_encoding()
_LINEAR_TO_A_LAW = _a_law_encoding()


def encode_mu_law(samples: NDArray[np.int16]) -> bytes:
    """Return PCMU, one byte a sample."""
    return _LINEAR_TO_MU_LAW[samples.astype(np.int32) + 32768].tobytes()


def encode_a_law(samples: NDArray[np.int16]) -> bytes:
    """Return PCMA, one byte a sample."""
    return _LINEAR_TO_A_LAW[samples.astype(np.int32) + 32768].tobytes()


def decode_mu_law(payload: bytes) -> NDArray[np.int16]:
    """Return the 16-bit samples of PCMU."""
    return _MU_LAW_TO_LINEAR[np.frombuffer(payload, dtype=np.uint8)]


def decode_a_law(payload: bytes) -> NDArray[np.int16]:
    """Return the 16-bit samples of PCMA."""
    return _A_LAW_TO_LINEAR[np.frombuffer(payload, dtype=np.uint8)]
