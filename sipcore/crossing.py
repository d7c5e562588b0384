"""Calls that need more legs than a worker holds: where their legs go, and how those hear each other that are in different workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sipcore.conferences.room import Room
from sipcore.engine import Bridge, Engine, Unbridge
from sipcore.ids import new_id
from sipcore.session import Session


class Places:
    """Room for calls: as much as there is in one worker is kept there, the rest in further ones.

    A call's own group has its id; the engine knows nothing of what belongs together beyond that.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._further: dict[str, list[str]] = {}
        """By group of a call: its further groups."""
        self._first: dict[str, str] = {}
        """The other way round."""
        self._legs: dict[str, int] = {}
        """What further groups have room for, and those that have some."""

    def reserve(self, group_id: str, legs: int) -> None:
        """Keep room for a call and the legs that it can have up at once.

        Raises:
            CapacityError: there is not enough; nothing is kept.
        """
        self.reserve_further(group_id, legs)
        try:
            self._engine.reserve(group_id, self.in_first(legs))
        except BaseException:
            self.release(group_id)
            raise

    def reserve_further(self, group_id: str, legs: int) -> None:
        """As `reserve`, but for what the call's own worker does not hold only."""
        capacity = self._engine.leg_capacity
        rest = legs - self.in_first(legs)
        if not rest:
            return
        self._legs[group_id] = capacity
        further = self._further[group_id] = []
        try:
            for start in range(0, rest, capacity):
                another, size = new_id(), min(capacity, rest - start)
                self._engine.reserve(another, size)
                further.append(another)
                self._first[another], self._legs[another] = group_id, size
        except BaseException:
            self.release(group_id)
            raise

    def in_first(self, legs: int) -> int:
        """How many of so many legs the call's own worker holds."""
        return min(legs, self._engine.leg_capacity)

    def group_for(self, group_id: str, taken: Callable[[str], int]) -> str:
        """The group of one more leg of a call; `taken` says how many a group has up."""
        first = self._first.get(group_id, group_id)
        free = (each for each in (first, *self._further.get(first, ())) if taken(each) < self._legs.get(each, 0))
        return next(free, first)

    def release(self, group_id: str) -> None:
        """Nobody of this group is up. Further groups wait for their call."""
        if group_id in self._first:
            return
        self._engine.release(group_id)
        self._legs.pop(group_id, None)
        for another in self._further.pop(group_id, ()):
            del self._first[another], self._legs[another]
            self._engine.release(another)


class Crossings:
    """Pairs of calls that are in different workers, and hear each other by a room of two each."""

    def __init__(self) -> None:
        self._rooms: dict[frozenset[str], Room] = {}

    def take(self, command: Bridge | Unbridge, sessions: Mapping[str, Session]) -> bool:
        """Carry out a command that the engine cannot: between two groups. False: it can."""
        pair = frozenset((command.call_id, command.peer_id))
        if isinstance(command, Unbridge):
            return self._part(pair)
        one, other = sessions.get(command.call_id), sessions.get(command.peer_id)
        if one is None or other is None or one.group_id == other.group_id:
            return False
        if pair not in self._rooms:
            room = self._rooms[pair] = Room(f"{one.id} {other.id}")
            for session in (one, other):
                room.join(session, lambda _: self._over(pair))
        return True

    def _part(self, pair: frozenset[str]) -> bool:
        room = self._rooms.pop(pair, None)
        if room is not None:
            room.close()
        return room is not None

    def _over(self, pair: frozenset[str]) -> None:
        """One of the two is over, or has no live audio."""
        self._part(pair)
