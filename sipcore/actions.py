"""What a call does: one frozen dataclass per action.

The dataclass is the only source: the Python value, its JSON form `{"type", "option", "id"}`, the JSON Schema and the checks
are all derived from it. A list is checked as a whole, and every fault is reported at once with its path
(`actions[2].option.text`), so nothing of a call starts that cannot be carried out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from sipcore.addresses import Address, check_header_text, parse_address
from sipcore.errors import Fault, InvalidRequest

MAX_ACTIONS = 100  # VoIPBin refuses past index 100
MAX_STREAM_URLS = 100
MAX_STREAM_URLS_IN_ALL = 500
MAX_DESTINATIONS = 100
MAX_PHRASE_CHARS = 64
_CLOSED = ConfigDict(extra="forbid", revalidate_instances="always")


def _address(value: object) -> Address:
    try:
        return parse_address(value)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def _header_text(value: str) -> str:
    try:
        return check_header_text(value, "", MAX_PHRASE_CHARS)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def _listed(value: object) -> object:
    if isinstance(value, str):
        raise ValueError("must be a list, not a single string")  # noqa: TRY004 - pydantic reports a ValueError
    return tuple(value) if isinstance(value, list) else value


CheckedAddress: TypeAlias = Annotated[Address | str, BeforeValidator(_address)]
Id: TypeAlias = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_.:-]*$")]


@dataclass(frozen=True, slots=True)
class Action:
    """Base of all actions. `id` is yours, for `goto` and for finding the action in events; empty when you need none."""

    type: ClassVar[str]
    id: Id = field(default="", kw_only=True)

    def to_json(self) -> dict[str, Any]:
        """`{"type", "option"}` and `"id"` when it has one."""
        option = {f.name: _plain(getattr(self, f.name)) for f in fields(self) if f.name != "id"}
        return {"type": self.type, "option": option} | ({"id": self.id} if self.id else {})


@dataclass(frozen=True, slots=True)
class Talk(Action):
    """Speak a text.

    Attributes:
        text: Plain text; markup is spoken, not interpreted.
        language: BCP 47, `en-US`; decides the voice.
        gender: Decides the voice.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    type: ClassVar[str] = "talk"
    text: str
    language: str = "en-US"
    gender: Literal["female", "male", "neutral"] = "female"


@dataclass(frozen=True, slots=True)
class Play(Action):
    """Play audio files one after the other.

    Attributes:
        stream_urls: `http(s)://` URLs, or paths under the media root; everything libsndfile reads.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    type: ClassVar[str] = "play"
    stream_urls: Annotated[Sequence[str], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_STREAM_URLS)]


@dataclass(frozen=True, slots=True)
class Connect(Action):
    """Ring every destination at once and bridge the first that answers.

    The caller hears ringback until then; a call from outside that is not answered yet is answered when the other side is. Ends when the
    other side hangs up, when all refuse, or after `timeout_s` without an answer; the call then goes on with its next action.

    Attributes:
        destinations: Who to ring.
        source: Caller id of the new legs; the call's own source by default. Text is turned into an `Address` when the list is checked.
        timeout_s: How long to ring, in seconds.
        trunk: The trunk to call through, by name; chosen by destination by default.
        unchained: VoIPBin's option: True lets a bridged leg live on when this call hangs up. Accepted as False only.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    type: ClassVar[str] = "connect"
    destinations: Annotated[Sequence[CheckedAddress], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_DESTINATIONS)]
    source: CheckedAddress | None = None
    timeout_s: Annotated[float, Field(gt=0, le=600, strict=True)] = 60.0
    unchained: Literal[False] = False
    trunk: Annotated[str, Field(max_length=64)] = ""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """`destinations`, parsed."""
        return tuple(parse_address(destination) for destination in self.destinations)

    @property
    def source_address(self) -> Address | None:
        """`source`, parsed."""
        return None if self.source is None else parse_address(self.source)


@dataclass(frozen=True, slots=True)
class Answer(Action):
    """Answer a call from outside; done when it is answered, at once when it already is.

    What `talk` and `play` before it say is early media: the caller hears it, and nobody is charged (RFC 3960).
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    type: ClassVar[str] = "answer"


@dataclass(frozen=True, slots=True)
class Reject(Action):
    """Refuse a call from outside that is not answered, which ends it. Fails on any other call.

    Attributes:
        code: The final SIP answer: 486 busy, 480 unavailable, 603 declined, 404, ...
        phrase: Its text; the usual one by default.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    type: ClassVar[str] = "reject"
    code: Annotated[int, Field(ge=400, le=699, strict=True)] = 486
    phrase: Annotated[str, AfterValidator(_header_text)] = ""


