"""Where the time of day comes from; nothing else asks for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The time of day, in UTC. Durations and deadlines are the event loop's."""

    def now(self) -> datetime:
        """The time now."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The time now."""
        return datetime.now(UTC)


class RisingTime:
    """Times that are never the same twice: `tm_create` is a page token, so two equal ones would lose a call."""

    _STEP = timedelta(microseconds=1)

    def __init__(self, clock: Clock, after: datetime | None = None) -> None:
        self._clock = clock
        self._last = after

    def next(self) -> datetime:
        """Now, or one microsecond after the last one given."""
        now = self._clock.now()
        self._last = now if self._last is None else max(now, self._last + self._STEP)
        return self._last
