"""Calls from outside that are not taken: chosen codes, no rule, unknown sources, no room, no way on, what we cannot do."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from sipcore import Answer, Call, Connect, Reject, Talk

from .listening import assert_ended, assert_heard, spoken
from .outside import DEFAULT_KEYS, answers, assert_followed, assert_no_worker_shows, only_record, response

ELSEWHERE = "127.0.0.2"
SCENARIOS = Path(__file__).parent / "scenarios"
REFUSED = "uac-expect-refusal.xml"


@pytest.mark.parametrize(
    ("code", "phrase", "reason"), [(486, "", "busy"), (480, "Gone Fishing", "noanswer"), (603, "", "noanswer"), (404, "", "normal")]
)
def test_a_chosen_code(caller, open_switch, code, phrase, reason):
    with open_switch() as switch:
        switch.on_call(actions=[Reject(code, phrase)])
        result = caller.call(switch, REFUSED)
        record = only_record(switch)
        assert_no_worker_shows(result, switch)
    assert answers(result) == [code]
    if phrase:
        assert response(result, code).first_line == f"SIP/2.0 {code} {phrase}"
    assert_ended(record, "local", reason, code)


def test_a_chosen_code_over_each_transport_after_early_media(outside, open_switch, ear):
    """An announcement that costs nothing, and then the refusal."""
    with open_switch(**outside.settings) as switch:
        switch.on_call(actions=[Talk("all lines are busy"), Reject(486)])
        result = outside.call(switch, REFUSED, keys={"rtp_port": ear.port})
        record = only_record(switch)
        assert_no_worker_shows(result, switch)
    assert answers(result) == [183, 486]
    assert_ended(record, "local", "busy", 486)
    assert_heard(ear, spoken("all lines are busy"))


@pytest.mark.parametrize("code", [486, 403])
def test_a_handler_rejects(caller, open_switch, code):
    with open_switch() as switch:

        @switch.on_call()
        def handler(call: Call) -> None:
            call.reject(code)

        assert answers(caller.call(switch, REFUSED)) == [code]
        assert only_record(switch).sip_code == code


def test_a_handler_hangs_up_without_an_answer(caller, open_switch):
    with open_switch() as switch:

        @switch.on_call()
        def handler(call: Call) -> None:
            call.hangup()

        assert answers(caller.call(switch, REFUSED)) == [603]


def test_a_list_that_never_answers(caller, open_switch):
    """Nothing is answered by default: at the end of the list the caller is told that nobody is there."""
    with open_switch() as switch:
        switch.on_call(actions=[Talk("hm")])
        assert answers(caller.call(switch, REFUSED)) == [183, 480]


def test_a_handler_that_fails(caller, open_switch):
    with open_switch() as switch:

        @switch.on_call()
        def handler(call: Call) -> None:
            raise KeyError("a fault of the user's")

        assert answers(caller.call(switch, REFUSED)) == [500]
        assert only_record(switch).hangup_reason == "failed"
        switch.on_call(to="other", actions=[Reject(486)])


def test_no_rule_is_404(outside, open_switch):
    with open_switch(**outside.settings) as switch:
        switch.on_call(to="somebody-else", actions=[Answer()])
        result = outside.call(switch, REFUSED)
        assert switch.calls.list().result == ()
        assert_no_worker_shows(result, switch)
    assert answers(result) == [404]


def test_an_unknown_source_is_403(caller, open_switch):
    """The rule would take the call, the source is no one's."""
    with open_switch(accept_from=["127.0.0.1"]) as switch:
        switch.on_call(actions=[Answer()])
        result = caller.call(switch, REFUSED, host=ELSEWHERE, keys={"media_at": f"IP4 {ELSEWHERE}"})
        assert answers(result) == [403]
        assert answers(caller.call(switch, "uac-200-ack-expect-bye.xml")) == [200]
        assert len(switch.calls.list().result) == 1


