"""A `connect` with more legs than a worker holds, on the fake engine and virtual time: the others go into further workers."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from media import tones
from media.measure import tone_level_db
from sipcore import engine
from sipcore.actions import Connect, Sleep
from sipcore.errors import CapacityError
from sipcore.testing.fake_engine import Caller, FakeEngine, FarEnd

from .stage import address, play

RATE_HZ = 8000
SLOW = {f"slow{number}": FarEnd(answer_after_s=None) for number in range(4)}
ALL = [*map(address, SLOW), address("bob")]


def level(stage, call_id, hz):
    return tone_level_db(np.concatenate(stage.engine.voice(call_id).heard[-40:]), hz, RATE_HZ)


def legs(stage, call):
    return [stage.switch.session(leg_id) for leg_id in call.record.chained_call_ids]


def test_those_who_are_connected_hear_each_other_across_workers(tmp_path):
    async def story(stage):
        call = stage.call("alice", Connect(ALL), Connect(ALL), Sleep(100))
        for _ in range(2):
            await asyncio.sleep(2)
            bob = next(leg for leg in legs(stage, call) if leg is not None and leg.record.status == "progressing")
            assert bob.group_id != stage.switch.session(call.id).group_id
            for call_id, hz in ((call.id, 500.0), (bob.id, 900.0)):
                stage.engine.voice(call_id).say(tones.tone(hz, 3.0, RATE_HZ, level_dbfs=-20.0))
            await asyncio.sleep(2)
            assert level(stage, call.id, 900.0) > -30
            assert level(stage, bob.id, 500.0) > -30
            assert level(stage, bob.id, 900.0) < -60
            assert not stage.sent(engine.Bridge, call.id)
            assert stage.engine.legs_in_use == 6
            stage.engine.hang_up_remote(bob.id)
        await call.wait()
        assert stage.outcomes(call.id) == [("connect", "done"), ("connect", "done"), ("sleep", "done")]

    play(tmp_path, story, SLOW)


def test_who_is_in_the_same_worker_is_bridged_there(tmp_path):
    async def story(stage):
        call = stage.call("alice", Connect([address("bob"), *map(address, SLOW)]))
        await asyncio.sleep(2)
        (bridge,) = stage.sent(engine.Bridge, call.id)
        assert stage.switch.session(bridge.peer_id).group_id == call.id
        assert not stage.engine.voices
        call.hangup()
        await call.wait()
        await stage.switch.hang_up_all(5)

    play(tmp_path, story, SLOW)


def test_nothing_is_kept_when_there_is_not_room_for_all(tmp_path):
    async def story(stage):
        with pytest.raises(CapacityError):
            stage.call("alice", Connect(ALL))
        assert stage.engine.legs_in_use == 0
        stage.switch.on_call(actions=[Connect(ALL)])
        stage.engine.offer("1000", caller=Caller())
        await asyncio.sleep(1)
        assert stage.engine.refusals == [503]
        assert stage.engine.legs_in_use == 0

    for max_legs in (1, 5):
        play(tmp_path, story, SLOW, engine=FakeEngine(max_legs=max_legs))


def test_a_caller_is_connected_across_workers(tmp_path):
    async def story(stage):
        stage.switch.on_call(actions=[Connect(ALL)])
        accepted = stage.engine.offer("1000", caller=Caller())
        assert accepted.legs == 4
        await asyncio.sleep(2)
        stage.engine.voice(accepted.call_id).say(tones.tone(500.0, 3.0, RATE_HZ, level_dbfs=-20.0))
        await asyncio.sleep(2)
        bob = next(session for session in stage.switch.sessions() if session.record.destination.target.startswith("bob"))
        assert level(stage, bob.id, 500.0) > -30
        stage.engine.hang_up_remote(accepted.call_id)
        await asyncio.sleep(1)
        assert not stage.switch.sessions()

    play(tmp_path, story, SLOW)
