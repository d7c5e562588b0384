"""Keys that are tones in the audio, over a real call."""

from __future__ import annotations

import numpy as np
import pytest

from media import tones
from media.wav import write
from sipcore import DigitsGathered, DigitsReceive, Talk
from sipcore.testing.phone import Phone

from .listening import RATE_HZ, spoken


@pytest.fixture
def phone(tmp_path):
    """A far end that talks, and presses keys in tones only."""
    path = tmp_path / "says.wav"
    pause = np.zeros(RATE_HZ, np.int16)
    write(path, np.concatenate((pause, spoken("hello"), pause, tones.dtmf("159#", 0.08, 0.08, RATE_HZ), np.tile(pause, 30))), RATE_HZ)
    with Phone("bob") as opened:
        opened.play(path)
        yield opened


def gathered(call) -> list[str]:
    return [event.digits for event in call.events() if isinstance(event, DigitsGathered)]


def test_tones_are_keys_when_asked_for(open_switch, phone):
    with open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[DigitsReceive(6, "#", inband=True), Talk("thanks")])
        assert call.wait(timeout_s=20).hangup_reason == "normal"
    assert gathered(call) == ["159#"]


def test_tones_are_nothing_unasked(open_switch, phone):
    with open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[DigitsReceive(6, "#", duration_ms=4000)])
        call.wait(timeout_s=20)
    assert gathered(call) == [""]
