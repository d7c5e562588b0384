"""A switch on the fake engine and on virtual time: what the tests of call control play on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import media.wav
from media import Cancellation, Speech, tones
from media.manner import PLAIN, Manner
from sipcore.calls import AsyncCall
from sipcore.events import ActionFinished, ActionStarted, CallEvent, CallHangup, RecordingFinished
from sipcore.switch import AsyncSwitch
from sipcore.testing.clock import VirtualClock, run_virtual
from sipcore.testing.fake_engine import FakeEngine, FarEnd

RATE_HZ = 8000
PROMPT_S = 2.0
WORD_S = 0.5


class Beeps:
    """A speech engine that says every word as half a second of tone."""

    name = "beeps"
    version = "1"

    def languages(self) -> Mapping[str, str]:
        return {"en-us": "English", "ko": "Korean"}

    def render(self, text: str, language: str, gender: str, cancellation: Cancellation, manner: Manner = PLAIN) -> Speech:
        return Speech(tones.tone(440.0, WORD_S * len(text.split()), RATE_HZ), RATE_HZ)

    def close(self) -> None:
        pass


def write_wav(path: Path, duration_s: float = PROMPT_S) -> Path:
    """A tone of this length."""
    media.wav.write(path, tones.tone(600.0, duration_s, RATE_HZ), RATE_HZ)
    return path


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(self.format(record))


@dataclass
class Stage:
    """The switch, its engine, and everything that happened."""

    switch: AsyncSwitch
    engine: FakeEngine
    root: Path
    events: list[CallEvent] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def call(self, user: str = "bob", *actions: Any, **keywords: Any) -> AsyncCall:
        """Place a call to one far end."""
        return self.switch.calls.create(destination=address(user), actions=actions, **keywords)

    def names(self, call_id: str) -> list[str]:
        """What happened to one call, as class names."""
        return [type(event).__name__ for event in self.events if event.call_id == call_id]

    def outcomes(self, call_id: str) -> list[tuple[str, str]]:
        """Each action that finished, and how."""
        return [(event.type, event.outcome) for event in self.events if isinstance(event, ActionFinished) and event.call_id == call_id]

    def finished(self, call_id: str) -> list[ActionFinished]:
        return [event for event in self.events if isinstance(event, ActionFinished) and event.call_id == call_id]

    def started(self, call_id: str) -> list[str]:
        return [event.type for event in self.events if isinstance(event, ActionStarted) and event.call_id == call_id]

    def sent(self, kind: type, call_id: str) -> list[Any]:
        """The commands of one kind that one call gave to the engine."""
        return [command for command in self.engine.commands if type(command) is kind and command.call_id == call_id]

    async def until_sent(self, kind: type, call_id: str) -> None:
        """Wait for a command; looks every virtual millisecond."""
        while not self.sent(kind, call_id):  # noqa: ASYNC110 - nothing tells when a command was given
            await asyncio.sleep(0.001)

    def check(self) -> None:
        """What must hold once everything is over, whatever happened."""
        assert self.engine.legs_in_use == 0
        by_call: dict[str, list[CallEvent]] = {}
        for event in self.events:
            if event.call_id:  # those of a conference need not be about a call
                by_call.setdefault(event.call_id, []).append(event)
        for happened in by_call.values():
            names = [type(event).__name__ for event in happened]
            assert names[0] == "CallCreated"
            assert names.count("CallHangup") == 1
            *_, last = (event for event in happened if not isinstance(event, RecordingFinished))
            assert isinstance(last, CallHangup)
            record = last.record
            assert record.status == "hangup"
            assert record.hangup_by in ("local", "remote")
            assert record.hangup_reason
            assert record.tm_update == record.tm_hangup
            assert names.count("ActionStarted") == names.count("ActionFinished")


def address(user: str) -> str:
    return f"sip:{user}@192.0.2.9"


@asynccontextmanager
async def staged(root: Path, far_ends: Mapping[str, FarEnd], engine: FakeEngine | None = None, **settings: Any) -> AsyncIterator[Stage]:
    """An open switch; at the end everything must be over, and nothing may have been logged as an error."""
    engine = engine or FakeEngine()
    for user, script in far_ends.items():
        engine.far_end(user, script)
    settings = {"recordings_dir": root / "recordings"} | settings
    settings = {"cache_dir": root / "cache", "media_root": root, "caller_id": "tel:+821028286521", "trunk": "sip:192.0.2.8"} | settings
    handler = _Errors()
    logging.getLogger("sipcore").addHandler(handler)
    try:
        async with AsyncSwitch(engine=engine, clock=VirtualClock(), synthesizer=Beeps(), **settings) as switch:
            stage = Stage(switch, engine, root, errors=handler.messages)
            switch.listen(stage.events.append)
            yield stage
        stage.check()
        assert handler.messages == []
    finally:
        logging.getLogger("sipcore").removeHandler(handler)


Scenario = Callable[[Stage], Awaitable[None]]


def play(root: Path, scenario: Scenario, far_ends: Mapping[str, FarEnd] | None = None, **settings: Any) -> Stage:
    """Play a scenario on virtual time, from the opening of the switch to its close."""

    async def whole() -> Stage:
        async with staged(root, far_ends or {}, **settings) as stage:
            await scenario(stage)
        return stage

    return run_virtual(whole())
