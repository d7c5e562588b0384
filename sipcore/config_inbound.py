"""The `[[inbound]]` tables of the configuration: which calls from outside are taken, and what is done with them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sipcore.actions import Action, parse_actions
from sipcore.errors import InvalidRequest

PATTERN_MAX_CHARS = 256


def _actions(value: object) -> tuple[Action, ...]:
    try:
        return parse_actions(value, "")  # type: ignore[arg-type]  # which says what is wrong with it
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


Pattern = Annotated[str, Field(min_length=1, max_length=PATTERN_MAX_CHARS)]


class InboundRule(BaseModel):
    """One rule; the first whose patterns all match takes the call. In a pattern `*` is any text, also none, and `?` one character."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    to: Pattern = "*"
    """The number that was dialled, or the user part of the address; with an `@` the whole address."""
    source: Pattern = "*"
    """The number or user part of who calls; with an `@` the whole address."""
    trunk: Pattern = "*"
    """The name of the trunk; `?*` is any trunk, but no call without one."""
    phone: Pattern = "*"
    """The account of the phone that proved itself; `?*` is any phone."""
    actions: Annotated[tuple[Any, ...], BeforeValidator(_actions), Field(min_length=1)]
    """What is done, from the first moment on: nothing is answered before an `answer` or a `connect`."""
