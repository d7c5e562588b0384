"""Whether it is the time that a condition names."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from sipcore.actions import ConditionDatetime

COMPARISONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def is_at(action: ConditionDatetime, now: datetime) -> bool:
    """Whether the condition holds `now`, a time of the zone of the action."""
    given = [
        (value, wanted)
        for value, wanted, least in (
            (now.month, action.month, 1),
            (now.day, action.day, 1),
            (now.hour, action.hour, 0),
            (now.minute, action.minute, 0),
        )
        if wanted >= least
    ]
    condition = "==" if action.condition == "!=" else action.condition
    compared = COMPARISONS[condition]([value for value, _ in given], [wanted for _, wanted in given])
    is_so = compared and (not action.weekdays or now.isoweekday() % 7 in action.weekdays)
    return is_so != (action.condition == "!=")
