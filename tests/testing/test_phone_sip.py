"""The phone's signalling, message by message."""

import hashlib
import re
import time

import pytest
from raw_caller import RawCaller, read_text

from sipcore.testing.phone import CallState, Phone

pytestmark = pytest.mark.sip


def test_answers_and_is_hung_up(phone, caller):
    ok = caller.establish(headers=[("Record-Route", "<sip:127.0.0.1:9;lr>, <sip:127.0.0.1:10;lr>"), ("X-Note", "a")])
    call = phone.wait_call(timeout_s=15)
    call.wait_answered(timeout_s=15)
    assert call.state is CallState.ANSWERED
    assert ok.all("Record-Route") == ["<sip:127.0.0.1:9;lr>", "<sip:127.0.0.1:10;lr>"]
    assert ok.one("Contact") == f"<{phone.uri}>"
    assert f"rport={caller.port};" in ok.one("Via")
    assert "received=127.0.0.1" in ok.one("Via")
    caller.finish()
    call.wait_ended(timeout_s=15)
    assert call.methods_received() == ["INVITE", "ACK", "BYE"]
    assert call.codes_sent() == [180, 200, 200]
    assert (call.sip_code, call.state, call.ended_by) == (200, CallState.ENDED, "remote")
    assert (call.from_uri, call.to_uri) == ("sip:alice@127.0.0.1", phone.uri)
    assert call.headers.get_all("x-NOTE") == ["a"]


def test_hangs_up_by_route_and_contact(phone, caller):
    caller.establish(headers=[("Record-Route", f"<sip:127.0.0.1:{caller.port};lr>"), ("Record-Route", "<sip:p2.example;lr>")])
    phone.wait_call(5).wait_answered(5)
    phone.hangup(reason="Q.850;cause=16")
    bye = caller.expect_request("BYE")
    assert bye.start == f"BYE sip:alice@127.0.0.1:{caller.port} SIP/2.0"
    assert bye.all("Route") == [f"<sip:127.0.0.1:{caller.port};lr>", "<sip:p2.example;lr>"]
    assert bye.one("Reason") == "Q.850;cause=16"
    assert bye.one("From").endswith(f";tag={caller.to_tag}")
    assert bye.one("To").endswith(f";tag={caller.from_tag}")
    caller.reply(bye)
    phone.last_call.wait_ended(5)
    assert phone.last_call.ended_by == "local"


def test_bye_waits_for_the_ack(phone, caller):
    phone.hang_up_after(0)
    caller.invite()
    caller.expect(180, 200)
    caller.ack()
    caller.reply(caller.expect_request("BYE"))
    phone.last_call.wait_ended(5)


def test_bye_is_repeated_until_answered():
    with Phone("bob", t1_s=0.02, goodbye_s=0.02) as phone, RawCaller(phone) as caller:
        caller.establish()
        phone.wait_call(5).wait_answered(5)
        phone.hangup()
        first, second, third = (caller.expect_request("BYE") for _ in range(3))
        assert first == second == third
        caller.reply(third)
        phone.last_call.wait_ended(5)


def test_lost_ack_repeats_the_200_then_hangs_up():
    with Phone("bob", t1_s=0.01, goodbye_s=0.02) as phone, RawCaller(phone) as caller:
        caller.invite()
        caller.expect(180, 200)
        copies = 0
        while (message := caller.receive()).code == 200:
            copies += 1
        assert message.start.startswith("BYE ")
        assert copies >= 5  # after 10, 30, 70, 150, 310 and 630 ms
        caller.reply(message)
        phone.last_call.wait_ended(5)
        assert phone.last_call.ended_by == "local"
        with pytest.raises(AssertionError, match="without an acknowledged answer"):
            phone.last_call.wait_answered(0)


def test_an_ack_stops_the_copies():
    with Phone("bob", t1_s=0.02, goodbye_s=0.02) as phone, RawCaller(phone) as caller:
        caller.invite()
        caller.expect(180, 200, 200)
        caller.ack()
        phone.wait_call(5).wait_answered(5)
        caller.drain()  # copies sent before the ACK came
        assert caller.hears_nothing(0.2)


def test_retransmitted_invite_gets_the_same_answer(phone, caller):
    phone.ring_forever()
    caller.invite()
    ringing = caller.expect(180)
    caller.sip.sendto(caller.raw, caller.target)
    assert caller.expect(180) == ringing
    assert len(phone.calls) == 1
    assert phone.last_call.methods_received() == ["INVITE", "INVITE"]


def test_rejects_with_reason_and_headers(phone, caller):
    phone.reject(486, reason="Leave Me", headers=[("Retry-After", "5")])
    caller.invite()
    busy = caller.expect(486)
    assert busy.start == "SIP/2.0 486 Leave Me"
    assert busy.one("Retry-After") == "5"
    caller.ack_refusal()
    phone.last_call.wait_ended(5)
    assert (phone.last_call.sip_code, phone.last_call.ended_by) == (486, "local")
    assert phone.last_call.methods_received() == ["INVITE", "ACK"]


