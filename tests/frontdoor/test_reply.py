from __future__ import annotations

import pytest

from sipcore.frontdoor.grammar import Malformed
from sipcore.frontdoor.message import Message, NameAddr, parse
from sipcore.frontdoor.reply import phrase_of, reply_to

INVITE = (
    b"INVITE sip:1000@198.51.100.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport=1;received=192.0.2.9\r\n"
    b"Via: SIP/2.0/TCP c.example;branch=z9hG4bKb, SIP/2.0/UDP d.example\r\n"
    b"From: <sip:alice@example.com>;tag=1\r\n"
    b"To: <sip:bob@example.com>\r\n"
    b"Call-ID: abc\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Timestamp: 54\r\n"
    b"\r\n"
)


def answer(code: int, data: bytes = INVITE, **more: object) -> Message:
    return parse(reply_to(parse(data), code, **more))  # type: ignore[arg-type]


def to_tag(message: Message) -> str:
    return NameAddr.parse(message.get("To") or "").tag


def test_it_repeats_what_names_the_transaction() -> None:
    reply, request = answer(404), parse(INVITE)
    assert reply.start == "SIP/2.0 404 Not Found"
    assert reply.get_all("Via") == request.get_all("Via")
    for name in ("From", "Call-ID", "CSeq"):
        assert reply.get_all(name) == request.get_all(name)
    assert reply.get("Content-Length") == "0"


def test_the_tag_is_the_same_for_a_retransmission_and_no_other() -> None:
    assert to_tag(answer(404)) == to_tag(answer(404)) != ""
    assert to_tag(answer(404)) != to_tag(answer(404, INVITE.replace(b"abc", b"abd")))
    assert to_tag(answer(404)) != to_tag(answer(404, secret=b"k" * 200))


def test_a_tag_that_is_there_stays() -> None:
    assert to_tag(answer(481, INVITE.replace(b"example.com>\r\nCall", b"example.com>;tag=ours\r\nCall"))) == "ours"


def test_a_tag_that_is_given_is_taken() -> None:
    assert to_tag(answer(200, to_tag="mine")) == "mine"


def test_100_has_no_tag_and_the_timestamp() -> None:
    assert to_tag(answer(100)) == ""
    assert answer(100).get("Timestamp") == "54"
    assert answer(180).get("Timestamp") is None


def test_phrase_and_headers() -> None:
    reply = answer(503, phrase="Full", headers=(("Retry-After", "5"), ("Warning", '399 x "y"')))
    assert (reply.reason, reply.get("Retry-After"), reply.get("Warning")) == ("Full", "5", '399 x "y"')


def test_nobody_answers_an_ack_or_a_response() -> None:
    assert reply_to(parse(INVITE.replace(b"INVITE sip", b"ACK sip")), 400) == b""
    assert reply_to(parse(INVITE.replace(b"INVITE sip:1000@198.51.100.1 SIP/2.0", b"SIP/2.0 200 OK")), 400) == b""


def test_without_via_there_is_no_way_back() -> None:
    assert reply_to(parse(b"INVITE sip:a@b SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\n\r\n"), 400) == b""


def test_what_is_missing_is_left_out() -> None:
    reply = answer(400, b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n")
    assert [header.name for header in reply.headers] == ["Via", "Content-Length"]


def test_control_characters_are_not_sent_back() -> None:
    with pytest.raises(Malformed) as caught:
        parse(INVITE.replace(b"abc", b"a\x00c"))
    assert caught.value.message is not None
    assert reply_to(caught.value.message, 400) == b""


@pytest.mark.parametrize(
    ("code", "phrase"), [(200, "OK"), (403, "Forbidden"), (482, "Loop Detected"), (513, "Message Too Large"), (699, "Unknown")]
)
def test_phrases(code: int, phrase: str) -> None:
    assert phrase_of(code) == phrase
