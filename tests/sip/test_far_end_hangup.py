"""The far end hangs up, in the middle of each action; or does not answer when we do."""

from __future__ import annotations

import pytest

from sipcore import Connect, Play, Talk
from sipcore.testing.rtp_sink import RtpSink

from .listening import assert_ended, assert_heard, assert_one_hangup, legs, names, outcomes, spoken, write_burst

NORMAL_CLEARING = 'Q.850;cause=16;text="Terminated"'
TEXT = "a text of forty letters or a little more"  # 2 s


def test_during_talk(sipp, open_switch, ear):
    keys = {"rtp_port": ear.port, "reason": NORMAL_CLEARING}
    with sipp.uas("uas-200-bye-expect-200.xml", keys=keys, pause_ms=700) as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri, actions=[Talk(TEXT), Talk("more")])
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "remote", "normal", 200, "OK", q850=16)
    assert_one_hangup(call)
    assert outcomes(call) == [("talk", "interrupted")]
    assert names(call)[-3:] == ["ActionStarted", "ActionFinished", "CallHangup"]
    assert_heard(ear, spoken(TEXT)[: 8000 // 3])


def test_during_play(sipp, open_switch, ear, tmp_path):
    song = write_burst(tmp_path / "song.wav", 2.0)
    keys = {"rtp_port": ear.port, "reason": "Q.850;cause=31"}
    with sipp.uas("uas-200-bye-expect-200.xml", keys=keys, pause_ms=700) as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri, actions=[Play(["song.wav", "song.wav"])])
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "remote", "normal", 200, "OK", q850=31)
    assert outcomes(call) == [("play", "interrupted")]
    assert_heard(ear, song[: 8000 // 3])


def test_during_connect_while_b_rings(sipp, open_switch, ear):
    """B, which only rings, gets CANCEL."""
    keys = {"rtp_port": ear.port, "reason": NORMAL_CLEARING}
    with (
        sipp.uas("uas-no-answer") as b,
        sipp.uas("uas-200-bye-expect-200.xml", keys=keys, pause_ms=800) as a,
        open_switch() as switch,
    ):
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri])])
        record = call.wait(timeout_s=10)
        assert (a.wait(timeout_s=5).failed, b.wait(timeout_s=5).failed) == (0, 0)
        (leg,) = legs(switch, call)
    assert_ended(record, "remote", "normal", 200, "OK", q850=16)
    assert_ended(leg, "local", "cancel", 487)
    assert leg.master_call_id == record.id
    assert outcomes(call) == [("connect", "interrupted")]
    assert leg.tm_ringing is not None


def test_during_connect_while_bridged(sipp, open_switch):
    """B, which was answered, gets BYE; both heard each other before."""
    with RtpSink(500.0) as ear_a, RtpSink(900.0) as ear_b:
        keys = {"rtp_port": ear_a.port, "reason": NORMAL_CLEARING}
        with (
            sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_b.port}) as b,
            sipp.uas("uas-200-bye-expect-200.xml", keys=keys, pause_ms=2000) as a,
            open_switch() as switch,
        ):
            call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri])])
            ear_a.wait_for_tone(900.0)
            ear_b.wait_for_tone(500.0)
            record = call.wait(timeout_s=10)
            assert (a.wait(timeout_s=5).failed, b.wait(timeout_s=5).failed) == (0, 0)
            (leg,) = legs(switch, call)
    assert_ended(record, "remote", "normal", 200, "OK", q850=16)
    assert_ended(leg, "local", "normal", 200, "OK")
    assert outcomes(call) == [("connect", "interrupted")]


def test_far_end_that_never_answers_bye(sipp, open_switch, ear):
    with sipp.uas("uas-200-ignore-bye.xml", keys={"rtp_port": ear.port}) as uas, open_switch(hangup_timeout_s=1.0, grace_s=1.0) as switch:
        call = switch.calls.create(destination=uas.uri, actions=[Talk("bye")])
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "local", "normal", 200)
    assert_one_hangup(call)
    assert outcomes(call) == [("talk", "done")]


@pytest.mark.parametrize("reason", ["SIP;cause=200", "Q.850;cause=999", 'X;text="Q.850;cause=16"', "Q.850"])
def test_a_reason_without_a_q850_cause(sipp, open_switch, ear, reason):
    keys = {"rtp_port": ear.port, "reason": reason}
    with sipp.uas("uas-200-bye-expect-200.xml", keys=keys, pause_ms=50) as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri, actions=[Talk(TEXT)])
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "remote", "normal", 200, "OK", q850=None)
