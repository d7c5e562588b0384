"""Calls that the phone makes, and what it does wrong when it is told to."""

import pytest

from sipcore.testing.phone import CallState, Phone

pytestmark = pytest.mark.sip


@pytest.fixture
def alice():
    with Phone("alice", goodbye_s=0.5) as alice:
        yield alice


@pytest.fixture
def bob():
    with Phone("bob", goodbye_s=0.5) as bob:
        yield bob


def test_calls_and_talks(alice, bob):
    alice.tone(440)
    bob.tone(1000)
    call = alice.call(bob.uri)
    call.wait_answered(5)
    other = bob.wait_call(5)
    call.wait_packets(20, 5)
    other.wait_packets(20, 5)
    alice.hangup(reason="Q.850;cause=16")
    call.wait_ended(5)
    other.wait_ended(5)
    call.assert_tone(1000)
    other.assert_tone(440, min_s=0.2)
    assert (call.sip_code, call.ended_by, call.state) == (200, "local", CallState.ENDED)
    assert (other.from_uri, other.ended_by) == (alice.uri, "remote")
    assert call.codes_received() == [180, 200, 200]
    assert other.methods_received() == ["INVITE", "ACK", "BYE"]
    assert "Reason: Q.850;cause=16" in other.messages[-2].text
    assert call.quality().mos > 4


def test_is_hung_up_and_pressed_at(alice, bob):
    bob.send_digits("42#")
    bob.hangup_after(0.8)
    call = alice.call(bob.uri)
    call.wait_ended(5)
    call.assert_digits("42#")
    with pytest.raises(AssertionError, match=r"key 2 is '2' at 0\.\d\d s instead of '5'"):
        call.assert_digits("45#")
    assert call.ended_by == "remote"


def test_hears_early_media(alice, bob):
    bob.early_media(425)
    bob.ring_forever()
    call = alice.call(bob.uri)
    call.wait_packets(10, 5)
    assert call.state is CallState.EARLY
    call.assert_tone(425)
    call.hang_up()
    call.wait_ended(5)
    assert (call.state, call.sip_code, call.ended_by) == (CallState.CANCELLED, 487, "local")
    assert bob.last_call.state is CallState.CANCELLED


def test_is_refused(alice, bob):
    bob.reject(486)
    call = alice.call(bob.uri)
    call.wait_ended(5)
    bob.last_call.wait_ended(5)
    assert (call.sip_code, call.ended_by) == (486, "remote")
    assert bob.last_call.methods_received() == ["INVITE", "ACK"]


@pytest.mark.parametrize("code", [401, 407])
def test_says_who_it_is(alice, bob, code):
    bob.require_digest("alice", "secret", code=code)
    call = alice.call(bob.uri, username="alice", password="secret")
    call.wait_answered(5)
    assert call.codes_received() == [code, 180, 200]
    refused = alice.call(bob.uri, username="alice", password="wrong")
    refused.wait_ended(5)
    assert refused.sip_code == 403


def test_nobody_there():
    with Phone("alice", t1_s=0.005) as alice, Phone("bob") as bob:
        bob.silent()
        call = alice.call(bob.uri)
        call.wait_ended(5)
        assert (call.sip_code, call.ended_by) == (408, "local")
        assert len(call.messages) > 5


def test_only_within_reach(alice):
    for uri in ("tel:+1", "sip:bob@example.org", "sip:bob@192.0.2.1"):
        with pytest.raises(ValueError, match="within its reach"):
            alice.call(uri)


def test_late_ringback(alice, bob):
    bob.misbehave(late_ringback=True)
    call = alice.call(bob.uri)
    call.wait_answered(5)
    alice.hangup()
    call.wait_ended(5)
    assert call.codes_received() == [180, 200, 180, 200]


def test_no_ack():
    with Phone("alice", goodbye_s=0.1) as alice, Phone("bob", t1_s=0.01, goodbye_s=0.1) as bob:
        alice.misbehave(no_ack=True)
        call = alice.call(bob.uri)
        call.wait_ended(5)
        assert "ACK" not in bob.last_call.methods_received()
        assert bob.last_call.codes_sent().count(200) > 3
        assert call.ended_by == "remote"  # RFC 3261 §13.3.1.4


def test_two_byes_and_none_answered(alice, bob):
    alice.misbehave(double_bye=True)
    call = alice.call(bob.uri)
    call.wait_answered(5)
    call.hang_up()
    call.wait_ended(5)
    assert bob.last_call.methods_received().count("BYE") == 2
    bob.misbehave(no_answer_to_bye=True)
    bob.hangup()
    assert bob.calls[-1].ended_by == "remote"


def test_one_way(alice, bob):
    bob.misbehave(one_way=True)
    alice.tone(440)
    call = alice.call(bob.uri)
    bob.wait_call(5).wait_packets(10, 5)
    bob.assert_tone(440)
    with pytest.raises(AssertionError, match="no audio at all"):
        call.assert_tone(440)


def test_a_bad_network_either_way(alice, bob):
    from sipcore.testing import Impairment

    alice.tone(440)
    alice.impair(Impairment(loss=0.2, seed=4))
    bob.impair(received=Impairment(duplicate=1))
    call = alice.call(bob.uri)
    other = bob.wait_call(5)
    other.wait_packets(80, 5)
    call.hang_up()
    call.wait_ended(5)
    assert other.lost_packets > 3
    assert other.quality().mos < 3.5
    assert call.quality().mos > 4
    sequences = [packet.sequence for packet in other.packets]
    assert len(sequences) >= 2 * len(set(sequences)) - 2
