"""`PjsipPool`: the `Engine` whose legs are real calls."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Final

from sipcore import engine, wire
from sipcore.errors import CapacityError, EngineError

from .placement import NewWorker, Placement
from .resolve import Resolver
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


class PjsipPool:
    """Worker processes with four legs each (or what pjsua2 was compiled for), started as they are needed. See `sipcore.engine.Engine`.

    Used from one asyncio event loop. A worker that dies ends its own legs only, and is replaced.
    """

    def __init__(self, settings: PoolSettings | None = None) -> None:
        self._settings = settings or PoolSettings()
        self._on_event: Callable[[engine.Event], None] = lambda _event: None
        self._server: ServerProcess | None = None
        self._placement: Placement | None = None
        self._capacity = 0
        self._handles: dict[int, WorkerHandle] = {}
        self._calls: dict[str, WorkerHandle] = {}
        self._resolver = Resolver(lambda call_id, error: self._end(call_id, remote=True, error=error))
        self._sip_address = ""
        self._is_open = False
        self.workers_lost = 0
        """Workers that died since the start."""
        self._all_gone = asyncio.Event()
        self._all_gone.set()
        self._first_ready: asyncio.Future[None] | None = None
        self._tick_timer: asyncio.TimerHandle | None = None
        self._replace_at = self._replace_delay_s = 0.0

    @property
    def leg_capacity(self) -> int:
        """The most legs one group can have; 0 before `start`."""
        return self._capacity

    @property
    def legs_in_use(self) -> int:
        """Legs reserved or alive."""
        return self._placement.legs_in_use if self._placement else 0

    @property
    def sip_address(self) -> str:
        """`host:port` of the first worker's signalling; empty before `start`."""
        return self._sip_address

    def workers(self) -> tuple[WorkerView, ...]:
        """The workers that serve, or start to."""
        legs_of = self._placement.legs_of if self._placement else lambda _worker_id: 0
        return tuple(
            WorkerView(handle.pid, legs_of(worker_id), handle.ready.sip_port if handle.ready else 0)
            for worker_id, handle in self._handles.items()
            if not handle.is_ending and not handle.is_lost
        )

    @property
    def server_pid(self) -> int:
        """The process that forks the workers; 0 when there is none."""
        return self._server.pid if self._server else 0

    # ------------------------------------------------------------------------------------------ start and close

    async def start(self, on_event: Callable[[engine.Event], None]) -> None:
        """Start the server and the first workers, and wait until one is ready.

        Raises:
            EngineError: pjsua2 cannot be imported, or no worker can bind its ports; the message has the reason.
        """
        if self._server is not None:
            raise EngineError("the pool was started already")
        self._loop = asyncio.get_running_loop()
        self._on_event = on_event
        self._wake_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._server = ServerProcess(self._server_message, self._server_lost)
            ready = await asyncio.wait_for(asyncio.shield(self._server.ready), READY_TIMEOUT_S)
            self._capacity = ready.capacity
            self._placement = Placement(self._settings.limits(ready.capacity))
            await self._start_first_workers(self._placement)
        except (OSError, TimeoutError, CapacityError) as error:
            await self.close(0.0)
            reason = "no answer in time" if isinstance(error, TimeoutError) and not error.args else str(error)
            raise EngineError(f"PJSIP workers cannot run here: {reason}") from None
        except BaseException:
            await self.close(0.0)
            raise
        self._is_open = True
        self._tick_due = self._loop.time() + _TICK_S
        self._tick_timer = self._loop.call_at(self._tick_due, self._tick)
        log.info("started: pjsua2 %s, %d legs a worker, SIP at %s", ready.version, ready.capacity, self._sip_address)

    async def _start_first_workers(self, placement: Placement) -> None:
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
        self._resolver.close()
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
            log.info("closed")

    # ------------------------------------------------------------------------------------------------- contract

    def reserve(self, group_id: str, legs: int) -> None:
        """Keep room for a group in one worker; starts a worker when none has room.

        Raises:
            CapacityError: no room; nothing is kept.
        """
        if self._placement is None or not self._is_open:
            raise CapacityError(legs, 0, 0)
        new = self._placement.reserve(group_id, legs, time.monotonic())
        if new is None:
            return
        try:
            self._start_worker(new)
        except OSError as error:
            self._placement.lose(new.worker_id)
            self._placement.free(new.worker_id)
            raise CapacityError(legs, self.legs_in_use, self._settings.max_legs, f"legs ({error})") from None

    def release(self, group_id: str) -> None:
        """Give back what the group has reserved. Idempotent."""
        if self._placement is not None:
            self._placement.release(group_id, time.monotonic())

    def submit(self, command: engine.Command) -> None:
        """Carry out a command; what happens comes back as events."""
        if isinstance(command, engine.Dial):
            self._dial(command)
            return
        handle = self._calls.get(command.call_id)
        if handle is None:
            return
        if isinstance(command, engine.Hangup) and (self._resolver.withdraw(command.call_id) or handle.withdraw(command.call_id)):
            self._end(command.call_id, remote=False, error="hung up before the INVITE was sent")
            return
        self._resolver.submit(handle, command)

    def _dial(self, dial: engine.Dial) -> None:
        worker_id = self._placement.dial(dial.group_id, dial.call_id) if self._placement and self._is_open else None
        handle = self._handles.get(worker_id) if worker_id is not None else None
        if handle is None:
            reason = "its group has no place" if self._is_open else "the engine is closed"
            self._emit(engine.CallDisconnected(dial.call_id, 0, "", remote=True, error=reason))
            return
        self._calls[dial.call_id] = handle
        self._resolver.submit(handle, dial)

    def _emit(self, event: engine.Event) -> None:
        """Tell the listener later: it must not be called from within `submit`."""
        self._loop.call_soon(self._on_event, event)

    def _end(self, call_id: str, *, remote: bool, error: str) -> None:
        self._calls.pop(call_id, None)
        self._resolver.withdraw(call_id)
        if self._placement is not None:
            self._placement.finish(call_id, time.monotonic())
        self._emit(engine.CallDisconnected(call_id, 0, "", remote=remote, error=error))

    # -------------------------------------------------------------------------------------------------- workers

    def _start_worker(self, new: NewWorker) -> None:
        handle = WorkerHandle(new.worker_id, self, self._wake_socket)
        self._handles[new.worker_id] = handle
        self._all_gone.clear()
        settings = self._settings.worker(new, os.getpid())
        try:
            server = self._server
            if server is None:
                raise BrokenPipeError("no worker server")
            handle.order(lambda worker_id, sock, stderr_fd: server.order(worker_id, settings, sock, stderr_fd))
        except OSError as error:
            handle.kill(f"worker could not be started: {error}")

    def _delay_replacement(self) -> None:
        """After a start that failed: the next one soon fails likewise. Each round without a worker that is ready doubles the delay."""
        now = time.monotonic()
        if now >= self._replace_at:
            self._replace_delay_s = min(max(_RESTART_DELAY_S, 2 * self._replace_delay_s), _MAX_RESTART_DELAY_S)
            self._replace_at = now + self._replace_delay_s

    def worker_ready(self, worker: WorkerHandle) -> None:
        """See `WorkerOwner`."""
        self._replace_at = self._replace_delay_s = 0.0
        log.info("worker %d ready: process %d, %s", worker.worker_id, worker.pid, worker.ready and worker.ready.sip_address)
        if self._first_ready is not None and not self._first_ready.done():
            self._sip_address = worker.ready.sip_address if worker.ready else ""
            self._first_ready.set_result(None)

    def worker_event(self, worker: WorkerHandle, event: engine.Event) -> None:
        """See `WorkerOwner`. What a worker says of calls that are not its own is dropped."""
        if isinstance(event, engine.EngineFault):
            log.error("worker %d, call %s: %s", worker.worker_id, event.call_id or "none", event.message)
        elif self._calls.get(event.call_id) is not worker:
            return
        if isinstance(event, engine.CallDisconnected):
            self._calls.pop(event.call_id)
            if self._placement is not None:
                self._placement.finish(event.call_id, time.monotonic())
        self._on_event(event)

    def worker_lingers(self, worker: WorkerHandle, count: int) -> None:
        """See `WorkerOwner`."""
        if self._placement is not None:
            self._placement.linger(worker.worker_id, count)

    def worker_lost(self, worker: WorkerHandle, reason: str) -> None:
        """See `WorkerOwner`. Ends exactly its legs."""
        if not worker.is_ending:
            self.workers_lost += 1
            log.error("worker %d (process %d) lost: %s", worker.worker_id, worker.pid, reason)
            if worker.ready is None:
                self._delay_replacement()
        if self._first_ready is not None and not self._first_ready.done() and all(handle.is_lost for handle in self._handles.values()):
            self._first_ready.set_exception(OSError(reason))
        if self._placement is not None:
            self._placement.lose(worker.worker_id)
        for call_id in [call_id for call_id, handle in self._calls.items() if handle is worker]:
            self._end(call_id, remote=not worker.is_ending, error="closed" if worker.is_ending else "worker lost")

    def worker_gone(self, worker: WorkerHandle) -> None:
        """See `WorkerOwner`."""
        self._handles.pop(worker.worker_id, None)
        if self._placement is not None:
            self._placement.free(worker.worker_id)
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
        if self._placement is not None:
            for worker_id in self._placement.retire(now):
                self._handles[worker_id].shut_down(1.0)
            for new in self._placement.missing(now) if now >= self._replace_at else ():
                self._replace(self._placement, new)

    def _replace(self, placement: Placement, new: NewWorker) -> None:
        try:
            self._start_worker(new)
        except OSError as error:
            placement.lose(new.worker_id)
            placement.free(new.worker_id)
            log.error("worker %d could not be started: %s", new.worker_id, error)  # noqa: TRY400 - the text says it all
            self._delay_replacement()
