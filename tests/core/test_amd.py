"""`amd` on the fake engine and virtual time."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from media import tones
from sipcore import engine
from sipcore.actions import Amd, Answer, Hangup, Play, Sleep, parse_action
from sipcore.errors import InvalidRequest
from sipcore.events import AnswererDetected

from .stage import play, write_wav

RATE_HZ = 8000
RANDOM = np.random.default_rng(5)


def word(duration_s=0.4):
    return RANDOM.normal(0, 3000, round(duration_s * RATE_HZ)).astype(np.int16)


def quiet(duration_s):
    return np.zeros(round(duration_s * RATE_HZ), np.int16)


HUMAN = np.concatenate((quiet(0.5), word()))
TALK = np.concatenate([part for _ in range(10) for part in (word(0.3), quiet(0.15))])
MACHINE = np.concatenate((quiet(0.5), TALK, quiet(0.3), tones.tone(1000.0, 0.4, RATE_HZ)))


def speaking(stage, said, *actions):
    """A call whose far end says this when it has answered."""
    call = stage.call("bob", *actions)
    stage.engine.voice(call.id).say(said)
    return call


def detected(stage, call):
    return [event for event in stage.events if isinstance(event, AnswererDetected) and event.call_id == call.id]


def test_a_human_goes_on_with_the_list(tmp_path):
    async def story(stage):
        call = speaking(stage, HUMAN, Amd(), Play([str(write_wav(stage.root / "a.wav"))]))
        record = await call.wait()
        (found,) = detected(stage, call)
        assert (found.answerer, found.reason, found.words) == ("human", "pause", 1)
        assert found.greeting_ms == pytest.approx(400, abs=40)
        assert call.variables["amd.status"] == "human"
        assert call.variables["amd.reason"] == "pause"
        assert stage.outcomes(call.id) == [("amd", "done"), ("play", "done")]
        assert record.hangup_reason == "normal"

    play(tmp_path, story)


def test_a_machine_is_hung_up_with_the_reason(tmp_path):
    async def story(stage):
        call = speaking(stage, MACHINE, Amd(), Sleep(10_000))
        record = await call.wait()
        assert [event.answerer for event in detected(stage, call)] == ["machine"]
        assert (record.hangup_by, record.hangup_reason) == ("local", "amd")
        assert stage.outcomes(call.id) == [("amd", "done")]

    play(tmp_path, story)


def test_a_machine_that_continues_is_waited_for_until_its_beep(tmp_path):
    async def story(stage):
        actions = (Amd(machine_handle="continue", waits_for_beep=True), Play([str(write_wav(stage.root / "a.wav"))]))
        call = speaking(stage, MACHINE, *actions)
        while call.record.tm_progressing is None:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.01)
        answered_s = asyncio.get_running_loop().time()
        record = await call.wait()
        (heard,) = stage.engine.heard[call.id]
        assert heard.start_s - answered_s == pytest.approx(len(MACHINE) / RATE_HZ, abs=0.15)
        assert record.hangup_reason == "normal"

    play(tmp_path, story)


def test_beside_the_list(tmp_path):
    async def story(stage):
        call = speaking(stage, MACHINE, Amd(is_async=True), Play([str(write_wav(stage.root / "a.wav", 20.0))]))
        record = await call.wait()
        assert stage.outcomes(call.id) == [("amd", "done"), ("play", "interrupted")]
        assert record.hangup_reason == "amd"

    play(tmp_path, story)


def test_a_call_that_ends_meanwhile_leaves_no_line(tmp_path):
    async def story(stage):
        call = speaking(stage, quiet(1), Amd(initial_silence_ms=30_000, duration_ms=30_000))
        await asyncio.sleep(1)
        stage.engine.hang_up_remote(call.id)
        record = await call.wait()
        assert record.hangup_by == "remote"
        assert not detected(stage, call)
        assert stage.outcomes(call.id) == [("amd", "interrupted")]

    play(tmp_path, story)


def test_before_the_answer_it_fails(tmp_path):
    async def story(stage):
        stage.switch.on_call(to="1000", actions=[Amd(), Answer(), Hangup()])
        stage.engine.offer("1000")
        await asyncio.sleep(1)
        (call_id,) = stage.engine.heard
        assert stage.finished(call_id)[0].detail == "the call is not answered"
        assert not [command for command in stage.engine.commands if isinstance(command, engine.OpenAudio)]

    play(tmp_path, story)


def test_live_control(tmp_path):
    async def story(stage):
        found = []

        @stage.switch.on_call(to="1000")
        async def reception(call):
            await call.answer()
            stage.engine.voice(call.id).say(MACHINE)
            found.append((await call.detect_answerer(), asyncio.get_running_loop().time()))
            found.append((await call.detect_answerer(waits_for_beep=True), asyncio.get_running_loop().time()))

        stage.engine.offer("1000")
        while len(found) < 2:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        assert [answerer for answerer, _ in found] == ["machine", "machine"]
        assert found[1][1] - found[0][1] > 2

    play(tmp_path, story)


def test_an_engine_that_refuses_the_audio(tmp_path, monkeypatch):
    monkeypatch.setattr("sipcore.testing.fake_engine.FakeTap", lambda *_, **__: (_ for _ in ()).throw(OSError("no ports left")))

    async def story(stage):
        call = speaking(stage, HUMAN, Amd(), Sleep(100))
        await call.wait()
        failed, _ = stage.finished(call.id)
        assert (failed.outcome, failed.detail) == ("failed", "no audio came")

    play(tmp_path, story)


@pytest.mark.parametrize(
    ("option", "fault"),
    [
        ({"machine_handle": "kill"}, "machine_handle"),
        ({"async": 1}, "is_async"),
        ({"duration_ms": 100}, "duration_ms"),
        ({"words": 1.5}, "words"),
        ({"machine_handel": "hangup"}, "did you mean 'machine_handle'"),
        ({"beep_timeout_s": 0}, "beep_timeout_s"),
    ],
)
def test_bad_options(option, fault):
    with pytest.raises(InvalidRequest, match=fault):
        parse_action({"type": "amd", "option": option})


def test_voipbins_names():
    assert parse_action({"type": "amd", "option": {"machine_handle": "continue", "async": True}}) == Amd("continue", is_async=True)
