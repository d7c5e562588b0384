"""`switch.plan`: the checks of `create`, and how long the prompts are."""

import pytest

from sipcore import Switch
from sipcore.actions import Answer, Connect, Goto, Hangup, Play, Sleep, Talk
from sipcore.errors import InvalidRequest, SwitchClosed
from sipcore.switch import AsyncSwitch
from sipcore.testing.clock import run_virtual
from sipcore.testing.fake_engine import FakeEngine

from .stage import Beeps, Stage, play


def test_a_plan(root):
    async def scenario(stage: Stage):
        actions = [
            Answer(),
            Talk("one two three", id="menu", loop=2, pause_ms=500),
            Play(["prompt.wav", "prompt.wav"], pause_ms=250),
            Talk("${name}"),
            Play(["http://127.0.0.1:1/a.wav"]),
            Talk("again", loop=0),
            Sleep(1500),
            Connect(["sip:a@192.0.2.9", "sip:b@192.0.2.9"]),
            Goto("menu", 2),
            Hangup(),
        ]
        plan = await stage.switch.plan([action.to_json() for action in actions])
        assert plan.legs_needed == 3
        assert [planned.duration_s for planned in plan.actions] == [None, 3.5, 4.25, None, None, None, 1.5, None, None, None]
        assert [planned.detail for planned in plan.actions][3:6] == ["has variables", "is fetched when it is played", "until it is stopped"]
        assert (plan.audio_s, plan.is_complete) == (7.75, False)
        assert str(plan).splitlines()[1] == "  1  talk                     3.5 s  menu"
        assert str(plan).splitlines()[-1] == "10 actions, 3 legs, at least 7.8 s of prompts"
        assert stage.switch.speech_counts()["engine"] == 1
        await stage.call("bob", actions[1]).wait()
        assert stage.switch.speech_counts() == {"cache": 1, "engine": 1}  # the plan has made it ready

    play(root, scenario)


def test_a_plan_refuses_what_create_refuses_and_what_is_no_audio(root):
    (root / "text.wav").write_text("no audio")

    async def scenario(stage: Stage):
        for actions, path in (
            ([Talk("")], "actions[0].option"),
            ([Play(["missing.wav"])], "actions[0].option.stream_urls[0]"),
            ([Goto("x", 1)], "actions[0].option.target_id"),
            ([Connect(["sip:a@192.0.2.9"] * 100)], "actions"),
            ([Sleep(1), Play(["text.wav"])], "actions[1]"),
        ):
            with pytest.raises(InvalidRequest) as refusal:
                await stage.switch.plan(actions)
            assert [fault.path for fault in refusal.value.faults] == [path]

    play(root, scenario, max_legs=64)


def test_a_plan_needs_an_open_switch():
    async def scenario():
        with pytest.raises(SwitchClosed):
            await AsyncSwitch(engine=FakeEngine()).plan([])

    run_virtual(scenario())


def test_a_plan_for_synchronous_code(root):
    with Switch(engine=FakeEngine(), synthesizer=Beeps(), cache_dir=root / "cache", media_root=root) as switch:
        assert str(switch.plan([Talk("one two")])) == "  0  talk                     1.0 s\n1 actions, 1 leg, 1.0 s of prompts"
