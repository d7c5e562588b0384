"""Orders that do not wait for the action that runs."""

import asyncio

import pytest

from sipcore import Switch
from sipcore import engine as wire
from sipcore.actions import Connect, Hold, Mute, Play, RecordingStop, Sleep, Stop, Talk
from sipcore.errors import ActionFailed, InvalidRequest, InvalidState
from sipcore.events import CallAnswered
from sipcore.testing.fake_engine import FakeEngine, FarEnd

from .stage import Beeps, Stage, address, play


async def up(stage: Stage, *actions):
    call = stage.call("bob", *actions)
    async for event in call.events():
        if isinstance(event, CallAnswered):
            return call
    raise AssertionError("it was not answered")


def test_beside_a_bridge(root):
    async def scenario(stage: Stage):
        call = await up(stage, Connect([address("carol")]))
        await asyncio.sleep(1)
        await call.perform_now(Talk("one two"))
        await call.perform_now(Mute("in"))
        await call.wait()
        _, carol, said = stage.engine.heard[call.id]
        assert carol.peer_id
        assert (said.start_s - carol.start_s, said.end_s - said.start_s) == (pytest.approx(1, abs=0.1), pytest.approx(1, abs=0.01))
        assert carol.end_s > said.end_s, "they hear each other meanwhile"
        assert stage.outcomes(call.id) == [("connect", "done")], "no action event tells of orders"
        assert [order.direction for order in stage.sent(wire.Mute, call.id)] == ["in"]

    play(root, scenario, {"carol": FarEnd(hang_up_after_s=5)})


def test_no_prompt_over_another_and_the_list_goes_before(root):
    async def scenario(stage: Stage):
        call = await up(stage, Talk("one two"), Sleep(1000), Play(["prompt.wav"]))
        await asyncio.sleep(0.1)
        with pytest.raises(InvalidState, match="is playing something"):
            await call.perform_now(Talk("three"))
        await asyncio.sleep(1.4)
        await call.perform_now(Play(["long.wav"]))
        await call.wait()
        first, ordered, last = stage.engine.heard[call.id]
        assert ordered.end_s == last.start_s == pytest.approx(first.end_s + 1, abs=0.1)
        assert stage.outcomes(call.id) == [("talk", "done"), ("sleep", "done"), ("play", "done")]

    play(root, scenario)


def test_what_cannot_be_done(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Stop())
        with pytest.raises(InvalidState, match="mute is not possible while it is dialing"):
            await call.perform_now(Mute())
        call = await up(stage, Stop())
        with pytest.raises(InvalidRequest, match="connect has to wait for its turn; at once are possible beep, hold, mute"):
            await call.perform_now(Connect([address("carol")]))
        with pytest.raises(InvalidRequest, match=r"stream_urls\[0\]"):
            await call.perform_now({"type": "play", "option": {"stream_urls": ["missing.wav"]}})
        with pytest.raises(ActionFailed, match="the call is not being recorded"):
            await call.perform_now(RecordingStop())
        assert call.record.status == "progressing"
        call.hangup()
        await call.wait()
        with pytest.raises(InvalidState):
            await call.perform_now(Talk("late"))

    play(root, scenario)


def test_the_call_ends_during_the_order(root, monkeypatch):
    """The music is being fetched when the far end hangs up."""

    async def scenario(stage: Stage):
        call = await up(stage, Stop())

        async def never(*_: object):
            await asyncio.Event().wait()

        monkeypatch.setattr("sipcore.preparation.Piece.path", never)
        order = asyncio.create_task(call.perform_now(Hold("prompt.wav")))
        await asyncio.sleep(0.1)
        stage.engine.hang_up_remote(call.id)
        with pytest.raises(InvalidState):
            await order

    play(root, scenario)


def test_the_synchronous_face(root):
    with Switch(engine=FakeEngine(), synthesizer=Beeps(), cache_dir=root / "cache", media_root=root) as switch:
        with switch.dial(address("bob")) as call:
            call.perform_now(Mute("out"))
        assert [order.direction for order in switch._switch.engine.commands if isinstance(order, wire.Mute)] == ["out"]
