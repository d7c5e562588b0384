"""The options of connect over real SIP and RTP: what each party hears, and what stands in the INVITE."""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import pytest

from media.measure import best_match, tone_level_db
from sipcore import Confirm, Connect, Talk
from sipcore.testing.phone import Phone
from sipcore.testing.rtp_sink import RtpSink

from .listening import ALIKE, RATE_HZ, assert_ended, finished, legs, outcomes, spoken, write_burst
from .outside import answers

TONE_A, TONE_B, TONE_C = 500.0, 900.0, 1300.0
RINGBACK = (440.0, 480.0)
QUESTION = Confirm("press one", timeout_s=3)


@pytest.fixture
def phones():
    """Three phones, each with a tone of its own; the first calls nobody and answers at once."""
    with ExitStack() as stack:
        made = [stack.enter_context(Phone(name=name)) for name in "abc"]
        for phone, hz in zip(made, (TONE_A, TONE_B, TONE_C), strict=True):
            phone.tone(hz)
        yield made


def seconds_of(samples, hz: float) -> float:
    """How long a tone was heard."""
    window = RATE_HZ // 10
    return sum(tone_level_db(samples[at : at + window], hz, RATE_HZ) > -30 for at in range(0, len(samples) - window, window)) / 10


def until_heard(phone: Phone, hz: float, seconds: float, timeout_s: float = 15.0) -> None:
    """Wait until the phone has heard so much of a tone, however many frames a busy machine leaves out."""
    end_s = time.monotonic() + timeout_s
    while (so_far := seconds_of(phone.last_call.heard(), hz)) < seconds:
        assert time.monotonic() < end_s, f"{so_far:.1f} s of {hz:g} Hz within {timeout_s:g} s"
        phone.last_call.wait_packets(len(phone.last_call.packets) + 10, timeout_s)


def heard_at_end(phone: Phone, hz: float) -> bool:
    return bool(tone_level_db(phone.last_call.heard()[-RATE_HZ // 2 :], hz, RATE_HZ) > -30)


# --------------------------------------------------------------------------------------------------------- meanwhile


def test_early_media_is_heard_before_the_answer(phones, open_switch):
    """The announcement of a network that then refuses: A hears it in place of the ringback, and the ringback after it."""
    a, b, c = phones
    b.early_media(TONE_B)
    b.reject(486, after_s=1.5)
    c.answer_after(2.5)
    with open_switch() as switch:
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri, c.uri], early_media=True)])
        c.wait_call(10).wait_answered(10)
        until_heard(a, TONE_C, 0.3)
        call.hangup()
        assert_ended(call.wait(10), "local", "normal", 200)
    heard = a.last_call.heard()
    assert 0.7 <= seconds_of(heard, TONE_B) <= 2.2
    assert 0.3 <= seconds_of(heard, RINGBACK[0]) <= 1.8, "before the announcement for a moment, after it until the answer"


def test_early_media_goes_on_into_the_answer(phones, open_switch):
    a, b, _ = phones
    b.early_media(TONE_B)
    b.answer_after(1.0)
    with open_switch() as switch:
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri], early_media=True)])
        b.wait_call(10).wait_answered(10)
        early_s = seconds_of(a.last_call.heard(), TONE_B)
        until_heard(a, TONE_B, early_s + 0.5)
        until_heard(b, TONE_A, 0.3)
        call.hangup()
        call.wait(10)
    assert early_s >= 0.4
    assert seconds_of(a.last_call.heard(), RINGBACK[0]) <= 0.7


def test_ringback_of_its_own(phones, open_switch, tmp_path):
    a, b, _ = phones
    b.answer_after(1.9)
    music = write_burst(tmp_path / "music.wav", 0.5)
    with open_switch() as switch:
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri], ringback="music.wav")])
        b.wait_call(10).wait_answered(10)
        until_heard(a, TONE_B, 0.3)
        call.hangup()
        call.wait(10)
    heard = a.last_call.heard()
    found = best_match(heard, music, RATE_HZ)
    assert found.correlation > ALIKE
    begin = max(0, round(found.delay_s * RATE_HZ))
    others = np.concatenate((heard[:begin], np.zeros(len(music), np.int16), heard[begin + len(music) :]))
    assert best_match(others, music, RATE_HZ).correlation > 0.6, "it is played in a loop, of which a busy machine leaves frames out"


