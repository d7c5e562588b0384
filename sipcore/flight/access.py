"""Puts a flight record together from what the switch and its engine remember."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable, Sequence

from sipcore.flight.log import FlightLog
from sipcore.flight.record import FlightRecord, time_of
from sipcore.record import CallRecord
from sipcore.wire import TracedMessage

Trace = Callable[[str], Awaitable[tuple[TracedMessage, ...]]]


async def take_flight(log: FlightLog, records: Sequence[CallRecord], trace: Trace, taken_at: float) -> FlightRecord:
    """What is known of these calls, the first being the one it is about."""
    messages = [await trace(record.id) for record in records]
    return FlightRecord(
        taken_at,
        tuple(log.call(record.id, record) for record in records),
        tuple(heapq.merge(*messages, key=time_of)),
        log.notes([record.id for record in records]),
    )
