"""Which action may follow which, and the checks of a whole list that come from it.

Each `goto` counts down, so a list comes to an end when no way leads back without one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sipcore.actions.base import Action
from sipcore.actions.flow import Branch, ConditionDatetime, ConditionVariable, Goto, Hangup, Stop
from sipcore.errors import Fault


@dataclass(frozen=True, slots=True)
class Jump:
    """An action may be followed by the one that is called `target_id`; `option` says so."""

    option: str
    target_id: str


def jumps(action: Action) -> tuple[Jump, ...]:
    """The jumps of an action, in the order in which they are written."""
    match action:
        case Goto():
            return (Jump("target_id", action.target_id),)
        case Branch():
            named = tuple(Jump(f"target_ids.{value}", target_id) for value, target_id in action.target_ids.items())
            return (*named, Jump("default_target_id", action.default_target_id)) if action.default_target_id else named
        case ConditionDatetime() | ConditionVariable():
            return (Jump("false_target_id", action.false_target_id),)
        case _:
            return ()


def may_go_on(action: Action) -> bool:
    """Whether the action may be followed by the next one of the list."""
    return not isinstance(action, Hangup | Stop) and not (isinstance(action, Branch) and action.default_target_id)


def check_order(actions: Sequence[Action], path: str = "actions", outer_ids: Collection[str] = ()) -> list[Fault]:
    """What is wrong with the ids and jumps of a list: ids doubled, targets that are nowhere, ways back without a `goto`."""
    return check_ids(dict(enumerate(actions)), path, outer_ids) or _ways_back(actions, path)


def check_ids(actions: Mapping[int, Action], path: str = "actions", outer_ids: Collection[str] = ()) -> list[Fault]:
    """Ids doubled, and targets that are nowhere, among the actions of a list that are known, by index."""
    places: dict[str, int] = {}
    faults: list[Fault] = []
    for index, action in actions.items():
        if action.id and places.setdefault(action.id, index) != index:
            faults.append(Fault(f"{path}[{index}].id", f"{action.id!r} is the id of {path}[{places[action.id]}] already"))
    for index, action in actions.items():
        faults += [
            Fault(f"{path}[{index}].option.{jump.option}", f"no action has the id {jump.target_id!r}")
            for jump in jumps(action)
            if jump.target_id not in places and jump.target_id not in outer_ids
        ]
    return faults


def _ways_back(actions: Sequence[Action], path: str) -> list[Fault]:
    places = {action.id: index for index, action in enumerate(actions) if action.id}
    reach = _Reach(actions, places)
    return [
        Fault(
            f"{path}[{index}].option.{jump.option}",
            f"leads back to {jump.target_id!r} with no goto on the way, which could go on for ever: a goto, with its loop_count, may",
        )
        for index, action in enumerate(actions)
        if not isinstance(action, Goto)
        for jump in jumps(action)
        if places.get(jump.target_id, len(actions)) <= index and reach.leads(places[jump.target_id], index)
    ]


class _Reach:
    """Where the list may go on to from each action, jumps of a `goto` left out."""

    def __init__(self, actions: Sequence[Action], places: Mapping[str, int]) -> None:
        self._next: list[set[int]] = [set() for _ in actions]
        for index, action in enumerate(actions):
            if may_go_on(action) and index + 1 < len(actions):
                self._next[index].add(index + 1)
            if not isinstance(action, Goto):
                self._next[index] |= {places[jump.target_id] for jump in jumps(action) if jump.target_id in places}
        self._reached: dict[int, set[int]] = {}

    def leads(self, start: int, to: int) -> bool:
        """Whether `to` can come after `start`, or is it."""
        if start not in self._reached:
            self._reached[start] = self._from(start)
        return to in self._reached[start]

    def _from(self, start: int) -> set[int]:
        found, waiting = {start}, [start]
        while waiting:
            new = self._next[waiting.pop()] - found
            found |= new
            waiting += new
        return found