# ---------------------------------------------------------------------------------------------------------- in order


def test_in_order_more_than_a_worker_has_legs(phones, open_switch):
    """Five refuse one after the other; the sixth answers. At no time are there more than two legs."""
    a, b, c = phones
    b.reject(486)
    with open_switch(max_legs=2) as switch:
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri] * 5 + [c.uri], ring="in_order")])
        c.wait_call(10).wait_answered(5)
        c.last_call.wait_packets(25, 5)
        call.hangup()
        assert_ended(call.wait(10), "local", "normal", 200)
        records = legs(switch, call)
    assert len(b.calls) == 5
    assert [leg.sip_code for leg in records] == [486] * 5 + [200]
    assert all(before.tm_hangup <= after.tm_create for before, after in pairwise(records))
    assert heard_at_end(c, TONE_A)


def test_in_order_the_next_rings_when_one_rang_too_long(phones, open_switch):
    a, b, c = phones
    b.ring_forever()
    c.hang_up_after(0.5)
    with open_switch() as switch:
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri, c.uri], ring="in_order", leg_timeout_s=0.6), Talk("done")])
        assert_ended(call.wait(10), "local", "normal", 200)
        slow, answered = legs(switch, call)
    assert_ended(slow, "local", "dialout", 487)
    assert_ended(answered, "remote", "normal", 200)
    assert "CANCEL" in b.last_call.methods_received()
    assert outcomes(call) == [("connect", "done"), ("talk", "done")]


# ------------------------------------------------------------------------------------------------------------ asking


def test_who_presses_the_key_is_bridged(phones, open_switch):
    """Both answer and are asked. C presses it; B, who does not, is hung up and has heard nobody."""
    a, b, c = phones
    c.send_digits_after(1.2, "1")
    b.send_digits_after(0.4, "7")
    with open_switch() as switch:
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri, c.uri], confirm=QUESTION)])
        b.wait_call(5).wait_ended(10)
        until_heard(a, TONE_C, 0.4)
        until_heard(c, TONE_A, 0.6)
        call.hangup()
        assert_ended(call.wait(10), "local", "normal", 200)
        declined, accepted = legs(switch, call)
    assert_ended(declined, "local", "normal", 200)
    assert_ended(accepted, "local", "normal", 200)
    for asked in (b, c):
        asked.last_call.assert_heard(spoken(QUESTION.text))
    assert heard_at_end(c, TONE_A)
    assert seconds_of(b.last_call.heard(), TONE_A) == 0
    heard = a.last_call.heard()
    assert seconds_of(heard, RINGBACK[0]) >= 0.8, "ringback while they are asked"
    assert (seconds_of(heard, TONE_B), seconds_of(heard, TONE_C) > 0.3) == (0, True)


def test_nobody_presses_the_key(phones, open_switch):
    a, b, _ = phones
    with open_switch() as switch:
        question = Confirm("press one", timeout_s=0.4)
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri], confirm=question), Talk("sorry")])
        call.wait(10)
    assert outcomes(call) == [("connect", "failed"), ("talk", "done")]
    assert [result.answered for result in finished(call, 0).legs] == [True]
    a.last_call.assert_heard(spoken("sorry"))
    assert seconds_of(a.last_call.heard(), TONE_B) == 0


# ------------------------------------------------------------------------------------------------------ what is shown


def test_hidden_caller_and_headers(phones, open_switch):
    """A trunk that is trusted is told who calls, with Privacy; somebody else nothing."""
    a, b, c = phones
    b.reject(486)
    c.reject(486)
    trunk = {"name": "carrier", "addresses": [b.uri.partition("@")[2]], "p_asserted_identity": True}
    options = {"anonymous": "yes", "source": "sip:boss@secret.example", "headers": {"X-Account": "7"}}
    with open_switch(trunks=[trunk]) as switch:
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri], **options), Connect([c.uri], **options)])
        call.wait(10)
    trusted, other = b.last_call.headers, c.last_call.headers
    for headers in (trusted, other):
        assert headers.get("From").startswith('"Anonymous" <sip:anonymous@anonymous.invalid>')
        assert (headers.get("Privacy"), headers.get("X-Account")) == ("id", "7")
    assert trusted.get("P-Asserted-Identity") == "<sip:boss@secret.example>"
    assert "boss" not in repr(other)