@dataclass(frozen=True, slots=True)
class Transfer(Action):
    """Ask the far end to call somebody else in our place (REFER, RFC 5589 §6); when it has done so, the call is hung up.

    Fails with the far end's code when it will not, or cannot; the call then goes on with its next action.

    Attributes:
        target: Who is to be called.
        timeout_s: How long to wait for the outcome, in seconds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    type: ClassVar[str] = "transfer"
    target: CheckedAddress
    timeout_s: Annotated[float, Field(gt=0, le=600, strict=True)] = 60.0

    @property
    def address(self) -> Address:
        """`target`, parsed."""
        return parse_address(self.target)


ACTION_TYPES: Mapping[str, type[Action]] = {action.type: action for action in (Answer, Talk, Play, Connect, Transfer, Reject)}
_ADAPTERS: Mapping[str, TypeAdapter[Action]] = {name: TypeAdapter(action) for name, action in ACTION_TYPES.items()}


def parse_actions(raw: Iterable[Action | Mapping[str, Any]] | None, path: str = "actions") -> tuple[Action, ...]:
    """A checked action list from Python values, JSON objects, or a mix of both.

    Raises:
        InvalidRequest: with every fault found.
    """
    if raw is None:
        return ()
    if isinstance(raw, str | bytes | Mapping) or not isinstance(raw, Iterable):
        raise InvalidRequest([Fault(path, f"must be a list of actions, not {type(raw).__name__}")])
    items = list(raw)
    if len(items) > MAX_ACTIONS:
        raise InvalidRequest([Fault(path, f"at most {MAX_ACTIONS} actions, this list has {len(items)}")])
    actions: list[Action] = []
    faults: list[Fault] = []
    for index, item in enumerate(items):
        try:
            actions.append(parse_action(item, f"{path}[{index}]"))
        except InvalidRequest as error:
            faults += error.faults
    streams = sum(len(action.stream_urls) for action in actions if isinstance(action, Play))
    if streams > MAX_STREAM_URLS_IN_ALL:
        faults.append(Fault(path, f"at most {MAX_STREAM_URLS_IN_ALL} stream_urls in all, this list has {streams}"))
    if faults:
        raise InvalidRequest(faults)
    return tuple(actions)


def parse_action(raw: object, path: str = "action") -> Action:
    """One checked action.

    Raises:
        InvalidRequest: with every fault found.
    """
    if isinstance(raw, Action):
        if type(raw) not in ACTION_TYPES.values():
            raise InvalidRequest(
                [Fault(path, f"{type(raw).__name__} is not an action of this switch; known are {', '.join(ACTION_TYPES)}")]
            )
        known = {f.name: getattr(raw, f.name) for f in fields(raw)}
        return _built(raw.type, known, path)
    if not isinstance(raw, Mapping):
        raise InvalidRequest([Fault(path, f'an action is an object with "type" and "option", not {type(raw).__name__}')])
    kind = raw.get("type")
    if not isinstance(kind, str) or kind not in ACTION_TYPES:
        raise InvalidRequest([Fault(f"{path}.type", _unknown("action type", kind, ACTION_TYPES))])
    option = raw.get("option", {})
    faults = [Fault(f"{path}.{key}", _unknown("key", key, ("type", "option", "id"))) for key in raw if key not in {"type", "option", "id"}]
    if not isinstance(option, Mapping):
        faults.append(Fault(f"{path}.option", f"must be an object, not {type(option).__name__}"))
    else:
        names = [f.name for f in fields(ACTION_TYPES[kind]) if f.name != "id"]
        faults += [Fault(f"{path}.option.{key}", _unknown("option", key, names)) for key in option if key not in names]
    if faults:
        raise InvalidRequest(faults)
    return _built(kind, dict(option) | ({"id": raw["id"]} if "id" in raw else {}), path)


def legs_needed(actions: Sequence[Action]) -> int:
    """The most legs the list can have up at once: the call itself, and the most that any `connect` rings."""
    return 1 + max((len(action.destinations) for action in actions if isinstance(action, Connect)), default=0)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of an action list."""
    options = {name: adapter.json_schema() for name, adapter in _ADAPTERS.items()}
    variants: list[dict[str, Any]] = []
    definitions: dict[str, Any] = {}
    for name, option in options.items():
        definitions |= option.pop("$defs", {})
        identity = option["properties"].pop("id")
        properties = {"type": {"const": name}, "option": option, "id": identity}
        required = ["type", "option"] if option.get("required") else ["type"]
        variants.append({"type": "object", "properties": properties, "required": required, "additionalProperties": False})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "array",
        "maxItems": MAX_ACTIONS,
        "items": {"oneOf": variants},
        "$defs": definitions,
    }


def _built(kind: str, values: dict[str, Any], path: str) -> Action:
    try:
        return _ADAPTERS[kind].validate_python(values)
    except ValidationError as error:
        raise InvalidRequest([_fault(detail["loc"], detail["msg"], path) for detail in error.errors()]) from None


def _fault(location: tuple[int | str, ...], message: str, path: str) -> Fault:
    place = f"{path}.option" if location and location[0] != "id" else path
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    return Fault(place, message.removeprefix("Value error, "))


def _unknown(what: str, given: object, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.5) if isinstance(given, str) else []
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"
    return f"unknown {what} {given!r}; {hint}"


def _plain(value: object) -> object:
    if isinstance(value, Address):
        return value.to_json()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
