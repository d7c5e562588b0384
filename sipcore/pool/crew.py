"""The processes of the pool: the server that forks workers, and the workers, started, watched, replaced and retired."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from typing import Final, Protocol

from sipcore import engine, wire
from sipcore.errors import CapacityError

from .placement import NewWorker, Placement
from .server import READY_TIMEOUT_S, ServerProcess
from .settings import PoolSettings, WorkerView
from .worker import WorkerHandle

log = logging.getLogger(__name__)

_TICK_S: Final = 0.5
_STALL_S: Final = 1.0
"""When our own event loop was late by this much, the workers' silence says nothing about them."""

_START_TIMEOUT_S: Final = 15.0
_KILL_WAIT_S: Final = 3.0
_RESTART_DELAY_S: Final = 1.0
_MAX_RESTART_DELAY_S: Final = 30.0


class CrewOwner(Protocol):
    """What the crew tells the pool."""

    def worker_expects(self, worker: WorkerHandle, call_id: str) -> None:
        """Its `ExpectCall` is on its way: the INVITE may follow."""

    def worker_event(self, worker: WorkerHandle, event: engine.Event) -> None:
        """News from PJSIP."""

    def worker_lost(self, worker: WorkerHandle) -> None:
        """All that it held is over."""

    def workers_changed(self) -> None:
        """Others can be reached than before."""

    def supervised(self) -> None:
        """Twice a second, after the workers were looked at."""


