"""One question for long work: should it stop?"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .errors import Cancelled

SLICE_S = 0.05
"""How long a wait may last before the events are looked at again."""


class Cancellation:
    """Some events, any of which stops the work. ``None`` entries are skipped."""

    __slots__ = ("_events",)

    def __init__(self, *events: threading.Event | None) -> None:
        self._events = tuple(event for event in events if event is not None)

    @property
    def is_set(self) -> bool:
        """Whether the work should stop."""
        return any(event.is_set() for event in self._events)

    def check(self) -> None:
        """Raise :class:`Cancelled` when the work should stop."""
        if self.is_set:
            raise Cancelled

    @contextmanager
    def holding(self, lock: threading.Lock) -> Iterator[None]:
        """Hold ``lock``; give up waiting for it with :class:`Cancelled`."""
        self.check()
        while not lock.acquire(timeout=SLICE_S):
            self.check()
        try:
            yield
        finally:
            lock.release()


class Deadline:
    """A point in time ``seconds`` from now, on the monotonic clock."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self._end - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() >= self._end