def test_a_trunks_source_is_known(caller, open_switch):
    """By its address; its calls are a flow, and P-Asserted-Identity is believed."""
    trunk = {"name": "carrier", "addresses": [ELSEWHERE]}
    identity = "P-Asserted-Identity: <sip:+821021656521@carrier.example>"
    with open_switch(accept_from=[], trunks=[trunk]) as switch:
        switch.on_call(trunk="carrier", source="+82*", actions=[Answer()])
        result = caller.call(switch, "uac-200-ack-expect-bye.xml", host=ELSEWHERE, keys={"more": identity}, user="+15551230000")
        record = only_record(switch)
        assert answers(caller.call(switch, REFUSED)) == [403]
    assert answers(result) == [200]
    assert (record.type, str(record.source), str(record.destination)) == ("flow", "tel:+821021656521", "tel:+15551230000")


def test_a_full_switch_is_503(caller, open_switch):
    """With Retry-After; when the call before is over there is room again."""
    with open_switch(max_legs=1) as switch:
        answered, over = threading.Event(), threading.Event()

        @switch.on_call(legs=1)
        def handler(call: Call) -> None:
            call.answer()
            answered.set()
            call.wait(20)
            over.set()

        with caller.calling(switch, "uac-200-ack-bye-expect-200.xml", pause_ms=1500) as first:
            assert answered.wait(5)
            refusal = response(caller.call(switch, REFUSED), 503)
            assert int(refusal.header("Retry-After")) > 0
            assert_followed(first.wait(5))
        assert over.wait(5)
        assert answers(caller.call(switch, "uac-200-ack-bye-expect-200.xml")) == [200]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"max_forwards": 0}, 483),
        ({"media_at": "IP6 ::1"}, 488),
        ({"codecs": 18}, 488),
        ({"codecs": 96}, 400),
        ({"more": "Require: frobnication"}, 420),
        ({"more": "Proxy-Require: frobnication"}, 420),
        ({"more": "Content-Encoding: gzip"}, 415),
    ],
    ids=[
        "no hops left",
        "IPv6 media",
        "no codec",
        "a codec without a name",
        "unknown extension",
        "unknown extension of proxies",
        "unknown encoding",
    ],
)
def test_what_we_cannot_do(caller, open_switch, keys, code):
    with open_switch() as switch:
        switch.on_call(actions=[Answer()])
        result = caller.call(switch, REFUSED, keys=keys)
        assert_no_worker_shows(result, switch)
        assert answers(caller.call(switch, "uac-200-ack-expect-bye.xml")) == [200], "it goes on"
    assert answers(result) == [code]
    refusal = response(result, code)
    if code == 420:
        assert refusal.header("Unsupported") == "frobnication"
    if "media_at" in keys:
        assert "IPv6" in refusal.header("Warning"), refusal.text


def test_options_are_answered_by_the_front_door(outside, open_switch):
    """Also with no rule, and for a source that may not call."""
    with open_switch(accept_from=[], **outside.settings) as switch:
        result = outside.call(switch, "uac-options-expect-200.xml")
        assert_no_worker_shows(result, switch)
        assert switch.calls.list().result == ()
    allowed = response(result, 200, "OPTIONS").header("Allow").replace(" ", "").split(",")
    assert {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "PRACK", "REFER", "NOTIFY"} <= set(allowed)


def test_an_unknown_method_is_501(outside, open_switch):
    with open_switch(**outside.settings) as switch:
        result = outside.call(switch, "uac-unknown-method-expect-501.xml")
        assert_no_worker_shows(result, switch)


def test_a_request_that_came_by_two_ways_is_482(caller, open_switch):
    with open_switch() as switch:
        switch.on_call(actions=[Answer(), Talk("so long " * 10)])
        result = caller.call(switch, "uac-200-merged-expect-482-bye.xml", pause_ms=100)
        assert answers(result) == [200, 482]
        switch.run(switch._switch.wait_idle(5))
        assert len(switch.calls.list().result) == 1


def test_a_call_to_ourselves_is_a_loop(open_switch):
    """It would place the next one, and so on: refused at its first return (RFC 3261 §16.3)."""
    with open_switch() as switch:
        us = f"sip:service@{switch.sip_address}"
        switch.on_call(actions=[Connect([us])])
        record = switch.calls.create(destination=us).wait(10)
        assert switch.calls.list().result == (record,)
    assert_ended(record, "remote", "failed", 482)


def test_every_default_key_is_needed():
    """The keys that every call gets are ones that a scenario asks for."""
    texts = [path.read_text() for path in SCENARIOS.glob("uac-*.xml")]
    assert all(any(f"[{name}]" in text for text in texts) for name in DEFAULT_KEYS)
