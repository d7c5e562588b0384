"""A conference of calls that are in different workers: every party says its own tone, and every other one must hear it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import soundfile

from media.measure import best_match, tone_level_db
from sipcore import AsyncSwitch, ConferenceJoin, Play
from sipcore.testing.phone import Phone

from .listening import ALIKE, RATE_HZ, write_burst

TONES_HZ = (400.0, 1100.0, 1250.0, 1400.0, 1550.0)
"""Away from those of entry and exit, 660 and 880 Hz; whole cycles in 20 ms, so that a frame that is left out does not break them."""
ENTRY_HZ = 880.0
LOUD_DB, QUIET_DB = -35.0, -45.0
TRIES = 5


@pytest.fixture
def phones():
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(Phone(f"p{number}")) for number in range(len(TONES_HZ))]
        for phone, hz in zip(opened, TONES_HZ, strict=True):
            phone.tone(hz, level_dbfs=-26.0)
        yield opened


async def listen(phones, seconds=1.0):
    """What each hears from now on, once it is sure to be of now."""
    counts = [len(phone.last_call.packets) for phone in phones]
    for phone, count in zip(phones, counts, strict=True):
        await asyncio.to_thread(phone.last_call.wait_packets, count + 50 * round(seconds) + 40, 20)
    return [phone.last_call.heard()[-round(seconds * RATE_HZ) :] for phone in phones]


async def hear(phones, expected):
    """`expected`: by number of the listener, whom it hears, and whom not. On a machine that is busy a second can be too full of holes."""
    for rest in reversed(range(TRIES)):
        heard = await listen(phones)
        levels = [[round(max(tone_level_db(samples, hz, RATE_HZ), -99.0)) for hz in TONES_HZ] for samples in heard]
        found = [
            ({n for n, level in enumerate(told) if level > LOUD_DB}, {n for n, level in enumerate(told) if level > QUIET_DB})
            for told in levels
        ]
        if found == [(whom, whom) for whom in expected]:
            return
        assert rest, levels


def loudest_db(samples, hz):
    """The tenth of a second in which a tone is loudest: what is said for a moment is no quieter because more was heard after it."""
    window = RATE_HZ // 10
    return max(tone_level_db(samples[at : at + window], hz, RATE_HZ) for at in range(0, len(samples) - window, window // 2))


async def joined(switch, count):
    async with asyncio.timeout(20):
        while len((await switch.conferences.get("room")).members) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_who_hears_whom(phones, tmp_path, rtp_ports):
    goodbye = write_burst(tmp_path / "goodbye.wav", 1.0)
    options = {"sip_address": "127.0.0.1:0", "cache_dir": tmp_path / "cache", "rtp_ports": rtp_ports, "grace_s": 3.0}
    options |= {"media_root": tmp_path, "recordings_dir": tmp_path / "recordings"}
    async with AsyncSwitch(**options) as switch:
        made = switch.conferences.create("room", end_when_moderator_leaves=True)

        def call(number, **option):
            actions = [ConferenceJoin("room", **option), Play(["goodbye.wav"])]
            return switch.calls.create(destination=phones[number].uri, actions=actions)

        calls = [call(0, moderator=True, record=True), call(1), call(2), call(3, muted=True)]
        await joined(switch, 4)
        await hear(phones[:4], [{1, 2}, {0, 2}, {0, 1}, {0, 1, 2}])
        before = [len(phone.last_call.heard()) for phone in phones[:4]]
        calls.append(call(4))
        await joined(switch, 5)
        after = [len(phone.last_call.heard()) + 2 * RATE_HZ for phone in phones[:4]]
        assert len({switch.session(call.id).group_id for call in calls}) == 5
        assert len([view for view in switch.engine.workers() if view.legs]) >= 2
        await switch.conferences.unmute("room", calls[3].id)
        await calls[1].mute()
        await hear(phones, [{2, 3, 4}, {0, 2, 3, 4}, {0, 3, 4}, {0, 2, 4}, {0, 2, 3}])
        entry = [
            loudest_db(phone.last_call.heard()[start:end], ENTRY_HZ) for phone, start, end in zip(phones[:4], before, after, strict=True)
        ]
        assert max(entry) > LOUD_DB - 20, entry
        own = loudest_db(phones[4].last_call.heard(), ENTRY_HZ)
        assert own < max(entry) - 10, (own, entry)  # holes click, and that is a little of every frequency
        await calls[1].unmute()
        await switch.conferences.kick("room", calls[2].id)
        await calls[2].wait(10)
        await hear(phones[:2], [{1, 3, 4}, {0, 3, 4}])
        calls[0].hangup()  # the last moderator: the others go on to their next action
        await asyncio.gather(*(call.wait(10) for call in calls))
        over = await switch.conferences.get(made.id)
        assert (over.status, over.members) == ("terminated", ())
        recording = await switch.recordings.wait(over.recording_ids[0], 10)
        samples, rate_hz = soundfile.read(switch.recordings.path(recording))
        assert recording.duration_s > 4
        assert min(tone_level_db(samples, hz, rate_hz) for hz in (*TONES_HZ, ENTRY_HZ)) > -60
        assert calls[2].variables["conference.left_by"] == "kicked"
        assert [call.variables["conference.left_by"] for call in (calls[1], calls[3], calls[4])] == ["ended"] * 3
    for number in (1, 2, 3, 4):
        assert best_match(phones[number].last_call.heard(), goodbye, RATE_HZ).correlation > ALIKE
