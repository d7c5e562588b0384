"""Limits of the `[flow]` table that have no test beside what they limit: texts, pauses, ringing in order."""

import pytest

from sipcore.actions import Connect, Talk
from sipcore.config_flow import FlowConfig
from sipcore.errors import ConfigError, InvalidRequest
from sipcore.switch import AsyncSwitch
from sipcore.testing.fake_engine import FakeEngine, FarEnd

from .stage import Stage, address, play


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x" * 21, "21 characters"),
        ('<speak>a<break time="2s"/><break time="1.1s"/></speak>', "the pauses are longer than 3 s in all"),
    ],
)
def test_texts_and_their_pauses(root, text, said):
    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest, match=said):
            stage.call("bob", Talk(text))
        await stage.call("bob", Talk("x" * 20)).wait()

    is_ssml = text.startswith("<")
    play(root, scenario, flow={"max_pauses_s": 3} if is_ssml else {"max_text_chars": 20})


def test_how_long_each_rings_in_order(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Connect([address("ann"), address("eve")], ring="in_order"))
        await call.wait()
        ann, eve = [await stage.switch.calls.get(leg_id) for leg_id in call.record.chained_call_ids]
        assert (ann.tm_hangup - ann.tm_create).total_seconds() == pytest.approx(7, abs=0.1)
        assert eve.hangup_reason == "dialout"

    rings = FarEnd(answer_after_s=None)
    play(root, scenario, {"ann": rings, "eve": rings}, flow={"ring_in_order_s": 7.0})


@pytest.mark.parametrize("key", FlowConfig.model_fields)
def test_a_limit_that_is_none(key):
    with pytest.raises(ConfigError, match=f"flow.{key}"):
        AsyncSwitch(engine=FakeEngine(), flow={key: -1})
