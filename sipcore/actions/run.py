"""`Run`: an action that is a function of the user's own. In this process only: it has no JSON form that could be read back."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias

from sipcore.actions.base import Action
from sipcore.errors import Fault, InvalidRequest

StepFunction: TypeAlias = Callable[[Any], Awaitable[object]]
"""Given the call; of which class depends on who lists it: `AsyncCall`, or `Call` for a plain function of a `Switch`."""
ListItem: TypeAlias = Action | Mapping[str, Any] | Callable[[Any], object]
"""What may stand in a list of actions."""

_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{0,64}")


@dataclass(frozen=True, slots=True)
class Run(Action):
    """Call a function of yours with the call; its `async def` may do with it what a handler may.

    In a list the bare function does the same as `Run(function)`. An exception in it is logged and fails the action, and the list goes on.
    When the call ends, the function is cancelled.

    Attributes:
        function: `async def function(call)`; with `Switch` also `def function(call)`, which runs on a thread of its own.
        legs: The most further calls that it connects at once; room for them is kept.
    """

    type: ClassVar[str] = "run"
    function: StepFunction
    legs: int = 1

    @property
    def name(self) -> str:
        """The function's name."""
        return name_of(self.function)

    @property
    def label(self) -> str:
        """`run:` and the function's name."""
        return f"{self.type}:{self.name}"

    def to_json(self) -> dict[str, Any]:
        """To be shown; nothing reads it."""
        return {"type": self.type, "option": {"function": self.name, "legs": self.legs}} | ({"id": self.id} if self.id else {})


def name_of(function: object) -> str:
    """What a function, a method, a `partial` or an object that can be called is shown as."""
    inner = getattr(function, "func", function)
    return str(getattr(inner, "__name__", type(inner).__name__))


def is_async(function: object) -> bool:
    """Whether calling it gives something to await."""
    inner = getattr(function, "func", function)
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(getattr(inner, "__call__", None))  # noqa: B004


def as_run(item: object) -> Run | None:
    """The action that an item of a list is when it is a function or a `Run`; `None`: it is none of them."""
    if isinstance(item, Run):
        return item
    if isinstance(item, Action | type) or not callable(item):
        return None
    return Run(item)


def check_run(action: Run, path: str) -> None:
    """Whether it can be carried out.

    Raises:
        InvalidRequest: names every fault.
    """
    faults: list[Fault] = []
    if not is_async(action.function):
        faults.append(Fault(path, f"a function in a list of actions is an async def function, {action.name} is not"))
    if type(action.legs) is not int or action.legs < 0:
        faults.append(Fault(f"{path}.option.legs", "must be a number of calls, 0 or more"))
    if type(action.id) is not str or not _ID.fullmatch(action.id):
        faults.append(Fault(f"{path}.id", "must be at most 64 letters, digits and . _ : -"))
    if faults:
        raise InvalidRequest(faults)
