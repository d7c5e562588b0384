"""What the flight recorder knows of a call: its messages, what happened to it, and its RTP. Times are seconds since 1970."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sipcore.wire import TracedMessage


@dataclass(frozen=True, slots=True)
class FlightNote:
    """Something that happened to a call beside its SIP messages: an event, or a step of an action."""

    at: float
    call_id: str
    name: str
    """The name of the event: `CallAnswered`, `ActionStarted`."""
    text: str
    """The same for people: `answered`, `talk begins`. No digits that were pressed, no tokens of URLs."""
    missing: int = 0
    """How many notes just before this one were left out, because the call had more than is kept."""


class RtpSample(NamedTuple):
    """The counters of the audio of a call at one moment, from its begin; jitter and round trip are those of the moment."""

    at: float
    rx_packets: int
    rx_lost: int
    rx_discarded: int
    tx_packets: int
    jitter_ms: float
    rtt_ms: float


@dataclass(frozen=True, slots=True)
class FlightCall:
    """One call of a flight: who, how it ended, and its RTP."""

    id: str
    direction: str = ""
    source: str = ""
    destination: str = ""
    status: str = ""
    hangup_by: str = ""
    hangup_reason: str = ""
    sip_code: int = 0
    sip_phrase: str = ""
    codec: str = ""
    rtp: tuple[RtpSample, ...] = ()


Entry = TracedMessage | FlightNote | RtpSample


@dataclass(frozen=True, slots=True)
class FlightRecord:
    """All that is known of a call, and of the legs that were made for it.

    What is too much is left out in the middle: `missing` of the message or note after the gap says how many.
    """

    taken_at: float
    calls: tuple[FlightCall, ...]
    """The call itself first."""
    messages: tuple[TracedMessage, ...] = ()
    notes: tuple[FlightNote, ...] = ()

    @property
    def call_id(self) -> str:
        """Of the call itself."""
        return self.calls[0].id

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Messages, notes and RTP of all its calls in the order they happened."""
        entries: list[Entry] = [*self.messages, *self.notes]
        for call in self.calls:
            entries += call.rtp
        return tuple(sorted(entries, key=time_of))

    @property
    def began_at(self) -> float:
        """When the first thing happened."""
        firsts = [message.time for message in self.messages[:1]] + [note.at for note in self.notes[:1]]
        return min(firsts, default=self.taken_at)


def time_of(entry: Entry) -> float:
    """When something happened."""
    return entry.time if isinstance(entry, TracedMessage) else entry.at


def merged(records: Sequence[FlightRecord]) -> FlightRecord:
    """Several as one, the first being the one it is about."""
    return FlightRecord(
        max(record.taken_at for record in records),
        tuple({call.id: call for record in records for call in record.calls}.values()),
        tuple(heapq.merge(*(record.messages for record in records), key=time_of)),
        tuple(heapq.merge(*(record.notes for record in records), key=time_of)),
    )
