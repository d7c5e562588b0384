"""What is dropped unread when more arrives than can be looked at."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sipcore.frontdoor.shedding import BEHIND_S, STALE_S, Shedding
from sipcore.frontdoor.sources import Sources
from sipcore.frontdoor.udp import UdpSocket
from sipcore.wire import DoorTrunk

BUDGET = 8
TRUNK = DoorTrunk("provider", ("192.0.2.0/24",))


@pytest.mark.parametrize(
    ("start", "is_dropped"),
    [
        (b"INVITE sip:1000@198.51.100.1 SIP/2.0", True),
        (b"OPTIONS sip:198.51.100.1 SIP/2.0", True),
        (b"REGISTER sip:198.51.100.1 SIP/2.0", True),
        (b"INVITE sip:7-0123456789abcdef0123@198.51.100.1 SIP/2.0", False),  # within a dialog
        (b"BYE sip:7-0123456789abcdef0123@198.51.100.1 SIP/2.0", False),
        (b"ACK sip:1000@198.51.100.1 SIP/2.0", False),
        (b"CANCEL sip:1000@198.51.100.1 SIP/2.0", False),
        (b"SIP/2.0 200 OK", False),
        (b"", False),
    ],
)
def test_only_what_opens_something_and_only_of_strangers(start: bytes, is_dropped: bool) -> None:
    shedding = Shedding(Sources((TRUNK,), ()))
    assert shedding.drops(start, "203.0.113.9", 0.0) is is_dropped
    assert not shedding.drops(start, "192.0.2.9", 0.1)
    assert shedding.count == is_dropped
    assert shedding.drops(start, "192.0.2.9", STALE_S) is is_dropped, "a trunk's, when its copy follows"


async def test_what_comes_after_the_last_of_a_burst_is_not_behind() -> None:
    """A burst of just the budget leaves nothing behind, though the socket was not seen to be empty."""
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(sock.getsockname())
        for number in range(BUDGET):
            sender.send(b"%d" % number)
        udp = UdpSocket(sock, lambda data, *_: arrived.put_nowait(data), BUDGET, lambda *_: True)
        try:
            for _ in range(BUDGET):
                await asyncio.wait_for(arrived.get(), 5)
            await asyncio.sleep(2 * BEHIND_S)  # what a socket that is behind would have needed to be told so
            sender.send(b"later")
            assert await asyncio.wait_for(arrived.get(), 5) == b"later"
        finally:
            udp.close()
