"""Every event of every call, numbered, in one ring: whoever listens has a place in it and reads on from there.

Nobody has a queue of his own, so a listener that is slow costs nothing and holds nobody up; when he falls out of the ring, he is told so.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from sipcore.calls import AsyncCall
from sipcore.events import CallEvent, CallHangup, ConferenceEvent, RecordingFinished, RecordingStarted
from sipcore.http.envelope import TYPES, envelope
from sipcore.http.errors import to_json
from sipcore.record import CallRecord
from sipcore.switch import AsyncSwitch

log = logging.getLogger(__name__)

RING_EVENTS: Final = 10_000
"""About 1 kB each."""
_BATCH: Final = 64


@dataclass(frozen=True)
class Told:
    """One event as the outside gets it."""

    number: int
    id: str
    event: CallEvent
    record: CallRecord | None
    """The call as it was then; `None` when the event is about a conference and no call."""
    user_id: int
    """Whose call or conference it is."""

    @property
    def type(self) -> str:
        """Its public name."""
        return TYPES[type(self.event)]

    @functools.cached_property
    def body(self) -> bytes:
        """The envelope, JSON; made when the first one asks for it."""
        return to_json({"id": self.id} | envelope(self.event, self.record))


Sink = Callable[[Told, AsyncCall | None], None]
Watcher = Callable[[CallEvent, AsyncCall | None], None]


class EventHub:
    """Takes the events of a switch from `open` to `close`; ids are good for as long as this object lives."""

    def __init__(self, switch: AsyncSwitch, *, ring_events: int = RING_EVENTS) -> None:
        self._switch = switch
        self._run = secrets.token_hex(4)
        self._ring: deque[Told] = deque(maxlen=ring_events)
        self._next = 1
        self._news = asyncio.Event()
        self._is_closed = False
        self._sinks: list[Sink] = []
        self._watchers: list[Watcher] = []
        self._calls: dict[str, AsyncCall] = {}
        self._recorded: dict[str, AsyncCall] = {}
        """By id of a recording that is not finished."""
        self._stop: Callable[[], None] | None = None

    def open(self) -> None:
        """Start to listen; the switch must be open."""
        self._stop = self._switch.listen(self.take)

    def close(self) -> None:
        """Nothing comes any more: who follows gets what is left, then the end."""
        self._is_closed = True
        if self._stop is not None:
            self._stop()
        self._wake()

    def send_to(self, sink: Sink) -> None:
        """Call `sink` with every event as the outside gets it."""
        self._sinks.append(sink)

    def show_to(self, watcher: Watcher) -> None:
        """Call `watcher` with every event as it is."""
        self._watchers.append(watcher)

    def take(self, event: CallEvent) -> None:
        """Take one event of the switch. A call may be over before its last events are told: whoever listens can end it."""
        call = self._call_of(event)
        record: CallRecord | None = getattr(event, "record", None if call is None else call.record)
        owner = event.conference if isinstance(event, ConferenceEvent) else record
        if owner is None or type(event) not in TYPES:
            log.error("call %s: an event that cannot be told: %s", event.call_id, type(event).__name__)
            return
        for watcher in self._watchers:
            watcher(event, call)
        told = Told(self._next, f"{self._run}-{self._next}", event, record, owner.user_id)
        self._next += 1
        self._ring.append(told)
        self._wake()
        for sink in self._sinks:
            sink(told, call)

    @property
    def now(self) -> int:
        """The number that the next event will have."""
        return self._next

    @property
    def oldest(self) -> int:
        """The number of the oldest event that is still here."""
        return self._ring[0].number if self._ring else self._next

    def number_after(self, event_id: str) -> int | None:
        """The number after this id; `None` when that is not here (any more)."""
        run, _, number = event_id.rpartition("-")
        if run != self._run or not (number.isascii() and number.isdecimal() and len(number) < 16):
            return None
        wanted = int(number) + 1
        return wanted if self.oldest <= wanted <= self._next else None

    async def follow(self, number: int, patience_s: Callable[[], float]) -> AsyncIterator[list[Told] | None]:
        """Events from `number` on, some at a time; an empty list when nothing came for `patience_s()`, `None` after a gap."""
        while True:
            if number < self.oldest:
                number = self.oldest
                yield None
            elif number < self._next:
                first = number - self.oldest
                batch = [self._ring[index] for index in range(first, min(first + _BATCH, len(self._ring)))]
                number = batch[-1].number + 1
                yield batch
            elif self._is_closed:
                return
            else:
                news = self._news
                try:
                    async with asyncio.timeout(max(0.0, patience_s())):
                        await news.wait()
                except TimeoutError:
                    yield []

    def _call_of(self, event: CallEvent) -> AsyncCall | None:
        if isinstance(event, RecordingFinished):  # may come after its call
            return self._recorded.pop(event.recording.id, None)
        call = self._calls.get(event.call_id) or self._switch.calls.live(event.call_id)
        if isinstance(event, RecordingStarted) and call is not None:
            self._recorded[event.recording.id] = call
        if isinstance(event, CallHangup):
            self._calls.pop(event.call_id, None)
        elif call is not None:
            self._calls[event.call_id] = call
        return call

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
