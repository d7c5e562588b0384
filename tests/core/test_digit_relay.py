"""Digits between two calls that are bridged."""

from __future__ import annotations

import asyncio

from sipcore.actions import Connect, DigitsReceive, Talk
from sipcore.events import DigitsGathered
from sipcore.testing.fake_engine import FarEnd

from .stage import address, play


async def bridged(stage, *more):
    call = stage.call("bob", Connect([address("carol")]), *more)
    while not (call.record.chained_call_ids and stage.switch.session(call.record.chained_call_ids[0]).is_up):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return call, call.record.chained_call_ids[0]


def test_what_one_side_presses_the_other_gets(tmp_path):
    async def story(stage):
        call, leg_id = await bridged(stage)
        for digit in "12#":
            stage.engine.press(call.id, digit)
        stage.engine.press(leg_id, "9")
        await asyncio.sleep(3)
        assert stage.engine.keys == {leg_id: "12#", call.id: "9"}
        call.hangup()
        await call.wait()

    play(tmp_path, story)


def test_a_flood_is_bounded_and_ends_with_the_bridge(tmp_path):
    async def story(stage):
        call, leg_id = await bridged(stage, Talk("one"))
        for _ in range(1000):
            stage.engine.press(call.id, "5")
        await asyncio.sleep(60)
        assert 100 <= len(stage.engine.keys[leg_id]) <= 102
        stage.engine.press(call.id, "6")
        stage.engine.hang_up_remote(leg_id)
        await call.wait()
        assert "6" not in stage.engine.keys[leg_id]

    play(tmp_path, story)


def test_digits_for_the_other_side_are_not_kept(tmp_path):
    async def story(stage):
        call, leg_id = await bridged(stage, DigitsReceive(duration_ms=2000))
        stage.engine.press(call.id, "5")
        await asyncio.sleep(1)
        stage.engine.hang_up_remote(leg_id)
        await call.wait()
        assert [event.digits for event in stage.events if isinstance(event, DigitsGathered)] == [""]

    play(tmp_path, story)


def test_digits_while_it_rings_in_vain_are_kept(tmp_path):
    async def story(stage):
        call = stage.call("bob", Connect([address("carol")], timeout_s=5.0), DigitsReceive(duration_ms=2000))
        await asyncio.sleep(2)
        stage.engine.press(call.id, "5")
        await call.wait()
        assert [event.digits for event in stage.events if isinstance(event, DigitsGathered)] == ["5"]
        assert stage.engine.keys == {}

    play(tmp_path, story, {"carol": FarEnd(answer_after_s=None)})
