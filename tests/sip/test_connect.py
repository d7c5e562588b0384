"""Connect: everybody rings, the first answer wins, the two hear each other and nothing else."""

from __future__ import annotations

import pytest

from media.measure import tone_level_db
from sipcore import Connect, Talk
from sipcore.testing.rtp_sink import RtpSink

from .listening import RATE_HZ, assert_ended, assert_heard, finished, legs, names, outcomes, spoken, started

TONE_A, TONE_B = 500.0, 900.0
RINGBACK = (440.0, 480.0)


@pytest.fixture
def ears():
    with RtpSink(TONE_A) as a, RtpSink(TONE_B) as b:
        yield a, b


def test_each_hears_the_other_and_nothing_else(sipp, open_switch, ears):
    """Until B answers A hears ringback; B hangs up, A goes on with its list."""
    ear_a, ear_b = ears
    keys_b = {"rtp_port": ear_b.port, "reason": "Q.850;cause=16"}
    with (
        sipp.uas("uas-200-bye-expect-200.xml", keys=keys_b, pause_ms=2000) as b,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_a.port}) as a,
        open_switch() as switch,
    ):
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri]), Talk("goodbye")])
        ear_a.wait_for_tone(TONE_B)
        ear_b.wait_for_tone(TONE_A)
        record = call.wait(timeout_s=10)
        assert (a.wait(timeout_s=5).failed, b.wait(timeout_s=5).failed) == (0, 0)
        (leg,) = legs(switch, call)
    assert_ended(record, "local", "normal", 200, "OK")
    assert_ended(leg, "remote", "normal", 200, "OK", q850=16)
    assert outcomes(call) == [("connect", "done"), ("talk", "done")]
    (result,) = finished(call, 0).legs
    assert (result.call_id, result.answered, result.hangup_reason) == (leg.id, True, "normal")
    assert_heard(ear_a, spoken("goodbye"))
    assert tone_level_db(ear_b.heard(), TONE_B, RATE_HZ) < -60, "B hears no echo of itself"
    assert tone_level_db(ear_a.heard(), TONE_A, RATE_HZ) < -60, "A hears no echo of itself"
    assert ear_b.lost == 0


def test_ringback_until_the_answer(sipp, open_switch, ears):
    ear_a, ear_b = ears
    keys_b = {"rtp_port": ear_b.port}
    with (
        sipp.uas("uas-180-200-expect-bye.xml", keys=keys_b, pause_ms=900) as b,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_a.port}) as a,
        open_switch() as switch,
    ):
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri])])
        ear_a.wait_for_tone(TONE_B)
        ear_a.wait_for_packets(30)
        before_answer = ear_a.heard()[: RATE_HZ // 2]
        after_answer = ear_a.heard()[-RATE_HZ // 2 :]
        call.hangup()
        record = call.wait(timeout_s=10)
        assert (a.wait(timeout_s=5).failed, b.wait(timeout_s=5).failed) == (0, 0)
        (leg,) = legs(switch, call)
    assert_ended(record, "local", "normal", 200, "OK")
    assert_ended(leg, "local", "normal", 200, "OK")
    assert all(tone_level_db(before_answer, hz, RATE_HZ) > -30 for hz in RINGBACK)
    assert all(tone_level_db(after_answer, hz, RATE_HZ) < -50 for hz in RINGBACK)


def test_the_second_destination_answers_first(sipp, open_switch, ears):
    """The first one, which rings, gets CANCEL and no BYE."""
    ear_a, ear_b = ears
    with (
        sipp.uas("uas-no-answer") as slow,
        sipp.uas("uas-180-200-expect-bye.xml", keys={"rtp_port": ear_b.port}, pause_ms=300) as quick,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_a.port}) as a,
        open_switch() as switch,
    ):
        call = switch.calls.create(destination=a.uri, actions=[Connect([slow.uri, quick.uri])])
        ear_a.wait_for_tone(TONE_B)
        ear_b.wait_for_tone(TONE_A)
        slow_result = slow.wait(timeout_s=5)
        call.hangup()
        record = call.wait(timeout_s=10)
        a_result = a.wait(timeout_s=5)
        assert (a_result.failed, quick.wait(timeout_s=5).failed, slow_result.failed) == (0, 0, 0)
        loser, winner = legs(switch, call)
    assert len(slow_result.received("CANCEL")) == 1
    assert not slow_result.received("BYE")
    (cancel,) = slow_result.received("CANCEL")
    assert cancel.header("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    assert [bye.header("Reason") for bye in a_result.received("BYE")] == ['Q.850;cause=16;text="Normal call clearing"']
    assert_ended(record, "local", "normal", 200, "OK")
    assert_ended(loser, "local", "cancel", 487)
    assert_ended(winner, "local", "normal", 200, "OK")
    assert {leg.master_call_id for leg in (loser, winner)} == {record.id}


def test_two_answers_at_once(sipp, open_switch, ears):
    """Both answer without ringing: exactly one is bridged, the other gets BYE; nobody is left alone with an open call."""
    ear_a, ear_b = ears
    with (
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_b.port}) as one,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_b.port}) as other,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_a.port}) as a,
        open_switch() as switch,
    ):
        call = switch.calls.create(destination=a.uri, actions=[Connect([one.uri, other.uri])])
        started(call, 0)
        ear_a.wait_for_tone(TONE_B)
        call.hangup()
        record = call.wait(timeout_s=10)
        assert [uas.wait(timeout_s=5).failed for uas in (a, one, other)] == [0, 0, 0]
        both = legs(switch, call)
    assert_ended(record, "local", "normal", 200, "OK")
    assert [leg.hangup_by for leg in both] == ["local", "local"]


