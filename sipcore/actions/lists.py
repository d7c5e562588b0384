"""Lists of actions: what is known, the checks, the JSON Schema."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sipcore.actions.amd import Amd
from sipcore.actions.audio import Beep, Play, Talk
from sipcore.actions.base import Action
from sipcore.actions.calling import Answer, Connect, Reject, Transfer
from sipcore.actions.conference import ConferenceJoin
from sipcore.actions.digits import DigitsReceive, DigitsSend
from sipcore.actions.flow import (
    Branch,
    ConditionDatetime,
    ConditionVariable,
    Fetch,
    Goto,
    Hangup,
    Sleep,
    Stop,
    VariableSet,
    WebhookSend,
)
from sipcore.actions.order import check_ids, check_order
from sipcore.actions.recording import HEARING_ACTIONS, RECORDING_ACTIONS
from sipcore.actions.run import ListItem, Run, as_run, check_run
from sipcore.actions.templates import check_templates
from sipcore.errors import Fault, InvalidRequest

MAX_ACTIONS = 100  # VoIPBin refuses past index 100
MAX_STREAM_URLS_IN_ALL = 500

_CALLING: tuple[type[Action], ...] = (Amd, Answer, Talk, Play, ConferenceJoin, Connect, Transfer, Reject)
_CONDITIONS: tuple[type[Action], ...] = (Branch, ConditionDatetime, ConditionVariable)
_FLOW: tuple[type[Action], ...] = (*_CONDITIONS, Fetch, Goto, Hangup, Sleep, Stop, VariableSet, WebhookSend)
_DIGITS: tuple[type[Action], ...] = (Beep, DigitsReceive, DigitsSend)
ACTION_TYPES: Mapping[str, type[Action]] = {
    action.type: action for action in (*_FLOW, *_DIGITS, *_CALLING, *RECORDING_ACTIONS, *HEARING_ACTIONS)
}
_ADAPTERS: Mapping[str, TypeAdapter[Action]] = {name: TypeAdapter(action) for name, action in ACTION_TYPES.items()}


def parse_actions(raw: Iterable[ListItem] | None, path: str = "actions") -> tuple[Action, ...]:
    """A checked action list from Python values, JSON objects, functions of the user's, or a mix of them.

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
    known: dict[int, Action] = {}
    faults: list[Fault] = []
    for index, item in enumerate(items):
        try:
            known[index] = _listed(item, f"{path}[{index}]")
        except InvalidRequest as error:
            faults += error.faults
    actions = tuple(known.values())
    streams = sum(len(action.stream_urls) for action in actions if isinstance(action, Play))
    if streams > MAX_STREAM_URLS_IN_ALL:
        faults.append(Fault(path, f"at most {MAX_STREAM_URLS_IN_ALL} stream_urls in all, this list has {streams}"))
    if faults:
        raise InvalidRequest(faults + check_ids(known, path, _ids_of(item for index, item in enumerate(items) if index not in known)))
    if faults := check_order(actions, path):
        raise InvalidRequest(faults)
    return actions


def _ids_of(faulty: Iterable[object]) -> set[str]:
    """Where the others may lead to all the same."""
    ids = (item.get("id") if isinstance(item, Mapping) else getattr(item, "id", None) for item in faulty)
    return {name for name in ids if isinstance(name, str)}


def _listed(item: object, path: str) -> Action:
    if (function := as_run(item)) is None:
        return parse_action(item, path)
    check_run(function, path)
    return function


def parse_action(raw: object, path: str = "action") -> Action:
    """One checked action.

    Raises:
        InvalidRequest: with every fault found.
    """
    if as_run(raw) is not None:
        raise InvalidRequest([Fault(path, "a function of yours can stand in a list of actions only; here, call it yourself")])
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
        aliases = ACTION_TYPES[kind].aliases
        names = [f.name for f in fields(ACTION_TYPES[kind]) if f.name != "id"]
        faults += [Fault(f"{path}.option.{key}", _unknown("option", key, names)) for key in option if key not in {*names, *aliases}]
        given = [aliases.get(key, key) for key in option]
        faults += [Fault(f"{path}.option.{name}", "is given twice, under two names") for name in set(given) if given.count(name) > 1]
        option = dict(zip(given, option.values(), strict=True))
    if faults:
        raise InvalidRequest(faults)
    return _built(kind, dict(option) | ({"id": raw["id"]} if "id" in raw else {}), path)


def legs_needed(actions: Sequence[Action]) -> int:
    """The most legs the list can have up at once: the call itself, and the most that any `connect` rings at once, fetched ones included."""
    return 1 + max((_further_legs(action) for action in actions), default=0)


def _further_legs(action: Action) -> int:
    match action:
        case Connect():
            return action.legs_at_once
        case Transfer(attended=True):
            return 1
        case Fetch() | Run():
            return action.legs
        case _:
            return 0


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of an action list."""
    options = {name: adapter.json_schema() for name, adapter in _ADAPTERS.items()}
    variants: list[dict[str, Any]] = []
    definitions: dict[str, Any] = {}
    for name, option in options.items():
        definitions |= option.pop("$defs", {})
        identity = option["properties"].pop("id")
        _add_aliases(option, ACTION_TYPES[name].aliases)
        properties = {"type": {"const": name}, "option": option, "id": identity}
        required = ["type", "option"] if option.get("required") or option.get("allOf") else ["type"]
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
        action = _ADAPTERS[kind].validate_python(values)
    except ValidationError as error:
        raise InvalidRequest([_fault(detail["loc"], detail["msg"], path) for detail in error.errors()]) from None
    if faults := check_templates(action, f"{path}.option"):
        raise InvalidRequest(faults)
    return action


def _add_aliases(option: dict[str, Any], aliases: Mapping[str, str]) -> None:
    """Let an option go by its other names, one of them at a time."""
    properties, required = option["properties"], option.get("required", [])
    for name in dict.fromkeys(aliases.values()):
        names = [name, *(alias for alias, ours in aliases.items() if ours == name)]
        properties |= dict.fromkeys(names, properties[name])
        one = {"oneOf": [{"required": [each]} for each in names]}
        none = {"not": {"anyOf": [{"required": [each]} for each in names]}}
        option.setdefault("allOf", []).append(one if name in required else {"anyOf": [one, none]})
    option["required"] = [name for name in required if name not in aliases.values()]


def _fault(location: tuple[int | str, ...], message: str, path: str) -> Fault:
    place = f"{path}.option" if location and location[0] != "id" else path
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    return Fault(place, "unknown key" if message == "Unexpected keyword argument" else message.removeprefix("Value error, "))


def _unknown(what: str, given: object, known: Iterable[str]) -> str:
    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=1, cutoff=0.5) if isinstance(given, str) else []
    hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"
    return f"unknown {what} {given!r}; {hint}"
