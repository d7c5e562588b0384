"""What happens within a call: session timers, re-INVITE, late offers, UPDATE, PRACK, glare, and requests that belong to nothing."""

from __future__ import annotations

import pytest

from sipcore import Answer, Call, Talk, engine
from sipcore.events import CallAnswered, CallHeld, CallMediaStarted, CallResumed
from sipcore.testing.rtp_sink import RtpSink

from .listening import assert_ended, until
from .outside import answers, assert_followed, assert_no_worker_shows, response
from .test_hold import direction_of
from .test_inbound import handled_calls

HELD_BY = {"sendonly": "recvonly", "inactive": "inactive"}
PCMU, PCMA = 0, 8


def oks(result, method="INVITE"):
    """The 200s that came, in order."""
    return [m for m in result.messages if m.is_received and (m.status, m.method) == (200, method)]


@pytest.fixture
def talker():
    """A far end that says a tone."""
    with RtpSink(500.0) as sink:
        yield sink


# ---------------------------------------------------------------------------------------------------- re-INVITE


@pytest.mark.parametrize("hold", ["sendonly", "inactive"])
def test_the_caller_holds_and_resumes(outside, open_switch, talker, hold):
    keys = {"rtp_port": talker.port, "direction": hold, "codecs_2": 0, "direction_2": "sendrecv"}
    with open_switch(**outside.settings) as switch:
        calls = handled_calls(switch)
        with outside.calling(switch, "uac-200-reinvite-twice-bye-expect-200.xml", keys=keys, pause_ms=400) as caller:
            call = calls.get(timeout=5)
            record = call.wait(10)
            result = caller.wait(5)
        assert_no_worker_shows(result, switch)
    assert_followed(result)
    assert [direction_of(ok) for ok in oks(result)] == ["sendrecv", HELD_BY[hold], "sendrecv"]
    assert [type(e) for e in call.events() if isinstance(e, CallHeld | CallResumed)] == [CallHeld, CallResumed]
    assert_ended(record, "remote", "normal", 200, "OK")


def test_the_codec_changes(caller, open_switch, ear):
    """PCMU, PCMA, PCMU again; what we send changes with it."""
    keys = {"rtp_port": ear.port, "codecs": PCMA, "codecs_2": PCMU, "direction_2": "sendrecv"}
    with open_switch() as switch:
        calls = handled_calls(switch)
        with caller.calling(switch, "uac-200-reinvite-twice-bye-expect-200.xml", keys=keys, pause_ms=500) as sipp:
            call = calls.get(timeout=5)
            call.wait(10)
            assert_followed(sipp.wait(5))
    sent = [packet.payload_type for packet in ear.packets]
    changes = [kind for index, kind in enumerate(sent) if index == 0 or sent[index - 1] != kind]
    assert changes == [PCMU, PCMA, PCMU]
    codecs = [event.codec for event in call.events() if isinstance(event, CallMediaStarted)]
    assert codecs == ["PCMU/8000", "PCMA/8000", "PCMU/8000"]


def test_an_invite_without_an_offer(outside, open_switch, ear):
    """The offer is ours, also in a re-INVITE without one."""
    with open_switch(**outside.settings) as switch:
        calls = handled_calls(switch)
        with outside.calling(switch, "uac-no-offer-200-reinvite-no-offer-bye.xml", keys={"rtp_port": ear.port}, pause_ms=400) as caller:
            call = calls.get(timeout=5)
            record = call.wait(10)
            result = caller.wait(5)
        assert_no_worker_shows(result, switch)
    assert_followed(result)
    assert_ended(record, "remote", "normal", 200, "OK")
    assert all("m=audio " in ok.body for ok in oks(result))
    assert len(ear.packets) > 25, "heard before and after the second offer"


