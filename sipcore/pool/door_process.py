"""One process of the front door, as the pool sees it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from typing import Final

from sipcore import wire

from .channel import Channel, LogPipe, ProcessWatch
from .program import start_program

_EXIT_TIMEOUT_S: Final = 2.0


class DoorProcess:
    """One run of `python -m sipcore.frontdoor.process`, which waits for `hand_over` and then serves.

    Attributes:
        ready: Done when it serves; fails with `OSError`, saying why, when it ends first.
        pid: Its process.
        last_seen: When it last said anything, monotonic seconds.
        counters: What it said last.
    """

    def __init__(self, on_message: Callable[[DoorProcess, wire.Message], None], on_lost: Callable[[DoorProcess, str], None]) -> None:
        """Start the program.

        Raises:
            OSError: it cannot be started.
        """
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.last_seen = time.monotonic()
        self.counters = wire.DoorCounters(0, 0, 0, 0, 0)
        self._on_message = on_message
        self._on_lost = on_lost
        self._failure = ""
        self._has_settings = False
        self._exited = asyncio.Event()
        ours, theirs = socket.socketpair()
        self.log = LogPipe("front door")
        try:
            with contextlib.suppress(OSError):
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, wire.MAX_FRAME_BYTES)  # settings go in one piece
            self._process = start_program("sipcore.frontdoor.process", theirs, self.log.write_fd, "--control-pid", str(os.getpid()))
        except OSError:
            ours.close()
            self.log.close()
            raise
        finally:
            theirs.close()
        self.log.close_write_end()
        self.pid = self._process.pid
        self._watch = ProcessWatch(self.pid, self._exit)
        self._channel = Channel(ours, self._receive, lambda _reason: self._watch.kill())

    @property
    def is_serving(self) -> bool:
        """It has said that it serves."""
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None

    @property
    def has_ended(self) -> bool:
        """It is gone, even if `on_lost` is still to come."""
        return self._process.poll() is not None

    def hand_over(self, settings: wire.DoorSettings, sockets: list[socket.socket]) -> None:
        """Send the first message, with the sockets. It serves after the first `DoorWorkers`, and with all that was sent before.

        Raises:
            OSError: the process is gone, or the settings are larger than a socket takes at once (about a thousand phones).
            WireError: they are larger than a frame.
        """
        self._channel.send_fds(settings, [sock.fileno() for sock in sockets])
        self._has_settings = True
        self.last_seen = time.monotonic()  # a spare has been silent until now

    def send(self, message: wire.Message) -> None:
        """Send, now or as soon as it reads."""
        self._channel.send(message)

    def kill(self) -> None:
        """SIGKILL; `on_lost` follows."""
        self._watch.kill()

    async def close(self) -> None:
        """Let it end; kill it when it does not, and at once when it has never had anything to do."""
        if self._has_settings:
            self._channel.send(wire.DoorShutdown())
        else:
            self._watch.kill()
        try:
            await asyncio.wait_for(self._exited.wait(), _EXIT_TIMEOUT_S)
        except TimeoutError:
            self._watch.kill()
            await self._exited.wait()

    def _receive(self, message: wire.Message) -> None:
        self.last_seen = time.monotonic()
        if isinstance(message, wire.DoorReady) and not self.ready.done():
            self.ready.set_result(None)
        elif isinstance(message, wire.DoorCounters):
            self.counters = message
        elif isinstance(message, wire.DoorFailed) and not self.ready.done():
            self._failure = message.message
            return
        self._on_message(self, message)

    def _exit(self) -> None:
        self._process.wait()
        self._channel.drain()
        self._channel.close()
        self.log.drain()
        self.log.close()
        self._exited.set()
        reason = self._failure or "; ".join(self.log.tail) or f"ended with code {self._process.returncode}"
        if not self.ready.done():
            self.ready.set_exception(OSError(reason))
            self.ready.exception()  # looked at: nobody may be waiting
        self._on_lost(self, reason)
