"""A call to a trunk of several addresses, with real workers and the real front door: which of them sees an INVITE, and what is told."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from sipcore import engine
from sipcore.pool import PjsipPool, PoolSettings

pytestmark = pytest.mark.sip
E = TypeVar("E")


class Gateway(asyncio.DatagramProtocol):
    """Answers each INVITE with its answers, `(after seconds, status)`, REGISTER as `registers` says, and everything else with 200."""

    def __init__(self, *answers: tuple[float, str]) -> None:
        self.answers = answers
        self.registers = "200 OK"
        self.requests: list[str] = []
        self.invites: set[str] = set()
        self.seen = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.address = "127.0.0.1:{}".format(transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, peer: tuple[str, int]) -> None:
        text = data.decode()
        method = text.split()[0]
        branch = re.search(r"branch=(\S+)", text)[1]
        if method != "INVITE" or branch not in self.invites:
            self.requests.append(method)
        self.seen.set()
        if method == "INVITE" and branch not in self.invites:
            self.invites.add(branch)
            for delay_s, status in self.answers:
                asyncio.get_running_loop().call_later(delay_s, self._answer, text, status, peer)
        elif method not in ("INVITE", "ACK"):
            self._answer(text, self.registers if method == "REGISTER" else "200 OK", peer)

    def _answer(self, request: str, status: str, peer: tuple[str, int]) -> None:
        contact = f"Contact: <sip:gw@{self.address}>"
        if request.startswith("REGISTER"):
            contact = re.search(r"^Contact:.*$", request.replace("\r", ""), re.MULTILINE)[0] + ";expires=300\r\nExpires: 300"
        kept = re.findall(r"^(?:Via|From|Call-ID|CSeq):.*$", request.replace("\r", ""), re.MULTILINE)
        to = re.search(r"^To:.*$", request.replace("\r", ""), re.MULTILINE)[0]
        body = ""
        if "INVITE" in request.split()[0] and status.startswith("200"):
            host, port = self.address.split(":")
            body = f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {int(port) & ~1} RTP/AVP 0\r\n"
        lines = [f"SIP/2.0 {status}", *kept, to if "tag=" in to else f"{to};tag=gw", contact]
        lines += ["Content-Type: application/sdp"] if body else []
        self.transport.sendto("\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode(), peer)

    async def saw(self, method: str, count: int = 1) -> None:
        async with asyncio.timeout(10):
            while self.requests.count(method) < count:
                self.seen.clear()
                await self.seen.wait()


class Line:
    """A pool, its events, and gateways."""

    def __init__(self) -> None:
        first = 16384 + os.getpid() % 15 * 1024
        self.pool = PjsipPool(PoolSettings(sip_host="127.0.0.1", rtp_ports=(first, first + 1023)))
        self.events: list[Any] = []
        self.news = asyncio.Event()
        self.gateways: list[Gateway] = []

    def on_event(self, event: engine.Event) -> None:
        self.events.append(event)
        self.news.set()

    async def gateway(self, *answers: tuple[float, str]) -> Gateway:
        _, gateway = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Gateway(*answers), local_addr=("127.0.0.1", 0))
        self.gateways.append(gateway)
        return gateway

    def dial(self, call_id: str, *targets: str) -> None:
        self.pool.reserve(call_id, 1)
        self.pool.submit(
            engine.Dial(call_id, call_id, "sip:+8210@trunk.example", "<sip:me@here.example>", engine.Account(), targets=targets)
        )
        self.pool.release(call_id)

    async def got(self, kind: type[E], call_id: str) -> E:
        async with asyncio.timeout(15):
            while not (found := [event for event in self.events if isinstance(event, kind) and event.call_id == call_id]):
                self.news.clear()
                await self.news.wait()
        return found[0]

    def kinds(self, call_id: str) -> list[str]:
        return [type(event).__name__ for event in self.events if event.call_id == call_id and not isinstance(event, engine.EngineFault)]


@pytest_asyncio.fixture
async def line() -> AsyncIterator[Line]:
    opened = Line()
    await opened.pool.start(opened.on_event)
    yield opened
    await opened.pool.close(2.0)
    for gateway in opened.gateways:
        gateway.transport.close()


async def test_after_a_503_the_next_address_has_the_call(line):
    full, free = await line.gateway((0, "503 Full")), await line.gateway((0, "180 Ringing"), (0.05, "200 OK"))
    line.dial("c", full.address, free.address)
    await line.got(engine.CallConfirmed, "c")
    assert line.kinds("c")[0] == "CallProvisional"
    line.pool.submit(engine.Hangup("c"))
    await free.saw("BYE")
    await line.got(engine.CallDisconnected, "c")
    await full.saw("ACK")
    assert (full.requests, free.requests) == (["INVITE", "ACK"], ["INVITE", "ACK", "BYE"])
    assert line.kinds("c").count("CallDisconnected") == 1
    assert line.pool.legs_in_use == 0


async def test_a_refused_connection_goes_to_the_next_address(line):
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        free = await line.gateway((0, "200 OK"))
        line.dial("c", f"127.0.0.1:{closed.getsockname()[1]};transport=tcp", free.address)
        await line.got(engine.CallConfirmed, "c")
    assert free.requests[0] == "INVITE"


async def test_when_all_are_full_the_last_answer_is_told_once(line):
    gateways = [await line.gateway((0, f"503 Full {number}")) for number in range(3)]
    line.dial("c", *(gateway.address for gateway in gateways))
    over = await line.got(engine.CallDisconnected, "c")
    assert (over.sip_code, over.sip_phrase, over.remote) == (503, "Full 2", True)
    for gateway in gateways:
        await gateway.saw("ACK")
        assert gateway.requests == ["INVITE", "ACK"]
    assert line.kinds("c") == ["CallDisconnected"]
    assert line.pool.legs_in_use == 0


async def test_a_silent_address_is_left_in_time_and_tried_last_after_that(line):
    line.pool._resolver._failover_s = 0.4
    silent, free = await line.gateway(), await line.gateway((0, "200 OK"))
    line.dial("c", silent.address, free.address)
    await line.got(engine.CallConfirmed, "c")
    line.dial("d", silent.address, free.address)
    await line.got(engine.CallConfirmed, "d")
    assert silent.requests == ["INVITE"]
    assert free.requests.count("INVITE") == 2


async def test_who_says_100_is_given_the_time_that_ringing_takes(line):
    line.pool._resolver._failover_s = 0.3
    slow, other = await line.gateway((0, "100 Trying"), (1.2, "180 Ringing"), (1.3, "200 OK")), await line.gateway((0, "200 OK"))
    line.dial("c", slow.address, other.address)
    await line.got(engine.CallConfirmed, "c")
    assert [event.sip_code for event in line.events if isinstance(event, engine.CallProvisional)] == [180]
    assert other.requests == []


async def test_a_busy_number_is_busy_at_the_first_address(line):
    busy, other = await line.gateway((0, "486 Busy Here")), await line.gateway((0, "200 OK"))
    line.dial("c", busy.address, other.address)
    assert (await line.got(engine.CallDisconnected, "c")).sip_code == 486
    assert other.requests == []


async def test_hung_up_by_us_while_an_address_is_silent(line):
    silent, other = await line.gateway(), await line.gateway((0, "200 OK"))
    line.dial("c", silent.address, other.address)
    await silent.saw("INVITE")
    line.pool.submit(engine.Hangup("c"))
    assert not (await line.got(engine.CallDisconnected, "c")).remote
    assert other.requests == []


async def test_a_registration_goes_to_the_next_address_and_comes_back_from_there(line):
    full, free = await line.gateway(), await line.gateway()
    full.registers = "503 Full"
    targets = (full.address, free.address)
    order = engine.Register("t", "sip:reg.example", "sip:u@reg.example", "line1", engine.Account("u", "p"), targets=targets)
    line.pool.submit(order)
    await free.saw("REGISTER")
    async with asyncio.timeout(15):
        while not any(isinstance(event, engine.RegistrationChanged) and event.is_registered for event in line.events):
            line.news.clear()
            await line.news.wait()
    changes = [event for event in line.events if isinstance(event, engine.RegistrationChanged)]
    assert [(event.is_registered, event.sip_code) for event in changes] == [(False, 503), (True, 200)]
    line.pool.submit(engine.Unregister("t"))
    await free.saw("REGISTER", 2)
    assert full.requests == ["REGISTER"]
