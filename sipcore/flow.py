"""Where a call is in its action list: which action is next, how often each `goto` has jumped, what was fetched. Pure.

Fetched actions are a list within the list: it has ids of its own, and when it is over the list goes on after the `fetch`. A jump looks for
its target in the innermost list first, and leaves the lists it goes out of.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sipcore.actions import Action, Goto
from sipcore.actions.order import check_order, jumps, may_go_on
from sipcore.errors import InvalidRequest, SipcoreError


class FlowTooLong(SipcoreError):
    """More was to be carried out than a call may."""


@dataclass(frozen=True, slots=True)
class FlowLimits:
    """What the action list of one call may take."""

    steps: int = 1000
    """Actions carried out in all."""
    depth: int = 5
    """Lists fetched by fetched lists."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action in its place; `number` is its own as long as the call lives."""

    number: int
    action: Action


@dataclass(slots=True)
class _List:
    steps: tuple[Step, ...]
    at: int = 0

    def find(self, action_id: str) -> int | None:
        return next((index for index, step in enumerate(self.steps) if step.action.id == action_id), None)


_Place = tuple[int, int]
"""How deep the list is, and an index in it."""


class Flow:
    """The actions of one call; `take` gives one after the other."""

    def __init__(self, actions: Sequence[Action], limits: FlowLimits = FlowLimits()) -> None:
        self.is_stopped = False
        """Whether nothing more is to be done, and the call stays up."""
        self._limits = limits
        self._numbers = itertools.count()
        self._lists = [self._listed(actions)]
        self._jumped: Counter[int] = Counter()
        self._taken = 0
        self._current: Step | None = None

    def take(self) -> Step | None:
        """The next action; `None` when there is none any more.

        Raises:
            FlowTooLong: there were too many.
        """
        while self._lists and self._lists[-1].at >= len(self._lists[-1].steps):
            self._lists.pop()
        if self.is_stopped or not self._lists:
            return None
        if self._taken >= self._limits.steps:
            raise FlowTooLong(f"more than {self._limits.steps} actions of one call")
        self._taken += 1
        innermost = self._lists[-1]
        self._current = innermost.steps[innermost.at]
        innermost.at += 1
        return self._current

    def jump(self, target_id: str) -> None:
        """Go on with another action; where there is none of this id, nothing changes."""
        place = self._find(target_id, len(self._lists) - 1)
        if place is not None:
            depth, index = place
            del self._lists[depth + 1 :]
            self._lists[depth].at = index

    def go_to(self, goto: Goto) -> bool:
        """Do what the `goto` that was taken last says; False when it has jumped often enough."""
        assert self._current is not None
        number = self._current.number
        if self._jumped[number] >= goto.loop_count:
            return False
        self._jumped[number] += 1
        self.jump(goto.target_id)
        return True

    def insert(self, actions: Sequence[Action], path: str = "actions") -> None:
        """Go on with these, and then with what would have been next.

        Raises:
            InvalidRequest: their ids and jumps are wrong, or they are too deep.
        """
        if len(self._lists) > self._limits.depth:
            raise InvalidRequest(f"lists are fetched at most {self._limits.depth} deep")
        known = {step.action.id for one in self._lists for step in one.steps if step.action.id}
        if faults := check_order(actions, path, known):
            raise InvalidRequest(faults)
        self._lists.append(self._listed(actions))

    def stop(self) -> None:
        """Nothing comes any more."""
        self.is_stopped = True

    def ahead(self, count: int) -> list[Step]:
        """The steps that may come next, the nearest first, at most `count`."""
        found: dict[_Place, Step] = {}
        waiting = list(self._start())
        for place in waiting:  # which grows
            if place in found:
                continue
            if len(found) == count:
                break
            depth, index = place
            found[place] = self._lists[depth].steps[index]
            waiting += self._after(place)
        return list(found.values())

    def _start(self) -> Iterator[_Place]:
        if self._lists and not self.is_stopped:
            yield from self._place(len(self._lists) - 1, self._lists[-1].at)

    def _after(self, place: _Place) -> Iterator[_Place]:
        depth, index = place
        action = self._lists[depth].steps[index].action
        for jump in jumps(action):
            if (target := self._find(jump.target_id, depth)) is not None:
                yield target
        if may_go_on(action):
            yield from self._place(depth, index + 1)

    def _place(self, depth: int, index: int) -> Iterator[_Place]:
        """This place, or the one after the lists that end before it."""
        while depth >= 0 and index >= len(self._lists[depth].steps):
            depth -= 1
            index = self._lists[depth].at if depth >= 0 else 0
        if depth >= 0:
            yield depth, index

    def _find(self, action_id: str, depth: int) -> _Place | None:
        for outer in range(depth, -1, -1):
            if (index := self._lists[outer].find(action_id)) is not None:
                return outer, index
        return None

    def _listed(self, actions: Sequence[Action]) -> _List:
        return _List(tuple(Step(next(self._numbers), action) for action in actions))
