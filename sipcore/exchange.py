"""The exchange: every live call, and what ties it to engine, store and audio.

It gives each call its place, its record and its task, and hands every event to the call it is about. It decides nothing about
a call itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from media import AudioLibrary, PreparedAudio
from sipcore import call as call_rules
from sipcore import referral
from sipcore.actions import Action, Connect
from sipcore.addresses import Address, parse_address
from sipcore.clock import Clock, RisingTime
from sipcore.conferences.registry import ConferenceLimits, ConferenceRegistry
from sipcore.config import Config
from sipcore.crossing import Crossings, Places
from sipcore.dialing import Dialing
from sipcore.engine import (
    Acceptance,
    Bridge,
    CallDisconnected,
    Command,
    Engine,
    EngineFault,
    Event,
    MediaStatistics,
    Offer,
    RecordingFinished,
    Refusal,
    RegistrationChanged,
    TransferAsked,
    Unbridge,
)
from sipcore.errors import CapacityError, Fault, InvalidRequest, SipcoreError
from sipcore.events import CallEvent
from sipcore.flight.log import FlightLog
from sipcore.forks import HomeProcess
from sipcore.ids import new_id
from sipcore.inbound import Rule, call_type, choose, is_anonymous, parties
from sipcore.listeners import Listeners
from sipcore.performer import Performer
from sipcore.preparation import Kind, Work
from sipcore.record import CallRecord
from sipcore.recordings.recorder import Recorder, RecordingLimits
from sipcore.registrations import Registrations
from sipcore.request import CallRequest, check_actions, check_request
from sipcore.runner import end, run_list
from sipcore.session import RETRY_AFTER_S, SERVICE_UNAVAILABLE, Session, Timeouts
from sipcore.store_thread import StoreThread
from sipcore.trunk import Extras, Trunk, Trunks
from sipcore.web import WebClient

log = logging.getLogger(__name__)

Result = TypeVar("Result")

HANDLER_GRACE_S = 5.0
"""How long closing waits for handlers that were cancelled."""
THREADS: Mapping[Kind, int] = {Kind.SPEECH: 4, Kind.STREAM: 16}
"""Media work at once. Streams mostly wait for the network, speech for its two processes."""


class Exchange:
    """All live calls of one switch."""

    def __init__(
        self,
        config: Config,
        engine: Engine,
        library: AudioLibrary,
        store: StoreThread,
        clock: Clock,
        newest: datetime | None,
        rules: Callable[[], Iterable[Rule]] = tuple,
    ) -> None:
        self.clock = clock
        self.library = library
        self._config = config
        self._engine = engine
        self._store = store
        self._rising = RisingTime(clock, newest)
        self._trunks = Trunks.of(config, engine.sip_address.rpartition(":")[0])
        self._dialing = Dialing(self._trunks)
        self._timeouts = Timeouts(
            dial_s=config.dial_timeout_s,
            duration_s=config.max_duration_s,
            hangup_s=config.hangup_timeout_s,
            silence_s=config.rtp_timeout_s,
            kept_digits=config.kept_digits,
            max_queued_audio_s=config.max_queued_audio_s,
            max_unread_audio_s=config.max_unread_audio_s,
            is_moved_audio_refused=config.rtp_source_change == "end",
        )
        self.web = WebClient(allow_private=config.allow_private_urls, timeout_s=config.flow.web_timeout_s)
        self.flow_limits = config.flow.limits
        self.max_fetch_bytes = config.flow.fetch_max_bytes
        self.ring_in_order_s = config.flow.ring_in_order_s
        limits = RecordingLimits(config.recording_max_s, config.recording_max_mb * 2**20)
        self.recorder = Recorder(config.recordings_dir, limits, store, self)
        conference_limits = ConferenceLimits(
            config.max_conferences, config.max_conference_members, config.conference_entry_tone, config.conference_exit_tone
        )
        self.conferences = ConferenceRegistry(conference_limits, store, self.recorder, self)
        self._rules = rules
        self._home = HomeProcess()
        self.flights = FlightLog(config.flight_calls, config.flight_mb * 2**20)
        """What happened to these calls, and to those that were last."""
        self.as_call: Callable[[Session], object] = lambda session: session
        """What code of the user's is given for a call: whoever has a better form for that says so."""
        self._phones = {phone.username: phone.caller_id for phone in config.phones}
        self._performers: dict[str, Performer] = {}
        self._media_threads = {kind: ThreadPoolExecutor(threads, f"sipcore-{kind}") for kind, threads in THREADS.items()}
        self._loop = asyncio.get_running_loop()
        self._sessions: dict[str, Session] = {}
        self._groups: dict[str, set[str]] = {}
        self._places = Places(engine)
        self._crossings = Crossings()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._work: dict[str, set[asyncio.Task[Any]]] = {}
        self._handlers: set[asyncio.Task[Any]] = set()
        self._listeners = Listeners()
        self._listeners.add(self.flights.tell)
        self.registrations = Registrations(self._trunks.registrations(), engine.submit, clock)

    # ------------------------------------------------------------------------------------------------ new calls

    def place(self, request: CallRequest) -> Session:
        """Start a call, at once.

        Raises:
            InvalidRequest: this switch cannot do what is asked; nothing was made.
            CapacityError: no room; nothing was made.
        """
        return self.place_all([request])[0]

    def place_all(self, requests: Sequence[CallRequest], *, at_once: bool = True) -> list[Session]:
        """Start several calls, or none. Not `at_once`: they are there at once, and start in the next turn of the event loop, in this order.

        Raises:
            InvalidRequest, CapacityError: as `place`; nothing was made.
        """
        self._check(requests)
        sessions: list[Session] = []
        for call_id, request in zip(self._reserve(requests), requests, strict=True):
            trunk = self._dialing.route(request.destination, request.trunk)
            source = request.source or self._dialing.source(trunk)
            record = self._new_record(call_id, source, request.destination, request.user_id)
            session = self._new_session(record, call_id, self._timeouts_of(request))
            session.event_url, session.trunk, session.legs = request.event_url, _name(trunk), request.legs_needed
            sessions.append(session)
        for session, request in zip(sessions, requests, strict=True):
            if request.variables:
                session.variables.update(request.variables)
            session.begin()
            if at_once:
                self._start(session, request)
            else:
                self._loop.call_soon(self._start_later, session, request)
        return sessions

    def receive(self, offer: Offer) -> Acceptance | Refusal:
        """Decide on a call from outside: the first rule that takes it, in the order they were given, or 404."""
        who = parties(offer, self._phones.get(offer.username))
        rule = choose(self._rules(), offer, who)
        if rule is None:
            log.info("refused: no rule takes a call to %s from %s (%s)", who.destination, who.source, offer.trunk or offer.source)
            return Refusal(404)
        record = self._new_record(new_id(), who.source, who.destination, user_id=1)
        legs = self._room_for(rule.legs_needed)
        try:
            self._places.reserve_further(record.id, legs)
        except CapacityError as error:
            log.warning("refused: %s", error)
            return Refusal(SERVICE_UNAVAILABLE, headers=(("Retry-After", str(RETRY_AFTER_S)),))
        legs = self._places.in_first(legs)
        record = replace(
            record, direction="incoming", type=call_type(offer, who), status=call_rules.Status.RINGING, tm_ringing=record.tm_create
        )
        session = self._new_session(record, record.id)
        session.trunk, session.legs = offer.trunk, rule.legs_needed
        # The engine knows the call once it has our answer: what listeners and actions order comes after that.
        self._loop.call_soon(session.begin)
        if rule.handler is None:
            self._run_list(session, rule.actions)
        else:
            self.spawn(session, lambda: self._handle(session, rule))
        trunk = self._trunks.get(offer.trunk)
        if trunk is None:
            return Acceptance(session.id, session.id, legs)
        return Acceptance(session.id, session.id, legs, trunk.config.codecs, trunk.config.srtp)

    def check_rule(self, rule: Rule) -> None:
        """Whether this switch can do what a rule asks for.

        Raises:
            InvalidRequest: it cannot; names every fault.
        """
        place = f"{rule.place}.actions" if rule.place else "actions"
        faults = check_actions(rule.actions, self.library, self._dialing.route, place, self._config.flow)
        if (needed := rule.legs_needed) > self._config.max_legs:
            faults.append(Fault(place, f"such a call needs {needed} legs at once, this switch has max_legs = {self._config.max_legs}"))
        if needed < 1:
            faults.append(Fault("legs", "a call has at least one leg, its own"))
        if faults:
            raise InvalidRequest(faults)

    def performer(self, session: Session) -> Performer:
        """What carries out the actions of a call."""
        if session.id not in self._sessions:
            return Performer(session, self)
        performer = self._performers.get(session.id)
        if performer is None:
            performer = self._performers[session.id] = Performer(session, self)
        return performer

    def ring_legs(
        self, caller: Session, action: Connect, destinations: Mapping[str, Address], listener: Callable[[CallEvent], None]
    ) -> list[Session]:
        """Create a leg for each of these destinations of a `connect`, by call id, in the caller's group, and dial them.

        Raises:
            CapacityError: no room was kept for so many.
            InvalidRequest: no trunk takes one of all its destinations.
        """
        if (needed := action.legs_at_once) >= caller.legs:
            raise CapacityError(needed, 1, caller.legs, "legs of this call; on_call(legs=...) keeps more")
        for destination in action.addresses:
            self._dialing.route(destination, action.trunk)
        # The connect itself ends the legs in time; their own dial timer only stands behind it.
        timeouts = replace(self._timeouts, dial_s=max(self._timeouts.dial_s, action.timeout_s + 1))
        legs: list[Session] = []
        for leg_id, destination in destinations.items():
            trunk = self._dialing.route(destination, action.trunk)
            source = action.source_address or _presentable(caller.record.source) or self._dialing.source(trunk)
            is_hidden = action.anonymous == "yes" or (action.anonymous == "auto" and is_anonymous(source))
            source = replace(source, name=action.source_name or source.name)
            record = self._new_record(leg_id, source, destination, caller.record.user_id)
            group_id = self._places.group_for(caller.group_id, lambda group: len(self._groups.get(group, ())))
            leg = self._new_session(replace(record, master_call_id=caller.id, flow_id=caller.record.flow_id), group_id, timeouts)
            leg.event_url, leg.trunk = caller.event_url, _name(trunk)
            leg.extras = Extras(is_hidden, tuple(action.headers.items()))
            leg.listen(listener)
            if not action.unchained:
                caller.chain(leg.id)
            legs.append(leg)
        for leg in legs:
            leg.begin()
            self._dialing.start(leg)
        return legs

    def trunk(self, name: str) -> Trunk | None:
        """The trunk of this name."""
        return self._trunks.get(name)

    def route(self, destination: Address) -> object:
        """The way to somebody; raises `InvalidRequest` when there is none."""
        return self._dialing.route(destination)

    def live(self, call_id: str) -> Session | None:
        """The session of a call that is not over."""
        return self._sessions.get(call_id)

    def sessions(self) -> tuple[Session, ...]:
        """Every call that is not over."""
        return tuple(self._sessions.values())

    # ---------------------------------------------------------------------------------------------------- events

    def on_event(self, event: Event) -> None:
        """Hand an event of the engine to its call; news of calls that are over is dropped."""
        if isinstance(event, RegistrationChanged):
            self.registrations.take(event)
            return
        if isinstance(event, RecordingFinished):  # may come after its call
            self.recorder.on_event(event)
            return
        if isinstance(event, MediaStatistics):
            self.flights.measure(event, self.clock.now().timestamp())
        session = self._sessions.get(event.call_id)
        if session is not None and isinstance(event, TransferAsked):
            referral.answer(session, event, self)
        elif session is not None:
            if not (isinstance(event, CallDisconnected) and self._dialing.redirected(session, event)):
                session.handle(event)
        elif isinstance(event, EngineFault):
            log.error("engine: %s", event.message)

    def listen(self, listener: Callable[[CallEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event of every call; returns the function that stops it."""
        return self._listeners.add(listener)

    # ------------------------------------------------------------------------------------ for sessions and runners

    def submit(self, command: Command) -> None:
        """Give a command to the engine.

        Raises:
            SwitchClosed: this process is a fork of the one that the call belongs to.
        """
        self._home.check()
        if isinstance(command, Bridge | Unbridge) and self._crossings.take(command, self._sessions):
            return
        self._engine.submit(command)

    def tell(self, event: CallEvent) -> None:
        """Tell who listens to the whole switch what is no news of a live call."""
        self._listeners.tell(event)

    def next_time(self) -> datetime:
        """Now, and never the same twice."""
        return self._rising.next()

    def keep(self, record: CallRecord) -> None:
        """Write the record to the store, in the background."""
        self._store.keep(record)

    def stop_work(self, session: Session) -> None:
        """Cancel the tasks of a call that is ending: no action of it starts any more."""
        current = asyncio.current_task()
        for task in self._work.pop(session.id, ()):
            if task is not current or task not in self._handlers:  # a handler that hangs up goes on to its own end
                task.cancel()

    def work(self, session: Session, task: Coroutine[Any, Any, list[Session]]) -> asyncio.Task[list[Session]]:
        """Run a part of a call that is cancelled when the call ends.

        Raises:
            SwitchClosed: as `submit`.
        """
        if not self._home.is_here:
            task.close()
            self._home.check()
        return self._started(session, task)

    def run_function(self, session: Session, task: Coroutine[Any, Any, str]) -> asyncio.Task[str]:
        """Run code of the user's within an action list; it ends as a handler does."""
        started = self._started(session, task)
        self._handlers.add(started)
        started.add_done_callback(self._handlers.discard)
        return started

    def check_actions(self, actions: Sequence[Action], place: str) -> None:
        """Whether this switch can do what a list asks for.

        Raises:
            InvalidRequest: it cannot; names every fault.
        """
        if faults := check_actions(actions, self.library, self._dialing.route, place, self._config.flow):
            raise InvalidRequest(faults)

    def transfer_uri(self, target: Address) -> str:
        """The URI that a far end is to call."""
        return self._dialing.transfer_uri(target)

    def digit_mode(self, session: Session) -> str:
        """How its trunk wants keys pressed."""
        trunk = self._trunks.get(session.trunk)
        return trunk.config.dtmf if trunk else "rfc4733"

    def forget(self, session: Session) -> None:
        """The session is over; the group's room is free when all of the group is."""
        del self._sessions[session.id]
        self._performers.pop(session.id, None)
        self._dialing.leave(session.id)
        members = self._groups[session.group_id]
        members.discard(session.id)
        if not members:
            del self._groups[session.group_id]
            self._places.release(session.group_id)

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
        for task in self._handlers:
            task.cancel()
        while waiting := self._tasks - self._handlers:
            await asyncio.wait(waiting)
        if self._handlers:
            _, stuck = await asyncio.wait(self._handlers, timeout=HANDLER_GRACE_S)
            for task in stuck:
                log.error("%s: its handler does not end, though it was cancelled", task.get_name())
        await self.conferences.close()
        await self.recorder.close()
        await self.web.close()
        await self._loop.run_in_executor(None, self.library.close)
        for threads in self._media_threads.values():
            threads.shutdown()

    # ----------------------------------------------------------------------------------------------------- private

    def _check(self, requests: Sequence[CallRequest]) -> None:
        faults: list[Fault] = []
        for request in requests:
            faults += check_request(request, self.library, self._dialing.route, self._config.flow)
            if (needed := request.legs_needed) > self._config.max_legs:
                faults.append(Fault("actions", f"the call needs {needed} legs at once, this switch has max_legs = {self._config.max_legs}"))
        if faults:
            raise InvalidRequest(list(dict.fromkeys(faults)))

    def _timeouts_of(self, request: CallRequest) -> Timeouts:
        return self._timeouts if request.ring_timeout_s is None else replace(self._timeouts, dial_s=request.ring_timeout_s)

    def _room_for(self, legs: int) -> int:
        """One more where a far end may transfer: until the third answers, all three are up."""
        is_spare = legs > 1 and any(trunk.config.allows_refer for trunk in self._trunks)
        return max(legs, min(legs + 1, self._engine.leg_capacity)) if is_spare else legs

    def _reserve(self, requests: Sequence[CallRequest]) -> list[str]:
        """New call ids with room for each."""
        call_ids: list[str] = []
        try:
            for request in requests:
                call_id = new_id()
                self._places.reserve(call_id, self._room_for(request.legs_needed))
                call_ids.append(call_id)
            self._dialing.admit(
                {
                    call_id: self._dialing.route(request.destination, request.trunk)
                    for call_id, request in zip(call_ids, requests, strict=True)
                }
            )
        except BaseException:
            for call_id in call_ids:
                self._places.release(call_id)
            raise
        return call_ids

    def _start(self, session: Session, request: CallRequest) -> None:
        self._dialing.start(session)
        if not request.is_handled:
            self._run_list(session, request.actions)

    def _start_later(self, session: Session, request: CallRequest) -> None:
        """In its turn. Not one in a turn: on a busy loop requests then come faster than calls are started, and take all the room."""
        try:
            self._start(session, request)  # nothing, when it was ended meanwhile
        except Exception:
            log.exception("call %s: it could not be started", session.id)
            session.hang_up(call_rules.HangupReason.FAILED)

    def _run_list(self, session: Session, actions: Sequence[Action]) -> None:
        performer = self.performer(session)
        self.spawn(session, lambda: run_list(session, actions, performer))

    async def _handle(self, session: Session, rule: Rule) -> None:
        """Let a handler have the call; when it has returned, and the call is not bridged any more, the call is over."""
        assert rule.handler is not None
        if (task := asyncio.current_task()) is not None:
            self._handlers.add(task)
            task.add_done_callback(self._handlers.discard)
        await rule.handler(session)
        performer = self.performer(session)
        await performer.bridge_over()
        end(session, performer)

    def _new_record(self, call_id: str, source: Address, destination: Address, user_id: int) -> CallRecord:
        return CallRecord(
            id=call_id,
            user_id=user_id,
            flow_id=new_id(),
            source=source,
            destination=destination,
            tm_create=self._rising.next(),
        )

    def _new_session(self, record: CallRecord, group_id: str, timeouts: Timeouts | None = None) -> Session:
        session = Session(record, group_id, self, timeouts or self._timeouts, self._config.flow.variable_limits)
        self._sessions[session.id] = session
        self._groups.setdefault(group_id, set()).add(session.id)
        session.listen(self._listeners.tell)
        return session

    def spawn(self, session: Session, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a task of one call until the call ends; whatever goes wrong in it ends that call only."""
        if session.record.status not in call_rules.WORKING:
            return

        async def guarded() -> None:
            try:
                await work()
            except Exception as error:
                if session.record.status not in call_rules.WORKING and isinstance(error, SipcoreError):
                    return  # it noticed that the call is over
                log.exception(
                    "call %s: %s", session.id, "internal error" if asyncio.current_task() not in self._handlers else "its handler failed"
                )
                session.hang_up(call_rules.HangupReason.FAILED)

        self._started(session, guarded())

    def _started(self, session: Session, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        task = asyncio.create_task(work, name=f"sipcore call {session.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        mine = self._work.setdefault(session.id, set())
        mine.add(task)
        task.add_done_callback(mine.discard)
        return task


def _name(trunk: Trunk | None) -> str:
    return "" if trunk is None else trunk.name


def _presentable(source: Address) -> Address | None:
    """Who calls, if that can be told to others: what a stranger wrote may be no address."""
    try:
        return parse_address(source)
    except InvalidRequest:
        return None
