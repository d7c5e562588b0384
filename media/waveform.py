"""A picture of a sound file: how loud it is, over time, as SVG."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import soundfile
from numpy.typing import NDArray

from .errors import NotAudio

Envelope: TypeAlias = NDArray[np.float32]
"""`(channels, columns, 2)`: the lowest and the highest sample of each column, -1.0 to 1.0."""

COLUMNS: Final = 600
_BLOCK_FRAMES: Final = 1 << 16
_CHANNEL_PX: Final = 60
_GAP_PX: Final = 6
_TEXT_PX: Final = 16


def read_envelope(path: Path, columns: int = COLUMNS) -> tuple[Envelope, float]:
    """The outline of a file, at most `columns` columns, and its length in seconds. Blocks; reads the file once, a block at a time.

    Raises:
        NotAudio: the file cannot be read.
    """
    try:
        with soundfile.SoundFile(path) as sound:
            edges = np.linspace(0, sound.frames, min(columns, max(1, sound.frames)) + 1).astype(np.int64)
            envelope = np.zeros((sound.channels, len(edges) - 1, 2), np.float32)
            start = 0
            for block in sound.blocks(_BLOCK_FRAMES, dtype="float32", always_2d=True):
                _add_block(envelope, edges, block, start)
                start += len(block)
            return envelope, sound.frames / sound.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        raise NotAudio(str(path), str(error)) from None


def _add_block(envelope: Envelope, edges: NDArray[np.int64], block: NDArray[np.float32], start: int) -> None:
    if not len(block):
        return
    first = int(np.searchsorted(edges, start, side="right")) - 1
    last = int(np.searchsorted(edges, start + len(block), side="left"))
    cuts = np.maximum(edges[first:last] - start, 0)
    lows, highs = np.minimum.reduceat(block, cuts, axis=0), np.maximum.reduceat(block, cuts, axis=0)
    part = envelope[:, first:last]
    part[..., 0] = np.minimum(part[..., 0], lows.T)
    part[..., 1] = np.maximum(part[..., 1], highs.T)


def draw_envelope(envelope: Envelope, duration_s: float, title: str = "") -> str:
    """The outline as one `<svg>` element, each channel below the other, with the title and the length."""
    channels, columns, _ = envelope.shape
    height = channels * (_CHANNEL_PX + _GAP_PX) + _TEXT_PX
    paths = "".join(
        f'<path d="{_outline(envelope[channel], channel * (_CHANNEL_PX + _GAP_PX) + _CHANNEL_PX / 2)}" fill="#2563eb"/>'
        for channel in range(channels)
    )
    text = escape(f"{title} {duration_s:.1f} s".strip())
    label = f'<text x="0" y="{height - 4}" font-size="12" font-family="sans-serif" fill="#6b7280">{text}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{columns}" height="{height}" viewBox="0 0 {columns} {height}" role="img" '
        f'aria-label="{text}">{paths}{label}</svg>'
    )


def _outline(columns: NDArray[np.float32], middle_px: float) -> str:
    """A closed path along the highest samples and back along the lowest; silence is a line of one pixel."""
    half = _CHANNEL_PX / 2
    tops = middle_px - np.maximum(columns[:, 1] * half, 0.5)
    bottoms = middle_px - np.minimum(columns[:, 0] * half, -0.5)
    points = [f"{x},{y:.1f}" for x, y in enumerate(tops)]
    points += [f"{x},{bottoms[x]:.1f}" for x in range(len(bottoms) - 1, -1, -1)]
    return "M" + "L".join(points) + "Z"
