"""Variables in the options of an action: where they stand, and the action with values in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

from sipcore.actions.base import Action
from sipcore.actions.flow import WebhookSend
from sipcore.addresses import Address
from sipcore.errors import Fault
from sipcore.variables import NAME, Variables, has_variables, variable_names, within_json, within_markup

Expand = Callable[[str], str]


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


def check_templates(action: Action, path: str) -> list[Fault]:
    """What stands as `${...}` and can be no variable."""
    return [
        Fault(f"{path}.{option}", f"{name[:80]!r} in ${{...}} is not a variable name; a $ before it makes it plain text")
        for option, text in _texts(action)
        for name in variable_names(text)
        if not NAME.fullmatch(name)
    ]


def names_in(action: Action) -> frozenset[str]:
    """The variables that an action needs."""
    return frozenset(name for _, text in _texts(action) for name in variable_names(text))


def is_fixed(value: Address | str | None) -> bool:
    """Whether a text or an address says the same whatever the variables are."""
    return not (has_variables(value.target) if isinstance(value, Address) else value is not None and has_variables(value))


def expanded(action: Action, variables: Variables) -> Action:
    """The action with values for its variables, not checked yet; itself when it has none.

    Raises:
        InvalidRequest: an option gets too long.
    """
    if next(_texts(action), None) is None:
        return action
    changes = {}
    for name in _field_names(action.__class__):  # type: ignore[arg-type]  # a class, which mypy compares with its instances
        if name == "id":
            continue
        is_json = isinstance(action, WebhookSend) and name == "data" and "json" in action.data_type
        expand: Expand = (lambda text: variables.expand(text, within_json)) if is_json else (lambda text: _expanded_text(text, variables))
        before = getattr(action, name)
        if (after := _mapped(before, expand)) != before:
            changes[name] = after
    return replace(action, **changes) if changes else action


def _expanded_text(text: str, variables: Variables) -> str:
    return variables.expand(text, within_markup if text.lstrip().startswith(("<speak", "<?xml", "<!DOCTYPE")) else str)


def _mapped(value: Any, expand: Expand) -> Any:
    match value:
        case str():
            return expand(value)
        case Mapping():
            return {key: _mapped(item, expand) for key, item in value.items()}
        case list() | tuple():
            return tuple(_mapped(item, expand) for item in value)
        case _ if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{name: _mapped(getattr(value, name), expand) for name in _field_names(type(value))})
        case _:
            return value


def _texts(value: Any, option: str = "") -> Iterator[tuple[str, str]]:
    """Every text in the options, and where it stands."""
    match value:
        case str():
            if "${" in value:
                yield option, value
        case Mapping():
            for key, item in value.items():
                yield from _texts(item, f"{option}.{key}")
        case list() | tuple():
            for index, item in enumerate(value):
                yield from _texts(item, f"{option}[{index}]")
        case _ if is_dataclass(value) and not isinstance(value, type):
            for name in _field_names(type(value)):
                inner = getattr(value, name)
                if inner is None or isinstance(inner, int | float):
                    continue
                if not isinstance(inner, str) or "${" in inner:
                    yield from _texts(inner, f"{option}.{name}" if option else name)
        case _:
            pass
