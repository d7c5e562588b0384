"""What all SIP header text has in common: lists, parameters, quoted strings, numbers (RFC 3261 §25.1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from sipcore.frontdoor.message import Message

Params = tuple[tuple[str, str | None], ...]
_T = TypeVar("_T")

REMEMBERED: Final = 2_048
_LONGEST_REMEMBERED: Final = 256
"""Characters: with the above, each kind of value takes two or three megabytes at most."""


def remembered(read: Callable[[str], _T]) -> Callable[[str], _T]:
    """`read`, a function of text alone, with its last answers at hand: the messages of a dialog repeat their values."""
    known = lru_cache(REMEMBERED)(read)

    def recall(text: str) -> _T:
        return known(text) if len(text) <= _LONGEST_REMEMBERED else read(text)

    return recall


class Malformed(Exception):
    """A message that breaks the rules.

    Args:
        reason: what is wrong, for the log and the reason phrase; our own words, nothing of the message.
        sip_code: what to answer; 0 says that it cannot or should not be answered, so it is dropped.
        headers: to put into the answer (`Unsupported`, `Warning`).
        message: as far as it could be read, so that it can be answered.
    """

    def __init__(
        self,
        reason: str,
        sip_code: int = 400,
        headers: tuple[tuple[str, str], ...] = (),
        message: Message | None = None,
        *,
        in_body: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sip_code = sip_code
        self.headers = headers
        self.message = message
        self.in_body = in_body


_COMMAS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?$)|<[^>]*|,', re.DOTALL)
_SEMICOLONS = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?$)|;', re.DOTALL)
"""A separator, or what hides separators; what is left open hides them to the end, so that no text takes more than one pass."""
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_MAX_DIGITS = 20


def split_list(text: str) -> list[str]:
    """The values of a comma list; commas in quotes and in `<>` are not separators."""
    if "," not in text:
        return [text]
    if '"' not in text and "<" not in text:
        return [part.strip(" \t") for part in text.split(",")]
    return _split_around(text, _COMMAS)


def split_params(text: str) -> Params:
    """`;a=1;b;c="x;y"` as pairs, names as written; `None` for a parameter without `=`. A `;` too many is a pair with an empty name."""
    if not text:
        return ()
    if text[0] == ";":
        text = text[1:]
    parts = text.split(";") if '"' not in text else _split_around(text, _SEMICOLONS)
    params = []
    for part in parts:
        name, equals, value = part.partition("=")
        params.append((name.strip(" \t"), value.strip(" \t") if equals else None))
    return tuple(params)


def join_params(params: Params) -> str:
    """The opposite of `split_params`."""
    return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in params])


def find_param(params: Params, name: str) -> str | None:
    """Value of a parameter, `""` when it stands there without one, `None` when it does not stand there. `name` in lower case."""
    for key, value in params:
        if key == name or key.lower() == name:
            return value if value is not None else ""
    return None


def with_param(params: Params, name: str, value: str | None) -> Params:
    """`params` with this one, in the place where it stood, else at the end."""
    pair = (name, value)
    if any(key.lower() == name for key, _ in params):
        return tuple([pair if old[0].lower() == name else old for old in params])
    return (*params, pair)


def is_token(text: str) -> bool:
    """RFC 3261 §25.1 `token`."""
    return _TOKEN.fullmatch(text) is not None


def unquote(text: str) -> str:
    """A display name without its quotes; one that has none as it is."""
    if len(text) >= 2 and text[0] == '"' and text[-1] == '"':
        text = text[1:-1]
        return _ESCAPED.sub(r"\1", text) if "\\" in text else text
    return text


def quote(text: str) -> str:
    """A quoted string (RFC 3261 §25.1)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def number(text: str, most: int) -> int:
    """A plain decimal of at most `most`: no sign, no underscore, no digits of other scripts.

    Raises:
        Malformed: it is not one.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise Malformed("not a number")
    value = int(text)
    if value > most:
        raise Malformed("number out of range")
    return value


def _split_around(text: str, separators: re.Pattern[str]) -> list[str]:
    """Split where `separators` matches a single separator."""
    parts: list[str] = []
    start = 0
    for found in separators.finditer(text):
        if text[found.start()] in ",;":
            parts.append(text[start : found.start()].strip(" \t"))
            start = found.end()
    parts.append(text[start:].strip(" \t"))
    return parts
