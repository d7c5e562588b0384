"""The pool's view of the worker server: start it, order workers from it, notice its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from sipcore import wire

from .channel import Channel, LogPipe, ProcessWatch
from .program import start_program

READY_TIMEOUT_S: Final = 30.0
_EXIT_TIMEOUT_S: Final = 3.0


class ServerProcess:
    """One run of `python -m sipcore.pjsip.server`.

    Attributes:
        ready: Resolves to what the server said of itself; fails with `OSError` when it ends first.
        pid: Its process.
    """

    def __init__(self, on_message: Callable[[wire.Message], None], on_lost: Callable[[ServerProcess], None]) -> None:
        """Start the program.

        Raises:
            OSError: it cannot be started.
        """
        self.ready: asyncio.Future[wire.ServerReady] = asyncio.get_running_loop().create_future()
        self._on_message = on_message
        self._on_lost = on_lost
        self._exited = asyncio.Event()
        ours, theirs = socket.socketpair()
        self.log = LogPipe("server")
        try:
            self._process = start_program("sipcore.pjsip.server", theirs, self.log.write_fd)
        except OSError:
            ours.close()
            self.log.close()
            raise
        finally:
            theirs.close()
        self.log.close_write_end()
        self.pid = self._process.pid
        self._watch = ProcessWatch(self.pid, self._exit)
        self._channel = Channel(ours, self._receive, lambda _reason: self._lose())

    def order(self, worker_id: int, settings: wire.WorkerSettings, sock: socket.socket, stderr_fd: int) -> None:
        """Have a worker forked that owns `sock` and `stderr_fd`; close yours afterwards.

        Raises:
            OSError: the server is gone or stuck.
        """
        self._channel.send_fds(wire.ForkWorker(worker_id, settings), [sock.fileno(), stderr_fd])

    def kill(self) -> None:
        """SIGKILL; `on_lost` follows."""
        self._watch.kill()

    async def close(self) -> None:
        """Let it end, once its workers have; kill it when it does not."""
        self._channel.close()
        try:
            await asyncio.wait_for(self._exited.wait(), _EXIT_TIMEOUT_S)
        except TimeoutError:
            self._watch.kill()
            await self._exited.wait()

    def _receive(self, message: wire.Message) -> None:
        if isinstance(message, wire.ServerReady) and not self.ready.done():
            self.ready.set_result(message)
        self._on_message(message)

    def _exit(self) -> None:
        self._process.wait()
        self.log.drain()
        self.log.close()
        self._channel.close()
        self._exited.set()
        self._lose()

    def _lose(self) -> None:
        """Its socket or the process itself is gone; both lead here, only the end of the process counts."""
        if not self._exited.is_set():
            self._watch.kill()
            return
        if not self.ready.done():
            self.ready.set_exception(OSError("; ".join(self.log.tail) or f"ended with code {self._process.returncode}"))
            self.ready.exception()  # looked at: nobody may be waiting
        self._on_lost(self)
