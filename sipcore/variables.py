"""The variables of one call, and `${name}` in texts. Pure.

`call.*` says what the record of the call says, and cannot be set. What an action finds out (`digits`, `recording.id`, ...) is not counted
among what users set. VoIPBin's names are the same with `voipbin.` in front, and `voipbin.call.digits` is `digits`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote

from sipcore.errors import Fault, InvalidRequest
from sipcore.record import NIL_ID, CallRecord

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_PLACE = re.compile(r"(\$?)\$\{([^{}]*)\}")
_PREFIX = "voipbin."
_RENAMED = {"call.digits": "digits"}
_FOUND_OUT = ("digits", "recording.", "amd.", "conference.")
_READ_ONLY = "call."


@dataclass(frozen=True, slots=True)
class VariableLimits:
    """What the variables of one call may take, in UTF-8 bytes."""

    names: int = 100
    value_bytes: int = 32_768
    all_bytes: int = 65_536


class Variables:
    """What the variables of one call are now. `built_in` is asked for the values of `call.*`."""

    def __init__(self, built_in: Callable[[], Mapping[str, str]] = dict, limits: VariableLimits = VariableLimits()) -> None:
        self._built_in = built_in
        self._limits = limits
        self._set: dict[str, str] = {}

    def get(self, name: str) -> str | None:
        """The value; `None` when there is no such variable."""
        name = plain_name(name)
        return self._set[name] if name in self._set else self._built_in().get(name)

    def set(self, name: str, value: str) -> None:
        """Set a variable, new or not.

        Raises:
            InvalidRequest: the name or the value cannot be.
        """
        self.update({name: value})

    def update(self, given: Mapping[str, str]) -> None:
        """Set several variables, or none.

        Raises:
            InvalidRequest: with every fault found.
        """
        changed = self._set | {plain_name(name): value for name, value in given.items()}
        if faults := check_variables(given, self._limits, changed):
            raise InvalidRequest(faults)
        self._set = changed

    def to_dict(self) -> dict[str, str]:
        """All that were set, by users and by actions."""
        return dict(self._set)

    def expand(self, text: str, encoding: Callable[[str], str] = str) -> str:
        """The text with values in place of `${name}`: nothing for unknown names, `${name}` itself for `$${name}`.

        What stands in a value stays as it is. In a text that begins with `http://` or `https://` the values are percent-encoded, so that no
        key that was pressed ends the path.

        Raises:
            InvalidRequest: it gets longer than all variables together may be.
        """
        if "${" not in text:
            return text
        is_url = text.lower().startswith(("http://", "https://"))
        parts: list[str] = []
        at = size = 0
        for found in _PLACE.finditer(text):
            value = found.group()[1:] if found.group(1) else self.get(found.group(2)) or ""
            value = quote(value, safe="") if is_url and not found.group(1) else value
            parts += [text[at : found.start()], value if found.group(1) else encoding(value)]
            at = found.end()
            size += len(parts[-1])
            if size > self._limits.all_bytes:
                raise InvalidRequest(f"the text with its variables has more than {self._limits.all_bytes} characters")
        return "".join([*parts, text[at:]])


def plain_name(name: str) -> str:
    """The name as it is kept: without VoIPBin's prefix."""
    name = name.removeprefix(_PREFIX)
    return _RENAMED.get(name, name)


def has_variables(text: str) -> bool:
    """Whether something in the text will be replaced."""
    return any(not found.group(1) for found in _PLACE.finditer(text))


def variable_names(text: str) -> tuple[str, ...]:
    """The names of the variables in the text, as they are kept."""
    return tuple(plain_name(found.group(2)) for found in _PLACE.finditer(text) if not found.group(1))


def within_json(value: str) -> str:
    """For `expand`: the value as it stands between the quotes of a JSON string."""
    return json.dumps(value, ensure_ascii=False)[1:-1]


def within_markup(value: str) -> str:
    """For `expand`: the value as it stands in SSML, between tags or quotes; what XML cannot hold is left out."""
    return escape("".join(character for character in value if character.isprintable() or character in "\t\n\r"), quote=True)


def call_values(record: CallRecord) -> dict[str, str]:
    """The values of `call.*`, and of `recording.id` once there was one."""
    values = {
        "call.id": record.id,
        "call.direction": record.direction,
        "call.status": str(record.status),
        "call.master_call_id": "" if record.master_call_id == NIL_ID else record.master_call_id,
    }
    for side, address in (("source", record.source), ("destination", record.destination)):
        values[f"call.{side}"] = values[f"call.{side}.target"] = address.target
        values[f"call.{side}.type"] = address.type
        values[f"call.{side}.name"] = values[f"call.{side}.target_name"] = address.name
    if record.recording_ids:
        values["recording.id"] = record.recording_ids[-1]
    return values


def check_variables(
    given: Mapping[Any, object],
    limits: VariableLimits = VariableLimits(),
    together: Mapping[str, str] | None = None,
    path: str = "variables",
) -> list[Fault]:
    """What is wrong with variables to be set; `together` is what there would be then, the given ones by default."""
    faults: list[Fault] = []
    for name, value in given.items():
        faults += [Fault(f"{path}.{name}" if isinstance(name, str) else path, why) for why in _wrong(name, value, limits)]
    if faults:
        return faults
    own = {name: value for name, value in (given if together is None else together).items() if not name.startswith(_FOUND_OUT)}
    if len(own) > limits.names:
        faults.append(Fault(path, f"at most {limits.names} variables, these would be {len(own)}"))
    if (size := sum(_bytes(str(value)) for value in own.values())) > limits.all_bytes:
        faults.append(Fault(path, f"at most {limits.all_bytes} bytes in all, these would be {size}"))
    return faults


def _wrong(name: object, value: object, limits: VariableLimits) -> list[str]:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return [f"{str(name)[:80]!r} is not a variable name: a letter, then letters, digits and . _ -, at most 64"]
    if plain_name(name).startswith(_READ_ONLY) or plain_name(name) == "call":
        return [f"{name} cannot be set: it says what the call is"]
    if not isinstance(value, str):
        return [f"must be a string, not {type(value).__name__}"]
    if (size := _bytes(value)) > limits.value_bytes:
        return [f"at most {limits.value_bytes} bytes, this has {size}"]
    return []


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
