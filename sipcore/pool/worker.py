"""The pool's view of one worker: its socket, its commands, its pulse, its end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from typing import Final, Protocol

from sipcore import engine, wire

from .channel import Channel, LogPipe, ProcessWatch
from .outbox import Order, Outbox

_WAKE: Final = b"\r\n"
"""A SIP keep-alive (RFC 5626 §4.4.1): PJSIP reads and ignores it, and its thread has left select()."""


class WorkerOwner(Protocol):
    """What a worker's handle tells the pool."""

    def worker_ready(self, worker: WorkerHandle) -> None:
        """The endpoint runs."""

    def worker_expects(self, worker: WorkerHandle, call_id: str) -> None:
        """Its `ExpectCall` is on its way: the INVITE may follow."""

    def worker_event(self, worker: WorkerHandle, event: engine.Event) -> None:
        """News from PJSIP."""

    def worker_lingers(self, worker: WorkerHandle, count: int) -> None:
        """So many of its legs are over but hold their place."""

    def worker_lost(self, worker: WorkerHandle, reason: str) -> None:
        """No more news will come; once per worker."""

    def worker_gone(self, worker: WorkerHandle) -> None:
        """The process has ended, its ports are free; once, after `worker_lost`."""


class WorkerHandle:
    """One worker process.

    Attributes:
        worker_id: Its number in the pool.
        ready: What it said when its endpoint ran; `None` while it starts.
        is_ending: It was told to end.
        last_seen: When it last said anything, monotonic seconds.
        failure: Why its endpoint could not start.
    """

    def __init__(self, worker_id: int, owner: WorkerOwner, wake_socket: socket.socket) -> None:
        """Make its pipes.

        Raises:
            OSError: there are no descriptors for them.
        """
        self.worker_id = worker_id
        self.ready: wire.WorkerReady | None = None
        self.is_ending = False
        self.is_lost = False
        self.last_seen = time.monotonic()
        self.failure = ""
        self._owner = owner
        self._wake_socket = wake_socket
        self._outbox = Outbox()
        self._timer: asyncio.TimerHandle | None = None
        self._is_pump_due = False
        self._watch: ProcessWatch | None = None
        self._is_gone = False
        self._loop = asyncio.get_running_loop()
        self.log = LogPipe(f"worker {worker_id}")
        try:
            ours, self._theirs = socket.socketpair()
        except OSError:
            self.log.close()
            raise
        self._channel = Channel(ours, self._receive, self._lose)

    @property
    def pid(self) -> int:
        """Its process, 0 until it is known."""
        return self._watch.pid if self._watch else 0

    def order(self, order: Callable[[int, socket.socket, int], None]) -> None:
        """Hand the process's ends of its pipes to the server by `order(worker_id, socket, stderr_fd)`."""
        try:
            order(self.worker_id, self._theirs, self.log.write_fd)
        finally:
            self._theirs.close()
            self.log.close_write_end()

    def forked(self, pid: int) -> None:
        """The server, or the worker itself, said which process it is."""
        if self._watch is None and not self._is_gone:
            self._watch = ProcessWatch(pid, self._exit)

    # ------------------------------------------------------------------------------------------------- commands

    def submit(self, order: Order) -> None:
        """Send as soon as the worker can take it: what is submitted in one turn of the loop goes out together, and wakes it once."""
        self._outbox.put(order)
        if not self._is_pump_due:
            self._is_pump_due = True
            self._loop.call_soon(self._pump)

    @property
    def has_pace(self) -> bool:
        """See `Outbox.has_pace`."""
        return self._outbox.has_pace(self._loop.time())

    def withdraw(self, call_id: str) -> bool:
        """See `Outbox.withdraw`."""
        return self._outbox.withdraw(call_id)

    def shut_down(self, grace_s: float) -> None:
        """End, with BYE for every leg; a worker that has not started yet is killed."""
        self.is_ending = True
        if self.ready is None:
            self.kill("ended before it was ready")
            return
        self._pump()  # what was submitted before goes before
        self._channel.send(wire.Shutdown(grace_s))
        self._wake()

    def kill(self, reason: str) -> None:
        """SIGKILL; its legs are over now."""
        if self._watch:
            self._watch.kill()
        self._lose(reason)

    def _pump(self) -> None:
        self._is_pump_due = False
        orders = self._outbox.take(self._loop.time())
        for order in orders:
            self._channel.send(order)
        if orders:
            self._wake()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = self._outbox.next_at()
        if at is not None and not self.is_lost:
            self._timer = self._loop.call_at(at, self._pump)
        for order in orders:
            if isinstance(order, wire.ExpectCall):
                self._owner.worker_expects(self, order.call_id)

    def _wake(self) -> None:
        if self.ready is not None:
            with contextlib.suppress(OSError):  # it looks at its socket every second anyway
                self._wake_socket.sendto(_WAKE, (self.ready.wake_host, self.ready.sip_port))

    # ----------------------------------------------------------------------------------------------------- news

    def _receive(self, message: wire.Message) -> None:
        self.last_seen = time.monotonic()
        match message:
            case wire.Heartbeat():
                pass
            case wire.SlotsLingering(count):
                self._owner.worker_lingers(self, count)
            case wire.WorkerReady():
                self.ready = message
                self.forked(message.pid)
                self._outbox.is_open = True
                self._owner.worker_ready(self)  # before its orders: the front door must know it when a call is placed
                self._pump()
            case wire.WorkerFailed(text):
                self.failure = text
            case _ if isinstance(message, engine.Event):
                self._owner.worker_event(self, message)
            case _:
                self.kill(f"worker sent {type(message).__name__}")

    def _lose(self, reason: str) -> None:
        if self.is_lost:
            return
        self.is_lost = True
        self._channel.close()
        if self._timer is not None:
            self._timer.cancel()
        self.log.drain()
        last_words = f"{reason}: {self.log.tail[-1]}" if self.ready is None and self.log.tail else reason
        self._owner.worker_lost(self, self.failure or last_words)
        if self._watch is None:
            self._exit()  # never forked, as far as we know: there is nothing to wait for

    def _exit(self) -> None:
        if self._is_gone:
            return
        self._is_gone = True
        self._channel.drain()
        self._lose("process ended")
        self.log.drain()
        self.log.close()
        if self._watch is not None:
            self._watch.close()
        self._owner.worker_gone(self)
