"""A pool whose worker processes and front door are objects of this process, scripted by the test."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any, TypeVar

from sipcore import engine, wire
from sipcore.pool import PjsipPool, PoolSettings
from sipcore.pool.channel import Channel

E = TypeVar("E")
CAPACITY = 4
OFFER = engine.Offer("id@far", "sip:1000@here", "sip:far@there", "", "sip:1000@here", "192.0.2.7:5060", "udp", trunk="provider")


class FakeWorker:
    """The other end of a worker's pipe."""

    def __init__(self, worker_id: int, settings: wire.WorkerSettings, sock: socket.socket) -> None:
        self.worker_id = worker_id
        self.settings = settings
        self.pid = 900_000 + worker_id
        self.orders: list[Any] = []
        self.times: list[float] = []
        self.exit: Callable[[], None] = lambda: None
        self.is_dead = False
        self._channel = Channel(sock, self._receive, lambda _reason: self.die())

    def get_ready(self) -> None:
        self.say(wire.WorkerReady(self.pid, f"127.0.0.1:{20_000 + self.worker_id}", "127.0.0.1", 20_000 + self.worker_id))

    def say(self, message: wire.Message) -> None:
        self._channel.send(message)

    def die(self) -> None:
        if not self.is_dead:
            self.is_dead = True
            self._channel.close()
            self.exit()

    def of(self, kind: type[E]) -> list[E]:
        return [order for order in self.orders if isinstance(order, kind)]

    def _receive(self, message: wire.Message) -> None:
        self.orders.append(message)
        self.times.append(asyncio.get_running_loop().time())
        if isinstance(message, wire.Shutdown):
            self.die()


class FakeDoor:
    """What the pool told the front door."""

    def __init__(self, options: Any, on_offer: Callable[[str, engine.Offer], None], on_restart: Callable[[], None]) -> None:
        self.options, self.offer, self.restarted = options, on_offer, on_restart
        self.answers: list[tuple[Any, ...]] = []
        self.tables: list[dict[int, int]] = []
        self.trunks: tuple[wire.DoorTrunk, ...] = options.trunks
        self.sip_address, self.inner_port, self.pid = "", 0, 0
        self.counters = wire.DoorCounters(1, 2, 3, 4, 5)
        self.is_closed = False

    async def start(self) -> None:
        self.sip_address, self.inner_port, self.pid = "127.0.0.1:5060", 5999, 777

    async def close(self) -> None:
        self.is_closed = True

    def set_workers(self, workers: dict[int, int]) -> None:
        self.tables.append(dict(workers))

    def set_trunks(self, trunks: tuple[wire.DoorTrunk, ...]) -> None:
        self.trunks = trunks

    def place(self, key: str, call_id: str, worker_id: int) -> None:
        assert worker_id in self.tables[-1], "the front door does not know this worker"
        self.answers.append((key, call_id, worker_id))

    def refuse(self, key: str, sip_code: int, sip_phrase: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.answers.append((key, sip_code))

    async def trace(self, call_id: str) -> tuple[wire.TracedMessage, ...]:
        return (wire.TracedMessage(0.0, is_sent=True, transport="udp", local="a:1", remote="b:2", text=call_id),)


class Stage:
    """A pool on fakes, and everything that it told."""

    def __init__(self) -> None:
        self.workers: dict[int, FakeWorker] = {}
        self.events: list[Any] = []
        self.decide: Callable[[engine.Offer], engine.Acceptance | engine.Refusal] = lambda _offer: engine.Refusal(404)
        self.are_workers_quick = True
        self.pool: PjsipPool
        self.door: FakeDoor

    async def open(self, **settings: Any) -> None:
        self.pool = PjsipPool(PoolSettings(sip_host="127.0.0.1", **settings))
        await self.pool.start(self.events.append, lambda offer: self.decide(offer))

    def fork(self, worker_id: int, settings: wire.WorkerSettings, sock: socket.socket, _stderr_fd: int) -> None:
        self.workers[worker_id] = FakeWorker(worker_id, settings, socket.socket(fileno=os.dup(sock.fileno())))
        if self.are_workers_quick:
            self.workers[worker_id].get_ready()

    def accept(self, call_id: str, legs: int = 1) -> None:
        self.decide = lambda _offer: engine.Acceptance(call_id, f"group-{call_id}", legs)

    def offer(self, call_id: str, offer: engine.Offer = OFFER, legs: int = 1) -> None:
        """A call that is accepted, with the key `key-<call_id>`."""
        self.accept(call_id, legs)
        self.door.offer(f"key-{call_id}", offer)

    async def until(self, is_so: Callable[[], Any], timeout_s: float = 5.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not is_so():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    def answer_of(self, call_id: str) -> Any:
        """What the front door was told of a call of `offer`, the last time."""
        return next((answer[-1] for answer in reversed(self.door.answers) if answer[0] == f"key-{call_id}"), None)

    async def placed(self, call_id: str) -> FakeWorker:
        """The worker that expects a call of `offer`, once the front door knows."""
        await self.until(lambda: self.answer_of(call_id) is not None)
        worker = self.workers[self.answer_of(call_id)]
        await self.until(lambda: any(order.call_id == call_id for order in worker.of(wire.ExpectCall)))
        return worker

    async def over(self, call_id: str) -> engine.CallDisconnected:
        def found() -> list[engine.CallDisconnected]:
            return [event for event in self.events if isinstance(event, engine.CallDisconnected) and event.call_id == call_id]

        await self.until(found)
        (event,) = found()
        return event


class FakeServer:
    """Forks fake workers."""

    stage: Stage

    def __init__(self, on_message: Any, on_lost: Any) -> None:
        self.pid = 888
        self.ready: asyncio.Future[wire.ServerReady] = asyncio.get_running_loop().create_future()
        self.ready.set_result(wire.ServerReady("fake", CAPACITY))

    def order(self, worker_id: int, settings: wire.WorkerSettings, sock: socket.socket, stderr_fd: int) -> None:
        self.stage.fork(worker_id, settings, sock, stderr_fd)

    async def close(self) -> None:
        pass
