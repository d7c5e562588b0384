"""What the front door counts and logs, and its end of the socket to control."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from sipcore import engine, wire
from sipcore.frontdoor.control import ControlLink, StartError, receive_start
from sipcore.frontdoor.counting import Counting, Told

SETTINGS = wire.DoorSettings("127.0.0.1:1", (("udp", "127.0.0.1:2"),), "", b"secret", "test")
OFFER = engine.Offer("id", "sip:1@a", "sip:2@b", "name", "sip:1@a", "192.0.2.1:5060", "udp")


def test_refusals_are_counted_and_challenges_are_not() -> None:
    counts = Counting()
    for status in (b"SIP/2.0 200 OK", b"SIP/2.0 403 Forbidden", b"SIP/2.0 503 x", b"SIP/2.0 401 Unauthorized", b"INVITE sip:9"):
        counts.answered(status)
    assert counts.message(3) == wire.DoorCounters(0, 0, 0, 2, 3)


def test_strangers_cannot_fill_the_log_or_steer_a_terminal(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(logging.getLogger("test.door"))
    for _ in range(1000):
        told.line("scanner \x1b[2J\nfrom nowhere" + "x" * 1000)
    told.tick()
    told.line("later")
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0].startswith("scanner ?[2J?from nowhere")
    assert max(map(len, texts)) < 400
    assert texts[-2:] == ["990 more lines were left out", "later"]


def test_the_start_carries_its_sockets() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inner, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outer:
        inner.bind(("127.0.0.1", 0))
        socket.send_fds(ours, [wire.encode(SETTINGS)], [inner.fileno(), outer.fileno()])
        ours.sendall(wire.encode(wire.DoorWorkers(((1, 5060),))) + wire.encode(wire.DoorReload()))
        settings, sockets, workers, _, rest = receive_start(theirs)
        assert (settings, workers, rest) == (SETTINGS, wire.DoorWorkers(((1, 5060),)), [wire.DoorReload()])
        assert sockets[0].getsockname() == inner.getsockname()
        for sock in sockets:
            sock.close()


@pytest.mark.parametrize(
    "frames",
    [
        b"",
        wire.encode(wire.DoorReload()) * 2,
        wire.encode(SETTINGS) + wire.encode(wire.DoorWorkers(())),  # no sockets
        b"\0\0\0\0nonsense",
    ],
)
def test_a_start_that_is_none(frames: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(frames)
        ours.close()
        with pytest.raises(StartError):
            receive_start(theirs)


async def test_text_that_is_not_unicode_still_reaches_control() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ended = asyncio.Event()
        link = ControlLink(theirs, wire.FrameDecoder(), lambda _message: None, ended.set)
        link.send(wire.InviteOffered("key", engine.Offer("a\udcff", "b", "c", "d", "e", "f", "udp", headers=(("X-\udcfe", "g"),))))
        (message,) = wire.FrameDecoder().feed(ours.recv(65536))
        assert message == wire.InviteOffered("key", engine.Offer("a\ufffd", "b", "c", "d", "e", "f", "udp", headers=(("X-\ufffd", "g"),)))
        ours.close()
        await asyncio.wait_for(ended.wait(), 5)


async def test_a_control_process_that_does_not_read_is_taken_for_dead_at_last() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ended = asyncio.Event()
        link = ControlLink(theirs, wire.FrameDecoder(), lambda _message: None, ended.set)
        offered = wire.InviteOffered("k" * 100_000, OFFER)
        for _ in range(200):
            link.send(offered)
        assert ended.is_set()
        link.send(offered)


@pytest.mark.parametrize("nonsense", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\2\1x"])
async def test_nonsense_from_control_ends_it(nonsense: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ended = asyncio.Event()
        ControlLink(theirs, wire.FrameDecoder(), lambda _message: None, ended.set)
        ours.sendall(nonsense)
        await asyncio.wait_for(ended.wait(), 5)
