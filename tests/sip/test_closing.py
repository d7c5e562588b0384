"""Leaving the `with` block: every far end is told, whatever its call was doing, and nothing stays (see `no_process_is_left`)."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from sipcore import Connect, Play, SwitchClosed, Talk
from sipcore.events import CallRinging
from sipcore.testing.rtp_sink import RtpSink

from .listening import assert_one_hangup, started, until, write_burst

LONG = "a text of so many letters that it is spoken for longer than any of these tests lasts, which is some seconds"


@pytest.fixture
def far_ends(sipp):
    """Starts far ends by scenario; at the end of the test each must be content with what it got."""
    with ExitStack() as stack:
        running = []

        def start(scenario, **keys):
            uas = stack.enter_context(sipp.uas(scenario, keys=keys))
            running.append(uas)
            return uas

        yield start
        assert [uas.wait(timeout_s=5).failed for uas in running] == [0] * len(running)


def close_with(switch, call, *, status, by_s=2.5):
    """Close the switch under the call; the record is final afterwards."""
    began_s = time.monotonic()
    switch.close()
    assert time.monotonic() - began_s < by_s
    assert (call.record.status, call.record.hangup_by, call.record.hangup_reason) == ("hangup", "local", status)
    assert_one_hangup(call)
    with pytest.raises(SwitchClosed):
        switch.calls.list()


def test_just_created(far_ends, open_switch):
    with open_switch() as switch:
        call = switch.calls.create(destination="sip:nobody@127.0.0.1:9")
        close_with(switch, call, status="cancel", by_s=4)


def test_dialing(far_ends, open_switch):
    uas = far_ends("uas-100-expect-cancel.xml")
    with open_switch() as switch:
        call = switch.calls.create(destination=uas.uri)
        uas.wait_for("INVITE", is_received=False, status=100)
        close_with(switch, call, status="cancel")


def test_dialing_somebody_silent(sipp, open_switch):
    """No provisional answer: nothing may be sent, and we do not wait longer than the grace."""
    with sipp.uas("uas-silent-expect-nothing.xml", pause_ms=2000) as uas:
        with open_switch(grace_s=1.0) as switch:
            call = switch.calls.create(destination=uas.uri)
            uas.wait_for("INVITE")
            close_with(switch, call, status="cancel")
        assert uas.wait(timeout_s=5).failed == 0


def test_ringing(far_ends, open_switch):
    uas = far_ends("uas-no-answer")
    with open_switch() as switch:
        call = switch.calls.create(destination=uas.uri)
        until(call, CallRinging)
        close_with(switch, call, status="cancel")


@pytest.mark.parametrize("kind", ["talk", "play"])
def test_talking_and_playing(far_ends, open_switch, ear, tmp_path, kind):
    write_burst(tmp_path / "long.wav", 5.0)
    uas = far_ends("uas-200-expect-bye.xml", rtp_port=ear.port)
    with open_switch() as switch:
        call = switch.calls.create(destination=uas.uri, actions=[Talk(LONG) if kind == "talk" else Play(["long.wav"])])
        started(call, 0)
        ear.wait_for_packets(10)
        close_with(switch, call, status="normal")


def test_connecting(far_ends, open_switch, ear):
    """A was answered: BYE. B rings: CANCEL."""
    b = far_ends("uas-no-answer")
    a = far_ends("uas-200-expect-bye.xml", rtp_port=ear.port)
    with open_switch() as switch:
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri])])
        b.wait_for("INVITE", is_received=False, status=180)
        close_with(switch, call, status="normal")


def test_bridged(far_ends, open_switch):
    with RtpSink(500.0) as ear_a, RtpSink(900.0) as ear_b:
        b = far_ends("uas-200-expect-bye.xml", rtp_port=ear_b.port)
        a = far_ends("uas-200-expect-bye.xml", rtp_port=ear_a.port)
        with open_switch() as switch:
            call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri])])
            ear_a.wait_for_tone(900.0)
            close_with(switch, call, status="normal")


def test_all_at_once(far_ends, open_switch, ear):
    """Calls in every state, in several workers."""
    dialing, ringing, b = (far_ends(scenario) for scenario in ("uas-100-expect-cancel.xml", "uas-no-answer", "uas-no-answer"))
    talking, a = (far_ends("uas-200-expect-bye.xml", rtp_port=ear.port) for _ in range(2))
    with open_switch() as switch:
        plain = [switch.calls.create(destination=uas.uri, actions=[Talk(LONG)]) for uas in (dialing, ringing, talking)]
        connecting = switch.calls.create(destination=a.uri, actions=[Connect([b.uri])])
        dialing.wait_for("INVITE", is_received=False, status=100)
        until(plain[1], CallRinging)
        started(plain[2], 0)
        b.wait_for("INVITE", is_received=False, status=180)
    assert [call.record.hangup_reason for call in [*plain, connecting]] == ["cancel", "cancel", "normal", "normal"]
    assert {call.record.hangup_by for call in [*plain, connecting]} == {"local"}


def test_a_far_end_that_ignores_our_bye(sipp, open_switch, ear):
    """We wait as long as the grace lasts."""
    with sipp.uas("uas-200-ignore-bye.xml", keys={"rtp_port": ear.port}) as uas:
        with open_switch(grace_s=1.0) as switch:
            call = switch.calls.create(destination=uas.uri, actions=[Talk(LONG)])
            started(call, 0)
            ear.wait_for_packets(5)
            close_with(switch, call, status="normal")
        assert uas.wait(timeout_s=5).failed == 0
