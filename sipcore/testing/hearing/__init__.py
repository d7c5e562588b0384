"""Assertions on audio, wherever it was heard: on a phone's call, in a sound file, in a network capture.

    from sipcore.testing import assert_heard, assert_no_gaps
    assert_heard("recording.wav", "welcome.wav")

A failure says what was wrong and where in time, and leaves a picture.
"""

from .assertions import (
    assert_digits,
    assert_heard,
    assert_no_gaps,
    assert_not_clipped,
    assert_not_heard,
    assert_silence,
    assert_tone,
    presses_in,
    quality,
    tone_in,
)
from .capture import Capture, Hearable, capture_of
from .matching import Found
from .rating import Quality

__all__ = [
    "Capture",
    "Found",
    "Hearable",
    "Quality",
    "assert_digits",
    "assert_heard",
    "assert_no_gaps",
    "assert_not_clipped",
    "assert_not_heard",
    "assert_silence",
    "assert_tone",
    "capture_of",
    "presses_in",
    "quality",
    "tone_in",
]
