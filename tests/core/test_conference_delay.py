"""How late one hears another in a room: as little as the rhythm of the two allows, and no less after something was late."""

from __future__ import annotations

import asyncio
import itertools

import numpy as np
import pytest

from media import tones
from sipcore.actions import Sleep
from sipcore.conferences.room import Room
from sipcore.conferences.slack import Slack

from .stage import play

RATE_HZ = 8000
SIZE = 160
QUIET, LOUD = np.zeros(SIZE, np.int16), np.full(SIZE, 9000, np.int16)
EARLY_S, JUST_S = 0.035, 0.015


class Stamped(list):
    """Frames, and when the first loud one came."""

    loud_s = None

    def append(self, frame):
        super().append(frame)
        if self.loud_s is None and np.abs(frame).max() > 1000:
            self.loud_s = asyncio.get_running_loop().time()


async def joined(stage, room, count, apart_s=0.0037):
    """So many members, whose ticks are so far apart; by call id."""
    sessions = []
    for number in range(count):
        session = stage.switch.session(stage.call(f"far{number}", Sleep(3_600_000)).id)
        assert await session.answered
        await asyncio.sleep(apart_s)
        room.join(session)
        sessions.append(session)
    return [stage.engine.voice(session.id) for session in sessions]


async def delay_s(talker, listener):
    """From the begin of a sound to its begin at the other."""
    listener.heard = Stamped()
    began_s = asyncio.get_running_loop().time()
    talker.say(tones.tone(500.0, 0.1, RATE_HZ))
    await asyncio.sleep(0.5)
    return listener.heard.loud_s - began_s


def test_any_two_hear_each_other_early_once_the_room_has_gone_on_for_a_while(tmp_path):
    async def story(stage):
        room = Room("a")
        voices = await joined(stage, room, 5)
        at_first = [await delay_s(*pair) for pair in itertools.permutations(voices[:2])]
        await asyncio.sleep(2.5)
        delays = [await delay_s(*pair) for pair in itertools.permutations(voices, 2)]
        assert max(at_first) <= 0.105  # of it 20 ms at most until the engine's next tick, before and behind the room
        assert max(delays) <= 0.075
        assert sum(delays) / len(delays) < 0.055
        assert [member.late for member in room.members] == [0] * 5
        await stage.switch.hang_up_all(5)

    play(tmp_path, story)


def next_spared(slack):
    return next(tick for tick in range(1, 20_000) if slack.can_spare(EARLY_S, QUIET))


def missed_after_each(slack, times):
    """How long each frame took to be left out, where one is missing after each."""
    waits = []
    for _ in range(times):
        waits.append(next_spared(slack))
        slack.miss()
    return waits


def test_a_frame_in_two_seconds_is_left_out_as_long_as_all_are_early():
    slack = Slack()
    spared = [slack.can_spare(EARLY_S, QUIET) for _ in range(201)]
    assert [tick for tick, is_spared in enumerate(spared) if is_spared] == [99, 199]


def test_what_was_late_soon_after_one_was_left_out_makes_the_room_later_for_longer():
    slack = Slack()
    assert missed_after_each(slack, 9) == [100, 200, 400, 800, 1600, 3200, 6000, 6000, 6000]
    assert slack.missing == 9


def test_what_was_late_before_any_was_left_out_does_not():
    slack = Slack()
    for _ in range(10):
        slack.miss()
    assert next_spared(slack) == 100


def test_when_nothing_is_late_for_long_the_room_is_as_early_as_before():
    slack = Slack()
    waits = missed_after_each(slack, 3)
    waits.append(next_spared(slack))
    assert not any(slack.can_spare(JUST_S, QUIET) for _ in range(8000))
    waits.append(next_spared(slack))
    slack.miss()
    waits.append(next_spared(slack))
    assert waits == [100, 200, 400, 800, 400, 800]


def test_a_frame_that_is_needed_soon_is_not_left_out():
    slack = Slack()
    early = [EARLY_S] * 90 + [JUST_S]
    assert not any(slack.can_spare(early_s, QUIET) for early_s in early * 4)


@pytest.mark.parametrize(("frame", "ticks"), [(QUIET, 100), (LOUD, 600)])
def test_a_loud_frame_is_left_out_only_when_no_quiet_one_comes(frame, ticks):
    slack = Slack()
    assert [slack.can_spare(EARLY_S, frame) for _ in range(ticks)].index(True) == ticks - 1
