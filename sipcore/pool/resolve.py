"""Each call gets its next hop here, and the one after it when that fails (RFC 3263 §4.3).

A worker sends what it sends to the front door, with the hop in its route. Which hop that is depends on names, so on DNS, and on which hops
fail, so on transactions: the pool has both. Above the contract a call has one INVITE and one end, however many hops were tried.
"""

from __future__ import annotations

import asyncio
import enum
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from sipcore import engine
from sipcore.locate import Hop, LocateError, Locator

from .hops import Itinerary, Place, Silence, parse_place, route_uri

log = logging.getLogger(__name__)

FAILOVER_S: Final = 4.0
"""An INVITE that brought not even a 100 for so long has been sent four times (T1 is 0.5 s): the hop is taken for dead."""

_UNREACHED: Final = frozenset({0, 503})
"""No SIP answer at all, or RFC 3261 §21.5.4: what lets a call go on to the next hop."""
_UNREGISTERED: Final = frozenset({0, 408, 503})
_MAX_RETRY_S: Final = 600.0

Locate = Callable[[str, int | None, str | None], Awaitable[tuple[Hop, ...]]]


class Sink(Protocol):
    """Where commands go: a worker."""

    def submit(self, command: engine.Command) -> None:
        """Take a command."""

    def withdraw(self, call_id: str) -> bool:
        """Forget a call whose `Dial` is not on its way yet. Returns False when it is."""


class _Phase(enum.Enum):
    LOOKING = enum.auto()
    """Its next hop is being looked up: no worker has the call."""
    TRYING = enum.auto()
    LEAVING = enum.auto()
    """The hop was silent, and the worker takes its INVITE back."""


