"""Calls that we give up before they are answered."""

from __future__ import annotations

import pytest

from sipcore.events import CallRinging

from .listening import assert_ended, assert_one_hangup, names, until, until_traced


def test_dial_timeout(sipp, open_switch):
    """Nobody answers: CANCEL, 487, ACK."""
    with sipp.uas("uas-no-answer") as uas, open_switch(trunk=uas.trunk, dial_timeout_s=0.5) as switch:
        call = switch.calls.create(destination="tel:+821021656521")
        record = call.wait(timeout_s=10)
        result = uas.wait(timeout_s=5)
    assert result.failed == 0
    assert len(result.received("CANCEL")) == 1
    assert not result.received("BYE")
    assert_ended(record, "local", "dialout", 487, "Request Terminated")
    assert_one_hangup(call)
    assert names(call) == ["CallCreated", "CallDialing", "CallRinging", "CallHangingUp", "CallHangup"]
    assert 0.45 <= (record.tm_hangup - record.tm_create).total_seconds() < 3


@pytest.mark.parametrize("scenario", ["uas-no-answer", "uas-183-expect-cancel.xml"])
def test_hangup_while_ringing(sipp, open_switch, ear, scenario):
    with sipp.uas(scenario, keys={"rtp_port": ear.port}) as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri)
        until(call, CallRinging)
        call.hangup()
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "local", "cancel", 487, "Request Terminated")
    assert names(call) == ["CallCreated", "CallDialing", "CallRinging", "CallHangingUp", "CallHangup"]


def test_hangup_after_100_only(sipp, open_switch):
    with sipp.uas("uas-100-expect-cancel.xml") as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri)
        until_traced(switch, call, "SIP/2.0 100")  # SIPp logs it before it has come to us, who may not cancel before (RFC 3261 §9.1)
        call.hangup()
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "local", "cancel", 487, "Request Terminated")
    assert record.tm_ringing is None
    assert names(call) == ["CallCreated", "CallDialing", "CallHangingUp", "CallHangup"]


def test_the_answer_crosses_our_cancel(sipp, open_switch, ear):
    """RFC 3261 §9.1: the 200 is acknowledged, and the call ended with BYE."""
    with sipp.uas("uas-180-200-crossing-cancel-expect-ack-bye.xml", keys={"rtp_port": ear.port}) as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri)
        until(call, CallRinging)
        call.hangup()
        record = call.wait(timeout_s=10)
        result = uas.wait(timeout_s=5)
    assert result.failed == 0
    order = [message.method for message in result.messages if message.is_received and message.is_request]
    assert order == ["INVITE", "CANCEL", "ACK", "BYE"]
    assert_ended(record, "local", "cancel", 487)
    assert record.tm_progressing is None
    assert names(call) == ["CallCreated", "CallDialing", "CallRinging", "CallHangingUp", "CallHangup"], "never answered, for the user"


def test_far_end_silent_after_invite(sipp, open_switch):
    """The dial timeout ends it, without a CANCEL: none is allowed before a provisional answer (RFC 3261 §9.1)."""
    settings = {"dial_timeout_s": 0.8, "hangup_timeout_s": 0.7, "grace_s": 0.5}
    with sipp.uas("uas-silent-expect-nothing.xml", pause_ms=1500) as uas, open_switch(trunk=uas.trunk, **settings) as switch:
        call = switch.calls.create(destination="tel:+821021656521")
        record = call.wait(timeout_s=10)
        result = uas.wait(timeout_s=5)
    assert result.failed == 0
    assert {message.method for message in result.messages} == {"INVITE"}
    assert len(result.received("INVITE")) >= 2, "sent again after T1"
    assert_ended(record, "local", "dialout", 0)
    assert_one_hangup(call)
    assert names(call) == ["CallCreated", "CallDialing", "CallHangingUp", "CallHangup"]


def test_nobody_listens_at_the_port(open_switch):
    """ICMP says so at once, or the dial timeout does; either way the call is over in time."""
    with open_switch(dial_timeout_s=0.8, hangup_timeout_s=0.5, grace_s=0.5) as switch:
        record = switch.calls.create(destination="sip:nobody@127.0.0.1:9").wait(timeout_s=5)
    assert record.status == "hangup"
    assert (record.hangup_by, record.hangup_reason) in {("local", "dialout"), ("remote", "failed")}
    assert record.sip_code == 0


def test_hangup_of_a_call_that_was_just_created(sipp, open_switch):
    """Whether the INVITE has left or not: one end, and nothing that rings on once the switch is closed."""
    with sipp.uas("uas-no-answer", calls=1) as uas:
        with open_switch() as switch:
            call = switch.calls.create(destination=uas.uri)
            call.hangup()
            call.hangup()
            record = call.wait(timeout_s=10)
        messages = uas.stop().messages
    assert (record.status, record.hangup_by, record.hangup_reason) == ("hangup", "local", "cancel")
    assert_one_hangup(call)
    assert [m.method for m in messages if m.is_received and m.is_request] in ([], ["INVITE", "CANCEL", "ACK"])
