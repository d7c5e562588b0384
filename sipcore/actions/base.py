"""What every action is made of: the base class, the types of options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field

from sipcore.addresses import Address, check_header_text, parse_address
from sipcore.errors import InvalidRequest
from sipcore.variables import has_variables

MAX_PHRASE_CHARS = 64
CLOSED = ConfigDict(extra="forbid", revalidate_instances="always")


def unless_variable(check: Callable[[str], str]) -> Callable[[str], str]:
    """For a validator of a text: the check, which waits until the action starts when the text has variables."""
    return lambda text: text if has_variables(text) else check(text)


def address_of(value: object) -> Address | str:
    """For a validator: an address, or `ValueError`. One with variables stays as it is written until the action starts."""
    match value:
        case str() if has_variables(value):
            return value
        case Address() if has_variables(value.target):
            return value
        case {"type": "tel" | "sip" as kind, "target": str(target), **rest} if has_variables(target) and set(rest) <= {"name"}:
            return Address(kind, target, str(rest.get("name", "")))
    try:
        return parse_address(value)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def header_text(value: str) -> str:
    """For a validator: what may stand in a SIP header."""
    try:
        return check_header_text(value, "", MAX_PHRASE_CHARS)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def listed(value: object) -> object:
    """For a validator: a list as a tuple, and no single string."""
    if isinstance(value, str):
        raise ValueError("must be a list, not a single string")  # noqa: TRY004 - pydantic reports a ValueError
    return tuple(value) if isinstance(value, list) else value


CheckedAddress: TypeAlias = Annotated[Address | str, BeforeValidator(address_of)]
Id: TypeAlias = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_.:-]*$")]


@dataclass(frozen=True, slots=True)
class Action:
    """Base of all actions. `id` is yours, for `goto` and for finding the action in events; empty when you need none."""

    type: ClassVar[str]
    aliases: ClassVar[Mapping[str, str]] = {}
    """Other names of options that are understood, VoIPBin's and older ones, and what they are here."""
    id: Id = field(default="", kw_only=True)

    @property
    def label(self) -> str:
        """What events call it: its type, and more where that says little."""
        return self.type

    def to_json(self) -> dict[str, Any]:
        """`{"type", "option"}` and `"id"` when it has one."""
        option = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name != "id"}
        return {"type": self.type, "option": option} | ({"id": self.id} if self.id else {})


def plain(value: object) -> object:
    """The JSON form of an option."""
    if isinstance(value, Address):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value
