"""Keys out of the audio, on the fake engine and virtual time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from media import tones
from sipcore import engine
from sipcore.actions import DigitsReceive, Play, parse_action
from sipcore.errors import InvalidRequest
from sipcore.events import DigitReceived, DigitsGathered

from .stage import play, write_wav

RATE_HZ = 8000


def keys(digits):
    """The tones of these keys, half a second after the answer."""
    return np.concatenate((np.zeros(RATE_HZ // 2, np.int16), tones.dtmf(digits, 0.1, 0.1, RATE_HZ)))


def gathered(stage, call):
    return [event.digits for event in stage.events if isinstance(event, DigitsGathered) and event.call_id == call.id]


def pressed(stage, call):
    return "".join(event.digit for event in stage.events if isinstance(event, DigitReceived) and event.call_id == call.id)


def test_tones_are_keys_when_asked_for(tmp_path):
    async def story(stage):
        call = stage.call("bob", DigitsReceive(4, inband=True))
        stage.engine.voice(call.id).say(keys("11#9"))
        await call.wait()
        assert gathered(stage, call) == ["11#9"]

    play(tmp_path, story)


def test_tones_are_nothing_unasked(tmp_path):
    async def story(stage):
        call = stage.call("bob", DigitsReceive(4))
        stage.engine.voice(call.id).say(keys("1234"))
        await call.wait()
        assert gathered(stage, call) == [""]
        assert not [command for command in stage.engine.commands if isinstance(command, engine.OpenAudio)]

    play(tmp_path, story)


def test_a_press_that_comes_both_ways_is_one(tmp_path):
    async def story(stage):
        call = stage.call("bob", DigitsReceive(3, inband=True, duration_ms=5000))
        stage.engine.voice(call.id).say(keys("5"))
        asyncio.get_running_loop().call_later(0.52, stage.engine.press, call.id, "5")
        asyncio.get_running_loop().call_later(3.0, stage.engine.press, call.id, "5")
        await call.wait()
        assert pressed(stage, call) == "55"

    play(tmp_path, story)


def test_they_go_on_after_the_action_and_are_opened_once(tmp_path):
    async def story(stage):
        prompt = Play([str(write_wav(stage.root / "a.wav"))])
        call = stage.call("bob", DigitsReceive(1, inband=True), prompt, DigitsReceive(2, inband=True))
        stage.engine.voice(call.id).say(np.concatenate((keys("1"), keys("23"))))
        await call.wait()
        assert gathered(stage, call) == ["1", "23"]
        assert len([command for command in stage.engine.commands if isinstance(command, engine.OpenAudio)]) == 1

    play(tmp_path, story)


def test_a_key_that_is_heard_stops_a_prompt(tmp_path):
    async def story(stage):
        prompt = Play([str(write_wav(stage.root / "a.wav", 20.0))], barge_in="any")
        call = stage.call("bob", DigitsReceive(1, inband=True), prompt, DigitsReceive(1))
        stage.engine.voice(call.id).say(np.concatenate((keys("1"), np.zeros(RATE_HZ, np.int16), keys("2"))))
        await call.wait()
        (heard,) = stage.engine.heard[call.id]
        assert heard.end_s - heard.start_s < 3
        assert gathered(stage, call) == ["1", "2"]

    play(tmp_path, story)


def test_bad_option():
    with pytest.raises(InvalidRequest, match="inband"):
        parse_action({"type": "digits_receive", "option": {"inband": "yes"}})
