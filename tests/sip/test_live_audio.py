"""Live audio over real calls: what the user's process does hurts nobody but itself."""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import media.wav
from media import tones
from media.measure import tone_level_db
from sipcore import InvalidState, Sleep
from sipcore.testing.phone import Phone

RATE_HZ = 8000
PROMPTS, LIVE = 16, 4
PROMPT_S = 4.0
BUSY_S = 1.0
"""What one BYE of twenty may be late by: workers and phone share the machine with other tests."""


@pytest.fixture
def phone():
    with Phone("bob") as opened:
        yield opened


def longest_tone_s(sound: np.ndarray, hz: float) -> float:
    """How long a tone is heard without interruption, to 20 ms."""
    longest = lasted = 0
    for begin in range(0, len(sound) - 159, 160):
        lasted = lasted + 1 if tone_level_db(sound[begin : begin + 160], hz, RATE_HZ) > -20 else 0
        longest = max(longest, lasted)
    return longest / 50


@pytest.mark.slow
def test_a_busy_user_disturbs_no_prompt_and_when_it_is_killed_all_is_over(phone, tmp_path):
    phone.tone(700)
    media.wav.write(tmp_path / "prompt.wav", tones.tone(1000, PROMPT_S, RATE_HZ), RATE_HZ)
    program = [
        sys.executable,
        Path(__file__).with_name("busy_user.py"),
        phone.uri.rpartition("@")[2],
        "prompt.wav",
        str(PROMPTS),
        str(LIVE),
    ]
    with subprocess.Popen([*program, tmp_path], stdout=subprocess.PIPE, text=True) as user:
        try:
            assert user.stdout.readline() == "busy\n"
            for call in phone.calls:
                call.wait_packets(round((PROMPT_S + 1) * 50), 20)
        finally:
            killed_at = time.monotonic()
            user.kill()
    for call in phone.calls:
        call.wait_ended(10)
    byes_after_s = [call.ended_at - killed_at for call in phone.calls]  # by the clock of the phone, when it gets them
    assert max(byes_after_s) < 2.0 + BUSY_S
    assert statistics.median(byes_after_s) < 2.0
    assert len(phone.calls) == PROMPTS + LIVE
    assert {call.ended_by for call in phone.calls} == {"remote"}
    for call in phone.calls:
        if "prompt" in call.to_uri:
            assert call.lost_packets == 0
            assert longest_tone_s(call.heard(), 1000) == pytest.approx(PROMPT_S, abs=0.04)
        else:
            assert tone_level_db(call.heard()[RATE_HZ:], 700, RATE_HZ) > -40  # live audio was there, however torn


def test_synchronous_code_reads_and_writes(phone, open_switch):
    """A thread that reads while the main one writes, an array and a generator; both end with the call."""
    phone.tone(700)
    with open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[Sleep(60_000)])
        phone.wait_call(10).wait_packets(5, 10)
        with pytest.raises(TypeError, match="not int32"):
            call.write(np.zeros(160, np.int32))
        heard = []
        reader = threading.Thread(target=lambda: heard.extend(call.audio(16_000, tap="both")))
        reader.start()
        assert call.write(tones.tone(1000, 0.5, 16_000), 16_000) is True
        assert call.write(tones.tone(1000, 0.1, RATE_HZ) for _ in range(5)) is True
        call.hangup()
        call.wait(10)
        reader.join(10)
        assert not reader.is_alive()
        with pytest.raises(InvalidState):
            call.write(np.zeros(160, np.int16))
    sound = np.concatenate([frame.samples for frame in heard])
    assert 1.0 < len(sound) / 16_000 < 3.0
    assert tone_level_db(sound[4000:12_000, 0], 700, 16_000) > -20
    assert tone_level_db(sound[4000:12_000, 1], 1000, 16_000) > -20
    assert longest_tone_s(phone.last_call.heard(), 1000) >= 0.46
