"""The front door is killed while calls are up: another one goes on within a second, and no call notices."""

from __future__ import annotations

import os
import signal

import pytest

from sipcore.testing.phone import Phone

from .abuse import SETTINGS, TRUNK_SOURCE, assert_serves, engine_of, hang_up, serve, talking, until


@pytest.fixture
def switch(open_switch, tmp_path):
    with open_switch(**SETTINGS) as switch:
        serve(switch, tmp_path)
        yield switch


BACK_S = 10.0
"""A front door takes 0.45 s of CPU to start, and these tests share their machine; `tests/soak` tests that it is back within a second."""


def kill_door(switch):
    """`kill -9`; returns at once."""
    os.kill(engine_of(switch).door_pid, signal.SIGKILL)


def up(switch):
    """The records of the calls that are not over."""
    return [record for record in switch.calls.list().result if record.status != "hangup"]


def test_calls_out_keep_their_audio_and_both_sides_can_end_them(switch, tmp_path):
    with talking(switch, tmp_path, 30, count=4) as live:
        before = engine_of(switch).door_pid
        kill_door(switch)
        live.wait_packets(50)
        assert_serves(switch, BACK_S)
        live.assert_steady()
        assert engine_of(switch).door_pid not in (0, before)
        live.heard[0].hang_up()
        assert live.calls[0].wait(timeout_s=5).hangup_by == "remote"
        live.calls[1].hangup()
        live.heard[1].wait_ended(5)
        assert live.heard[1].ended_by == "remote"
        assert live.calls[1].wait(timeout_s=5).hangup_reason == "normal"


def test_calls_in_keep_their_audio_and_both_sides_can_end_them(switch):
    uri = f"sip:service@{switch.sip_address}"
    with Phone("ann", host=TRUNK_SOURCE) as ann, Phone("bob", host=TRUNK_SOURCE) as bob:
        ended_by_us, ended_by_them = ann.call(uri), bob.call(uri)
        ended_by_us.wait_answered(5)
        ended_by_them.wait_answered(5)
        ended_by_us.wait_packets(25, 10)
        kill_door(switch)
        ended_by_us.wait_packets(75, 10)
        assert ended_by_us.lost_packets == 0
        hang_up(ended_by_them)
        until(lambda: len(up(switch)) == 1)  # the worker answers the BYE before the switch has heard of it
        switch.calls.hangup(up(switch)[0].id)
        ended_by_us.wait_ended(5)
        assert ended_by_us.ended_by == "remote"
        until(lambda: engine_of(switch).legs_in_use == 0)


def test_a_call_that_begins_while_there_is_no_front_door_waits_for_the_next_one(switch):
    kill_door(switch)
    assert_serves(switch, BACK_S)


def test_the_call_that_was_being_set_up_is_answered(switch):
    with Phone("ann", host=TRUNK_SOURCE) as phone:
        call = phone.call(f"sip:service@{switch.sip_address}")
        kill_door(switch)
        call.wait_answered(5)
        hang_up(call)
        assert len(switch.calls.list().result) == 1


def test_killed_again_and_again(switch, tmp_path):
    with talking(switch, tmp_path, 30, count=2) as live:
        for _ in range(3):
            kill_door(switch)
            assert_serves(switch, BACK_S)
        live.assert_steady()
