"""A room on the fake engine and virtual time: every party says its own tone, and every other one must hear it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from media import tones
from media.measure import tone_level_db
from sipcore.actions import Sleep
from sipcore.conferences.room import Room

from .stage import play

RATE_HZ = 8000


async def joined(stage, room, count):
    """So many calls in a room, each with a tone of its own; by call id."""
    hz = {}
    for number in range(count):
        call = stage.call(f"far{number}", Sleep(3_600_000))
        session = stage.switch.session(call.id)
        assert await session.answered
        hz[call.id] = 400.0 + 90 * number
        stage.engine.voice(call.id).say(tones.tone(hz[call.id], 5.0, RATE_HZ) // max(1, count // 2))
        room.join(session)
    return hz


def heard(stage, call_id, frames=50):
    return np.concatenate(stage.engine.voice(call_id).heard[-frames:])


def levels(stage, call_id, hz):
    samples = heard(stage, call_id)
    return {other: tone_level_db(samples, tone, RATE_HZ) for other, tone in hz.items()}


@pytest.mark.slow
def test_thirty_hear_each_other_and_not_themselves(tmp_path):
    async def story(stage):
        room = Room("a")
        hz = await joined(stage, room, 30)
        await asyncio.sleep(2)
        for call_id in hz:
            found = levels(stage, call_id, hz)
            assert found.pop(call_id) < -65
            assert min(found.values()) > -45
        assert sum(member.dropped for member in room.members) < 30 * 5
        await stage.switch.hang_up_all(5)
        assert room.members == ()

    play(tmp_path, story, max_legs=40)


def test_mute_and_leave(tmp_path):
    async def story(stage):
        emptied = []
        room = Room("a", lambda: emptied.append(True))
        hz = await joined(stage, room, 3)
        first, second, third = hz
        room.members[0].is_muted = True
        await asyncio.sleep(1.5)
        found = levels(stage, second, hz)
        assert found[first] < -65
        assert found[third] > -30
        assert levels(stage, first, hz)[second] > -30, "who is muted hears"
        room.leave(second)
        count = len(stage.engine.voice(second).heard)
        await asyncio.sleep(1)
        assert len(stage.engine.voice(second).heard) <= count + 4
        stage.engine.hang_up_remote(first)
        await asyncio.sleep(0.1)
        assert [member.session.id for member in room.members] == [third]
        assert not emptied
        room.leave(third)
        assert emptied == [True]
        await stage.switch.hang_up_all(5)

    play(tmp_path, story)


def test_who_joins_twice_is_in_once(tmp_path):
    async def story(stage):
        room = Room("a")
        (call_id,) = await joined(stage, room, 1)
        session = stage.switch.session(call_id)
        assert room.join(session) is room.members[0]
        await asyncio.sleep(1)
        room.close()
        room.close()
        await stage.switch.hang_up_all(5)

    play(tmp_path, story)
