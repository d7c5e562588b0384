"""How many calls a trunk takes at once and how many a second: what is too early waits for its turn, in order. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MAX_WAIT_S: Final = 30.0
"""A call that would wait longer is refused: who waits for it has gone by then."""

_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Limit:
    """Of one trunk; 0 is no limit."""

    max_calls: int = 0
    calls_per_second: float = 0.0


@dataclass(frozen=True, slots=True)
class Granted:
    """The call may be dialled now; it counts until `release`."""


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Its turn is at `at`: ask again then. Whoever gives up waiting calls `release`."""

    at: float


@dataclass(frozen=True, slots=True)
class Full:
    """It is refused and counts nowhere: `in_use` of `limit` calls are up, or, for `calls_per_second`, wait."""

    trunk: str
    what: str
    """`calls` or `waiting calls`"""
    in_use: int
    limit: int


Verdict = Granted | WaitUntil | Full


@dataclass(slots=True)
class _Lane:
    """One trunk. The bucket holds one token, so calls leave evenly spaced: a carrier counts them in windows that begin when it likes."""

    limit: Limit
    granted: set[str] = field(default_factory=set)
    waiting: dict[str, None] = field(default_factory=dict)
    tokens: float = 1.0
    filled_at: float = 0.0

    def fill(self, now: float) -> None:
        self.tokens = min(1.0, self.tokens + max(0.0, now - self.filled_at) * self.limit.calls_per_second)
        self.filled_at = max(now, self.filled_at)


class Admission:
    """Admits calls to trunks. A trunk that is not known has no limits."""

    def __init__(self, limits: Mapping[str, Limit], max_wait_s: float = MAX_WAIT_S) -> None:
        self._lanes = {name: _Lane(limit) for name, limit in limits.items() if limit.max_calls or limit.calls_per_second}
        self._max_wait_s = max_wait_s
        self._trunk_of: dict[str, str] = {}

    def ask(self, trunk: str, call_id: str, now: float) -> Verdict:
        """May this call be dialled? A call that waits asks again when its time has come, and keeps its place when it asks early."""
        lane = self._lanes.get(trunk)
        if lane is None or call_id in lane.granted:
            return Granted()
        if call_id not in lane.waiting and (full := self._full(trunk, lane)):
            return full
        self._trunk_of[call_id] = trunk
        if not lane.limit.calls_per_second:
            lane.granted.add(call_id)
            return Granted()
        lane.waiting[call_id] = None
        return self._turn(lane, call_id, now)

    def release(self, call_id: str) -> None:
        """The call is over, or waits no more. Idempotent."""
        lane = self._lanes.get(self._trunk_of.pop(call_id, ""))
        if lane is not None:
            lane.granted.discard(call_id)
            lane.waiting.pop(call_id, None)

    def waiting(self, trunk: str) -> tuple[str, ...]:
        """The calls that wait, the next one first."""
        lane = self._lanes.get(trunk)
        return tuple(lane.waiting) if lane else ()

    def in_use(self, trunk: str) -> int:
        """Calls that are admitted or wait. Counted for trunks with a limit only."""
        lane = self._lanes.get(trunk)
        return len(lane.granted) + len(lane.waiting) if lane else 0

    def _full(self, trunk: str, lane: _Lane) -> Full | None:
        if lane.limit.max_calls and self.in_use(trunk) >= lane.limit.max_calls:
            return Full(trunk, "calls", self.in_use(trunk), lane.limit.max_calls)
        most = max(1, int(lane.limit.calls_per_second * self._max_wait_s)) if lane.limit.calls_per_second else 0
        if most and len(lane.waiting) >= most:
            return Full(trunk, "waiting calls", len(lane.waiting), most)
        return None

    def _turn(self, lane: _Lane, call_id: str, now: float) -> Granted | WaitUntil:
        """The first in line takes the token; who asks behind it waits for one of its own after those."""
        lane.fill(now)
        position = list(lane.waiting).index(call_id)
        missing = position + 1 - lane.tokens
        if position == 0 and missing <= _ROUNDING:
            del lane.waiting[call_id]
            lane.granted.add(call_id)
            lane.tokens = 0.0
            return Granted()
        return WaitUntil(now + max(missing, 0.0) / lane.limit.calls_per_second)
