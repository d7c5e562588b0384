"""Calls without a network, on virtual time: an hour of them takes milliseconds, and the same seed always makes the same story.

    with Simulation(seed=1) as simulation:
        simulation.far_end("sip:bob@192.0.2.9", answer_after_s=8, digits="2", hangup_after_s=3600)
        call = simulation.switch.calls.create(destination="sip:bob@192.0.2.9", actions=[...])
        simulation.run()                                   # until every call is over
        assert call.record.hangup_by == "remote"
        print(simulation.trace_text())

What PJSIP and the network do is played by `FakeEngine`, which keeps the same promises: the contract tests hold both to them. There is no
SIP and no audio in it; who was played which file, when, is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

from media import Cancellation, Speech, tones
from media.manner import PLAIN, Manner
from sipcore import ids
from sipcore.engine import Acceptance, Dial, Refusal
from sipcore.events import CallCreated, CallEvent
from sipcore.record import CallRecord
from sipcore.testing.clock import Deadlock, VirtualClock
from sipcore.testing.fake_engine import Caller, FakeEngine, FarEnd
from sipcore.testing.far_line import FarEndScript, FarLine
from sipcore.testing.simulated_loop import SimulatedLoop
from sipcore.testing.simulated_switch import SimulatedSwitch
from sipcore.testing.waiting import describe_waiting

Result = TypeVar("Result")

_USER_AND_HOST: Final = re.compile(r"(?:sips?:)?([^@;]+)(?:@([^:;]+))?")
_RATE_HZ: Final = 8000
_WORD_S: Final = 0.4
_TONE_HZ: Final = 440.0
_LATENCY_S: Final = (0.002, 0.040)
"""One way to a far end, at least and at most: what is asked for at the same time happens in an order that the seed decides."""
_DAY_S: Final = 86_400.0
_SETTLING_S: Final = 0.01
"""How often we look whether what a call leaves behind when it is over is done."""
_SETTINGS: Final[Mapping[str, Any]] = {"trunk": "sip:192.0.2.8", "caller_id": "tel:+441632960000"}


@dataclass(frozen=True, slots=True)
class Traced:
    """One thing that happened."""

    time_s: float
    """Virtual seconds since the begin."""
    call: int
    """Which call, counted from 1."""
    event: CallEvent

    def __str__(self) -> str:
        return f"{self.time_s:12.3f} call {self.call} {type(self.event).__name__}{_details(self.event)}"


class IncomingCall:
    """A call from outside, and what became of it."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.sip_code = 0
        """The refusal, when it was not taken; 0 before, and when it was."""
        self.call_id = ""
        """Of the call, when it was taken."""

    @property
    def record(self) -> CallRecord:
        """The call as the switch has it now.

        Raises:
            LookupError: it was not taken, or has not come yet.
        """
        if not self.call_id:
            raise LookupError(f"the call was refused with {self.sip_code}" if self.sip_code else "the call has not come yet")
        return self._simulation.switch.calls.get(self.call_id)

    def hang_up(self) -> None:
        """The caller ends it."""
        self._simulation.engine.hang_up_remote(self.call_id)

    def press(self, digits: str) -> None:
        """The caller presses keys, all at once."""
        for digit in digits:
            self._simulation.engine.press(self.call_id, digit)


