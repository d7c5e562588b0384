from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.frontdoor.framing import KEEP_ALIVE, MAX_HEAD_BYTES, KeepAlive, StreamFramer
from sipcore.frontdoor.grammar import Malformed

HEAD = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bK1\r\n"


def message(body: bytes = b"", length: bytes | None = None) -> bytes:
    return HEAD + b"Content-Length: " + (str(len(body)).encode() if length is None else length) + b"\r\n\r\n" + body


def test_two_messages_in_one_piece_and_a_half() -> None:
    framer = StreamFramer()
    first, second, third = message(b"body"), message(), message(b"rest")
    assert framer.feed(first + second + third[:-2]) == [first, second]
    assert not framer.is_idle
    assert framer.feed(third[-2:]) == [third]
    assert framer.is_idle


def test_empty_lines_before_a_message_are_skipped() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n" + message(b"x")) == [message(b"x")]


def test_a_double_crlf_is_a_ping() -> None:
    framer = StreamFramer()
    assert framer.feed(b"\r\n\r\n") == [KEEP_ALIVE]
    assert framer.feed(message() + b"\r\n\r\n" + message()) == [message(), KEEP_ALIVE, message()]
    assert framer.is_idle


def test_a_ping_may_come_byte_by_byte_a_pong_is_none() -> None:
    framer = StreamFramer()
    assert [framer.feed(bytes([byte])) for byte in b"\r\n\r\n"] == [[], [], [], [KEEP_ALIVE]]
    assert framer.feed(message()) == [message()]
    assert framer.feed(b"\r\n") == []


def test_a_flood_of_pings_is_answered_once_a_piece() -> None:
    assert StreamFramer().feed(b"\r\n" * 10_000) == [KEEP_ALIVE]


def test_a_body_of_empty_lines_is_a_body() -> None:
    framer = StreamFramer()
    assert framer.feed(message(b"\r\n\r\n\r\n")) == [message(b"\r\n\r\n\r\n")]


@pytest.mark.parametrize("name", [b"l", b"L", b"Content-length", b"CONTENT-LENGTH ", b"l\t"])
def test_content_length_in_each_spelling(name: bytes) -> None:
    data = HEAD + name + b": 2\r\n\r\nab"
    assert StreamFramer().feed(data + b"\r\n") == [data]


@pytest.mark.parametrize("length", [b"-1", b"x", b"", b"1 1", b"65536", b"99999999999999999999", b"4294967296"])
def test_a_bad_content_length_ends_the_stream(length: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        StreamFramer().feed(message(b"", length))
    assert caught.value.sip_code == 0


def test_without_content_length_nobody_knows_where_it_ends() -> None:
    with pytest.raises(Malformed, match="no Content-Length"):
        StreamFramer().feed(HEAD + b"\r\n")


def test_two_lengths_must_be_one() -> None:
    assert StreamFramer().feed(HEAD + b"l: 1\r\nContent-Length: 1\r\n\r\na")
    with pytest.raises(Malformed, match="more than one"):
        StreamFramer().feed(HEAD + b"l: 1\r\nContent-Length: 2\r\n\r\nab")


def test_content_length_in_a_body_counts_for_nothing() -> None:
    data = message(b"\r\nContent-Length: 9999\r\n\r\n")
    assert StreamFramer().feed(data) == [data]


def test_headers_without_end_are_bounded() -> None:
    framer = StreamFramer()
    framer.feed(HEAD + b"X: " + b"x" * (MAX_HEAD_BYTES - len(HEAD) - 4))
    with pytest.raises(Malformed, match="too long"):
        framer.feed(b"x")


def test_a_message_as_a_whole_is_bounded() -> None:
    with pytest.raises(Malformed, match="too large"):
        StreamFramer(max_message_bytes=1_000).feed(message(b"x" * 1_000))


_PIECES = st.lists(st.sampled_from([message(), message(b"ab\r\n\r\ncd"), b"\r\n\r\n", message(b"x" * 300)]), max_size=6)


@given(_PIECES, st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_messages_are_the_same_however_they_arrive(pieces: list[bytes], sizes: list[int]) -> None:
    data, framer, found = b"".join(pieces), StreamFramer(), list[bytes | KeepAlive]()
    turn = 0
    while data:
        size = sizes[turn % len(sizes)]
        found += framer.feed(data[:size])
        data, turn = data[size:], turn + 1
    assert [part for part in found if not isinstance(part, KeepAlive)] == [piece for piece in pieces if len(piece) > 4]


@given(st.lists(st.binary(max_size=80), max_size=10))
def test_nothing_but_malformed_is_raised(pieces: list[bytes]) -> None:
    framer = StreamFramer()
    for piece in pieces:
        try:
            framer.feed(piece)
        except Malformed:
            return
