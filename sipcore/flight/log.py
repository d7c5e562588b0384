"""Keeps the notes and the RTP of calls, those that run and those that were last, within limits. Pure: times come with what is kept."""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from sipcore.engine import MediaStatistics, RtpStatistics
from sipcore.events import CallCreated, CallEvent, CallHangup, CallMediaStarted
from sipcore.flight.notes import note_of
from sipcore.flight.record import FlightCall, FlightNote, RtpSample
from sipcore.record import CallRecord

_FIRST_NOTES: Final = 150
_LAST_NOTES: Final = 150
_NOTE_BYTES: Final = 250
"""About: the object and its place; its text comes on top of it."""
_CALL_BYTES: Final = 3_000
"""About: the record of the call, and what it stands in."""
_COLUMNS: Final = len(RtpSample._fields)
_SAMPLE_BYTES: Final = 8 * _COLUMNS
MAX_SAMPLES: Final = 240
"""When there are more, every second one goes: so four minutes are kept by the second, eight by two seconds, and so on."""


_TOO_NEAR_S: Final = 0.5
"""A rate over less than this is noise in a plot: the final counters replace a sample that is so young."""


@dataclass(slots=True)
class _Flight:
    """Of one call."""

    record: CallRecord | None = None
    codec: str = ""
    first: list[FlightNote] = field(default_factory=list)
    last: deque[FlightNote] = field(default_factory=lambda: deque(maxlen=_LAST_NOTES))
    missing: int = 0
    samples: array[float] = field(default_factory=lambda: array("d"))
    every: int = 1
    seen: int = 0
    size_bytes: int = _CALL_BYTES

    def add(self, note: FlightNote) -> None:
        size = _NOTE_BYTES + len(note.text)
        if len(self.first) < _FIRST_NOTES:
            self.first.append(note)
        else:
            if len(self.last) == _LAST_NOTES:
                self.missing += 1
                self.size_bytes -= _NOTE_BYTES + len(self.last[0].text)
            self.last.append(note)
        self.size_bytes += size

    def notes(self) -> Iterator[FlightNote]:
        last = iter(self.last)
        if self.missing:
            last = chain((replace(next(last), missing=self.missing),), last)
        return chain(self.first, last)

    def measure(self, sample: RtpSample) -> None:
        self.seen += 1
        if (self.seen - 1) % self.every:
            return
        self.samples.extend(sample)
        self.size_bytes += _SAMPLE_BYTES
        if len(self.samples) > MAX_SAMPLES * _COLUMNS:
            kept = array("d")
            for start in range(0, len(self.samples), 2 * _COLUMNS):
                kept.extend(self.samples[start : start + _COLUMNS])
            self.size_bytes -= 8 * (len(self.samples) - len(kept))
            self.samples, self.every, self.seen = kept, self.every * 2, 1

    def conclude(self, at: float, final: RtpStatistics) -> None:
        """Add the counters of the whole call, so that the last sample says what the record says; its jitter is the last that was known."""
        jitter_ms = self.samples[-2] if self.samples else final.rx_jitter_ms
        if self.samples and at - self.samples[-_COLUMNS] < _TOO_NEAR_S:
            del self.samples[-_COLUMNS:]
            self.size_bytes -= _SAMPLE_BYTES
        self.samples.extend(RtpSample(at, final.rx_packets, final.rx_lost, final.rx_discarded, final.tx_packets, jitter_ms, final.rtt_ms))
        self.size_bytes += _SAMPLE_BYTES

    def rtp(self) -> tuple[RtpSample, ...]:
        rows = (self.samples[start : start + _COLUMNS] for start in range(0, len(self.samples), _COLUMNS))
        return tuple(RtpSample(at, int(rx), int(lost), int(late), int(tx), jitter, trip) for at, rx, lost, late, tx, jitter, trip in rows)