def test_all_refuse(sipp, open_switch, ear):
    """A goes on with its next action; the reason of each leg is told."""
    busy = {"status": "SIP/2.0 486 Busy Here", "header": "X-Nothing: 1"}
    gone = {"status": "SIP/2.0 404 Not Found", "header": "X-Nothing: 1"}
    with (
        sipp.uas("uas-refuse-expect-ack.xml", keys=busy) as b,
        sipp.uas("uas-refuse-expect-ack.xml", keys=gone) as c,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear.port}) as a,
        open_switch() as switch,
    ):
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri, c.uri]), Talk("sorry")])
        record = call.wait(timeout_s=10)
        assert [uas.wait(timeout_s=5).failed for uas in (a, b, c)] == [0, 0, 0]
        leg_b, leg_c = legs(switch, call)
    assert_ended(record, "local", "normal", 200, "OK")
    assert_ended(leg_b, "remote", "busy", 486, "Busy Here")
    assert_ended(leg_c, "remote", "failed", 404, "Not Found")
    assert outcomes(call) == [("connect", "failed"), ("talk", "done")]
    assert [(leg.answered, leg.hangup_reason, leg.sip_code) for leg in finished(call, 0).legs] == [
        (False, "busy", 486),
        (False, "failed", 404),
    ]
    assert_heard(ear, spoken("sorry"))


def test_nobody_answers_in_time(sipp, open_switch, ear):
    with (
        sipp.uas("uas-no-answer") as b,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear.port}) as a,
        open_switch() as switch,
    ):
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri], timeout_s=0.5), Talk("sorry")])
        record = call.wait(timeout_s=10)
        assert [uas.wait(timeout_s=5).failed for uas in (a, b)] == [0, 0]
        (leg,) = legs(switch, call)
    assert_ended(record, "local", "normal", 200, "OK")
    assert_ended(leg, "local", "dialout", 487)
    assert outcomes(call) == [("connect", "failed"), ("talk", "done")]
    assert_heard(ear, spoken("sorry"))
    assert names(call).count("CallHangup") == 1


def test_connect_after_connect(sipp, open_switch, ears):
    """The places of the first connect's legs are free again for the second one."""
    ear_a, ear_b = ears
    with (
        sipp.uas("uas-no-answer", calls=3) as ringing,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_b.port}) as b,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_a.port}) as a,
        open_switch() as switch,
    ):
        call = switch.calls.create(destination=a.uri, actions=[Connect([ringing.uri] * 3, timeout_s=0.4), Connect([b.uri])])
        ear_a.wait_for_tone(TONE_B)
        call.hangup()
        record = call.wait(timeout_s=10)
        assert [uas.wait(timeout_s=5).failed for uas in (ringing, a, b)] == [0, 0, 0]
    assert_ended(record, "local", "normal", 200, "OK")
    assert outcomes(call) == [("connect", "failed"), ("connect", "interrupted")]
