"""Being sent on: REFER from the far end, REFER from us, and 3xx answers to our calls."""

from __future__ import annotations

import queue

import pytest

from sipcore import Answer, Call, Connect, Talk, Transfer
from sipcore.events import TransferUpdated
from sipcore.testing.rtp_sink import RtpSink

from .listening import assert_ended, assert_heard, names, outcomes, spoken
from .outside import assert_followed, assert_no_worker_shows, only_record

TONE_A, TONE_B, TONE_C = 500.0, 700.0, 1100.0
ALLOWED = {"trunks": [{"name": "pbx", "addresses": ["127.0.0.1"], "allows_refer": True}]}
"""Every source of these tests is this trunk's."""


def assert_told(result, outcome: int) -> None:
    """NOTIFYs began with 100 and ended with the outcome, which closes the subscription (RFC 3515 §2.4.5)."""
    told = [int(message.body.split()[1]) for message in result.received("NOTIFY")]
    assert (told[0], told[-1]) == (100, outcome)
    assert set(told[1:-1]) <= {180}
    states = [message.header("Subscription-State").partition(";")[0] for message in result.received("NOTIFY")]
    assert states == ["active"] * (len(told) - 1) + ["terminated"]


# ----------------------------------------------------------------------------------------------------- REFER in


def test_a_transfer_is_refused_by_default(outside, open_switch):
    with open_switch(**outside.settings) as switch:
        switch.on_call(actions=[Answer(), Talk("listen " * 8)])
        result = outside.call(switch, "uac-200-refer-expect-603-bye.xml", keys={"refer_to": "sip:premium@127.0.0.1:9"}, pause_ms=100)
        assert_no_worker_shows(result, switch)
        assert len(switch.calls.list().result) == 1


def test_with_nobody_to_transfer_it_is_refused(caller, open_switch):
    """Also on a trunk that may: the caller talks to a recording, which is nobody."""
    with open_switch(**ALLOWED) as switch:
        switch.on_call(actions=[Answer(), Talk("listen " * 8)])
        keys = {"refer_to": "sip:premium@127.0.0.1:9"}
        assert_told(caller.call(switch, "uac-200-refer-expect-outcome-bye.xml", keys=keys, pause_ms=100), 603)
        assert len(switch.calls.list().result) == 1


def test_the_caller_transfers(outside, open_switch, sipp):
    """A calls B through us and sends B to C: A is told of it and hung up, B and C hear each other."""
    with (
        RtpSink(TONE_A) as ear_a,
        RtpSink(TONE_B) as ear_b,
        RtpSink(TONE_C) as ear_c,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_b.port}) as b,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_c.port}) as c,
        open_switch(**ALLOWED, **outside.settings) as switch,
    ):
        switch.on_call(actions=[Connect([b.uri])])
        keys = {"rtp_port": ear_a.port, "refer_to": c.uri}
        with outside.calling(switch, "uac-200-refer-expect-notify-bye.xml", keys=keys, pause_ms=300) as caller:
            result = caller.wait(10)
        ear_b.wait_for_tone(TONE_C)
        ear_c.wait_for_tone(TONE_B)
        (up,) = [record for record in switch.calls.list().result if record.destination.target.endswith(str(c.port))]
        switch.calls.hangup(up.id)
        for uas in (b, c):
            assert_followed(uas.wait(5))
        assert_no_worker_shows(result, switch, c.port)
    assert_followed(result)
    assert_told(result, 200)


def test_a_transfer_that_fails_gives_the_other_one_back(caller, open_switch, sipp):
    """C is busy: A is told, and hears B again."""
    busy = {"status": "SIP/2.0 486 Busy Here", "header": "X-Nothing: 1"}
    with (
        RtpSink(TONE_A) as ear_a,
        RtpSink(TONE_B) as ear_b,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_b.port}) as b,
        sipp.uas("uas-refuse-expect-ack.xml", keys=busy) as c,
        open_switch(**ALLOWED) as switch,
    ):
        switch.on_call(actions=[Connect([b.uri])])
        keys = {"rtp_port": ear_a.port, "refer_to": c.uri}
        with caller.calling(switch, "uac-200-refer-expect-outcome-bye.xml", keys=keys, pause_ms=1500) as sipp_a:
            sipp_a.wait_until(lambda messages: [m for m in messages if "terminated" in m.header("Subscription-State")], "last NOTIFY")
            ear_a.wait_for_tone(TONE_B)
            ear_b.wait_for_tone(TONE_A)
            result = sipp_a.wait(10)
        for one in (b, c):
            assert_followed(one.wait(5))
    assert_followed(result)
    assert_told(result, 486)


def test_the_one_who_was_called_transfers(outside, open_switch, sipp):
    """B, whom we called, sends A to C."""
    with (
        RtpSink(TONE_A) as ear_a,
        RtpSink(TONE_C) as ear_c,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_c.port}) as c,
        sipp.uas("uas-200-refer-expect-notify-bye.xml", keys={"rtp_port": 9, "refer_to": c.uri}, pause_ms=300) as b,
        open_switch(trunks=[{"name": "pbx", "addresses": [b.address], "allows_refer": True, "sources": []}], **outside.settings) as switch,
    ):
        switch.on_call(actions=[Connect([b.uri])])
        with outside.calling(switch, "uac-200-ack-bye-expect-200.xml", keys={"rtp_port": ear_a.port}, pause_ms=3000) as caller:
            result_b = b.wait(10)
            ear_a.wait_for_tone(TONE_C)
            ear_c.wait_for_tone(TONE_A)
            assert_followed(caller.wait(10))
        assert_followed(c.wait(5))
    assert_followed(result_b)
    assert_told(result_b, 200)


