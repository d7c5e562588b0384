"""Digits over a real call, each way: what is pressed arrives, and a key silences a prompt."""

from __future__ import annotations

import numpy as np
import pytest

from media import tones
from media.measure import best_match, tone_level_db
from media.wav import write
from sipcore import Beep, Connect, DigitsGathered, DigitsReceive, DigitsSend, Play, Talk
from sipcore.testing.phone import Phone

from .listening import RATE_HZ, outcomes, spoken, started

LONG = "a text that is as long as a prompt may be, and said to nobody"


@pytest.fixture
def phone():
    with Phone("bob") as opened:
        yield opened


def gathered(call) -> list[str]:
    return [event.digits for event in call.events() if isinstance(event, DigitsGathered)]


def level_db(heard, hz: float) -> float:
    return tone_level_db(heard, hz, RATE_HZ)


def test_digits_are_received(open_switch, phone):
    with open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[Talk("press"), DigitsReceive(6, "#"), DigitsReceive(2)])
        started(call, 0)
        phone.send_digits("11*A#")
        phone.send_digits("09")
        assert call.wait(timeout_s=20).hangup_reason == "normal"
    assert gathered(call) == ["11*A#", "09"]
    assert best_match(phone.last_call.heard(), spoken("press"), RATE_HZ).correlation > 0.97, "no key stops a prompt unasked"


def test_a_key_silences_the_prompt_and_is_read(open_switch, phone):
    with open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[Talk(LONG, barge_in="any"), DigitsReceive(2), Talk("thanks")])
        started(call, 0)
        phone.last_call.wait_packets(40, 10)
        phone.send_digits("4")
        started(call, 1)
        quiet_from = len(phone.last_call.packets)
        phone.last_call.wait_packets(quiet_from + 15, 10)
        phone.send_digits("2")
        call.wait(timeout_s=20)
    assert gathered(call) == ["42"]
    heard = phone.last_call.heard()
    pause = heard[(quiet_from + 3) * 160 : (quiet_from + 15) * 160]
    assert np.abs(pause.astype(np.int32)).max() < 50, "silent within 60 ms of the order"
    assert len(heard) < len(spoken(LONG))
    assert best_match(heard, spoken("thanks"), RATE_HZ).correlation > 0.97


@pytest.mark.parametrize("mode", ["rfc4733", "auto"])
def test_digits_are_sent(open_switch, phone, mode):
    with open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[DigitsSend("0159*#AD", 100, 100, mode)])
        call.wait(timeout_s=20)
    phone.last_call.assert_digits("0159*#AD")
    assert outcomes(call) == [("digits_send", "done")]


def test_digits_are_sent_as_tones(open_switch, phone):
    with open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[DigitsSend("5#", 300, 200, "inband")])
        call.wait(timeout_s=20)
    heard = phone.last_call.heard()
    begin = int(np.argmax(np.abs(heard.astype(np.int32)) > 1000))
    for digit, offset_s in (("5", 0.1), ("#", 0.6)):
        part = heard[begin + round(offset_s * RATE_HZ) :][: round(0.15 * RATE_HZ)]
        for hz in (697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0):
            assert (level_db(part, hz) > -20) == (hz in tones.DTMF_HZ[digit]), (digit, hz)
    assert phone.last_call.digits == ""


def test_volume_beep_and_loop(open_switch, phone, tmp_path):
    write(tmp_path / "a.wav", tones.tone(700.0, 0.5, RATE_HZ, level_dbfs=-20.0), RATE_HZ)
    with open_switch() as switch:
        actions = [Beep(1000.0, 500), Play(["a.wav"], loop=2, pause_ms=300), Play(["a.wav"], volume_db=12.0)]
        switch.calls.create(destination=phone.uri, actions=actions).wait(timeout_s=20)
    heard = phone.last_call.heard()
    beep = heard[round(0.1 * RATE_HZ) :][: round(0.3 * RATE_HZ)]
    levels = [level_db(heard[start : start + 800], 700.0) for start in range(0, len(heard) - 800, 800)]
    assert level_db(beep, 1000.0) == pytest.approx(-12.0, abs=1.5)
    assert max(levels) == pytest.approx(-8.0, abs=1.5)
    assert sum(level == pytest.approx(-20.0, abs=1.5) for level in levels) >= 6, levels


def test_the_synchronous_face(open_switch, phone):
    with open_switch() as switch, switch.dial(phone.uri) as call:
        call.talk("menu", barge_in="12")
        phone.send_digits("17#")
        assert call.gather(4, timeout_s=5, finish_key="#") == "17"
        assert call.gather(timeout_s=0.2) == ""
        call.send_digits("9#")
        phone.last_call.assert_digits("9#")


def test_digits_pass_between_the_two_sides_of_a_bridge(open_switch, phone):
    with Phone("carol") as other, open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[Connect([other.uri])])
        other.wait_call(10).wait_answered(5)
        phone.last_call.wait_packets(20, 10)
        phone.send_digits("12#")
        other.send_digits("77")
        assert other.last_call.wait_digits(3, 10) == "12#"
        assert phone.last_call.wait_digits(2, 10) == "77"
        call.hangup()
        call.wait(timeout_s=10)
