"""Commands on their way to one worker: in order per call, and not more call set-ups than PJSIP survives. Pure: time is an argument."""

from __future__ import annotations

from collections import deque
from typing import Final

from sipcore import engine

MAX_DIALS: Final = 12
DIAL_WINDOW_S: Final = 0.6
"""At most `MAX_DIALS` set-ups within this time. PJSIP's socket table has 64 places, a call takes two and frees them half a second after its
end: 32 set-ups in half a second abort the process, even when each is refused at once."""


class Outbox:
    """Holds commands back until the worker is open, set-ups until there is room; what belongs to a held call waits behind it."""

    def __init__(self) -> None:
        self.is_open = False
        self._waiting: deque[engine.Command] = deque()
        self._dialled_at: deque[float] = deque()

    def put(self, command: engine.Command) -> None:
        """Append a command; `take` says when it may go."""
        self._waiting.append(command)

    def withdraw(self, call_id: str) -> bool:
        """Forget everything of a call whose `Dial` has not gone out. Returns False, and forgets nothing, when it has."""
        if not any(isinstance(command, engine.Dial) and command.call_id == call_id for command in self._waiting):
            return False
        self._waiting = deque(command for command in self._waiting if call_id not in _calls_of(command))
        return True

    def take(self, now: float) -> list[engine.Command]:
        """The commands that may go out now, in order."""
        if not self.is_open or not self._waiting:
            return []
        ready: list[engine.Command] = []
        kept: deque[engine.Command] = deque()
        held: set[str] = set()
        for command in self._waiting:
            if held.intersection(_calls_of(command)):
                kept.append(command)
            elif isinstance(command, engine.Dial) and not self._may_dial(now):
                held.add(command.call_id)
                kept.append(command)
            else:
                ready.append(command)
        self._waiting = kept
        return ready

    def next_at(self) -> float | None:
        """When `take` will have more; `None` when nothing waits, or it waits for the worker to open."""
        return self._dialled_at[0] + DIAL_WINDOW_S if self.is_open and self._waiting and self._dialled_at else None

    def _may_dial(self, now: float) -> bool:
        while self._dialled_at and now - self._dialled_at[0] >= DIAL_WINDOW_S:
            self._dialled_at.popleft()
        if len(self._dialled_at) >= MAX_DIALS:
            return False
        self._dialled_at.append(now)
        return True


def _calls_of(command: engine.Command) -> tuple[str, ...]:
    if isinstance(command, engine.Bridge | engine.Unbridge):
        return (command.call_id, command.peer_id)
    return (command.call_id,)
