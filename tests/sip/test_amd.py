"""Who has answered, over a real call: the far end speaks, or beeps."""

from __future__ import annotations

import numpy as np
import pytest

from media import tones
from media.measure import best_match
from media.wav import write
from sipcore import Amd, AnswererDetected, Talk
from sipcore.testing.phone import Phone

from .listening import RATE_HZ, spoken

GREETING = "you have reached the mail box of nobody at all please leave a message after the tone"


@pytest.fixture
def phone():
    with Phone("bob") as opened:
        yield opened


def detected(call) -> AnswererDetected:
    (event,) = [event for event in call.events() if isinstance(event, AnswererDetected)]
    return event


def says(phone, tmp_path, *parts) -> float:
    """What the far end says when it has answered; how long that takes."""
    samples = np.concatenate((np.zeros(RATE_HZ // 2, np.int16), *parts))
    path = tmp_path / "says.wav"
    write(path, np.concatenate((samples, np.zeros(30 * RATE_HZ, np.int16))), RATE_HZ)
    phone.play(path)
    return len(samples) / RATE_HZ


def test_a_human_hears_the_message(open_switch, phone, tmp_path):
    says(phone, tmp_path, spoken("hello"))
    with open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[Amd(), Talk("welcome")])
        assert call.wait(timeout_s=20).hangup_reason == "normal"
    event = detected(call)
    assert (event.answerer, event.reason) == ("human", "pause")
    assert 300 < event.initial_silence_ms < 1000
    assert best_match(phone.last_call.heard(), spoken("welcome"), RATE_HZ).correlation > 0.97


def test_a_machine_is_hung_up(open_switch, phone, tmp_path):
    says(phone, tmp_path, spoken(GREETING))
    with open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[Amd(), Talk("welcome")])
        assert call.wait(timeout_s=20).hangup_reason == "amd"
    assert (detected(call).answerer, detected(call).reason) == ("machine", "long_greeting")


def test_a_message_is_left_after_the_beep(open_switch, phone, tmp_path):
    lasts_s = says(phone, tmp_path, spoken(GREETING), np.zeros(RATE_HZ // 2, np.int16), tones.tone(1000.0, 0.4, RATE_HZ))
    with open_switch() as switch:
        actions = [Amd(machine_handle="continue", waits_for_beep=True), Talk("call me back")]
        call = switch.calls.create(destination=phone.uri, actions=actions)
        assert call.wait(timeout_s=30).hangup_reason == "normal"
    found = best_match(phone.last_call.heard(), spoken("call me back"), RATE_HZ)
    assert found.correlation > 0.97
    assert lasts_s - 0.1 < found.delay_s < lasts_s + 1.0
