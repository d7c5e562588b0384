"""Ten tests of a small office PBX. Nothing in them is about how it is made: point `pbx.py` at yours."""

from __future__ import annotations

import pytest
from pbx import ANNOUNCEMENT, COMPANY_NUMBER, PASSWORD, RINGING_S

from sipcore import LoadPlan
from sipcore.load import Thresholds, judge
from sipcore.siplint import lint

ALICE_HZ, BOB_HZ = 440.0, 1000.0


def test_it_is_there(pbx, sipp):
    result = sipp.uac("uac-options", target=pbx.address, calls=10, rate=50, timeout_s=10)
    assert (result.successful, result.failed) == (10, 0)


def test_registering_needs_the_password(pbx, extension, phone):
    extension("201")
    with pytest.raises(AssertionError, match="refused to register 202: 401"):
        phone.register(pbx.uri("202"), "202", "wrong")
    stranger = phone.call(pbx.uri("201"))
    stranger.wait_ended(5)
    assert stranger.sip_code == 407


def test_announcement(pbx, extension):
    call = extension("201").call(pbx.uri("100"))
    call.wait_packets(90, timeout_s=10)  # 1.8 seconds
    call.hang_up()
    assert call.assert_heard(ANNOUNCEMENT).delay_s < 0.5
    call.assert_not_clipped()
    assert call.quality().mos > 4


def test_extensions_hear_each_other(pbx, extension):
    alice, bob = extension("201"), extension("202")
    alice.tone(ALICE_HZ)
    bob.tone(BOB_HZ)
    call = alice.call(pbx.uri("202"))
    call.wait_packets(50, timeout_s=5)
    bob.last_call.wait_packets(50, timeout_s=5)
    bob.hangup()
    call.wait_ended(5)
    alice.assert_tone(BOB_HZ, min_s=0.5)
    bob.assert_tone(ALICE_HZ, min_s=0.5)
    assert call.ended_by == "remote"
    assert lint(call.traced()) == ()


def test_keys_arrive(pbx, extension):
    alice, bob = extension("201"), extension("202")
    alice.send_digits("*21#")
    call = alice.call(pbx.uri("202"))
    bob.wait_call(5).wait_digits(4, timeout_s=5)
    call.hang_up()
    bob.assert_digits("*21#")


def test_why_a_call_failed(pbx, extension, switch):
    extension("201").reject(486)
    busy = switch.calls.create(destination=pbx.uri("201")).wait(10)
    assert (busy.hangup_by, busy.hangup_reason, busy.sip_code) == ("remote", "busy", 486)
    unknown = switch.calls.create(destination=pbx.uri("555")).wait(10)
    assert unknown.sip_code == 404


def test_giving_up_stops_the_ringing(pbx, extension):
    alice, bob = extension("201"), extension("202")
    bob.ring_forever()
    call = alice.call(pbx.uri("202"))
    ringing = bob.wait_call(5)
    call.hang_up()
    call.wait_ended(5)
    ringing.wait_ended(5)
    assert (call.sip_code, ringing.sip_code) == (487, 487)
    assert lint(ringing.traced()) == ()


def test_nobody_answers(pbx, extension):
    alice, bob = extension("201"), extension("202")
    bob.ring_forever()
    call = alice.call(pbx.uri("202"))
    call.wait_packets(90, timeout_s=RINGING_S + 10)
    call.hang_up()
    call.assert_heard(ANNOUNCEMENT)
    assert bob.last_call.sip_code == 487, "and his telephone has stopped ringing"


def test_a_line_outside(pbx, extension, trunk):
    trunk.phone.register(pbx.uri("provider"), "provider", PASSWORD)
    call = extension("201").call(pbx.uri("0441632960111"))
    call.wait_answered(5)
    invite = trunk.phone.last_call
    call.hang_up()
    assert invite.messages[0].text.startswith("INVITE sip:441632960111@")
    assert invite.headers.get("P-Asserted-Identity") == f"<tel:{COMPANY_NUMBER}>"


def test_ten_callers_at_once(pbx, switch):
    report = switch.load(LoadPlan(pbx.uri("100"), calls=10, rate=10, hold_s=0.5))
    verdicts = judge(report, Thresholds(max_failed="0%", max_p99_setup_ms=1000, min_mos=4))
    assert all(verdict.is_met for verdict in verdicts), report
    assert report.silent == 0
