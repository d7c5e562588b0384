"""What was answered to each offer of the front door, so that one that asks again hears the same. Pure: time is an argument."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from sipcore.engine import Refusal

KEEP_S: Final = 40.0
"""After it was last asked: an INVITE is repeated for 32 s (RFC 3261 §17.1.1.2, timer B)."""
MAX_ANSWERS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Pending:
    """Accepted, but no worker knows of it yet."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A worker waits for the INVITE."""

    call_id: str
    worker_id: int


Decision = Pending | Placed | Refusal


@dataclass(slots=True)
class _Entry:
    decision: Decision
    asked_at: float


class OfferBook:
    """Decisions by the key of their offer. Those of calls that are not settled are kept however old they are."""

    def __init__(self, max_answers: int = MAX_ANSWERS) -> None:
        self._max_answers = max_answers
        self._entries: OrderedDict[str, _Entry] = OrderedDict()  # the one asked for longest ago first
        self._key_of: dict[str, str] = {}  # of calls that are not settled

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, key: str, now: float) -> Decision | None:
        """What was decided; `None` when it is a new one."""
        self._forget_old(now)
        entry = self._entries.get(key)
        if entry is None:
            return None
        entry.asked_at = now
        self._entries.move_to_end(key)
        return entry.decision

    def refuse(self, key: str, refusal: Refusal, now: float) -> None:
        """A new offer was refused."""
        self._entries[key] = _Entry(refusal, now)

    def accept(self, key: str, call_id: str, now: float) -> None:
        """A new offer became a call."""
        self._entries[key] = _Entry(Pending(call_id), now)
        self._key_of[call_id] = key

    def placed(self) -> list[tuple[str, Placed]]:
        """Every placement that is remembered, with its key."""
        return [(key, entry.decision) for key, entry in self._entries.items() if isinstance(entry.decision, Placed)]

    def place(self, call_id: str, worker_id: int) -> str | None:
        """A worker expects the call. Returns its key; `None` when it is settled."""
        return self._decide(call_id, Placed(call_id, worker_id))

    def fail(self, call_id: str, refusal: Refusal) -> str | None:
        """The call ended before a worker answered it. Returns the key that is to be refused now; `None` when the call is settled."""
        key = self._decide(call_id, refusal)
        self.settle(call_id)
        return key

    def settle(self, call_id: str) -> None:
        """The call was answered, or its worker has given the final answer; nothing is to be said to its offer any more."""
        self._key_of.pop(call_id, None)

    def _decide(self, call_id: str, decision: Decision) -> str | None:
        key = self._key_of.get(call_id)
        if key is not None:
            self._entries[key].decision = decision
        return key

    def _forget_old(self, now: float) -> None:
        for _ in range(len(self._entries)):
            key, entry = next(iter(self._entries.items()))
            if len(self._entries) < self._max_answers and now - entry.asked_at < KEEP_S:
                return
            if not isinstance(entry.decision, Refusal) and self._key_of.get(entry.decision.call_id) == key:
                entry.asked_at = now
                self._entries.move_to_end(key)
            else:
                del self._entries[key]
