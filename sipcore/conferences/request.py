"""What is asked for when a conference is made: from Python, or as the body of `POST /v1.0/conferences`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from sipcore.actions.base import CLOSED
from sipcore.conferences.record import MAX_DETAIL_CHARS, MAX_NAME_CHARS, check_name
from sipcore.errors import Fault, InvalidRequest


def _name(text: str) -> str:
    return check_name(text) if text else text


@dataclass(frozen=True, slots=True)
class ConferenceRequest:
    """A conference to be made.

    Attributes:
        name: What it can be joined by, beside its id; empty: its id only.
        detail: Yours.
        type: Always `conference`.
        end_when_moderator_leaves: It is over when its last moderator leaves.
        entry_tone: Whether the others hear a tone when a call comes; `None`: as the configuration has it.
        exit_tone: The same when one goes.
        max_members: So many calls at most; `None`, and at most, what the configuration has.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    name: Annotated[str, Field(max_length=MAX_NAME_CHARS), AfterValidator(_name)] = ""
    detail: Annotated[str, Field(max_length=MAX_DETAIL_CHARS)] = ""
    type: Literal["conference"] = "conference"
    end_when_moderator_leaves: Annotated[bool, Field(strict=True)] = False
    entry_tone: Annotated[bool | None, Field(strict=True)] = None
    exit_tone: Annotated[bool | None, Field(strict=True)] = None
    max_members: Annotated[int | None, Field(ge=1, le=10_000, strict=True)] = None


_ADAPTER: Final[TypeAdapter[ConferenceRequest]] = TypeAdapter(ConferenceRequest)


def parse_conference(body: object) -> ConferenceRequest:
    """A checked request.

    Raises:
        InvalidRequest: with every fault found.
    """
    if not isinstance(body, Mapping):
        raise InvalidRequest(f"a request is an object, not {type(body).__name__}")
    known = [f.name for f in fields(ConferenceRequest)]
    faults = [Fault(str(key), _unknown(str(key), known)) for key in body if key not in known]
    try:
        return _ADAPTER.validate_python({key: value for key, value in body.items() if key in known}) if not faults else _nothing(faults)
    except ValidationError as error:
        told = [Fault(".".join(str(part) for part in each["loc"]), each["msg"].removeprefix("Value error, ")) for each in error.errors()]
        raise InvalidRequest([*faults, *told]) from None


def request_schema() -> dict[str, Any]:
    """JSON Schema of a request."""
    return _ADAPTER.json_schema()


def _nothing(faults: list[Fault]) -> ConferenceRequest:
    raise InvalidRequest(faults)


def _unknown(key: str, known: list[str]) -> str:
    near = get_close_matches(key, known, 1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; known are {', '.join(known)}"