@dataclass(slots=True, eq=False)
class _Attempt:
    """A call that nobody has answered yet."""

    sink: Sink
    dial: engine.Dial
    itinerary: Itinerary
    phase: _Phase = _Phase.LOOKING
    hop: Hop | None = None
    failure: str = ""
    """What was wrong with the hops so far."""
    commands: list[tuple[Sink, engine.Command]] = field(default_factory=list)
    """What the worker was told of the call beside `Dial`, to be told again with the next hop."""
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """No more timers and look-ups."""
        self.calm()
        if self.task is not None:
            self.task.cancel()

    def calm(self) -> None:
        """The hop gave a sign of life."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


@dataclass(slots=True, eq=False)
class _Line:
    """A registration."""

    sink: Sink
    register: engine.Register
    itinerary: Itinerary
    hop: Hop | None = None
    delay_s: float = 0.0
    task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """No more look-ups."""
        if self.task is not None:
            self.task.cancel()


class Resolver:
    """Passes commands on to their worker with hops in them, and events up without the failures that another hop made good.

    Args:
        fail: Called with a call that is over before a worker had it, and why.
        inner_port: The front door's port for workers.
        tell: Called with events that no worker made.
    """

    def __init__(
        self,
        fail: Callable[[str, str], None],
        inner_port: Callable[[], int],
        *,
        tell: Callable[[engine.Event], None] = lambda _event: None,
        locate: Locate | None = None,
        failover_s: float = FAILOVER_S,
    ) -> None:
        self._fail = fail
        self._inner_port = inner_port
        self._tell = tell
        self._locate = locate or Locator().locate
        self._failover_s = failover_s
        self._attempts: dict[str, _Attempt] = {}
        self._lines: dict[str, _Line] = {}
        self._silence = Silence()

    # ------------------------------------------------------------------------------------------------- commands

    def submit(self, sink: Sink, command: engine.Command) -> None:
        """Pass on, now or when the hop is known. `CallDisconnected` has to go through `event` afterwards."""
        match command:
            case engine.Dial():
                self._dial(sink, command)
            case engine.Register():
                self._register(sink, command)
            case engine.Unregister():
                self._forget_line(command.trunk)
                sink.submit(command)
            case engine.Hangup():
                self._forget(command.call_id)
                sink.submit(command)
            case _:
                self._pass_on(sink, command)

    def withdraw(self, call_id: str) -> bool:
        """Try no further hop. Returns True when no worker has the call, so that nobody else will report its end."""
        attempt = self._forget(call_id)
        return attempt is not None and attempt.phase is _Phase.LOOKING

    def close(self) -> None:
        """Forget everything."""
        for call_id in list(self._attempts):
            self._forget(call_id)
        for trunk in list(self._lines):
            self._forget_line(trunk)

    def _pass_on(self, sink: Sink, command: engine.CallCommand) -> None:
        peer_id = command.peer_id if isinstance(command, engine.Bridge | engine.Unbridge) else ""
        attempts = [attempt for call_id in (command.call_id, peer_id) if (attempt := self._attempts.get(call_id))]
        for attempt in attempts:
            attempt.commands.append((sink, command))
        if all(attempt.phase is _Phase.TRYING for attempt in attempts):
            sink.submit(command)

    def _dial(self, sink: Sink, dial: engine.Dial) -> None:
        places = _places(dial.targets or (dial.account.route_uri or dial.request_uri,))
        self._attempts[dial.call_id] = attempt = _Attempt(sink, dial, Itinerary(places))
        if not self._go(attempt):
            self._fail(dial.call_id, f"{dial.request_uri} is nothing we can call")

    def _forget(self, call_id: str) -> _Attempt | None:
        attempt = self._attempts.pop(call_id, None)
        if attempt is not None:
            attempt.stop()
        return attempt

    # ---------------------------------------------------------------------------------------------------- events

    def event(self, event: engine.Event) -> engine.Event | None:
        """What the pool passes up of this event of a worker: itself, or `None` when it means nothing above.

        A worker reports `100 Trying` as a `CallProvisional` too: it ends the wait for a sign of life, and goes no further.
        """
        match event:
            case engine.RegistrationChanged():
                self._registration_changed(event)
                return event
            case engine.EngineFault():
                return event
            case engine.CallProvisional(sip_code=100):
                if (attempt := self._attempts.get(event.call_id)) and attempt.phase is _Phase.TRYING:
                    attempt.calm()
                return None
            case _:
                attempt = self._attempts.get(event.call_id)
                return event if attempt is None else self._judge(attempt, event)

    def _judge(self, attempt: _Attempt, event: engine.Event) -> engine.Event | None:
        match event:
            case engine.CallDisconnected():
                return self._over(attempt, event)
            case _ if attempt.phase is not _Phase.TRYING:
                return None
            case engine.CallProvisional() | engine.CallConfirmed():
                self._settle(attempt)
        return event

    def _over(self, attempt: _Attempt, event: engine.CallDisconnected) -> engine.CallDisconnected | None:
        is_leaving = attempt.phase is _Phase.LEAVING
        failure = "no answer in time" if is_leaving else event.error or f"{event.sip_code} {event.sip_phrase}"
        attempt.failure = f"{failure} ({attempt.hop and attempt.hop.host})"
        may_go_on = is_leaving or (event.remote and event.sip_code in _UNREACHED)
        if may_go_on and self._go(attempt):
            log.info("call %s: %s, trying the next hop", event.call_id, attempt.failure)
            return None
        self._forget(event.call_id)
        return replace(event, remote=True, error=attempt.failure) if is_leaving else event

    def _settle(self, attempt: _Attempt) -> None:
        if attempt.hop is not None:
            self._silence.end(attempt.hop)
        self._forget(attempt.dial.call_id)

    # ------------------------------------------------------------------------------------------------ hop by hop

    def _go(self, attempt: _Attempt) -> bool:
        """Try the next hop. Returns False when there is none: then the call is forgotten."""
        attempt.calm()
        attempt.phase = _Phase.LOOKING
        match self._next(attempt.itinerary):
            case Hop() as hop:
                self._send(attempt, hop)
            case Place() as place:
                attempt.task = asyncio.get_running_loop().create_task(self._look_up_call(attempt, place))
            case None:
                self._forget(attempt.dial.call_id)
                return False
        return True

    def _next(self, itinerary: Itinerary) -> Hop | Place | None:
        """What comes next; an address is a hop without a look-up."""
        while isinstance(found := itinerary.take(), Place) and (hop := found.hop()):
            itinerary.add((hop,), self._silence, asyncio.get_running_loop().time())
        return found

    async def _look_up_call(self, attempt: _Attempt, place: Place) -> None:
        error = await self._look_up(attempt.itinerary, place)
        attempt.task = None
        attempt.failure = "; ".join(filter(None, (attempt.failure, error)))
        if not self._go(attempt):
            self._fail(attempt.dial.call_id, attempt.failure)

    async def _look_up(self, itinerary: Itinerary, place: Place) -> str:
        """Put the hops of a place into the itinerary. Returns why there are none."""
        try:
            found = await self._locate(place.host, place.port, place.transport)
        except LocateError as error:
            return f"cannot resolve {place.host}: {error}"
        itinerary.add(found, self._silence, asyncio.get_running_loop().time())
        return ""

    def _send(self, attempt: _Attempt, hop: Hop) -> None:
        attempt.hop, attempt.phase = hop, _Phase.TRYING
        account = replace(attempt.dial.account, route_uri=route_uri(hop, self._inner_port()))
        attempt.sink.submit(replace(attempt.dial, account=account))
        for sink, command in attempt.commands:
            sink.submit(command)
        if attempt.itinerary.has_more:
            attempt.timer = asyncio.get_running_loop().call_later(self._failover_s, self._no_sign, attempt, hop)

    def _no_sign(self, attempt: _Attempt, hop: Hop) -> None:
        """Nothing came back from the hop: take the INVITE back, the next one is tried when that is done."""
        call_id = attempt.dial.call_id
        if attempt.sink.withdraw(call_id):  # it was never sent: the worker is late, not the hop
            self._send(attempt, hop)
            return
        self._silence.note(hop, asyncio.get_running_loop().time())
        log.warning("call %s: no answer from %s in %g s, trying the next hop", call_id, hop, self._failover_s)
        attempt.phase = _Phase.LEAVING
        attempt.sink.submit(engine.Hangup(call_id))

    # --------------------------------------------------------------------------------------------- registrations

    def _register(self, sink: Sink, register: engine.Register) -> None:
        self._forget_line(register.trunk)
        self._lines[register.trunk] = line = _Line(sink, register, Itinerary(_register_places(register)))
        self._go_register(line, f"{register.registrar_uri} is nothing we can register at")

    def _go_register(self, line: _Line, error: str) -> None:
        """Register at the next hop that is not the present one; without any, the worker goes on with that."""
        while (found := self._next(line.itinerary)) is not None and found == line.hop:
            pass
        match found:
            case Hop():
                line.hop = found
                account = replace(line.register.account, route_uri=route_uri(found, self._inner_port()))
                line.sink.submit(replace(line.register, account=account))
            case Place():
                line.task = asyncio.get_running_loop().create_task(self._look_up_line(line, found))
            case None if line.hop is None:
                line.task = asyncio.get_running_loop().create_task(self._try_later(line, error))

    async def _look_up_line(self, line: _Line, place: Place) -> None:
        error = await self._look_up(line.itinerary, place)
        line.task = None
        self._go_register(line, error)

    async def _try_later(self, line: _Line, error: str) -> None:
        """No worker has this registration, so nobody else tries it again."""
        self._tell(engine.RegistrationChanged(line.register.trunk, is_registered=False, sip_code=0, sip_phrase=error))
        line.delay_s = min(max(line.register.retry_s, 2 * line.delay_s), _MAX_RETRY_S)
        await asyncio.sleep(line.delay_s)
        line.itinerary = Itinerary(_register_places(line.register))
        self._go_register(line, error)

    def _registration_changed(self, event: engine.RegistrationChanged) -> None:
        line = self._lines.get(event.trunk)
        if line is None or line.task is not None:
            return
        if event.is_registered:
            line.delay_s = 0.0
            line.itinerary = Itinerary(_register_places(line.register))
        elif event.sip_code in _UNREGISTERED:
            if line.itinerary.has_more:
                self._go_register(line, event.sip_phrase)
            else:  # all were tried: the worker waits and tries the present one again, and if that fails all have another turn
                line.itinerary = Itinerary(_register_places(line.register))

    def _forget_line(self, trunk: str) -> None:
        line = self._lines.pop(trunk, None)
        if line is not None:
            line.stop()


def _places(texts: tuple[str, ...]) -> list[Place]:
    return [place for text in texts if (place := parse_place(text))]


def _register_places(register: engine.Register) -> list[Place]:
    return _places(register.targets or (register.account.route_uri or register.registrar_uri,))
