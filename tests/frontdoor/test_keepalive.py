"""What keeps NATs and firewalls open: pings on connections of ours, and on UDP flows of registrations."""

from __future__ import annotations

import asyncio

import pytest

from sipcore.frontdoor import connection as limits
from sipcore.frontdoor import sending
from sipcore.frontdoor.keepalive import PING, UDP_EVERY_S, Registered
from sipcore.frontdoor.steps import Target
from sipcore.frontdoor.tls import names_match

from .test_streams import MESSAGE, edge, request, soon

FLOW = ("192.0.2.1:5060", ("203.0.113.5", 5060))
REGISTER = b"REGISTER sip:provider.example SIP/2.0\r\nExpires: 300\r\n\r\n"


def test_a_registration_is_kept_alive_until_it_ends() -> None:
    registered = Registered()
    registered.note(REGISTER, FLOW, 0.0)
    assert registered.due(UDP_EVERY_S - 1) == []
    assert registered.due(UDP_EVERY_S) == [FLOW]
    assert registered.due(UDP_EVERY_S + 1) == []
    assert registered.due(299.0) == [FLOW]
    assert registered.due(300.0) == []
    registered.note(REGISTER, FLOW, 400.0)
    registered.note(REGISTER.replace(b"300", b"0"), FLOW, 401.0)
    assert registered.due(500.0) == []


def test_registrations_do_not_fill_the_memory() -> None:
    registered = Registered()
    for port in range(1, 5_000):
        registered.note(REGISTER, (FLOW[0], (FLOW[1][0], port)), 0.0)
    assert len(registered.due(UDP_EVERY_S)) == 1_000


async def test_a_registrar_gets_an_empty_line(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(sending, "time", type("Time", (), {"monotonic": staticmethod(lambda: now[0])}))
    async with edge() as one, edge() as registrar:
        one.sender.to_target(request(Target("127.0.0.1", registrar.udp.port, "udp"), REGISTER))
        await soon(registrar.datagrams.get())
        now[0] = UDP_EVERY_S + 0.1
        one.sender.keep_alive()
        data, _, peer = await soon(registrar.datagrams.get())
        assert (data, peer[1]) == (PING, one.udp.port)


async def test_a_connection_of_ours_is_pinged_and_ends_when_nothing_but_pings_goes_over_it() -> None:
    read: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(lambda *pair: read.put_nowait(pair), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, edge() as one:
        one.sender.to_target(request(Target("127.0.0.1", port, "tcp"), MESSAGE))
        reader, writer = await soon(read.get())
        try:
            await soon(reader.readuntil(b"tcp"))  # see `request`: transport and address stand behind the message
            one.connections.sweep()
            one.offset_s += limits.PING_EVERY_S + limits.PING_SPREAD_S
            one.connections.sweep()
            await soon(reader.readuntil(PING))
            writer.write(b"\r\n" * 4 + MESSAGE)  # answers to pings look like pings: none is answered
            await soon(one.messages.get())
            one.sender.to_target(request(Target("127.0.0.1", port, "tcp"), b"next"))
            assert (await soon(reader.readuntil(b"tcp"))) == b"next tcp"
            one.offset_s += limits.IDLE_IN_USE_S
            one.connections.sweep()
            assert one.closed == ["idle"]
        finally:
            writer.close()


@pytest.mark.parametrize(
    ("kind", "value", "name", "is_match"),
    [
        ("DNS", "sip.example", "SIP.example.", True),
        ("DNS", "*.example", "sip.example", False),
        ("DNS", "*.example", "*.example", False),
        ("URI", "sip:example", "example", True),
        ("URI", "sip:alice@example", "example", False),
        ("URI", "https:example", "example", False),
        ("IP Address", "2001:DB8:0:0:0:0:0:1", "2001:db8::1", True),
        ("email", "example", "example", False),
    ],
)
def test_whom_a_certificate_is_for(kind: str, value: str, name: str, is_match: bool) -> None:
    certificate = {"subject": ((("commonName", name),),), "subjectAltName": (("DNS", "other.example"), (kind, value))}
    assert names_match(certificate, name) is is_match
    assert not names_match({}, name)
    assert not names_match(None, name)


def test_no_certificate_is_for_no_name() -> None:
    assert not names_match({"subjectAltName": (("DNS", ""),)}, "")