def test_name_of_the_caller(phones, open_switch):
    a, b, _ = phones
    b.reject(486)
    with open_switch() as switch:
        connect = Connect([b.uri], source="sip:desk@pbx.example", source_name='The "Desk"')
        switch.calls.create(destination=a.uri, actions=[connect]).wait(10)
    assert b.last_call.headers.get("From").startswith(r'"The \"Desk\"" <sip:desk@pbx.example>')


# -------------------------------------------------------------------------------------------------------- how it ends


@pytest.mark.parametrize("code", [404, 486, 603])
def test_caller_is_refused_as_the_others_refuse(phones, open_switch, caller, code):
    _, b, _ = phones
    b.reject(code)
    with open_switch() as switch:
        switch.on_call(actions=[Connect([b.uri], relay_reason=True)])
        result = caller.call(switch, "uac-expect-refusal.xml")
        leg, record = switch.calls.list().result
    assert answers(result)[-1] == code
    assert (record.sip_code, record.hangup_by, record.hangup_reason) == (code, "local", leg.hangup_reason)


def test_the_two_may_talk_for_so_long(phones, open_switch):
    a, b, _ = phones
    with open_switch() as switch:
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri], max_duration_s=0.8), Talk("time is up")])
        assert_ended(call.wait(10), "local", "normal", 200)
        (leg,) = legs(switch, call)
    assert_ended(leg, "local", "timeout", 200)
    assert b.last_call.ended_by == "remote"
    a.last_call.assert_heard(spoken("time is up"))


def test_an_unchained_leg_lives_on(phones, open_switch):
    a, b, _ = phones
    with open_switch() as switch:
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri], unchained=True)])
        b.wait_call(5).wait_packets(25, 5)
        a.hangup()
        assert_ended(call.wait(10), "remote", "normal", 200)
        with pytest.raises(TimeoutError):
            b.last_call.wait_ended(0.6)
        assert not heard_at_end(b, TONE_A)
        b.hangup()
        b.last_call.wait_ended(5)


# ----------------------------------------------------------------------------------------------------------- handlers


def test_a_handler_that_has_returned_leaves_the_two_talking(phones, open_switch, caller):
    """`connect` returns when B has answered. The handler is over at once; the two talk until the caller hangs up."""
    _, b, _ = phones
    told = []
    with RtpSink(TONE_C) as ear, open_switch() as switch:

        @switch.on_call()
        def handler(call):
            leg = call.connect(b.uri)
            told.append(leg.record.status)

        result = caller.call(switch, "uac-200-ack-bye-expect-200.xml", keys={"rtp_port": ear.port}, pause_ms=1200)
        b.last_call.wait_ended(5)
        heard = ear.heard()
        record = switch.calls.list().result[-1]
    assert result.failed == 0
    assert told == ["progressing"]
    assert (record.hangup_by, record.hangup_reason) == ("remote", "normal")
    assert seconds_of(heard, TONE_B) >= 0.8
    assert seconds_of(b.last_call.heard(), TONE_C) >= 0.8


def test_a_handler_goes_on_when_they_have_talked(phones, open_switch, caller):
    _, b, _ = phones
    b.hang_up_after(0.6)
    told = []
    with RtpSink(TONE_C) as ear, open_switch() as switch:

        @switch.on_call()
        def handler(call):
            leg = call.connect(b.uri)
            told.extend([leg.record.status, leg.ended().hangup_by])
            call.talk("goodbye")

        result = caller.call(switch, "uac-200-ack-expect-bye.xml", keys={"rtp_port": ear.port})
        heard = ear.heard()
    assert result.failed == 0
    assert told == ["progressing", "remote"]
    assert seconds_of(heard, TONE_B) >= 0.3
