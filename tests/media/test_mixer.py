"""Who hears whom in a mix, told apart by ear."""

from __future__ import annotations

import numpy as np
import pytest

from media import tones
from media.measure import tone_level_db
from media.mixer import mix_minus

RATE_HZ = 8000


def test_each_hears_all_but_itself():
    hz = [400 + 90 * number for number in range(30)]
    spoken = {f"m{number}": tones.tone(float(tone), 0.5, RATE_HZ) // 16 for number, tone in enumerate(hz)}
    heard = mix_minus(spoken)
    for number, own in enumerate(hz):
        levels = {tone: tone_level_db(heard[f"m{number}"], tone, RATE_HZ) for tone in hz}
        assert levels.pop(own) < -75
        assert min(levels.values()) > -45


def test_who_is_silent_hears_all_and_who_is_alone_hears_nothing():
    frame = np.arange(160, dtype=np.int16)
    heard = mix_minus({"a": frame}, ["a", "b", "c"])
    assert not heard["a"].any()
    assert (heard["b"] == frame).all()
    assert (heard["c"] == frame).all()
    assert mix_minus({}, ["a"]) == {}


def test_too_loud_is_cut_off_and_never_wraps():
    loud = np.full(160, 30_000, np.int16)
    heard = mix_minus({"a": loud, "b": loud, "c": loud, "d": -loud}, ["e"])
    assert (heard["d"] == 32767).all()
    assert (heard["a"] == 30_000).all(), "the sum is exact before it is cut off"
    assert (heard["e"] == 32767).all()
    assert (mix_minus({"a": -loud, "b": -loud}, ["c"])["c"] == -32768).all()
    assert heard["a"].dtype == np.int16


def test_the_lowest_sample_can_be_taken_away():
    lowest = np.full(160, -32768, np.int16)
    assert not mix_minus({"a": lowest})["a"].any()


def test_what_is_spoken_is_left_alone():
    frame = np.full(160, 1000, np.int16)
    frame.setflags(write=False)
    mix_minus({"a": frame, "b": frame})
    assert (frame == 1000).all()


def test_frames_of_different_lengths():
    with pytest.raises(ValueError, match="one length"):
        mix_minus({"a": np.zeros(160, np.int16), "b": np.zeros(320, np.int16)})
