from __future__ import annotations

import contextlib
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore import engine, wire

NUMBERS = {int: st.integers(-(2**63), 2**63 - 1), float: st.floats(allow_nan=False)}


def values(hint: Any) -> st.SearchStrategy[Any]:
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return st.builds(hint, **{field.name: values(hints[field.name]) for field in fields(hint)})
    parts = get_args(hint)
    if type(None) in parts:
        return st.one_of(*(values(part) for part in parts))
    if get_origin(hint) is tuple:
        is_any_length = parts[-1] is Ellipsis
        return st.lists(values(parts[0]), max_size=3).map(tuple) if is_any_length else st.tuples(*(values(part) for part in parts))
    return NUMBERS[hint] if hint in NUMBERS else st.from_type(hint)


MESSAGES = st.one_of(*(values(kind) for kind in wire.Message.__args__))


@given(st.lists(MESSAGES, max_size=5), st.integers(1, 97))
def test_every_message_survives_any_cutting(messages, piece_bytes):
    stream = b"".join(wire.encode(message) for message in messages)
    decoder = wire.FrameDecoder()
    received = []
    for start in range(0, len(stream), piece_bytes):
        received += decoder.feed(stream[start : start + piece_bytes])
    assert received == messages
    assert [type(message) for message in received] == [type(message) for message in messages]
    assert decoder.pending_bytes == 0


@given(st.binary(max_size=200))
def test_garbage_is_an_error_or_nothing(data):
    with contextlib.suppress(wire.WireError):
        wire.FrameDecoder().feed(data)


@given(MESSAGES, st.data())
def test_a_damaged_frame_never_gives_another_kind_of_exception(message, data):
    frame = bytearray(wire.encode(message))
    position = data.draw(st.integers(4, len(frame) - 1))
    frame[position] ^= data.draw(st.integers(1, 255))
    try:
        for received in wire.FrameDecoder().feed(bytes(frame)):
            assert isinstance(received, wire.Message)
    except wire.WireError:
        pass


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    "data",
    [
        frame(b""),
        b"\xff\xff\xff\xff",
        frame(b"\x06Popenx\x80"),
        frame(b"\x06Hangup\x80"),
        frame(b"\x06Hangup\x81\xa7call_id\x01"),
        frame(b"\x06Hangup\xc1"),
        frame(b"\x06Hangup\x81\xa7call_id\xa1x\x00"),
        frame(b"\xffHangup"),
    ],
)
def test_bad_frames_are_refused(data):
    with pytest.raises(wire.WireError):
        wire.FrameDecoder().feed(data)


def test_strangers_and_giants_are_not_encoded():
    with pytest.raises(wire.WireError):
        wire.encode(object())  # type: ignore[arg-type]
    with pytest.raises(wire.WireError):
        wire.encode(engine.EngineFault("", "x" * wire.MAX_FRAME_BYTES))
