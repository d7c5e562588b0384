"""Carries a load test out on a switch, call after call at their times."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sipcore.actions import Stop, legs_needed, parse_actions
from sipcore.calls import AsyncCall, AsyncCalls
from sipcore.clock import Clock
from sipcore.config import Config
from sipcore.errors import CapacityError
from sipcore.events import CallAnswered, CallDialing, CallEvent
from sipcore.load.loaded import LoadedCall, Observation
from sipcore.load.plan import LoadLimits, LoadPlan, arrivals, check_plan
from sipcore.load.report import LoadReport
from sipcore.request import parse_request


class LoadHost(Protocol):
    """What a load test needs of its switch."""

    config: Config
    calls: AsyncCalls

    @property
    def clock(self) -> Clock:
        """The time of day."""


@dataclass(frozen=True, slots=True)
class LoadProgress:
    """How far a load test is."""

    planned: int
    begun: int
    up: int
    done: int
    failed: int
    elapsed_s: float


class LoadRun:
    """One load test; `report` carries it out, `stop` ends it before.

    Args:
        switch: What places the calls.
        plan: What to do.
        on_progress: Told after each call that begins or ends.

    Raises:
        InvalidRequest: the plan cannot be carried out; names every fault.
    """

    def __init__(self, switch: LoadHost, plan: LoadPlan, on_progress: Callable[[LoadProgress], None] | None = None) -> None:
        self._switch = switch
        self._plan = plan
        self._on_progress = on_progress
        limits = check_load(plan, switch.config)
        self._bodies = _bodies(plan)
        self._room = asyncio.Semaphore(plan.concurrent or limits.max_concurrent)
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._start_s = 0.0
        self._begun = 0
        self._failed = 0
        self._up: dict[asyncio.Task[None], AsyncCall] = {}
        self._over: list[LoadedCall] = []

    def stop(self) -> None:
        """Begin no more calls, and hang up those that are up; `report` then returns with what there is."""
        self._stopped.set()
        for call in self._up.values():
            call.hangup()

    async def report(self) -> LoadReport:
        """Carry it out. Whoever is cancelled here leaves no call up.

        Raises:
            SwitchClosed: the switch is not open, or takes no more calls.
        """
        started_at, self._start_s = self._switch.clock.now(), self._loop.time()
        try:
            for number, due_s in enumerate(arrivals(self._plan), 1):
                if not await self._wait(due_s):
                    break
                self._begin(number, due_s)
            while self._up:
                await asyncio.wait(self._up)
        finally:
            self.stop()
        calls = tuple(sorted(self._over, key=lambda call: call.number))
        is_interrupted = len(calls) < self._plan.calls or any(call.failure == INTERRUPTED for call in calls)
        return LoadReport(self._plan, calls, started_at, self._elapsed_s, is_interrupted)

    @property
    def _elapsed_s(self) -> float:
        return self._loop.time() - self._start_s

    async def _wait(self, due_s: float) -> bool:
        """Until it is time for the next call and there is room for it; False: somebody has stopped the test."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, due_s - self._elapsed_s)):
                await self._stopped.wait()
        if self._stopped.is_set():
            return False
        room = asyncio.ensure_future(self._room.acquire())
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait([room, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not room.done():
                room.cancel()
        return not self._stopped.is_set()

    def _begin(self, number: int, due_s: float) -> None:
        now_s = self._elapsed_s
        body = self._bodies[(number - 1) % len(self._bodies)]
        begun = LoadedCall(number, body["destination"], round(now_s, 6), max(0.0, round((now_s - due_s) * 1000, 3)))
        self._begun += 1
        try:
            call = self._switch.calls.create(body)
        except CapacityError as error:
            self._room.release()
            self._end(replace(begun, ended_s=begun.started_s, failure=f"not placed: {error}"))
            return
        task = asyncio.create_task(self._follow(call, begun), name=f"sipcore load {number}")
        self._up[task] = call
        task.add_done_callback(self._up.pop)
        self._tell()

    async def _follow(self, call: AsyncCall, begun: LoadedCall) -> None:
        observation = Observation()
        hold: asyncio.TimerHandle | None = None

        def see(event: CallEvent) -> None:
            nonlocal hold
            observation.see(event)
            if isinstance(event, CallDialing):
                call.await_audio()
            elif isinstance(event, CallAnswered) and self._plan.hold_s:
                hold = self._loop.call_later(self._plan.hold_s, call.hangup)

        stop = call.subscribe(see)
        try:
            record = await call.ended()
        finally:
            stop()
            if hold is not None:
                hold.cancel()
            self._room.release()
        done = observation.result(begun, record, round(self._elapsed_s, 6), call.first_audio_at)
        self._end(replace(done, failure=INTERRUPTED) if self._stopped.is_set() and not done.is_answered else done)

    def _end(self, call: LoadedCall) -> None:
        self._over.append(call)
        self._failed += bool(call.failure)
        self._tell()

    def _tell(self) -> None:
        if self._on_progress is not None:
            done = len(self._over)
            self._on_progress(LoadProgress(self._plan.calls, self._begun, self._begun - done, done, self._failed, self._elapsed_s))


INTERRUPTED = "the test was stopped"
"""The failure of calls that nobody had answered by then."""


async def run_load(switch: LoadHost, plan: LoadPlan, on_progress: Callable[[LoadProgress], None] | None = None) -> LoadReport:
    """Carry a plan out; see `LoadRun`."""
    return await LoadRun(switch, plan, on_progress).report()


def legs_per_call(plan: LoadPlan) -> int:
    """How many legs a call of this plan can need at once.

    Raises:
        InvalidRequest: the actions are wrong; names every fault.
    """
    return legs_needed(parse_actions(plan.actions))


def check_load(plan: LoadPlan, config: Config) -> LoadLimits:
    """Whether a switch with this configuration can carry a plan out; what it allows.

    Raises:
        InvalidRequest: it cannot; names every fault.
    """
    limits = LoadLimits(config.max_legs, legs_per_call(plan), config.max_duration_s)
    check_plan(plan, limits)
    for body in _bodies(plan):
        parse_request(body)
    return limits


def _bodies(plan: LoadPlan) -> list[dict[str, Any]]:
    """What `calls.create` gets, for each destination."""
    actions: Sequence[Any] = [*plan.actions, Stop()] if plan.hold_s else list(plan.actions)
    optional = {"source": plan.source, "trunk": plan.trunk, "variables": plan.variables}
    given = {name: value for name, value in optional.items() if value is not None}
    return [{"destination": destination, "actions": actions, **given} for destination in plan.destinations]