class FlightLog:
    """The calls of one switch.

    Args:
        calls: How many are remembered; 0: none is.
        total_bytes: Memory for all of them, about.
    """

    def __init__(self, calls: int = 1000, total_bytes: int = 32 * 2**20) -> None:
        self._max_calls, self._max_bytes = calls, total_bytes
        self._live: OrderedDict[str, _Flight] = OrderedDict()
        self._over: OrderedDict[str, _Flight] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._live) + len(self._over)

    @property
    def size_bytes(self) -> int:
        """Memory that all of it takes, about."""
        return self._bytes

    @property
    def call_ids(self) -> tuple[str, ...]:
        """Of all calls that are remembered, those that are over first, each in the order they began or ended."""
        return (*self._over, *self._live)

    def tell(self, event: CallEvent) -> None:
        """Keep an event of a call."""
        flight = self._of(event)
        if flight is None:
            return
        before = flight.size_bytes
        if isinstance(record := getattr(event, "record", None), CallRecord):
            flight.record = record
        if isinstance(event, CallMediaStarted):
            flight.codec = event.codec
        flight.add(note_of(event))
        if isinstance(event, CallHangup) and event.record.statistics is not None and event.call_id in self._live:
            flight.conclude(event.at.timestamp(), event.record.statistics)
        self._bytes += flight.size_bytes - before
        if isinstance(event, CallHangup) and event.call_id in self._live:
            self._over[event.call_id] = self._live.pop(event.call_id)
        self._drop_the_oldest(event.call_id)

    def measure(self, event: MediaStatistics, at: float) -> None:
        """Keep the counters of a call that runs; `at` is in seconds since 1970."""
        flight = self._live.get(event.call_id)
        if flight is None:
            return
        before, told = flight.size_bytes, event.statistics
        flight.codec = told.codec or flight.codec
        flight.measure(RtpSample(at, told.rx_packets, told.rx_lost, told.rx_discarded, told.tx_packets, event.jitter_ms, told.rtt_ms))
        self._bytes += flight.size_bytes - before
        self._drop_the_oldest(event.call_id)

    def record(self, call_id: str) -> CallRecord | None:
        """The last record that was told of a call."""
        flight = self._found(call_id)
        return flight.record if flight else None

    def notes(self, call_ids: Iterable[str]) -> tuple[FlightNote, ...]:
        """Of these calls, in the order they happened."""
        flights = [flight for call_id in call_ids if (flight := self._found(call_id)) is not None]
        return tuple(sorted((note for flight in flights for note in flight.notes()), key=lambda note: note.at))

    def call(self, call_id: str, record: CallRecord | None = None) -> FlightCall:
        """One of the calls of a record; `record` is for one that is not remembered any more."""
        flight = self._found(call_id) or _Flight(record)
        known = flight.record or record
        if known is None:
            return FlightCall(call_id, rtp=flight.rtp())
        return FlightCall(
            call_id,
            known.direction,
            str(known.source),
            str(known.destination),
            str(known.status),
            known.hangup_by,
            str(known.hangup_reason),
            known.sip_code,
            known.sip_phrase,
            flight.codec,
            flight.rtp(),
        )

    def _found(self, call_id: str) -> _Flight | None:
        return self._live.get(call_id) or self._over.get(call_id)

    def _of(self, event: CallEvent) -> _Flight | None:
        if (found := self._found(event.call_id)) is not None or not self._max_calls or not isinstance(event, CallCreated):
            return found
        flight = self._live[event.call_id] = _Flight()
        self._bytes += flight.size_bytes
        return flight

    def _drop_the_oldest(self, newest: str) -> None:
        while len(self) > 1 and (len(self) > self._max_calls or self._bytes > self._max_bytes):
            oldest = next(call_id for call_id in chain(self._over, self._live) if call_id != newest)
            flight = (self._over if oldest in self._over else self._live).pop(oldest)
            self._bytes -= flight.size_bytes
