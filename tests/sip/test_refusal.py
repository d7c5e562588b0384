"""The far end refuses."""

from __future__ import annotations

import pytest

from .listening import assert_ended, assert_one_hangup, names, ringing_codes

NO_HEADER = "X-Nothing: 1"


@pytest.mark.parametrize(
    ("code", "phrase", "reason"),
    [
        (486, "Busy Here", "busy"),
        (600, "Busy Everywhere", "busy"),
        (404, "Not Found", "failed"),
        (503, "Service Unavailable", "failed"),
        (408, "Request Timeout", "failed"),
        (603, "Decline", "noanswer"),
        (480, "Temporarily Unavailable", "noanswer"),
    ],
)
def test_refused_at_once(sipp, open_switch, code, phrase, reason):
    keys = {"status": f"SIP/2.0 {code} {phrase}", "header": NO_HEADER}
    with sipp.uas("uas-refuse-expect-ack.xml", keys=keys) as uas, open_switch(trunk=uas.trunk) as switch:
        call = switch.calls.create(destination="tel:+821021656521")
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "remote", reason, code, phrase)
    assert_one_hangup(call)
    assert names(call) == ["CallCreated", "CallDialing", "CallHangup"]
    assert record.tm_ringing is None
    assert record.tm_progressing is None


@pytest.mark.parametrize(
    ("code", "phrase", "reason"), [(486, "Busy Here", "busy"), (408, "Request Timeout", "noanswer"), (500, "Oh, the pain", "failed")]
)
def test_refused_after_ringing(sipp, open_switch, code, phrase, reason):
    keys = {"status": f"SIP/2.0 {code} {phrase}"}
    with sipp.uas("uas-180-refuse-expect-ack.xml", keys=keys, pause_ms=100) as uas, open_switch(trunk=uas.trunk) as switch:
        call = switch.calls.create(destination="tel:+821021656521")
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "remote", reason, code, phrase)
    assert ringing_codes(call) == [180]
    assert names(call) == ["CallCreated", "CallDialing", "CallRinging", "CallHangup"]


def test_the_q850_cause_of_a_refusal_is_kept(sipp, open_switch):
    keys = {"status": "SIP/2.0 503 Service Unavailable", "header": 'Reason: SIP;cause=503, Q.850;cause=34;text="No circuit"'}
    with sipp.uas("uas-refuse-expect-ack.xml", keys=keys) as uas, open_switch(trunk=uas.trunk) as switch:
        record = switch.calls.create(destination="tel:+821021656521").wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "remote", "failed", 503, "Service Unavailable", q850=34)


def test_a_redirect_is_not_followed(sipp, open_switch):
    """302 to a place that would answer: toll fraud if we went there."""
    with sipp.uas("uas-200-expect-bye.xml", calls=0, keys={"rtp_port": 4000}) as elsewhere:
        keys = {"status": "SIP/2.0 302 Moved Temporarily", "header": f"Contact: <{elsewhere.uri}>"}
        with sipp.uas("uas-refuse-expect-ack.xml", keys=keys) as uas, open_switch(trunk=uas.trunk) as switch:
            call = switch.calls.create(destination="tel:+821021656521")
            record = call.wait(timeout_s=10)
            assert uas.wait(timeout_s=5).failed == 0
        nothing = elsewhere.stop()
    assert_ended(record, "remote", "failed", 302, "Moved Temporarily")
    assert names(call) == ["CallCreated", "CallDialing", "CallHangup"]
    assert nothing.messages == ()
    assert nothing.failed == 0


def test_calls_from_outside_are_refused(sipp, open_switch):
    with open_switch() as switch:
        result = sipp.uac("uac-invite-expect-404.xml", target=switch.sip_address, calls=3, rate=20, timeout_s=10)
    assert (result.successful, result.failed) == (3, 0)