def test_rings_then_rejects(phone, caller):
    phone.reject(603, after_s=0.05)
    caller.invite()
    caller.expect(180, 603)
    caller.ack_refusal()
    phone.last_call.wait_ended(5)


def test_rings_then_answers(phone, caller):
    phone.ring_for(0.1)
    started = time.monotonic()
    caller.invite()
    caller.expect(180)
    assert phone.last_call.state is CallState.RINGING
    caller.expect(200)
    assert time.monotonic() - started >= 0.1
    caller.ack()
    phone.last_call.wait_answered(5)


def test_cancel(phone, caller):
    phone.ring_forever()
    caller.invite()
    caller.expect(180)
    caller.cancel()
    assert caller.expect(200).one("CSeq") == "1 CANCEL"
    assert caller.expect(487).one("CSeq") == "1 INVITE"
    caller.ack_refusal()
    phone.last_call.wait_ended(5)
    assert (phone.last_call.state, phone.last_call.sip_code, phone.last_call.ended_by) == (CallState.CANCELLED, 487, "remote")
    assert phone.last_call.methods_received() == ["INVITE", "CANCEL", "ACK"]


def test_cancel_after_the_answer_changes_nothing(phone, caller):
    caller.establish()
    caller.cancel()
    caller.expect(200)
    assert phone.last_call.state is CallState.ANSWERED


def test_silent_phone_notes_the_call_only(phone, caller):
    phone.silent()
    caller.invite()
    call = phone.wait_call(5)
    caller.cancel()
    assert caller.hears_nothing(0.1)
    assert call.methods_received() == ["INVITE", "CANCEL"]
    assert (call.state, call.sip_code) == (CallState.INCOMING, 0)


def test_ignored_bye(phone, caller):
    phone.ignore_bye()
    caller.establish()
    caller.bye()
    phone.last_call.wait_ended(5)
    assert caller.hears_nothing(0.1)


def credentials(challenge, method, uri, password="secret"):
    """An independent calculation (RFC 2617 §3.2.2)."""
    field = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    md5 = lambda text: hashlib.md5(text.encode()).hexdigest()  # noqa: E731
    a1, a2 = md5(f"alice:{field['realm']}:{password}"), md5(f"{method}:{uri}")
    response = md5(f"{a1}:{field['nonce']}:00000001:c0ffee:auth:{a2}")
    return (
        f'Digest username="alice", realm="{field["realm"]}", nonce="{field["nonce"]}", uri="{uri}", response="{response}", '
        f'algorithm=MD5, qop=auth, nc=00000001, cnonce="c0ffee"'
    )


@pytest.mark.parametrize(
    ("code", "challenge", "answer"), [(401, "WWW-Authenticate", "Authorization"), (407, "Proxy-Authenticate", "Proxy-Authorization")]
)
def test_digest(phone, caller, code, challenge, answer):
    phone.require_digest("alice", "secret", realm="pbx", code=code, in_dialog=True)
    caller.invite()
    asked = caller.expect(code)
    caller.ack_refusal()
    caller.to_tag = ""
    caller.invite(headers=[(answer, credentials(asked.one(challenge), "INVITE", phone.uri))])
    caller.expect(180, 200)
    caller.ack()
    call = phone.last_call
    call.wait_answered(5)
    caller.bye()
    asked = caller.expect(code)
    caller.bye(headers=[(answer, credentials(asked.one(challenge), "BYE", phone.uri))])
    caller.expect(200)
    call.wait_ended(5)
    assert len(phone.calls) == 1
    assert call.methods_received() == ["INVITE", "ACK", "INVITE", "ACK", "BYE", "BYE"]
    assert answer in call.headers


def test_digest_with_a_wrong_password(phone, caller):
    phone.require_digest("alice", "secret")
    caller.invite()
    asked = caller.expect(401).one("WWW-Authenticate")
    caller.ack_refusal()
    caller.to_tag = ""
    caller.invite(headers=[("Authorization", credentials(asked, "INVITE", phone.uri, password="guess"))])
    caller.expect(403)
    caller.ack_refusal()
    phone.last_call.wait_ended(5)
    assert phone.last_call.sip_code == 403


def test_requests_that_fit_no_dialog(phone, caller):
    caller.bye(to_tag="nobody")
    caller.expect(481)
    caller.send("CANCEL", to_tag="")
    caller.expect(481)
    caller.send("OPTIONS", to_tag="", call_id="options")
    assert "INVITE" in caller.expect(200).one("Allow")
    caller.send("MESSAGE", to_tag="", call_id="message")
    caller.expect(405)
    assert phone.calls == []


def test_unknown_extension_is_refused(phone, caller):
    caller.invite(headers=[("Require", "100rel")])
    assert caller.expect(420).one("Unsupported") == "100rel"
    caller.ack_refusal()
    phone.last_call.wait_ended(5)


def test_old_cseq_in_the_dialog(phone, caller):
    caller.establish()
    caller.send("INFO", cseq=9)
    caller.expect(200)
    caller.bye(cseq=5)
    caller.expect(500)
    caller.bye(cseq=10)
    caller.expect(200)