class Crew:
    """Worker processes, and the server they come from.

    Attributes:
        capacity: Legs of one worker, 0 before `open`.
        workers_lost: Workers that died since the start.
    """

    def __init__(self, settings: PoolSettings, owner: CrewOwner) -> None:
        self.capacity = 0
        self.workers_lost = 0
        self._settings = settings
        self._owner = owner
        self._door_port = 0
        self._server: ServerProcess | None = None
        self._placement: Placement | None = None
        self._handles: dict[int, WorkerHandle] = {}
        self._lines: set[int] = set()
        self._is_open = False
        self._all_gone = asyncio.Event()
        self._all_gone.set()
        self._first_ready: asyncio.Future[None] | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._replace_at = self._replace_delay_s = 0.0
        self._failed_worker_id = -1

    @property
    def placement(self) -> Placement:
        """Who has which place; from `open` on."""
        assert self._placement is not None
        return self._placement

    @property
    def server_pid(self) -> int:
        """The process that forks the workers; 0 when there is none."""
        return self._server.pid if self._server else 0

    @property
    def may_start_worker(self) -> bool:
        """False while a worker would soon fail as the last one did."""
        return time.monotonic() >= self._replace_at

    def views(self) -> tuple[WorkerView, ...]:
        """The workers for calls that serve, or start to."""
        return tuple(
            WorkerView(handle.pid, self.placement.legs_of(handle.worker_id), handle.ready.sip_port if handle.ready else 0)
            for handle in self._serving()
            if handle.worker_id not in self._lines
        )

    def line_pids(self) -> tuple[int, ...]:
        """Processes of the workers that hold registrations."""
        return tuple(handle.pid for handle in self._serving() if handle.worker_id in self._lines)

    def ports(self) -> dict[int, int]:
        """The SIP port of every worker that can be reached, those that are ending included."""
        return {handle.worker_id: handle.ready.sip_port for handle in self._handles.values() if handle.ready and not handle.is_lost}

    def quick(self) -> dict[int, int]:
        """Workers that take a call at once (0), or as soon as they have started (1)."""
        return {
            handle.worker_id: 0 if handle.ready else 1
            for handle in self._serving()
            if handle.worker_id not in self._lines and handle.has_pace
        }

    def worker(self, worker_id: int | None) -> WorkerHandle | None:
        """By its number; `None` when it is gone."""
        return self._handles.get(worker_id) if worker_id is not None else None

    def _serving(self) -> list[WorkerHandle]:
        return [handle for handle in self._handles.values() if not handle.is_ending and not handle.is_lost]

    # ------------------------------------------------------------------------------------------ start and close

    def launch(self) -> None:
        """Start the server, which takes a while to import pjsua2.

        Raises:
            OSError: it cannot be started.
        """
        self._loop = asyncio.get_running_loop()
        self._wake_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._server = ServerProcess(self._server_message, self._server_lost)

    async def open(self, door_port: int) -> wire.ServerReady:
        """Start the first workers, which send through the front door's port, and wait until one is ready.

        Raises:
            OSError: pjsua2 cannot be imported, or no worker can start; the message has the reason.
            CapacityError: there are not enough RTP ports for one worker.
        """
        assert self._server is not None
        self._door_port = door_port
        ready = await asyncio.wait_for(asyncio.shield(self._server.ready), READY_TIMEOUT_S)
        self.capacity = ready.capacity
        self._placement = Placement(self._settings.limits(ready.capacity))
        await self._start_first(self._placement)
        self._is_open = True
        self._tick_due = self._loop.time() + _TICK_S
        self._tick_timer = self._loop.call_at(self._tick_due, self._tick)
        return ready

    async def _start_first(self, placement: Placement) -> None:
        self._first_ready = self._loop.create_future()
        new = placement.missing(time.monotonic(), least=1)
        if not new:
            raise CapacityError(1, 0, placement.max_workers, "workers (RTP ports)")
        for worker in new:
            self._start_worker(worker)
        await asyncio.wait_for(self._first_ready, _START_TIMEOUT_S)

    async def close(self, grace_s: float) -> None:
        """BYE or CANCEL for every leg, then end every process, by SIGKILL those that take longer than `grace_s`. Idempotent."""
        self._is_open = False
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        for handle in list(self._handles.values()):
            if grace_s > 0:
                handle.shut_down(grace_s)
            else:
                handle.kill("closed")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_gone.wait(), grace_s + 0.2)
        for handle in list(self._handles.values()):
            handle.kill("closed")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_gone.wait(), _KILL_WAIT_S)
        server, self._server = self._server, None
        if server is not None:
            await server.close()
            self._wake_socket.close()

    # -------------------------------------------------------------------------------------------------- workers

    def start(self, new: NewWorker) -> None:
        """Start a worker that a reservation needs, or forget it.

        Raises:
            OSError: there are no descriptors for its pipes.
        """
        try:
            self._start_worker(new)
        except OSError:
            self.placement.lose(new.worker_id)
            self.placement.free(new.worker_id)
            raise

    def start_line_worker(self) -> int:
        """Start a worker that holds registrations. Returns its number; its start may still fail.

        Raises:
            OSError: there are no descriptors for its pipes.
        """
        new = self.placement.line_worker()
        self._start_worker(new)
        self._lines.add(new.worker_id)
        return new.worker_id

    def retire(self, worker_id: int) -> None:
        """End a worker that holds nothing."""
        if handle := self._handles.get(worker_id):
            handle.shut_down(1.0)

    def _start_worker(self, new: NewWorker) -> None:
        handle = WorkerHandle(new.worker_id, self, self._wake_socket)
        self._handles[new.worker_id] = handle
        self._all_gone.clear()
        settings = self._settings.worker(new, os.getpid(), self._door_port)
        try:
            server = self._server
            if server is None:
                raise BrokenPipeError("no worker server")
            handle.order(lambda worker_id, sock, stderr_fd: server.order(worker_id, settings, sock, stderr_fd))
        except OSError as error:
            handle.kill(f"worker could not be started: {error}")

    def _delay_replacement(self, failed_worker_id: int) -> None:
        """After a start that failed: the next one soon fails likewise. Each round without a worker that is ready doubles the delay."""
        self._failed_worker_id = max(self._failed_worker_id, failed_worker_id)
        now = time.monotonic()
        if now >= self._replace_at:
            self._replace_delay_s = min(max(_RESTART_DELAY_S, 2 * self._replace_delay_s), _MAX_RESTART_DELAY_S)
            self._replace_at = now + self._replace_delay_s

    def worker_ready(self, worker: WorkerHandle) -> None:
        """See `WorkerOwner`."""
        if worker.worker_id > self._failed_worker_id:  # one that was started before the failure says nothing of the next start
            self._replace_at = self._replace_delay_s = 0.0
        log.info("worker %d ready: process %d, %s", worker.worker_id, worker.pid, worker.ready and worker.ready.sip_address)
        self._owner.workers_changed()
        if self._first_ready is not None and not self._first_ready.done():
            self._first_ready.set_result(None)

    def worker_expects(self, worker: WorkerHandle, call_id: str) -> None:
        """See `WorkerOwner`."""
        self._owner.worker_expects(worker, call_id)

    def worker_event(self, worker: WorkerHandle, event: engine.Event) -> None:
        """See `WorkerOwner`."""
        self._owner.worker_event(worker, event)

    def worker_lingers(self, worker: WorkerHandle, count: int) -> None:
        """See `WorkerOwner`."""
        self.placement.linger(worker.worker_id, count)

    def worker_lost(self, worker: WorkerHandle, reason: str) -> None:
        """See `WorkerOwner`. Ends exactly its legs."""
        if not worker.is_ending:
            self.workers_lost += 1
            log.error("worker %d (process %d) lost: %s", worker.worker_id, worker.pid, reason)
            if worker.ready is None:
                self._delay_replacement(worker.worker_id)
        if self._first_ready is not None and not self._first_ready.done() and all(handle.is_lost for handle in self._handles.values()):
            self._first_ready.set_exception(OSError(reason))
        self.placement.lose(worker.worker_id)
        self._owner.workers_changed()
        self._owner.worker_lost(worker)

    def worker_gone(self, worker: WorkerHandle) -> None:
        """See `WorkerOwner`."""
        self._handles.pop(worker.worker_id, None)
        self._lines.discard(worker.worker_id)
        self.placement.free(worker.worker_id)
        if not self._handles:
            self._all_gone.set()

    # --------------------------------------------------------------------------------------------------- server

    def _server_message(self, message: wire.Message) -> None:
        if isinstance(message, wire.WorkerForked) and (handle := self._handles.get(message.worker_id)):
            handle.forked(message.pid)
        elif isinstance(message, wire.WorkerExited) and message.exit_code:
            log.warning("worker %d (process %d) ended with code %d", message.worker_id, message.pid, message.exit_code)

    def _server_lost(self, server: ServerProcess) -> None:
        if not self._is_open or server is not self._server:
            return
        log.error("worker server (process %d) lost: %s", server.pid, "; ".join(server.log.tail) or "no message")
        delay_s = 0.0 if server.ready.done() and server.ready.exception() is None else _RESTART_DELAY_S
        self._loop.call_later(delay_s, self._restart_server)

    def _restart_server(self) -> None:
        if not self._is_open:
            return
        try:
            self._server = ServerProcess(self._server_message, self._server_lost)
        except OSError:
            log.exception("worker server could not be started")
            self._loop.call_later(_RESTART_DELAY_S, self._restart_server)

    # ------------------------------------------------------------------------------------------------ housekeeping

    def _tick(self) -> None:
        """Twice a second, whatever goes wrong: kill the silent, retire the idle, replace the lost."""
        try:
            self._supervise(time.monotonic())
            self._owner.supervised()
        finally:
            self._tick_due = self._loop.time() + _TICK_S
            self._tick_timer = self._loop.call_at(self._tick_due, self._tick)

    def _supervise(self, now: float) -> None:
        is_late = self._loop.time() - self._tick_due > _STALL_S
        for handle in list(self._handles.values()):
            if is_late:
                handle.last_seen = now
            timeout_s = self._settings.heartbeat_timeout_s if handle.ready else _START_TIMEOUT_S
            if not handle.is_lost and now - handle.last_seen > timeout_s:
                handle.kill(f"silent for {now - handle.last_seen:.1f} s")
        for worker_id in self.placement.retire(now):
            self._handles[worker_id].shut_down(1.0)
        for new in self.placement.missing(now) if now >= self._replace_at else ():
            self._replace(new)

    def _replace(self, new: NewWorker) -> None:
        try:
            self.start(new)
        except OSError as error:
            log.error("worker %d could not be started: %s", new.worker_id, error)  # noqa: TRY400 - the text says it all
            self._delay_replacement(new.worker_id)