def test_update_holds(outside, open_switch):
    """And an UPDATE without SDP, as a refresh is (RFC 4028 §7.4), changes nothing."""
    with open_switch(**outside.settings) as switch:
        calls = handled_calls(switch)
        with outside.calling(switch, "uac-200-update-bye-expect-200.xml", keys={"direction": "sendonly"}, pause_ms=100) as caller:
            call = calls.get(timeout=5)
            until(call, CallHeld)
            record = call.wait(10)
            result = caller.wait(5)
        assert_no_worker_shows(result, switch)
    assert_followed(result)
    assert direction_of(oks(result, "UPDATE")[0]) == "recvonly"
    assert not [event for event in call.events() if isinstance(event, CallResumed)]
    assert_ended(record, "remote", "normal", 200, "OK")


def test_reinvites_that_cross(caller, open_switch):
    """Theirs is refused with 491 (RFC 3261 §14.2), ours is carried out."""
    with open_switch() as switch:
        calls = handled_calls(switch)
        with caller.calling(switch, "uac-200-crossing-reinvites-expect-491-bye.xml", pause_ms=100) as sipp:
            call = calls.get(timeout=5)
            until(call, CallAnswered)  # our side has the ACK: before that no re-INVITE may be sent
            switch._switch.engine.submit(engine.Hold(call.id))
            record = call.wait(20)
            result = sipp.wait(5)
    assert_followed(result)
    (reinvite,) = result.received("INVITE")
    assert "a=sendonly" in reinvite.body
    assert_ended(record, "remote", "normal", 200, "OK")


# -------------------------------------------------------------------------------------------------------- PRACK


def test_a_caller_that_requires_reliable_answers(outside, open_switch, ear):
    with open_switch(**outside.settings) as switch:
        switch.on_call(actions=[Talk("early"), Answer()])
        result = outside.call(switch, "uac-183-prack-200-expect-bye.xml", keys={"rtp_port": ear.port})
        assert_no_worker_shows(result, switch)
    assert "100rel" in response(result, 183).header("Require")


def test_a_callee_that_rings_reliably(sipp, open_switch, ear):
    with sipp.uas("uas-prack", keys={"rtp_port": ear.port, "pause_ms": 0}) as uas, open_switch() as switch:
        record = switch.calls.create(destination=uas.uri).wait(10)
        result = uas.wait(5)
        assert_no_worker_shows(result, switch, uas.port)
    assert_followed(result)
    assert_ended(record, "local", "normal", 200, "OK")


def test_reliable_answers_can_be_off(caller, open_switch, ear):
    """Then nobody has to acknowledge ours who only could."""
    keys = {"rtp_port": ear.port, "more": "Supported: 100rel"}
    with open_switch(reliable_provisional="off") as switch:
        switch.on_call(actions=[Talk("early"), Answer()])
        result = caller.call(switch, "uac-183-200-ack-expect-bye.xml", keys=keys)
    assert not response(result, 183).header("RSeq")


def test_session_timers_can_be_off(sipp, open_switch, ear):
    keys = {"rtp_port": ear.port}
    with sipp.uas("uas-200-expect-bye.xml", keys=keys) as uas, open_switch(session_expires_s=0) as switch:
        switch.calls.create(destination=uas.uri).wait(10)
        (invite,) = uas.wait(5).received("INVITE")
    assert not invite.header("Session-Expires")
    assert "timer" not in invite.header("Supported")


# ----------------------------------------------------------------------------------------------- session timers


def test_session_timers_of_a_call_to_us(outside, open_switch):
    """30 s are refused with the 90 s that we ask for at least, and no call comes of it; then the caller is the one to refresh."""
    with open_switch(**outside.settings) as switch:
        calls = handled_calls(switch)
        result = outside.call(switch, "uac-422-invite-200-bye-expect-200.xml", pause_ms=100)
        answered = calls.get(timeout=5).wait(5)
        assert [call.id for call in switch.calls.list().result] == [answered.id]
        assert_no_worker_shows(result, switch)
    assert answers(result) == [422, 200]
    assert response(result, 422).header("Min-SE") == "90"
    assert response(result, 200).header("Session-Expires") == "90;refresher=uac"
    assert "timer" in response(result, 200).header("Require")
    assert_ended(answered, "remote", "normal", 200, "OK")


