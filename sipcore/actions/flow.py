"""Actions that decide which action comes next, and those that talk to web servers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from sipcore.actions.base import CLOSED, Action, Id, listed, unless_variable
from sipcore.variables import NAME, plain_name

MAX_SLEEP_MS = 3_600_000
MAX_LOOPS = 1000
MAX_BRANCHES = 100
MAX_DATA_CHARS = 65_536
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}(; ?charset=[A-Za-z0-9_-]{1,32})?")


def _variable_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"{text[:80]!r} is not a variable name: a letter, then letters, digits and . _ -, at most 64")
    return text


def _settable(text: str) -> str:
    if plain_name(_variable_name(text)).startswith("call.") or plain_name(text) == "call":
        raise ValueError(f"{text} cannot be set: it says what the call is")
    return text


def _media_type(text: str) -> str:
    if not _MEDIA_TYPE.fullmatch(text):
        raise ValueError("must be a media type like application/json")
    return text


VariableName: TypeAlias = Annotated[str, AfterValidator(unless_variable(_variable_name))]
Target: TypeAlias = Annotated[Id, Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Sleep(Action):
    """Wait; the caller hears nothing.

    Attributes:
        duration_ms: How long, in milliseconds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "sleep"
    aliases: ClassVar[Mapping[str, str]] = {"duration": "duration_ms"}
    duration_ms: Annotated[int, Field(ge=0, le=MAX_SLEEP_MS, strict=True)]


@dataclass(frozen=True, slots=True)
class Hangup(Action):
    """End the call. A call from outside that is not answered is refused.

    Attributes:
        reason: What the record says. A caller who waits is refused with 603 for `normal`, 486 for `busy`, 480 for `noanswer`, and 500
            for `failed`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "hangup"
    reason: Literal["normal", "busy", "noanswer", "failed"] = "normal"


@dataclass(frozen=True, slots=True)
class Stop(Action):
    """End the list and leave the call up, for its handler, the HTTP interface or the far end to go on with.

    It still ends at the longest duration of a call, and a caller who is not answered by then is refused.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "stop"


@dataclass(frozen=True, slots=True)
class Goto(Action):
    """Go on with another action; after `loop_count` times, with the next one.

    This is the only way back in a list. The times are counted for the whole call, so that every list comes to an end.

    Attributes:
        target_id: The `id` of the action to go on with.
        loop_count: How many times.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "goto"
    target_id: Target
    loop_count: Annotated[int, Field(ge=1, le=MAX_LOOPS, strict=True)]


@dataclass(frozen=True, slots=True)
class Branch(Action):
    """Go on with the action that a variable chooses.

    Attributes:
        target_ids: For each value, the `id` of the action to go on with.
        default_target_id: Where to go on with any other value; the next action by default.
        variable: The name of the variable, without `${}`. VoIPBin's `voipbin.call.digits` is `digits`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "branch"
    target_ids: Annotated[dict[Annotated[str, Field(max_length=256)], Target], Field(min_length=1, max_length=MAX_BRANCHES)]
    default_target_id: Id = ""
    variable: VariableName = "digits"


@dataclass(frozen=True, slots=True)
class ConditionVariable(Action):
    """Go on with the next action when a variable is so, and elsewhere when it is not.

    A value that is no number fulfils no condition on numbers. Strings are compared character by character.

    Attributes:
        condition: The comparison, the variable on its left.
        variable: The name of the variable, without `${}`; one that is not set is empty.
        false_target_id: The `id` of the action to go on with when it is not so.
        value_type: What is compared: the text, the number it stands for, or how many characters it has.
        value_string: The right side, for `string`.
        value_number: The right side, for `number`.
        value_length: The right side, for `length`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "condition_variable"
    condition: Literal["==", "!=", ">", ">=", "<", "<="]
    variable: VariableName
    false_target_id: Target
    value_type: Literal["string", "number", "length"] = "string"
    value_string: str = ""
    value_number: Annotated[float, Field(allow_inf_nan=False, strict=True)] = 0.0
    value_length: Annotated[int, Field(ge=0, strict=True)] = 0


@dataclass(frozen=True, slots=True)
class ConditionDatetime(Action):
    """Go on with the next action when the time is so, and elsewhere when it is not.

    The parts that are given are compared as one time, the month first and the minute last: `>=` with hour 8 and minute 30 holds from half
    past eight to midnight. Opening hours are two of these, one with `>=` and one with `<`.

    Attributes:
        condition: The comparison, the time now on its left.
        false_target_id: The `id` of the action to go on with when it is not so.
        minute: 0 to 59; -1: whichever.
        hour: 0 to 23; -1: whichever.
        day: Of the month, 1 to 31; -1: whichever.
        month: 1 to 12; 0: whichever.
        weekdays: The days on which it may hold, 0 is Sunday and 6 Saturday; none: all. `!=` holds whenever `==` does not.
        time_zone: Where it is that time, `Europe/Berlin`; its summer time counts.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "condition_datetime"
    condition: Literal["==", "!=", ">", ">=", "<", "<="]
    false_target_id: Target
    minute: Annotated[int, Field(ge=-1, le=59, strict=True)] = -1
    hour: Annotated[int, Field(ge=-1, le=23, strict=True)] = -1
    day: Annotated[int, Field(ge=-1, le=31, strict=True)] = -1
    month: Annotated[int, Field(ge=-1, le=12, strict=True)] = 0
    weekdays: Annotated[Sequence[Annotated[int, Field(ge=0, le=6, strict=True)]], BeforeValidator(listed), Field(max_length=7)] = ()
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = "UTC"


@dataclass(frozen=True, slots=True)
class VariableSet(Action):
    """Set a variable.

    Attributes:
        key: Its name, without `${}`: a letter, then letters, digits and `.`, `_`, `-`.
        value: Its value, in which variables are replaced now.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "variable_set"
    key: Annotated[str, AfterValidator(unless_variable(_settable))]
    value: str


@dataclass(frozen=True, slots=True)
class Fetch(Action):
    """Ask a web server what to do: the actions it answers are carried out, then the next one of this list.

    The server is sent `{"call_id", "call": {"id", "direction", "source", ...}, "variables": {...}}` as JSON by POST, nothing by GET. It
    answers with 200 and a JSON list of actions, or an object with the key `actions`. Redirects are not followed. Ids of the fetched list
    are its own; it may also go to ids of the lists it was fetched from.

    Attributes:
        event_url: Where to ask, `http://` or `https://`.
        event_method: How to ask.
        legs: The most destinations that a `connect` among the fetched actions rings; room for them is kept.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "fetch"
    event_url: Annotated[str, Field(min_length=1, max_length=4096)]
    event_method: Literal["POST", "GET"] = "POST"
    legs: Annotated[int, Field(ge=0, le=100, strict=True)] = 1


@dataclass(frozen=True, slots=True)
class WebhookSend(Action):
    """Send something to a web server.

    Attributes:
        uri: Where to, `http://` or `https://`.
        method: The HTTP method.
        data_type: The Content-Type of `data`. In JSON the values of variables are escaped, so write them between quotes:
            `{"digits": "${digits}"}`.
        data: The body.
        sync: True waits for the answer, and fails when it is not 2xx; False goes on at once.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "webhook_send"
    uri: Annotated[str, Field(min_length=1, max_length=4096)]
    method: Literal["POST", "GET", "PUT", "DELETE"] = "POST"
    data_type: Annotated[str, AfterValidator(unless_variable(_media_type))] = "application/json"
    data: Annotated[str, Field(max_length=MAX_DATA_CHARS)] = ""
    sync: bool = False
