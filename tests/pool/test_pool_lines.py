"""Real registrations: a worker for lines, the front door, and a registrar that takes everybody."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from sipcore import engine
from sipcore.pool import PjsipPool, PoolSettings

pytestmark = pytest.mark.sip


class Registrar(asyncio.DatagramProtocol):
    """Answers 200 to each REGISTER, and writes its Contact and lifetime down."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.uri = f"sip:127.0.0.1:{transport.get_extra_info('sockname')[1]}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        lines = data.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        if lines[0].startswith("REGISTER "):
            self.seen.append((headers["Contact"], int(headers["Expires"])))
            answer = [f"{name}: {headers[name]}" for name in ("Via", "From", "To", "Call-ID", "CSeq", "Contact", "Expires")]
            self._transport.sendto("\r\n".join(["SIP/2.0 200 OK", *answer, "Content-Length: 0", "", ""]).encode(), addr)

    @property
    def lifetimes(self) -> list[int]:
        return [lifetime for _, lifetime in self.seen]

    def close(self) -> None:
        self._transport.close()


@pytest_asyncio.fixture
async def registrar() -> AsyncIterator[Registrar]:
    _, opened = await asyncio.get_running_loop().create_datagram_endpoint(Registrar, ("127.0.0.1", 0))
    yield opened
    opened.close()


class Line:
    def __init__(self) -> None:
        self.events: list[Any] = []
        self.pool = PjsipPool(PoolSettings(sip_host="127.0.0.1"))

    @property
    def states(self) -> list[bool]:
        return [event.is_registered for event in self.events]


@pytest_asyncio.fixture
async def line(registrar: Registrar) -> AsyncIterator[Line]:
    opened = Line()
    await opened.pool.start(opened.events.append)
    opened.pool.submit(register("t", registrar))
    await until(lambda: opened.states == [True])
    yield opened
    await opened.pool.close(2.0)


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def register(trunk: str, registrar: Registrar) -> engine.Register:
    return engine.Register(trunk, registrar.uri, f"sip:{trunk}@127.0.0.1", f"user-{trunk}", engine.Account(), 300)


async def test_the_contact_is_the_front_door(line: Line, registrar: Registrar):
    ((contact, lifetime),) = registrar.seen
    assert f"<sip:user-t@{line.pool.sip_address}" in contact
    assert lifetime == 300
    assert (line.events[0].trunk, line.events[0].sip_code, line.events[0].expires_s) == ("t", 200, 300)


async def test_a_registration_is_taken_back(line: Line, registrar: Registrar):
    line.pool.submit(engine.Unregister("t"))
    await until(lambda: registrar.lifetimes == [300, 0])
    await until(lambda: line.states == [True, False])
    await until(lambda: line.pool.line_pids == ())


async def test_the_end_of_the_pool_takes_registrations_back(line: Line, registrar: Registrar):
    line.pool.submit(register("other", registrar))
    await until(lambda: line.states == [True, True])
    await line.pool.close(2.0)
    await until(lambda: registrar.lifetimes == [300, 300, 0, 0])


async def test_a_lost_worker_costs_a_registration_a_moment(line: Line, registrar: Registrar):
    (pid,) = line.pool.line_pids
    os.kill(pid, signal.SIGKILL)
    await until(lambda: line.states == [True, False, True])
    assert registrar.lifetimes == [300, 300]
    assert pid not in line.pool.line_pids
