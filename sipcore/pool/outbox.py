"""Commands on their way to one worker: in order per call, and not more call set-ups than PJSIP survives. Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from typing import Final

from sipcore import engine, wire

MAX_SETUPS: Final = 12
SETUP_WINDOW_S: Final = 0.6
"""At most `MAX_SETUPS` set-ups, of either direction, within this time. PJSIP's socket table has 64 places, a call takes two and frees them
half a second after its end: 32 set-ups in half a second abort the process, even when each is refused at once."""

Order = engine.Command | wire.ExpectCall
SetUp = engine.Dial | wire.ExpectCall


class Outbox:
    """Holds commands back until the worker is open, set-ups until there is room; what belongs to a held call waits behind it."""

    def __init__(self) -> None:
        self.is_open = False
        self._waiting: deque[Order] = deque()
        self._set_up_at: deque[float] = deque()

    def put(self, order: Order) -> None:
        """Append a command; `take` says when it may go."""
        self._waiting.append(order)

    def withdraw(self, call_id: str) -> bool:
        """Forget everything of a call whose set-up has not gone out. Returns False, and forgets nothing, when it has."""
        if not any(isinstance(order, SetUp) and order.call_id == call_id for order in self._waiting):
            return False
        self._waiting = deque(order for order in self._waiting if call_id not in _calls_of(order))
        return True

    def take(self, now: float) -> list[Order]:
        """The commands that may go out now, in order."""
        if not self.is_open or not self._waiting:
            return []
        ready: list[Order] = []
        kept: deque[Order] = deque()
        held: set[str] = set()
        for order in self._waiting:
            if held.intersection(_calls_of(order)):
                kept.append(order)
            elif isinstance(order, SetUp) and not self._may_set_up(now):
                held.add(order.call_id)
                kept.append(order)
            else:
                ready.append(order)
        self._waiting = kept
        return ready

    def next_at(self) -> float | None:
        """When `take` will have more; `None` when nothing waits, or it waits for the worker to open."""
        return self._set_up_at[0] + SETUP_WINDOW_S if self.is_open and self._waiting and self._set_up_at else None

    def has_pace(self, now: float) -> bool:
        """Whether a set-up that is put now would go out at once, or as soon as the worker is open."""
        self._forget_old(now)
        return len(self._set_up_at) + sum(isinstance(order, SetUp) for order in self._waiting) < MAX_SETUPS

    def _may_set_up(self, now: float) -> bool:
        self._forget_old(now)
        if len(self._set_up_at) >= MAX_SETUPS:
            return False
        self._set_up_at.append(now)
        return True

    def _forget_old(self, now: float) -> None:
        while self._set_up_at and now - self._set_up_at[0] >= SETUP_WINDOW_S:
            self._set_up_at.popleft()


def _calls_of(order: Order) -> tuple[str, ...]:
    match order:
        case engine.Register() | engine.Unregister():
            return ()
        case engine.Bridge() | engine.Unbridge():
            return (order.call_id, order.peer_id)
        case _:
            return (order.call_id,)
