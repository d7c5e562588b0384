from __future__ import annotations

import asyncio
import math
import struct
import wave
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from bench import Bench
from scripted_far_end import FarEnd, RtpPort, close_far_end, open_far_end, rtp_ports
from scripted_peer import Peer

from sipcore import engine
from sipcore.pool import PjsipPool, PoolSettings

E = TypeVar("E")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.sip)


class Line:
    """A pool, and the events it sent."""

    def __init__(self, settings: PoolSettings) -> None:
        self.pool = PjsipPool(settings)
        self.events: list[Any] = []
        self._changed = asyncio.Event()
        self._groups = 0

    def on_event(self, event: engine.Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def start(self) -> Line:
        await self.pool.start(self.on_event)
        return self

    def of(self, kind: type[E], call_id: str) -> list[E]:
        return [event for event in self.events if isinstance(event, kind) and event.call_id == call_id]

    async def got(self, kind: type[E], call_id: str, timeout_s: float = 10, count: int = 1) -> E:
        async with asyncio.timeout(timeout_s):
            while len(found := self.of(kind, call_id)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found[count - 1]

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10) -> None:
        """For what no event tells: looks again every 10 ms."""
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def dial(self, call_id: str, uri: str, group_id: str = "", account: engine.Account | None = None, **more: Any) -> None:
        """Dial; without a group in one of its own, which is released at once."""
        own = not group_id
        group_id = group_id or f"group-{call_id}"
        if own:
            self.pool.reserve(group_id, 1)
        self.pool.submit(engine.Dial(call_id, group_id, uri, '"Me" <sip:me@example.org>', account or engine.Account(), **more))
        if own:
            self.pool.release(group_id)

    def hang_up(self, call_id: str) -> None:
        self.pool.submit(engine.Hangup(call_id))

    def faults(self) -> list[engine.EngineFault]:
        return [event for event in self.events if isinstance(event, engine.EngineFault)]


Open = Callable[..., Any]


@pytest_asyncio.fixture
async def open_line(far_end: FarEnd) -> AsyncIterator[Open]:  # the far end answers the BYEs of the close
    lines: list[Line] = []

    async def opened(**settings: Any) -> Line:
        line = Line(PoolSettings(**{"sip_host": "127.0.0.1", "rtp_ports": rtp_ports(), **settings}))
        lines.append(line)
        return await line.start()

    yield opened
    for line in lines:
        await line.pool.close(2)
        assert not line.faults()


@pytest_asyncio.fixture
async def line(open_line: Open) -> Line:
    opened: Line = await open_line()
    return opened


@pytest_asyncio.fixture
async def far_end() -> AsyncIterator[FarEnd]:
    far = await open_far_end()
    yield far
    close_far_end(far)


@pytest_asyncio.fixture
async def open_bench(peer: Peer) -> AsyncIterator[Open]:
    benches: list[Bench] = []

    async def opened(**settings: Any) -> Bench:
        benches.append(Bench(**settings))
        return await benches[-1].start()

    yield opened
    for bench in benches:
        assert await bench.stop() == 0


@pytest_asyncio.fixture
async def bench(open_bench: Open) -> Bench:
    opened: Bench = await open_bench()
    return opened


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[Peer]:
    opened = await Peer.open()
    yield opened
    opened.close()


@pytest_asyncio.fixture
async def other_rtp() -> AsyncIterator[RtpPort]:
    transport, port = await asyncio.get_running_loop().create_datagram_endpoint(RtpPort, local_addr=("127.0.0.1", 0))
    yield port
    transport.close()


@pytest.fixture
def tone(tmp_path: Path) -> Callable[..., str]:
    def written(duration_s: float = 0.3, rate_hz: int = 8000, channels: int = 1, width: int = 2) -> str:
        path = str(tmp_path / f"tone-{duration_s}-{rate_hz}-{channels}-{width}.wav")
        with wave.open(path, "wb") as wav:
            wav.setnchannels(channels)
            wav.setsampwidth(width)
            wav.setframerate(rate_hz)
            frames = [
                struct.pack("<h", int(8000 * math.sin(2 * math.pi * 440 * i / rate_hz)))[:width] for i in range(int(duration_s * rate_hz))
            ]
            wav.writeframes(b"".join(frame * channels for frame in frames))
        return path

    return written