class Simulation:
    """A switch, its far ends and their time. Use it with `with`, in one thread.

    Args:
        seed: Decides ids, latencies, and so the order of what happens at the same time.
        media_root: As of `Switch`; the working directory by default.
        max_time_s: How long `run` lets virtual time go on: who waits longer waits for ever.
        settings: Of the switch.

    Attributes:
        switch: To be used as any `Switch`; `switch.asynchronous` is its `AsyncSwitch`.
        engine: What plays PJSIP and the network.
    """

    def __init__(self, seed: int = 0, *, media_root: str | Path = ".", max_time_s: float = 7 * _DAY_S, **settings: Any) -> None:
        self.seed = seed
        self.random = Random(seed)  # noqa: S311 - to be foreseen is what it is for
        self.trace: list[Traced] = []
        self.thread = threading.current_thread()
        self.loop = SimulatedLoop()
        self.engine = FakeEngine(latency_s=lambda: self.random.uniform(*_LATENCY_S))
        self._max_time_s = max_time_s
        self._context = contextvars.copy_context()
        self._context.run(ids.use_seed, Random(self.random.getrandbits(64)))  # noqa: S311
        self._folder = Path(tempfile.mkdtemp(prefix="sipcore-simulation-"))
        self._calls: dict[str, int] = {}
        self._scripts: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        folders = {"media_root": media_root, "cache_dir": self._folder / "cache", "recordings_dir": self._folder / "recordings"}
        self.switch = SimulatedSwitch(
            self, engine=self.engine, clock=VirtualClock(), synthesizer=SimulatedSpeech(), **{**_SETTINGS, **folders, **settings}
        )

    def __enter__(self) -> Self:
        try:
            self.switch.open()
        except BaseException:
            self._close()
            raise
        self.switch.listen(self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            if kind is None:
                self.switch.close()
            else:
                with contextlib.suppress(Exception):  # what went wrong before says more
                    self.switch.close()
        finally:
            self._close()

    @property
    def now_s(self) -> float:
        """Virtual seconds since the begin."""
        return self.loop.time()

    # ------------------------------------------------------------------------------------------------- far ends

    @overload
    def far_end(
        self,
        uri: str,
        *,
        ring_after_s: float | None = 0.0,
        answer_after_s: float | None = 0.0,
        reject_code: int = 0,
        digits: str = "",
        digits_after_s: float = 0.0,
        hangup_after_s: float | None = None,
        **more: Any,
    ) -> None: ...

    @overload
    def far_end(self, uri: str, script: FarEndScript) -> FarEndScript: ...

    def far_end(self, uri: str, script: FarEndScript | None = None, **behaviour: Any) -> Any:
        """Say how a far end behaves: by times (see `FarEnd`), or by an `async def` function that gets a `FarLine` for each call.

        Without either it rings and answers at once, as all do that nobody has described. `uri` may be a number (`tel:+44...`), a user, or
        `sip:user@host`, and then stands for all hosts or for this one.
        """
        if script is None:
            if "hangup_after_s" in behaviour:
                behaviour["hang_up_after_s"] = behaviour.pop("hangup_after_s")
            self.engine.far_end(_key(uri), FarEnd(**behaviour))
            return None
        given = script
        self.engine.far_end(_key(uri), lambda call_id, dial: self._start(given, call_id, dial))
        return script

    def call_in(
        self,
        to: str,
        source: str = "sip:alice@192.0.2.9",
        *,
        after_s: float = 0.0,
        trunk: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        caller: Caller | None = None,
        **behaviour: Any,
    ) -> IncomingCall:
        """Somebody calls the switch, `after_s` from now: a `Caller`, or one with these of its fields: `digits`, `hangup_after_s`, ..."""
        if "hangup_after_s" in behaviour:
            behaviour["hang_up_after_s"] = behaviour.pop("hangup_after_s")
        who = caller or Caller(**behaviour)
        incoming = IncomingCall(self)

        async def arrive() -> None:
            await asyncio.sleep(after_s)
            decision = self.engine.offer(to, source, caller=who, trunk=trunk, headers=headers)
            match decision:
                case Acceptance():
                    incoming.call_id = decision.call_id
                case Refusal():
                    incoming.sip_code = decision.sip_code

        self.add(arrive(), f"caller of {to}")
        return incoming

    def add(self, work: Coroutine[Any, Any, None], name: str = "script") -> asyncio.Task[None]:
        """Have a coroutine of yours run beside the calls; `run` waits for it, too, and raises what it raises."""
        task = self._task(work, name)
        self._scripts.add(task)
        task.add_done_callback(self._script_done)
        return task

    # ----------------------------------------------------------------------------------------------------- time

    @overload
    def run(self, story: None = None) -> None: ...

    @overload
    def run(self, story: Coroutine[Any, Any, Result]) -> Result: ...

    def run(self, story: Coroutine[Any, Any, Any] | None = None) -> Any:
        """Let time pass until every call is over and every far end has done its part; or run a coroutine to its end, for its result.

        Raises:
            Deadlock: that cannot happen any more; says who waits for what.
            BaseException: what a script of a far end raised.
        """
        task = self._task(self.until_idle() if story is None else story, "the simulation" if story is None else "story")
        self.loop.end_s = self.now_s + self._max_time_s
        try:
            self.loop.run_until_complete(task)
        except RuntimeError as error:
            why, self.loop.stuck = self.loop.stuck or error, None
            if not isinstance(why, Deadlock):
                raise
            told = describe_waiting(asyncio.all_tasks(self.loop), self.switch.asynchronous.sessions(), self.now_s)
            self._cancel(task)
            raise Deadlock(f"{why}\n{told}") from None
        if self._failures:
            raise self._failures.pop(0)
        return task.result()

    def run_for(self, duration_s: float) -> None:
        """Let so much time pass."""
        self.run(asyncio.sleep(duration_s))

    def sleep(self, duration_s: float) -> None:
        """As `run_for`, also for handlers that are plain functions."""
        self.switch.run(asyncio.sleep(duration_s))

    async def until_idle(self) -> None:
        """Wait until every call is over and every far end has done its part."""
        while (sessions := self.switch.asynchronous.sessions()) or self._scripts:
            pending: list[asyncio.Future[Any]] = [*(session.over for session in sessions if not session.over.done()), *self._scripts]
            if pending:
                await asyncio.wait(pending)
            await asyncio.sleep(0 if pending else _SETTLING_S)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until this holds after something has happened to a call."""
        changed = asyncio.Event()
        stop = self.switch.asynchronous.listen(lambda _: changed.set())
        try:
            while not is_so():
                await changed.wait()
                changed.clear()
                await asyncio.sleep(0)
        finally:
            stop()

    def trace_text(self) -> str:
        """Everything that happened to every call, a line for each."""
        return "\n".join(str(traced) for traced in self.trace)

    # -------------------------------------------------------------------------------------------------- private

    def _note(self, event: CallEvent) -> None:
        number = self._calls.setdefault(event.call_id, len(self._calls) + 1)
        self.trace.append(Traced(self.now_s, number, event))

    def _task(self, work: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
        return self._context.run(self.loop.create_task, work, name=name)

    def _start(self, script: FarEndScript, call_id: str, dial: Dial) -> None:
        """A script ends with its call."""

        async def whole() -> None:
            await script(FarLine(self.engine, call_id, dial))

        task = self.add(whole(), f"far end {dial.request_uri}")
        session = self.switch.asynchronous.session(call_id)
        if session is not None:
            session.over.add_done_callback(lambda _: task.cancel())

    def _script_done(self, task: asyncio.Task[None]) -> None:
        self._scripts.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)

    def _cancel(self, *tasks: asyncio.Task[Any]) -> None:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Deadlock):
            self.loop.run_until_complete(asyncio.wait(tasks))

    def _close(self) -> None:
        try:
            if left := asyncio.all_tasks(self.loop):
                self._cancel(*left)
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        finally:
            self.loop.close()
            shutil.rmtree(self._folder, ignore_errors=True)


class SimulatedSpeech:
    """Speech of about the right length, 0.4 s for each word: a tone."""

    name = "simulated"
    version = "1"

    def languages(self) -> Mapping[str, str]:
        """The usual ones."""
        return {"en-us": "English", "en-gb": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "ko": "Korean"}

    def render(self, text: str, language: str, gender: str, cancellation: Cancellation, manner: Manner = PLAIN) -> Speech:
        """The tone."""
        del language, gender, cancellation, manner
        return Speech(tones.tone(_TONE_HZ, _WORD_S * max(1, len(text.split())), _RATE_HZ), _RATE_HZ)

    def close(self) -> None:
        """Nothing is open."""


def _key(uri: str) -> str:
    """How the engine knows a far end: its user, with its host when there is one."""
    found = _USER_AND_HOST.match(uri.removeprefix("tel:"))
    if found is None:
        raise ValueError(f"{uri!r} names no far end: sip:user@host, tel:+44..., or a user")
    return f"{found[1]}@{found[2]}" if found[2] else found[1]


def _details(event: CallEvent) -> str:
    """What is worth a line, and the same in each run: no times, no ids."""
    if isinstance(event, CallCreated):
        return f" {event.record.direction} to {event.record.destination.target}"
    record = getattr(event, "record", None)
    parts = [f"{record.hangup_by} {record.hangup_reason} {record.sip_code}"] if record is not None and record.is_over else []
    for each in dataclasses.fields(event):
        value = getattr(event, each.name)
        if each.name not in ("call_id", "at", "record") and isinstance(value, str | int | float) and value != "":
            parts.append(f"{each.name}={value}")
    return "".join(f" {part}" for part in parts)