def test_compact_forms_and_folding(phone, caller):
    body = caller.sdp()
    text = (
        f"INVITE {phone.uri} SIP/2.0\r\nv: SIP/2.0/UDP 10.1.2.3:{caller.port};rport;branch=z9hG4bKc\r\nf: A <sip:a@b>\r\n ;tag=1\r\n"
        f"t: <{phone.uri}>\r\ni: compact\r\nCSeq: 1 INVITE\r\nm: <sip:a@127.0.0.1:{caller.port}>\r\n"
        f"c: application/sdp\r\nl: {len(body)}\r\n\r\n{body}"
    )
    caller.sip.sendto(text.encode(), caller.target)
    assert "received=127.0.0.1" in caller.expect(180).one("Via")
    caller.expect(200)
    assert phone.last_call.from_uri == "sip:a@b"
    assert phone.last_call.headers.get("From") == "A <sip:a@b> ;tag=1"


def test_malformed_datagrams_are_counted(phone, caller):
    caller.send("OPTIONS", to_tag="")
    caller.expect(200)
    good = caller.raw.replace(b"OPTIONS", b"INVITE").replace(b"z9hG4bK", b"z9hG4bKx")
    bad = [good[:length] for length in range(1, len(good) - 4, 7)]  # cut anywhere
    bad += [good.replace(b"CSeq: 1", b"CSeq: x"), good.replace(b"Length: 0", b"Length: 9"), good.replace(b":%d;" % caller.port, b":99999;")]
    bad += [bytes(range(256)), b"\xff" * 1400, b"SIP/2.0 999 No\r\n\r\n"]
    for datagram in [b"\r\n\r\n", *bad]:
        caller.sip.sendto(datagram, caller.target)
    caller.send("OPTIONS", to_tag="")
    caller.expect(200)
    assert phone.malformed == len(bad)
    assert phone.calls == []


def test_many_calls_at_once(phone):
    phone.answer_after(0.05)
    callers = [RawCaller(phone) for _ in range(40)]
    try:
        for caller in callers:
            caller.invite()
        for caller in callers:
            caller.expect(180, 200)
            caller.ack()
        calls = phone.calls
        for call in calls:
            call.wait_answered(5)
        assert {call.call_id for call in calls} == {caller.call_id for caller in callers}
        for caller in callers:
            caller.finish()
        for call in calls:
            call.wait_ended(5)
            assert call.methods_received() == ["INVITE", "ACK", "BYE"]
    finally:
        for caller in callers:
            caller.__exit__()


def test_each_call_keeps_the_script_of_its_arrival(phone, caller):
    phone.ring_forever()
    caller.invite()
    caller.expect(180)
    phone.reject(480)
    with RawCaller(phone) as second:
        second.invite()
        second.expect(480)
        second.ack_refusal()
        phone.calls[1].wait_ended(5)
    assert [call.state for call in phone.calls] == [CallState.RINGING, CallState.ENDED]


def test_closing_says_bye_and_takes_no_longer_than_promised():
    phone = Phone("bob")
    phone.start()
    with RawCaller(phone) as answered, RawCaller(phone) as ringing:
        answered.establish()
        phone.last_call.wait_answered(5)
        phone.ring_forever()
        ringing.invite()
        ringing.expect(180)
        started = time.monotonic()
        phone.close()
        assert time.monotonic() - started < 2
        answered.expect_request("BYE")
        ringing.expect(480)
    phone.close()
    assert [call.ended_by for call in phone.calls] == ["local", "local"]


def test_waits_say_what_they_saw(phone, caller):
    with pytest.raises(TimeoutError, match="nobody called bob"):
        phone.wait_call(0.01)
    with pytest.raises(AssertionError, match="nobody called bob"):
        phone.assert_silence()
    phone.ring_forever()
    caller.invite()
    caller.expect(180)
    with pytest.raises(TimeoutError, match="< INVITE > 180"):
        phone.last_call.wait_answered(0.01)


def test_wrong_use():
    phone = Phone("bob")
    with pytest.raises(RuntimeError, match="not started"):
        _ = phone.uri
    for wrong in [lambda: phone.reject(200), lambda: phone.require_digest("a", "b", code=403), lambda: Phone(host="0.0.0.0")]:
        with pytest.raises(ValueError, match=r".+"):
            wrong()


def test_trace_has_the_whole_text(phone, caller):
    caller.establish()
    caller.finish()
    call = phone.last_call
    call.wait_ended(5)
    assert [message.direction for message in call.messages] == ["in", "out", "out", "in", "in", "out"]
    assert call.messages[0].at_s <= call.messages[-1].at_s
    assert read_text(call.messages[1].text).one("Call-ID") == caller.call_id


def test_a_taken_port_leaves_nothing_behind(phone):
    second = Phone("carol", port=phone.sip_port)
    with pytest.raises(OSError, match="in use"):
        second.start()


def test_reset_forgets_every_order(phone, caller):
    phone.early_media(425)
    phone.reject(486)
    phone.reset()
    caller.establish()
    caller.finish()
