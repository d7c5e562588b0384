"""One worker without a pool: its process, the commands it gets, the events it sends."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from scripted_far_end import rtp_ports

from sipcore import engine, wire

E = TypeVar("E")

_PROGRAM = """
import socket, sys, msgspec
from sipcore import wire
from sipcore.pjsip.worker import main
main(socket.socket(fileno=int(sys.argv[1])), msgspec.json.decode(sys.argv[2], type=wire.WorkerSettings))
"""


class Bench:
    """A worker and what it said."""

    def __init__(self, **settings: Any) -> None:
        first, last = rtp_ports()
        defaults: dict[str, Any] = {"sip_host": "127.0.0.1", "sip_port": 0, "rtp_port_first": first, "rtp_port_last": last}
        self.settings = wire.WorkerSettings(**(defaults | settings))
        self.events: list[Any] = []
        self.sip_port = 0
        self._changed = asyncio.Event()
        self._socket, self._theirs = socket.socketpair()
        self._socket.setblocking(False)

    async def start(self) -> Bench:
        self._launch()
        self._reader = asyncio.create_task(self._read())
        await self.until(lambda: self.sip_port > 0)
        return self

    def _launch(self) -> None:
        settings = msgspec.json.encode(self.settings).decode()
        fd = self._theirs.fileno()
        self.process = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(fd), settings], pass_fds=[fd], stdout=subprocess.DEVNULL)
        self._theirs.close()

    async def _read(self) -> None:
        decoder = wire.FrameDecoder()
        while data := await asyncio.get_running_loop().sock_recv(self._socket, 65536):
            for message in decoder.feed(data):
                if isinstance(message, wire.WorkerReady):
                    self.sip_port = message.sip_port
                if not isinstance(message, wire.Heartbeat | wire.SlotsLingering):
                    self.events.append(message)
            self._changed.set()

    def send(self, *messages: wire.Message) -> None:
        """Write, then wake the worker, as the pool does."""
        for message in messages:
            self._socket.sendall(wire.encode(message))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            waker.sendto(b"\r\n", ("127.0.0.1", self.sip_port))

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10) -> None:
        """Until something the worker said makes it true."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    async def got(self, kind: type[E], count: int = 1, timeout_s: float = 10) -> E:
        await self.until(lambda: len(self.of(kind)) >= count, timeout_s)
        return self.of(kind)[count - 1]

    def end(self, grace_s: float) -> None:
        """Tell it to end."""
        self.send(wire.Shutdown(grace_s))

    async def ended(self) -> int:
        """Its exit code, when it has ended: 0 is a clean end."""
        async with asyncio.timeout(10):
            await self._reader
        self._socket.close()
        code = await asyncio.to_thread(self.process.wait, 10)
        assert not [event for event in self.events if isinstance(event, engine.EngineFault)]
        return code

    async def stop(self) -> int:
        """End it, if that has not been done."""
        if self._socket.fileno() < 0:
            return self.process.wait(0)
        self.end(0.3)
        return await self.ended()
