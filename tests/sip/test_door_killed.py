"""The front door is killed while calls are up: another one goes on within a second, and no call notices."""

from __future__ import annotations

import os
import signal

import pytest

from sipcore.testing.rtp_sink import RtpSink

from .abuse import SETTINGS, TRUNK_SOURCE, assert_serves, engine_of, serve, talking, until
from .caller import Caller


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
    with (
        RtpSink(host=TRUNK_SOURCE) as ear,
        Caller(switch.sip_address, host=TRUNK_SOURCE, rtp_port=ear.port) as ended_by_us,
        Caller(switch.sip_address, host=TRUNK_SOURCE) as ended_by_them,
    ):
        ended_by_us.call()
        ended_by_them.call()
        ear.wait_for_packets(25)
        kill_door(switch)
        ear.wait_for_packets(50)
        assert ear.lost == 0
        assert ended_by_them.hang_up(timeout_s=5) == 200
        until(lambda: len(up(switch)) == 1)  # the worker answers the BYE before the switch has heard of it
        switch.calls.hangup(up(switch)[0].id)
        ended_by_us.wait_bye()
        until(lambda: engine_of(switch).legs_in_use == 0)


def test_a_call_that_begins_while_there_is_no_front_door_waits_for_the_next_one(switch):
    kill_door(switch)
    assert_serves(switch, BACK_S)


def test_the_call_that_was_being_set_up_is_answered(switch):
    with Caller(switch.sip_address, host=TRUNK_SOURCE) as caller:
        caller.send_invite()
        kill_door(switch)
        caller.call()
        assert caller.hang_up() == 200
        assert len(switch.calls.list().result) == 1


def test_killed_again_and_again(switch, tmp_path):
    with talking(switch, tmp_path, 30, count=2) as live:
        for _ in range(3):
            kill_door(switch)
            assert_serves(switch, BACK_S)
        live.assert_steady()
