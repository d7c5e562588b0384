"""`PjsipPool`: the `Engine` whose legs are real calls."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace

from sipcore import engine, wire
from sipcore.errors import CapacityError, EngineError

from .crew import Crew
from .door import DoorHandle
from .placement import Caller, NewWorker
from .reception import BUSY, DECLINE, Reception
from .registrar import Registrar
from .resolve import Resolver
from .settings import PoolSettings, WorkerView
from .worker import WorkerHandle

log = logging.getLogger(__name__)


class PjsipPool:
    """Worker processes with four legs each (or what pjsua2 was compiled for) behind one front door. See `sipcore.engine.Engine`.

    Used from one asyncio event loop. A worker that dies ends its own legs only, and is replaced; the front door is, too, and ends none.
    """

    def __init__(self, settings: PoolSettings | None = None) -> None:
        self._settings = settings or PoolSettings()
        self._on_event: Callable[[engine.Event], None] = lambda _event: None
        self._crew: Crew | None = None
        self._door: DoorHandle | None = None
        self._calls: dict[str, WorkerHandle] = {}
        self._resolver = Resolver(self._unreachable, lambda: self._door.inner_port if self._door else 0, tell=self._emit)
        self._is_open = False

    @property
    def leg_capacity(self) -> int:
        """The most legs one group can have; 0 before `start`."""
        return self._crew.capacity if self._crew else 0

    @property
    def legs_in_use(self) -> int:
        """Legs reserved or alive."""
        return self._crew.placement.legs_in_use if self._crew and self._crew.capacity else 0

    @property
    def sip_address(self) -> str:
        """`host:port` of the front door; empty before `start`."""
        return self._door.sip_address if self._door else ""

    @property
    def tls_address(self) -> str:
        """`host:port` of the front door for TLS; empty before `start`, and without one."""
        return next((where for kind, where in self._door.addresses if kind == "tls"), "") if self._door else ""

    def workers(self) -> tuple[WorkerView, ...]:
        """The workers for calls that serve, or start to."""
        return self._crew.views() if self._crew and self._crew.capacity else ()

    @property
    def line_pids(self) -> tuple[int, ...]:
        """Processes of the workers that hold registrations."""
        return self._crew.line_pids() if self._crew else ()

    @property
    def workers_lost(self) -> int:
        """Workers that died since the start."""
        return self._crew.workers_lost if self._crew else 0

    @property
    def server_pid(self) -> int:
        """The process that forks the workers; 0 when there is none."""
        return self._crew.server_pid if self._crew else 0

    @property
    def spare_door_pid(self) -> int:
        """The process that stands ready to take over from the front door; 0 when there is none."""
        return self._door.spare_pid if self._door else 0

    @property
    def door_pid(self) -> int:
        """The front door's process; 0 when there is none."""
        return self._door.pid if self._door else 0

    @property
    def door_counters(self) -> wire.DoorCounters:
        """What the front door has done since the start."""
        return self._door.counters if self._door else wire.DoorCounters(0, 0, 0, 0, 0)

    # ------------------------------------------------------------------------------------------ start and close

    async def start(self, on_event: Callable[[engine.Event], None], on_offer: engine.OnOffer | None = None) -> None:
        """Open the front door, start the first workers, and wait until one is ready.

        Raises:
            EngineError: an address is taken, pjsua2 cannot be imported, or no worker can start; the message has the reason.
        """
        if self._crew is not None:
            raise EngineError("the pool has been started already")
        self._loop = asyncio.get_running_loop()
        self._on_event = on_event
        crew = self._crew = Crew(self._settings, self)
        door = self._door = DoorHandle(self._settings.door(), self._offered, on_restart=self._door_restarted)
        self._registrar = Registrar(crew, self._send_line, self._emit)
        self._reception = Reception(door, self, on_offer)
        try:
            crew.launch()  # imports pjsua2 while the front door starts
            await door.start()
            ready = await crew.open(door.inner_port)
        except (OSError, TimeoutError, CapacityError) as error:
            await self.close(0.0)
            reason = "no answer in time" if isinstance(error, TimeoutError) and not error.args else str(error)
            raise EngineError(f"PJSIP workers cannot run here: {reason}") from None
        except BaseException:
            await self.close(0.0)
            raise
        self._is_open = True
        log.info("started: pjsua2 %s, %d legs a worker, SIP at %s", ready.version, ready.capacity, self.sip_address)

    async def close(self, grace_s: float) -> None:
        """BYE or CANCEL for every leg, then end every process, by SIGKILL those that take longer than `grace_s`. Idempotent."""
        was_open, self._is_open = self._is_open, False
        self._resolver.close()
        if self._crew is not None:
            self._reception.close()
            await self._crew.close(grace_s)
        if self._door is not None:
            await self._door.close()  # after the workers, whose last words go through it
        self._crew = None
        if was_open:
            log.info("closed")

    # ------------------------------------------------------------------------------------------------- contract

    def reserve(self, group_id: str, legs: int) -> None:
        """Keep room for a group in one worker; starts a worker when none has room.

        Raises:
            CapacityError: no room; nothing is kept.
        """
        if self._crew is None or not self._is_open:
            raise CapacityError(legs, 0, 0)
        self._start_if_new(self._crew.placement.reserve(group_id, legs, time.monotonic()), legs)

    def release(self, group_id: str) -> None:
        """Give back what the group has reserved. Idempotent."""
        if self._crew is not None and self._crew.capacity:
            self._crew.placement.release(group_id, time.monotonic())

    def submit(self, command: engine.Command) -> None:
        """Carry out a command; what happens comes back as events."""
        match command:
            case engine.Dial():
                self._dial(command)
            case engine.Register() | engine.Unregister():
                if self._is_open:
                    self._registrar.submit(command)
            case _:
                handle = self._calls.get(command.call_id)
                if handle is not None and not self._withdraw(handle, command):
                    self._resolver.submit(handle, command)

    def set_trunks(self, trunks: tuple[wire.DoorTrunk, ...]) -> None:
        """Let calls in from these trunks instead of the ones before. Calls that are up are not touched."""
        self._settings = replace(self._settings, trunks=trunks)
        if self._door is not None:
            self._door.set_trunks(trunks)

    def reload_tls(self) -> None:
        """Have the front door read its certificate files again."""
        if self._door is not None:
            self._door.reload_tls()

    async def trace(self, call_id: str) -> tuple[wire.TracedMessage, ...]:
        """The SIP messages of a call as they were outside, the oldest first; empty when nothing is known of it any more."""
        return await self._door.trace(call_id) if self._door is not None else ()

    def _dial(self, dial: engine.Dial) -> None:
        handle = self._take_place(dial.group_id, dial.call_id) if self._is_open else None
        if handle is None:
            reason = "its group has no place" if self._is_open else "the engine is closed"
            self._emit(engine.CallDisconnected(dial.call_id, 0, "", remote=True, error=reason))
            return
        self._resolver.submit(handle, dial)

    def _take_place(self, group_id: str, call_id: str) -> WorkerHandle | None:
        assert self._crew is not None
        handle = self._crew.worker(self._crew.placement.dial(group_id, call_id))
        if handle is not None:
            self._calls[call_id] = handle
        return handle

    def _withdraw(self, handle: WorkerHandle, command: engine.Command) -> bool:
        """End a call whose set-up has not gone out yet. False: it has, or the command does not ask for an end."""
        match command:
            case engine.Hangup(call_id) if self._reception.is_waiting(call_id):
                self._reception.turn_away(call_id, DECLINE)
            case engine.Reject(call_id, code, phrase, headers) if self._reception.is_waiting(call_id):
                self._reception.turn_away(call_id, engine.Refusal(code, phrase, headers))
            case engine.Hangup(call_id) if self._resolver.withdraw(call_id) or handle.withdraw(call_id):
                self._over(engine.CallDisconnected(call_id, 0, "", remote=False, error="hung up before the INVITE was sent"))
            case _:
                return False
        return True

    def _emit(self, event: engine.Event) -> None:
        """Tell the listener later: it must not be called from within `submit`."""
        self._loop.call_soon(self._on_event, event)

    def _over(self, event: engine.CallDisconnected) -> None:
        """A call ended without its worker's word."""
        self._forget(event)
        self._emit(event)

    def _forget(self, event: engine.CallDisconnected) -> None:
        self._calls.pop(event.call_id, None)
        self._resolver.withdraw(event.call_id)
        if self._crew is not None:
            self._crew.placement.finish(event.call_id, time.monotonic())
        if event.sip_code:
            self._reception.settle(event.call_id)
        else:  # no SIP message ended it: its caller may still wait for one
            self._reception.fail(event.call_id)

    def _start_if_new(self, new: NewWorker | None, legs: int) -> None:
        if new is None or self._crew is None:
            return
        try:
            self._crew.start(new)
        except OSError as error:
            raise CapacityError(legs, self.legs_in_use, self._settings.max_legs, f"legs ({error})") from None

    # ----------------------------------------------------------------------------------- incoming calls and lines

    def _offered(self, key: str, offer: engine.Offer) -> None:
        if self._is_open:
            self._reception.offered(key, offer)
        elif self._door is not None:
            self._door.refuse(key, BUSY.sip_code, BUSY.sip_phrase, BUSY.headers)

    def _door_restarted(self) -> None:
        self._reception.remind()

    def take_in(self, acceptance: engine.Acceptance, caller: Caller) -> WorkerHandle:
        """See `reception.Rooms`."""
        if acceptance.call_id in self._calls or self._crew is None:
            raise ValueError(f"call {acceptance.call_id} exists already")
        crew, legs = self._crew, acceptance.legs
        self._start_if_new(crew.placement.receive(acceptance.group_id, legs, caller, crew.quick(), time.monotonic()), legs)
        handle = self._take_place(acceptance.group_id, acceptance.call_id)
        if handle is None:  # the worker server is gone at this moment
            raise CapacityError(legs, self.legs_in_use, self._settings.max_legs, "legs (no worker can be started)")
        return handle

    def turn_away(self, over: engine.CallDisconnected) -> None:
        """See `reception.Rooms`."""
        if handle := self._calls.get(over.call_id):
            handle.withdraw(over.call_id)
        self._over(over)

    def _send_line(self, worker_id: int, command: engine.Register | engine.Unregister) -> None:
        handle = self._crew.worker(worker_id) if self._crew else None
        if handle is not None:
            self._resolver.submit(handle, command)

    def _unreachable(self, call_id: str, error: str) -> None:
        """No address was found for a call."""
        self._over(engine.CallDisconnected(call_id, 0, "", remote=True, error=error))

    # ----------------------------------------------------------------------------------------- news of the crew

    def worker_expects(self, worker: WorkerHandle, call_id: str) -> None:
        """See `CrewOwner`."""
        self._reception.expected(worker.worker_id, call_id)

    def worker_event(self, worker: WorkerHandle, event: engine.Event) -> None:
        """See `CrewOwner`. What a worker says of calls that are not its own is dropped."""
        match event:
            case engine.EngineFault(call_id, message):
                log.error("worker %d, call %s: %s", worker.worker_id, call_id or "none", message)
                self._on_event(event)
            case engine.RegistrationChanged():
                if self._registrar.is_news(worker.worker_id, event):
                    self._resolver.event(event)
                    self._on_event(event)
            case engine.RecordingFinished():  # may come after the end of its call
                self._on_event(event)
            case _ if self._calls.get(event.call_id) is worker and (passed := self._resolver.event(event)) is not None:
                self._note(passed)
                self._on_event(passed)
            case _:
                pass

    def _note(self, event: engine.Event) -> None:
        if isinstance(event, engine.CallConfirmed) and self._crew is not None:
            self._crew.placement.answered(event.call_id)
            self._reception.settle(event.call_id)
        elif isinstance(event, engine.CallDisconnected):
            self._forget(event)

    def worker_lost(self, worker: WorkerHandle) -> None:
        """See `CrewOwner`. Ends exactly its legs."""
        for call_id in [call_id for call_id, handle in self._calls.items() if handle is worker]:
            error = "closed" if worker.is_ending else "worker lost"
            self._over(engine.CallDisconnected(call_id, 0, "", remote=not worker.is_ending, error=error))
        self._registrar.lost(worker.worker_id)

    def workers_changed(self) -> None:
        """See `CrewOwner`."""
        if self._door is not None and self._crew is not None:
            self._door.set_workers(self._crew.ports())

    def supervised(self) -> None:
        """See `CrewOwner`."""
        self._registrar.tend()
