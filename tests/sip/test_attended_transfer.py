"""Attended transfer: who is called first is heard, and the far end is asked to take our place in his call (RFC 3891, RFC 5589 §7.3)."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from sipcore import Answer, Talk, Transfer
from sipcore.testing.rtp_sink import RtpSink

from .listening import assert_ended
from .outside import assert_followed, assert_no_worker_shows

TONE_A, TONE_B = 500.0, 900.0
KNOWN, UNKNOWN = "Supported: replaces, timer", "Supported: timer"


def first_record(switch):
    """Of the call from outside: the older one of two."""
    return switch.calls.list().result[-1]


@pytest.mark.parametrize("scenario", ["uac-200-expect-refer-notify-expect-bye.xml", "uac-200-expect-refer-refuse-expect-bye.xml"])
def test_the_two_hear_each_other_and_the_caller_is_asked_to_take_our_place(caller, open_switch, sipp, scenario):
    """Whether he does or refuses: when B has left our call, A's is over, too."""
    with (
        RtpSink(TONE_A) as ear_a,
        RtpSink(TONE_B) as ear_b,
        sipp.uas("uas-200-replaces-bye-expect-200.xml", keys={"rtp_port": ear_b.port}, pause_ms=900) as b,
        open_switch() as switch,
    ):
        switch.on_call(actions=[Answer(), Transfer(b.uri, attended=True), Talk("never said")])
        keys = {"rtp_port": ear_a.port, "more": KNOWN, "outcome": "200 OK", "status": "SIP/2.0 603 Decline"}
        with caller.calling(switch, scenario, keys=keys) as a:
            ear_a.wait_for_tone(TONE_B)
            ear_b.wait_for_tone(TONE_A)
            result, result_b = a.wait(10), b.wait(5)
        assert_ended(first_record(switch), "local", "normal", 200, "OK")
        assert_no_worker_shows(result, switch, b.port)
    for one in (result, result_b):
        assert_followed(one)
    (refer,), (invite,), (ack,) = (one.received(method) for one, method in ((result, "REFER"), (result_b, "INVITE"), (result_b, "ACK")))
    uri, _, headers = refer.header("Refer-To").strip("<>").partition("?")
    asked = {name: unquote(value) for name, value in (pair.split("=", 1) for pair in headers.split("&"))}
    assert uri == b.uri
    assert asked["Require"] == "replaces"
    call_id, *tags = asked["Replaces"].split(";")
    assert call_id == invite.header("Call-ID")
    (to_tag,) = re.findall(r"tag=([^;>]+)", ack.header("To"))
    (from_tag,) = re.findall(r"tag=([^;>]+)", invite.header("From"))
    assert sorted(tags) == [f"from-tag={from_tag}", f"to-tag={to_tag}"]


def test_no_refer_to_one_who_does_not_know_replaces(caller, open_switch, sipp):
    """He would call B once more."""
    with (
        RtpSink(TONE_A) as ear_a,
        RtpSink(TONE_B) as ear_b,
        sipp.uas("uas-200-replaces-bye-expect-200.xml", keys={"rtp_port": ear_b.port}, pause_ms=700) as b,
        open_switch() as switch,
    ):
        switch.on_call(actions=[Answer(), Transfer(b.uri, attended=True)])
        with caller.calling(switch, "uac-200-ack-expect-bye.xml", keys={"rtp_port": ear_a.port, "more": UNKNOWN}) as one:
            ear_a.wait_for_tone(TONE_B)
            ear_b.wait_for_tone(TONE_A)
            result = one.wait(10)
        assert_ended(first_record(switch), "local", "normal", 200, "OK")
        assert_followed(b.wait(5))
    assert_followed(result)
    assert not result.received("REFER")