# ---------------------------------------------------------------------------------------------------- REFER out


def test_we_transfer_the_caller(outside, open_switch):
    with open_switch(**outside.settings) as switch:
        calls: queue.SimpleQueue[Call] = queue.SimpleQueue()

        @switch.on_call()
        def handler(call: Call) -> None:
            calls.put(call)
            call.answer()
            call.transfer("sip:operator@192.0.2.1:5070")

        result = outside.call(switch, "uac-200-expect-refer-notify-expect-bye.xml", keys={"outcome": "200 OK"})
        call = calls.get(timeout=5)
        record = call.wait(5)
        assert_no_worker_shows(result, switch)
    (refer,) = result.received("REFER")
    assert refer.header("Refer-To") == "<sip:operator@192.0.2.1:5070>"
    told = [(event.sip_code, event.is_final) for event in call.events() if isinstance(event, TransferUpdated)]
    assert told == [(202, False), (180, False), (200, True)]
    assert_ended(record, "local", "normal", 200, "OK")


@pytest.mark.parametrize(
    ("scenario", "outcome"),
    [("uac-200-expect-refer-refuse-expect-bye.xml", "603 Decline"), ("uac-200-expect-refer-notify-expect-bye.xml", "486 Busy Here")],
    ids=["refused", "busy"],
)
def test_a_transfer_that_is_not_done_goes_on_with_the_list(caller, open_switch, ear, scenario, outcome):
    with open_switch() as switch:
        switch.on_call(actions=[Answer(), Transfer("sip:operator@192.0.2.1"), Talk("sorry")])
        result = caller.call(switch, scenario, keys={"outcome": outcome, "status": f"SIP/2.0 {outcome}", "rtp_port": ear.port})
        record = only_record(switch)
    assert_ended(record, "local", "normal", 200, "OK")
    assert_heard(ear, spoken("sorry"))
    assert len(result.received("REFER")) == 1


def test_we_transfer_one_whom_we_called(sipp, open_switch, ear):
    keys = {"rtp_port": ear.port, "outcome": "200 OK"}
    with sipp.uas("uas-200-expect-refer-notify-expect-bye.xml", keys=keys) as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri, actions=[Transfer("sip:operator@192.0.2.1"), Talk("never said")])
        record = call.wait(10)
        result = uas.wait(5)
        assert_no_worker_shows(result, switch, uas.port)
    assert_followed(result)
    assert outcomes(call) == [("transfer", "done")]
    assert_ended(record, "local", "normal", 200, "OK")


# ------------------------------------------------------------------------------------------------------ 3xx


REDIRECTED = {"destination": "tel:+821021656521", "actions": [Talk("found you")]}


def carrier(uas, redirects):
    return {"name": "carrier", "addresses": [uas.address], "redirects": redirects}


FURTHER = {"contact": "sip:further@[local_ip]:[local_port]"}
"""The far end sends callers on to itself, again and again."""


def test_a_redirection_ends_the_call_by_default(sipp, open_switch):
    with sipp.uas("uas-redirect", keys=FURTHER) as uas, open_switch(trunk=uas.trunk) as switch:
        record = switch.calls.create(**REDIRECTED).wait(10)
        result = uas.wait(5)
    assert_followed(result)
    assert_ended(record, "remote", "failed", 302)


def test_a_redirection_is_followed_where_the_trunk_says_so(sipp, open_switch, ear):
    """Over the same trunk, to the URI it names; it stays one call."""
    with (
        sipp.uas("uas-302-unless-moved-200-expect-bye.xml", calls=2, keys={"rtp_port": ear.port}) as uas,
        open_switch(trunks=[carrier(uas, 1)]) as switch,
    ):
        call = switch.calls.create(**REDIRECTED)
        record = call.wait(10)
        result = uas.wait(5)
        assert switch.calls.list().result == (record,)
    assert_followed(result)
    assert [invite.first_line.split()[1] for invite in result.received("INVITE")] == [
        f"sip:+821021656521@{uas.address}", f"sip:moved@{uas.address}",
    ]  # fmt: skip
    assert_ended(record, "local", "normal", 200, "OK")
    assert_heard(ear, spoken("found you"))
    assert names(call).count("CallAnswered") == 1


def test_redirections_are_followed_up_to_a_limit(sipp, open_switch):
    with sipp.uas("uas-redirect", keys=FURTHER, calls=3) as uas, open_switch(trunks=[carrier(uas, 2)]) as switch:
        record = switch.calls.create(**REDIRECTED).wait(10)
        result = uas.wait(5)
    assert_followed(result)
    assert len(result.received("INVITE")) == 3
    assert_ended(record, "remote", "failed", 302)
