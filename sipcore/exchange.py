"""The exchange: every live call, and what ties it to engine, store and audio.

It gives each call its place, its record and its task, and hands every event to the call it is about. It decides nothing about
a call itself.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

from media import AudioLibrary, PreparedAudio
from sipcore import call as call_rules
from sipcore.actions import Action, Connect
from sipcore.clock import Clock, RisingTime
from sipcore.config import Config
from sipcore.engine import Command, Engine, EngineFault, Event
from sipcore.errors import Fault, InvalidRequest
from sipcore.events import CallEvent
from sipcore.record import CallRecord
from sipcore.request import CallRequest, check_request
from sipcore.runner import ActionRunner
from sipcore.session import Session, Timeouts
from sipcore.store_thread import StoreThread
from sipcore.trunk import Outbound

log = logging.getLogger(__name__)

MEDIA_THREADS = 4


class Exchange:
    """All live calls of one switch."""

    def __init__(
        self, config: Config, engine: Engine, library: AudioLibrary, store: StoreThread, clock: Clock, newest: datetime | None
    ) -> None:
        self.clock = clock
        self.library = library
        self._config = config
        self._engine = engine
        self._store = store
        self._rising = RisingTime(clock, newest)
        self._outbound = Outbound.of(config, engine.sip_address.rpartition(":")[0])
        self._timeouts = Timeouts(config.dial_timeout_s, config.max_duration_s, config.hangup_timeout_s)
        self._media_threads = ThreadPoolExecutor(MEDIA_THREADS, "sipcore-media")
        self._loop = asyncio.get_running_loop()
        self._sessions: dict[str, Session] = {}
        self._groups: dict[str, set[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[Callable[[CallEvent], None]] = []

    # ------------------------------------------------------------------------------------------------ new calls

    def place(self, request: CallRequest) -> Session:
        """Start a call, at once.

        Raises:
            InvalidRequest: this switch cannot do what is asked; nothing was made.
            CapacityError: no room; nothing was made.
        """
        self._check(request)
        call_id = str(uuid.uuid4())
        self._engine.reserve(call_id, request.legs_needed)
        session = self._new_session(self._new_record(call_id, request.source, request.destination, request.user_id), call_id)
        session.begin()
        _cancel_with(session, self._spawn(session, self._run(session, request.actions)))
        return session

    def ring_legs(self, caller: Session, action: Connect, listener: Callable[[CallEvent], None]) -> list[Session]:
        """Create one leg for each destination of a `connect`, in the caller's group, and dial them all."""
        legs: list[Session] = []
        for destination in action.destinations:
            record = self._new_record(str(uuid.uuid4()), action.source or caller.record.source, destination, caller.record.user_id)
            leg = self._new_session(replace(record, master_call_id=caller.id, flow_id=caller.record.flow_id), caller.group_id)
            leg.listen(listener)
            caller.chain(leg.id)
            legs.append(leg)
        for leg in legs:
            leg.begin()
            _cancel_with(leg, self._spawn(leg, self._dial(leg)))
        return legs

    def live(self, call_id: str) -> Session | None:
        """The session of a call that is not over."""
        return self._sessions.get(call_id)

    # ---------------------------------------------------------------------------------------------------- events

    def on_event(self, event: Event) -> None:
        """Hand an event of the engine to its call; news of calls that are over is dropped."""
        session = self._sessions.get(event.call_id)
        if session is not None:
            session.handle(event)
        elif isinstance(event, EngineFault):
            log.error("engine: %s", event.message)

    def listen(self, listener: Callable[[CallEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event of every call; returns the function that stops it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    # ------------------------------------------------------------------------------------ for sessions and runners

    def submit(self, command: Command) -> None:
        """Give a command to the engine."""
        self._engine.submit(command)

    def keep(self, record: CallRecord) -> None:
        """Write the record to the store, in the background."""
        self._store.keep(record)

    def forget(self, session: Session) -> None:
        """The session is over; the group's room is free when all of the group is."""
        del self._sessions[session.id]
        members = self._groups[session.group_id]
        members.discard(session.id)
        if not members:
            del self._groups[session.group_id]
            self._engine.release(session.group_id)

    def in_background(self, work: Callable[[], PreparedAudio]) -> asyncio.Future[PreparedAudio]:
        """Run blocking media work on a thread."""
        return self._loop.run_in_executor(self._media_threads, work)

    # ----------------------------------------------------------------------------------------------------- closing

    async def hang_up_all(self, grace_s: float) -> None:
        """End every call, and wait until the far ends have confirmed it or the grace is over."""
        for session in tuple(self._sessions.values()):
            session.hang_up()
        if endings := [session.over for session in self._sessions.values()]:
            await asyncio.wait(endings, timeout=grace_s)

    async def close(self) -> None:
        """End what is left, without the engine; wait for every task and thread."""
        for session in tuple(self._sessions.values()):
            session.end(call_rules.Ended(0, "the switch was closed"))
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._loop.run_in_executor(None, self.library.close)
        self._media_threads.shutdown()

    # ----------------------------------------------------------------------------------------------------- private

    def _check(self, request: CallRequest) -> None:
        faults = check_request(request, self.library, has_trunk=self._config.trunk is not None)
        needed, capacity = request.legs_needed, self._engine.leg_capacity
        if needed > capacity:
            faults.append(Fault("actions", f"the call needs {needed} legs at once, a worker of this machine holds {capacity}"))
        if faults:
            raise InvalidRequest(faults)

    async def _run(self, session: Session, actions: tuple[Action, ...]) -> None:
        dialing = self._spawn(session, self._dial(session))
        try:
            await ActionRunner(session, actions, self).run()
        finally:
            dialing.cancel()

    async def _dial(self, session: Session) -> None:
        record, route_uri = session.record, None
        if hop := self._outbound.next_hop(record.destination):
            try:
                found = await self._loop.getaddrinfo(hop.host, hop.port, family=socket.AF_INET, type=socket.SOCK_DGRAM)
            except OSError as error:
                session.end(call_rules.Ended(0, f"{hop.host} cannot be resolved: {error.strerror}", is_failure=True))
                return
            route_uri = hop.route_uri(str(found[0][4][0]))
        session.dial(self._outbound.dial(session.id, session.group_id, record.source, record.destination, route_uri))

    def _new_record(self, call_id: str, source: Any, destination: Any, user_id: int) -> CallRecord:
        return CallRecord(
            id=call_id,
            user_id=user_id,
            flow_id=str(uuid.uuid4()),
            source=source or self._config.caller_id or self._outbound.default_source(),
            destination=destination,
            tm_create=self._rising.next(),
        )

    def _new_session(self, record: CallRecord, group_id: str) -> Session:
        session = Session(record, group_id, self, self._timeouts)
        self._sessions[session.id] = session
        self._groups.setdefault(group_id, set()).add(session.id)
        session.listen(self._tell)
        return session

    def _spawn(self, session: Session, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task of one call; whatever goes wrong in it ends that call only."""

        async def guarded() -> None:
            try:
                await work
            except Exception:
                log.exception("call %s: internal error", session.id)
                session.hang_up(call_rules.HangupReason.FAILED)

        task = asyncio.create_task(guarded(), name=f"sipcore call {session.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _tell(self, event: CallEvent) -> None:
        for listener in tuple(self._listeners):
            listener(event)


def _cancel_with(session: Session, task: asyncio.Task[None]) -> None:
    session.over.add_done_callback(lambda _: task.cancel())
