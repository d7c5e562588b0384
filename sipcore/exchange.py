"""The exchange: every live call, and what ties it to engine, store and audio.

It gives each call its place, its record and its task, and hands every event to the call it is about. It decides nothing about
a call itself.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any

from media import AudioLibrary, PreparedAudio
from sipcore import call as call_rules
from sipcore.actions import Connect
from sipcore.clock import Clock, RisingTime
from sipcore.config import Config
from sipcore.engine import Command, Engine, EngineFault, Event
from sipcore.errors import Fault, InvalidRequest
from sipcore.events import CallEvent
from sipcore.listeners import Listeners
from sipcore.preparation import Kind, Work
from sipcore.record import CallRecord
from sipcore.request import CallRequest, check_request
from sipcore.runner import ActionRunner
from sipcore.session import Session, Timeouts
from sipcore.store_thread import StoreThread
from sipcore.trunk import Outbound

log = logging.getLogger(__name__)

THREADS: Mapping[Kind, int] = {Kind.SPEECH: 4, Kind.STREAM: 16}
"""Media work at once. Streams mostly wait for the network, speech for its two processes."""


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
        self._media_threads = {kind: ThreadPoolExecutor(threads, f"sipcore-{kind}") for kind, threads in THREADS.items()}
        self._loop = asyncio.get_running_loop()
        self._sessions: dict[str, Session] = {}
        self._groups: dict[str, set[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._work: dict[str, list[asyncio.Task[None]]] = {}
        self._listeners = Listeners()

    # ------------------------------------------------------------------------------------------------ new calls

    def place(self, request: CallRequest) -> Session:
        """Start a call, at once.

        Raises:
            InvalidRequest: this switch cannot do what is asked; nothing was made.
            CapacityError: no room; nothing was made.
        """
        return self.place_all([request])[0]

    def place_all(self, requests: Sequence[CallRequest]) -> list[Session]:
        """Start several calls, or none.

        Raises:
            InvalidRequest, CapacityError: as `place`; nothing was made.
        """
        self._check(requests)
        sessions: list[Session] = []
        for call_id, request in zip(self._reserve(requests), requests, strict=True):
            session = self._new_session(self._new_record(call_id, request.source, request.destination, request.user_id), call_id)
            session.event_url = request.event_url
            sessions.append(session)
        for session, request in zip(sessions, requests, strict=True):
            session.begin()
            self._dial(session)
            self._spawn(session, ActionRunner(session, request.actions, self).run)
        return sessions

    def ring_legs(self, caller: Session, action: Connect, listener: Callable[[CallEvent], None]) -> list[Session]:
        """Create one leg for each destination of a `connect`, in the caller's group, and dial them all."""
        # The connect itself ends the legs in time; their own dial timer only stands behind it.
        timeouts = replace(self._timeouts, dial_s=max(self._timeouts.dial_s, action.timeout_s + 1))
        legs: list[Session] = []
        for destination in action.addresses:
            record = self._new_record(str(uuid.uuid4()), action.source_address or caller.record.source, destination, caller.record.user_id)
            leg = self._new_session(replace(record, master_call_id=caller.id, flow_id=caller.record.flow_id), caller.group_id, timeouts)
            leg.event_url = caller.event_url
            leg.listen(listener)
            caller.chain(leg.id)
            legs.append(leg)
        for leg in legs:
            leg.begin()
            self._dial(leg)
        return legs

    def live(self, call_id: str) -> Session | None:
        """The session of a call that is not over."""
        return self._sessions.get(call_id)

    def sessions(self) -> tuple[Session, ...]:
        """Every call that is not over."""
        return tuple(self._sessions.values())

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
        return self._listeners.add(listener)

    # ------------------------------------------------------------------------------------ for sessions and runners

    def submit(self, command: Command) -> None:
        """Give a command to the engine."""
        self._engine.submit(command)

    def keep(self, record: CallRecord) -> None:
        """Write the record to the store, in the background."""
        self._store.keep(record)

    def stop_work(self, session: Session) -> None:
        """Cancel the tasks of a call that is ending: no action of it starts any more."""
        for task in self._work.pop(session.id, ()):
            task.cancel()

    def forget(self, session: Session) -> None:
        """The session is over; the group's room is free when all of the group is."""
        del self._sessions[session.id]
        members = self._groups[session.group_id]
        members.discard(session.id)
        if not members:
            del self._groups[session.group_id]
            self._engine.release(session.group_id)

    def in_background(self, work: Work, kind: Kind) -> asyncio.Future[PreparedAudio]:
        """Run blocking media work on a thread of this kind."""
        return self._loop.run_in_executor(self._media_threads[kind], work)

    # ----------------------------------------------------------------------------------------------------- closing

    async def wait_idle(self, timeout_s: float) -> None:
        """Wait until no call is up, at most `timeout_s`."""
        deadline = self._loop.time() + timeout_s
        while self._sessions and (left_s := deadline - self._loop.time()) > 0:
            await asyncio.wait([session.over for session in self._sessions.values()], timeout=left_s)

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
        for threads in self._media_threads.values():
            threads.shutdown()

    # ----------------------------------------------------------------------------------------------------- private

    def _check(self, requests: Sequence[CallRequest]) -> None:
        faults: list[Fault] = []
        capacity = self._engine.leg_capacity
        for request in requests:
            faults += check_request(request, self.library, has_trunk=self._config.trunk is not None)
            if (needed := request.legs_needed) > capacity:
                faults.append(Fault("actions", f"the call needs {needed} legs at once, a worker of this machine holds {capacity}"))
        if faults:
            raise InvalidRequest(list(dict.fromkeys(faults)))

    def _reserve(self, requests: Sequence[CallRequest]) -> list[str]:
        """New call ids with room for each."""
        call_ids: list[str] = []
        try:
            for request in requests:
                call_id = str(uuid.uuid4())
                self._engine.reserve(call_id, request.legs_needed)
                call_ids.append(call_id)
        except BaseException:
            for call_id in call_ids:
                self._engine.release(call_id)
            raise
        return call_ids

    def _dial(self, session: Session) -> None:
        record = session.record
        session.dial(self._outbound.dial(session.id, session.group_id, record.source, record.destination))

    def _new_record(self, call_id: str, source: Any, destination: Any, user_id: int) -> CallRecord:
        return CallRecord(
            id=call_id,
            user_id=user_id,
            flow_id=str(uuid.uuid4()),
            source=source or self._config.caller_id or self._outbound.default_source(),
            destination=destination,
            tm_create=self._rising.next(),
        )

    def _new_session(self, record: CallRecord, group_id: str, timeouts: Timeouts | None = None) -> Session:
        session = Session(record, group_id, self, timeouts or self._timeouts)
        self._sessions[session.id] = session
        self._groups.setdefault(group_id, set()).add(session.id)
        session.listen(self._listeners.tell)
        return session

    def _spawn(self, session: Session, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task of one call until the call ends; whatever goes wrong in it ends that call only."""
        if session.record.status not in call_rules.WORKING:
            return

        async def guarded() -> None:
            try:
                await work()
            except Exception:
                log.exception("call %s: internal error", session.id)
                session.hang_up(call_rules.HangupReason.FAILED)

        task = asyncio.create_task(guarded(), name=f"sipcore call {session.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._work.setdefault(session.id, []).append(task)
