"""A picture of what was heard and what should have been: waveforms and spectrograms, with the places that are wrong.

matplotlib is imported when something fails, and only then.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from media.measure import Span
from sipcore.testing.pictures import picture_folder

from .capture import Capture, Wave

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DRAWN_HZ: Final = 8000
_COLUMNS: Final = 1500
"""A waveform is drawn as so many bars from least to most: a minute looks the same and takes no longer."""

logger = logging.getLogger(__name__)
_numbers = count(1)


def leave_picture(title: str, heard: Capture, reference: Capture | None, delay_s: float, wrong: Sequence[Span]) -> str:
    """Draw a failure; return the line for its message: where the picture is, or why there is none.

    Never raises: the failure that is being told is worth more than its picture.
    """
    folder = picture_folder()
    if folder is None:
        return ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = _unused(folder)
        draw(path, title, heard, reference, delay_s, wrong)
    except ImportError:
        return "\n(no picture: matplotlib is missing, pip install 'sipcore[testing]')"
    except Exception as error:
        logger.debug("a picture failed", exc_info=True)
        return f"\n(no picture: {error})"
    return f"\npicture: {path}"


def draw(
    path: Path, title: str, heard: Capture, reference: Capture | None = None, delay_s: float = 0.0, wrong: Sequence[Span] = ()
) -> None:
    """Write a PNG. `wrong` is in seconds of what was heard; the reference is drawn where it was found, `delay_s` later.

    Raises:
        ImportError: matplotlib is missing.
        OSError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [("heard", heard, 0.0)] if reference is None else [("wanted", reference, delay_s), ("heard", heard, 0.0)]
    figure = Figure(figsize=(10, 1.0 + 2.6 * len(rows)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(_shortened(title), fontsize=10, parse_math=False)
    axes: list[Axes] = list(np.atleast_1d(figure.subplots(2 * len(rows), 1, sharex=True)))
    for index, (label, capture, shift_s) in enumerate(rows):
        wave = capture.at_rate(_DRAWN_HZ)
        _draw_wave(axes[2 * index], label, wave, shift_s)
        _draw_spectrum(axes[2 * index + 1], wave, shift_s)
    for one in axes:
        for span in wrong:
            one.axvspan(span.start_s, span.end_s, color="#d62728", alpha=0.18, linewidth=0)
    axes[-1].set_xlabel("seconds")
    figure.savefig(path)


def _draw_wave(axes: Axes, label: str, wave: Wave, shift_s: float) -> None:
    step = max(1, -(-len(wave) // _COLUMNS))
    bars = np.pad(wave, (0, -len(wave) % step)).reshape(-1, step) if len(wave) else np.zeros((1, 1))
    at_s = shift_s + np.arange(len(bars)) * step / _DRAWN_HZ
    axes.fill_between(at_s, bars.min(axis=1), bars.max(axis=1), color="#1f77b4", linewidth=0.5, edgecolor="#1f77b4")
    top = max(0.01, float(np.abs(wave).max(initial=0.0)))
    axes.set_ylim(-top, top)
    axes.set_ylabel(label)


def _draw_spectrum(axes: Axes, wave: Wave, shift_s: float) -> None:
    size = 256
    hop = max(80, len(wave) // _COLUMNS)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(wave, (size // 2, size)), size)[::hop]
    level = 20 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)).T / (size / 4) + 1e-5)
    end_s = shift_s + len(frames) * hop / _DRAWN_HZ
    options: dict[str, Any] = {"aspect": "auto", "origin": "lower", "cmap": "magma", "vmin": -80, "vmax": 0}
    axes.imshow(level, extent=(shift_s, end_s, 0, _DRAWN_HZ / 2), **options)
    axes.set_ylabel("Hz")


def _unused(folder: Path) -> Path:
    """A name in `folder` that says which test it was, when pytest runs."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0].rpartition("::")[2]
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", test)[:80].strip("-") or "heard"
    while True:
        path = folder / f"{stem}-{os.getpid()}-{next(_numbers)}.png"
        if not path.exists():
            return path


def _shortened(title: str) -> str:
    return title if len(title) <= 130 else f"{title[:127]}..."
