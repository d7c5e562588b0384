"""A room of calls that are in different workers: every party says its own tone, and every other one must hear it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from media.measure import tone_level_db
from sipcore import AsyncSwitch, Sleep
from sipcore.conference import Room
from sipcore.testing.phone import Phone

from .listening import RATE_HZ

PARTIES = 6


@pytest.fixture
def phones():
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(Phone(f"p{number}")) for number in range(PARTIES)]
        for number, phone in enumerate(opened):
            phone.tone(tone_of(number), level_dbfs=-26.0)
        yield opened


def tone_of(number: int) -> float:
    return 500.0 + 170 * number


async def test_all_hear_all_others_and_not_themselves(phones, tmp_path, rtp_ports):
    options = {"sip_address": "127.0.0.1:0", "cache_dir": tmp_path / "cache", "rtp_ports": rtp_ports, "grace_s": 3.0}
    async with AsyncSwitch(**options) as switch:
        calls = [switch.calls.create(destination=phone.uri, actions=[Sleep(600_000)]) for phone in phones]
        sessions = [switch.session(call.id) for call in calls]
        assert all(await asyncio.gather(*(session.answered for session in sessions)))
        assert len({session.group_id for session in sessions}) == PARTIES
        assert len([view for view in switch.engine.workers() if view.legs]) >= 2
        room = Room("a")
        for session in sessions:
            room.join(session)
        counts = [len(phone.last_call.packets) for phone in phones]
        for phone, count in zip(phones, counts, strict=True):
            await asyncio.to_thread(phone.last_call.wait_packets, count + 150, 20)
        for call in calls:
            call.hangup()
        await asyncio.gather(*(call.wait() for call in calls))
        assert room.members == ()
    for number, phone in enumerate(phones):
        heard = phone.last_call.heard()[-RATE_HZ - 1600 : -1600]
        levels = [tone_level_db(heard, tone_of(other), RATE_HZ) for other in range(PARTIES)]
        assert levels.pop(number) < -45
        assert min(levels) > -32, levels
