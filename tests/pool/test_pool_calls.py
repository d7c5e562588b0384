"""Real calls through the front door: PJSIP workers on one side, SIPp and telephones on the other."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest
import pytest_asyncio

from sipcore import engine
from sipcore.pool import PjsipPool, PoolSettings
from sipcore.testing.phone import Phone
from sipcore.testing.sipp import Sipp, SippResult

pytestmark = pytest.mark.sip
E = TypeVar("E")


class Line:
    """A pool that takes in every call and answers it, unless told otherwise."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.offers: list[engine.Offer] = []
        self.legs = 1
        self.greet: Callable[[str], list[engine.Command]] = lambda call_id: [engine.Ring(call_id), engine.Answer(call_id)]
        self._ids = itertools.count()
        self.pool: PjsipPool

    async def open(self, **settings: Any) -> None:
        self.pool = PjsipPool(PoolSettings(sip_host="127.0.0.1", stranger_share=1.0, unanswered_share=1.0, **settings))
        await self.pool.start(self._on_event, self._on_offer)
        await self.until(lambda: all(worker.sip_port for worker in self.pool.workers()), timeout_s=30)

    def _on_event(self, event: engine.Event) -> None:
        self.events.append(event)
        if isinstance(event, engine.CallDisconnected):
            self.pool.release(f"group-{event.call_id}")

    def _on_offer(self, offer: engine.Offer) -> engine.Acceptance:
        self.offers.append(offer)
        call_id = f"in{next(self._ids)}"
        for command in self.greet(call_id):
            asyncio.get_running_loop().call_soon(self.pool.submit, command)
        return engine.Acceptance(call_id, f"group-{call_id}", self.legs)

    def dial(self, uri: str, *targets: str) -> str:
        call_id = f"out{next(self._ids)}"
        self.pool.reserve(f"group-{call_id}", 1)
        self.pool.submit(engine.Dial(call_id, f"group-{call_id}", uri, "<sip:me@127.0.0.1>", engine.Account(), targets=targets))
        return call_id

    def of(self, kind: type[E], call_id: str = "") -> list[E]:
        return [event for event in self.events if isinstance(event, kind) and call_id in ("", event.call_id)]  # type: ignore[attr-defined]

    async def until(self, is_so: Callable[[], Any], timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not is_so():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def got(self, kind: type[E], call_id: str) -> E:
        await self.until(lambda: self.of(kind, call_id))
        return self.of(kind, call_id)[0]


@pytest_asyncio.fixture
async def line() -> AsyncIterator[Line]:
    opened = Line()
    yield opened
    await opened.pool.close(2.0)
    assert not opened.of(engine.EngineFault)


async def called(sipp: Sipp, scenario: str, line: Line, **options: Any) -> SippResult:
    """What became of SIPp's calls to the pool."""
    with ThreadPoolExecutor(1) as pool:
        place = asyncio.get_running_loop().run_in_executor
        return await place(pool, lambda: sipp.uac(scenario, target=line.pool.sip_address, **options))


@pytest.mark.sipp
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_calls_come_in_and_are_answered(line: Line, sipp: Sipp, transport):
    await line.open(min_workers=5)
    result = await called(sipp, "uac-invite-200-bye-expect-200.xml", line, calls=20, rate=20, pause_ms=300, transport=transport)
    assert (result.successful, result.failed) == (20, 0), result.errors
    assert {offer.transport for offer in line.offers} == {transport}
    await line.until(lambda: len(line.of(engine.CallDisconnected)) == 20)
    assert {(over.sip_code, over.remote) for over in line.of(engine.CallDisconnected)} == {(200, True)}
    assert line.pool.legs_in_use == line.pool.workers_lost == 0


@pytest.mark.sipp
async def test_a_crowd_that_is_refused_kills_no_worker(line: Line, sipp: Sipp):
    """32 set-ups in half a second abort a PJSIP, even when each is refused at once."""
    await line.open(max_legs=300, min_workers=12)
    line.greet = lambda call_id: [engine.Reject(call_id, 486, "Busy Here")]
    result = await called(sipp, "uac-invite-expect-486.xml", line, calls=120, rate=100)
    assert (result.successful, result.failed) == (120, 0), result.errors
    await line.until(lambda: len(line.of(engine.CallDisconnected)) == 120)
    assert line.pool.legs_in_use == line.pool.workers_lost == 0


async def test_a_call_goes_out_by_the_front_door_and_shows_nothing_behind_it(line: Line, phone: Phone):
    await line.open()
    call_id = line.dial(phone.uri)
    await line.got(engine.CallConfirmed, call_id)
    line.pool.submit(engine.Hangup(call_id))
    assert (await line.got(engine.CallDisconnected, call_id)).sip_code == 200
    inside = [str(worker.sip_port) for worker in line.pool.workers()]
    received = [message for message in await line.pool.trace(call_id) if message.is_sent]
    assert {message.text.split()[0] for message in received} == {"INVITE", "ACK", "BYE"}
    for message in received:
        assert message.local == line.pool.sip_address
        assert not [port for port in inside if f":{port}" in message.text]
        assert call_id not in message.text


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port where datagrams are not read and connections are refused."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_call_goes_on_to_the_next_hop(line: Line, phone: Phone, deaf: int, transport):
    await line.open()
    call_id = line.dial(phone.uri, f"127.0.0.1:{deaf};transport={transport}", phone.uri.partition("@")[2])
    await line.got(engine.CallConfirmed, call_id)
    phone.hangup()
    over = await line.got(engine.CallDisconnected, call_id)
    assert (over.sip_code, over.remote) == (200, True)
    assert line.pool.legs_in_use == 0


async def test_when_every_hop_fails_the_call_does(line: Line, deaf: int):
    await line.open()
    call_id = line.dial("sip:x@192.0.2.1", f"127.0.0.1:{deaf};transport=tcp", f"127.0.0.1:{deaf};transport=tcp")
    over = await line.got(engine.CallDisconnected, call_id)
    assert (over.sip_code, over.remote) == (503, True)
    assert len(line.events) == 1


async def test_calls_outlive_the_front_door(line: Line, phone: Phone):
    await line.open()
    with Phone("other") as other:
        ours, theirs = line.dial(phone.uri), line.dial(other.uri)
        await line.got(engine.CallConfirmed, ours)
        await line.got(engine.CallConfirmed, theirs)
        door_pid, address = line.pool.door_pid, line.pool.sip_address
        os.kill(door_pid, signal.SIGKILL)
        line.pool.submit(engine.Hangup(ours))
        other.hangup()
        assert (await line.got(engine.CallDisconnected, ours)).sip_code == 200
        assert (await line.got(engine.CallDisconnected, theirs)).remote
        assert line.pool.door_pid not in (0, door_pid)
        assert line.pool.sip_address == address


class Caller:
    """A caller on a socket that says only what it is told."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._sock.connect((host, int(port)))
        self._local = f"127.0.0.1:{self._sock.getsockname()[1]}"
        self._target = address
        self._number = 0

    def invite(self) -> None:
        self._number += 1
        self._send("INVITE")

    def cancel(self) -> None:
        self._send("CANCEL")

    async def status(self) -> int:
        """Of the next response."""
        async with asyncio.timeout(5):
            data = await asyncio.get_running_loop().sock_recv(self._sock, 65535)
        return int(data.split()[1])

    def close(self) -> None:
        self._sock.close()

    def _send(self, method: str) -> None:
        lines = [
            f"{method} sip:1000@{self._target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._local};branch=z9hG4bK{self._number}",
            "Max-Forwards: 70",
            "From: <sip:far@127.0.0.1>;tag=1",
            "To: <sip:1000@127.0.0.1>",
            f"Call-ID: {self._number}@{self._local}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:far@{self._local}>",
            "Content-Length: 0",
        ]
        self._sock.send("\r\n".join([*lines, "", ""]).encode())


@pytest_asyncio.fixture
async def ringing(line: Line) -> AsyncIterator[Caller]:
    """A caller whose call rings."""
    await line.open()
    line.greet = lambda call_id: [engine.Ring(call_id)]
    caller = Caller(line.pool.sip_address)
    caller.invite()
    while await caller.status() != 180:
        pass
    yield caller
    caller.close()


async def test_a_caller_that_gives_up(line: Line, ringing: Caller):
    ringing.cancel()
    over = await line.got(engine.CallDisconnected, "in0")
    assert (over.sip_code, over.remote) == (487, True)
    assert {await ringing.status(), await ringing.status()} == {200, 487}


async def test_a_caller_that_gives_up_after_the_front_door_was_started_again(line: Line, ringing: Caller):
    os.kill(line.pool.door_pid, signal.SIGKILL)
    ringing.cancel()
    over = await line.got(engine.CallDisconnected, "in0")
    assert (over.sip_code, over.remote) == (487, True)
    assert {await ringing.status(), await ringing.status()} == {200, 487}


async def test_an_invite_that_is_repeated_to_another_front_door_is_the_same_call(line: Line, ringing: Caller):
    os.kill(line.pool.door_pid, signal.SIGKILL)
    ringing._number -= 1
    ringing.invite()
    while await ringing.status() != 180:
        pass
    assert len(line.offers) <= 2  # the front door may ask again, and hears the same
    assert line.pool.legs_in_use == 1


async def test_a_caller_at_a_lost_worker_hears_of_it(line: Line, ringing: Caller):
    os.kill(line.pool.workers()[0].pid, signal.SIGKILL)
    over = await line.got(engine.CallDisconnected, "in0")
    assert (over.sip_code, over.error) == (0, "worker lost")
    assert await ringing.status() >= 500


async def test_without_room_the_caller_is_told_when_to_come_again(line: Line):
    await line.open(max_legs=1)
    line.pool.reserve("all", 1)
    caller = Caller(line.pool.sip_address)
    caller.invite()
    while (status := await caller.status()) == 100:
        pass
    assert status == 503
    over = await line.got(engine.CallDisconnected, "in0")
    assert (over.sip_code, over.remote, over.error) == (503, False, "no room")
    caller.close()


async def test_a_call_that_rings_is_ended_with_the_pool(line: Line, ringing: Caller):
    await line.pool.close(1.0)
    assert (await line.got(engine.CallDisconnected, "in0")).remote is False
    assert await ringing.status() >= 400