def test_session_timers_of_our_calls(sipp, open_switch, ear):
    """We ask for what is configured, and for more when the far end wants more."""
    with (
        sipp.uas("uas-422", keys={"rtp_port": ear.port, "expires_s": 3600}) as uas,
        open_switch(session_expires_s=600, session_min_se_s=120) as switch,
    ):
        record = switch.calls.create(destination=uas.uri).wait(10)
        result = uas.wait(5)
    assert_followed(result)
    assert_ended(record, "local", "normal", 200, "OK")
    first, second = result.received("INVITE")
    assert (first.header("Session-Expires").partition(";")[0], first.header("Min-SE")) == ("600", "120")
    assert (second.header("Session-Expires").partition(";")[0], second.header("Min-SE")) == ("3600", "3600")


@pytest.mark.soak
@pytest.mark.timeout(150)
def test_the_session_is_refreshed_by_us(caller, open_switch):
    """At half of the 90 s (RFC 4028 §10)."""
    with open_switch(rtp_timeout_s=0) as switch:
        calls = handled_long(switch)
        result = caller.call(switch, "uac-200-expect-refresh-bye.xml", timeout_s=90)
        assert calls[0].wait(5).hangup_by == "remote"
    assert len(result.received("UPDATE")) == 1


@pytest.mark.soak
@pytest.mark.timeout(150)
def test_a_session_that_is_not_refreshed_ends(caller, open_switch):
    """Shortly before the 90 s are over (RFC 4028 §10)."""
    with open_switch(rtp_timeout_s=0) as switch:
        calls = handled_long(switch)
        result = caller.call(switch, "uac-200-unrefreshed-expect-bye.xml", timeout_s=110)
        record = calls[0].wait(5)
    assert 50 < record.duration_s < 95
    assert len(result.received("BYE")) == 1


@pytest.mark.soak
@pytest.mark.timeout(90)
def test_an_answer_that_is_never_acknowledged(caller, open_switch):
    """The 200 comes again and again, then BYE after 64*T1 (RFC 3261 §13.3.1.4)."""
    with open_switch(rtp_timeout_s=0) as switch:
        calls = handled_long(switch)
        result = caller.call(switch, "uac-lost-ack-expect-bye.xml", timeout_s=60)
        record = calls[0].wait(5)
    assert answers(result).count(200) >= 10
    assert (record.hangup_by, record.hangup_reason, record.tm_progressing) == ("local", "noanswer", None), record


def handled_long(switch) -> list[Call]:
    """Calls that a handler answers and keeps."""
    calls: list[Call] = []

    @switch.on_call()
    def handler(call: Call) -> None:
        calls.append(call)
        call.answer()
        call.wait(150)

    return calls


# ------------------------------------------------------------------------------------------------- strays


@pytest.mark.parametrize(
    "stray", ["sip:0-00000000000000000000@127.0.0.1", "sip:[service]@[remote_ip]:[remote_port]"], ids=["a wrong token", "no token"]
)
def test_a_request_that_belongs_to_no_dialog(caller, open_switch, stray):
    """481, and the call whose Call-ID it has goes on."""
    with open_switch() as switch:
        calls = handled_calls(switch)
        stray = stray.replace("[service]@[remote_ip]:[remote_port]", f"service@{switch.sip_address}")
        with caller.calling(switch, "uac-200-stray-bye-expect-481-bye.xml", keys={"stray": stray}) as sipp:
            record = calls.get(timeout=5).wait(10)
            result = sipp.wait(5)
    assert_followed(result)
    assert answers(result, "BYE") == [481, 200]
    assert_ended(record, "remote", "normal", 200, "OK")
