"""One SIP message as text: a start line, headers in order, a body (RFC 3261 §7).

Parsing splits it once and leaves the values alone; `Via`, `NameAddr`, `CSeq` read one value when somebody asks. What is read
here may still break every rule: `sipcore.frontdoor.wellformed` says whether it does.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from sipcore.frontdoor.grammar import REMEMBERED, Malformed, number, remembered, split_list
from sipcore.frontdoor.uri import NameAddr, Uri
from sipcore.frontdoor.via import Via
from sipcore.wire import CALL_HEADER

__all__ = ["CSeq", "Header", "Malformed", "Message", "NameAddr", "Uri", "Via", "parse"]

_COMPACT: Final = {
    "a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition", "e": "Content-Encoding", "f": "From",
    "i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length", "m": "Contact", "n": "Identity-Info", "o": "Event",
    "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via", "x": "Session-Expires", "y": "Identity",
}  # fmt: skip
"""Compact forms in IANA's registry of SIP header fields."""

_LONG: Final = (
    "Accept", "Alert-Info", "Allow", "Authorization", "CSeq", "Call-Info", "Contact", "Content-Disposition", "Content-Language", "Date",
    "Diversion", "Error-Info", "Expires", "History-Info", "MIME-Version", "Max-Forwards", "Min-Expires", "Min-SE", "Organization",
    "P-Asserted-Identity", "P-Preferred-Identity", "Path", "Priority", "Privacy", "Proxy-Authenticate", "Proxy-Authorization",
    "Proxy-Require", "RAck", "RSeq", "Reason", "Record-Route", "Replaces", "Reply-To", "Require", "Retry-After", "Route", "SIP-ETag",
    "SIP-If-Match", "Server", "Service-Route", "Subscription-State", "Timestamp", "Unsupported", "User-Agent", "Warning",
    "WWW-Authenticate", CALL_HEADER, *_COMPACT.values(),
)  # fmt: skip

_CANONICAL: Final = {name.lower(): name for name in _LONG} | {name: name for name in _LONG} | _COMPACT
KNOWN_NAMES: Final = frozenset(_CANONICAL.values())
"""Header names that are written out and spelled right by `parse`."""
_LISTS: Final = frozenset({"Via", "Route", "Record-Route", "Contact"})
_FOLD: Final = re.compile(r"\r\n[ \t]+")
_CONTROL: Final = re.compile("[\\x00-\\x08\\x0a-\\x1f\\x7f]")
MAX_LINES: Final = 1_100
"""More are not even looked at; how many an honest message has, `sipcore.frontdoor.wellformed` knows."""
_MAX_SIZE: Final = 2**31 - 1
_MAX_USUAL_HEAD: Final = 2_048
"""Lines of a longer one are not remembered: what is kept stays small."""
_CODE_DIGITS: Final = 3


def canonical_name(name: str) -> str:
    """The name as the RFCs spell it, compact forms written out; unknown ones as they are."""
    return _CANONICAL.get(name) or _CANONICAL.get(name.lower(), name)


class Header(NamedTuple):
    """One header line."""

    name: str
    """The long form as the RFCs spell it; of unknown names the spelling of the sender."""
    value: str
    """Unfolded and stripped. Bytes that are not UTF-8 stand in it as surrogates and survive."""


class Message:
    """A request or a response. Names are compared without regard to case; compact forms are the same as long ones."""

    __slots__ = ("body", "headers", "is_request", "method", "reason", "request_uri", "status", "version")

    def __init__(self, start: str, headers: list[Header] | None = None, body: bytes = b"") -> None:
        self.headers: list[Header] = [] if headers is None else headers
        self.body = body
        self._set_start(start)

    def _set_start(self, start: str) -> None:
        self.is_request = start[:4].upper() != "SIP/"
        self.method = self.request_uri = self.reason = ""
        self.status = 0
        first, _, rest = start.partition(" ")
        if self.is_request:
            self.method = first
            self.request_uri, _, self.version = rest.rpartition(" ")
            return
        self.version = first
        code, _, self.reason = rest.partition(" ")
        if len(code) == _CODE_DIGITS and code.isascii() and code.isdigit():
            self.status = int(code)

    @property
    def start(self) -> str:
        """The first line, as it would be sent now."""
        if self.is_request:
            return f"{self.method} {self.request_uri} {self.version}"
        return f"{self.version} {self.status} {self.reason}"

    def get(self, name: str) -> str | None:
        """Value of the first header line of this name."""
        name = _CANONICAL.get(name) or canonical_name(name)
        for known, value in self.headers:
            if known == name:
                return value
        return None if name in KNOWN_NAMES else self._get_unknown(name)

    def _get_unknown(self, name: str) -> str | None:
        lower = name.lower()
        return next((header.value for header in self.headers if header.name.lower() == lower), None)

    def get_all(self, name: str) -> list[str]:
        """Values of all lines of this name, in order; lists of Via, Route, Record-Route and Contact are split."""
        name = _CANONICAL.get(name) or canonical_name(name)
        if name not in KNOWN_NAMES:
            return [header.value for header in self.headers if _is(header, name)]
        values = [value for known, value in self.headers if known == name]
        if name not in _LISTS or "," not in "".join(values):
            return values
        return [part for value in values for part in split_list(value)]

    def set(self, name: str, value: str) -> None:
        """Make this the only line of its name, where the first one stood, else last."""
        name = canonical_name(name)
        found = self._indices(name)
        if not found:
            self.headers.append(Header(name, value))
            return
        self.headers[found[0]] = Header(name, value)
        for index in reversed(found[1:]):
            del self.headers[index]

    def remove(self, name: str) -> None:
        """Take out every line of this name."""
        name = canonical_name(name)
        for index in reversed(self._indices(name)):
            del self.headers[index]

    def prepend(self, name: str, value: str) -> None:
        """Put a line before the first of its name, else first of all."""
        name = canonical_name(name)
        self.headers.insert((self._indices(name) or (0,))[0], Header(name, value))

    def append(self, name: str, value: str) -> None:
        """Put a line behind the last of its name, else last of all."""
        name = canonical_name(name)
        found = self._indices(name)
        self.headers.insert(found[-1] + 1 if found else len(self.headers), Header(name, value))

    def replace_first(self, name: str, value: str | None) -> None:
        """Put `value` in the place of the first value of this name (of a list: only its first), or take it out; no such header: nothing."""
        name = canonical_name(name)
        for index in self._indices(name)[:1]:
            rest = split_list(self.headers[index].value)[1:] if name in _LISTS else []
            parts = rest if value is None else [value, *rest]
            self.headers[index : index + 1] = [Header(name, ", ".join(parts))] if parts else []

    def _indices(self, name: str) -> list[int]:
        """Where the lines of this name, in its canonical form, stand."""
        if name in KNOWN_NAMES:
            return [index for index, (known, _) in enumerate(self.headers) if known == name]
        return [index for index, header in enumerate(self.headers) if _is(header, name)]

    def copy(self) -> Message:
        """One that can be changed without changing this."""
        other: Message = Message.__new__(Message)
        other.is_request, other.method, other.request_uri, other.version = self.is_request, self.method, self.request_uri, self.version
        other.status, other.reason, other.headers, other.body = self.status, self.reason, self.headers.copy(), self.body
        return other

    def to_bytes(self) -> bytes:
        """The datagram, with the Content-Length that is right."""
        lines = [self.start]
        lines += [f"{name}: {value}" for name, value in self.headers if name != "Content-Length"]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


def parse(data: bytes) -> Message:
    """The message in one datagram (RFC 3261 §7, §18.3); a Content-Length less than what follows cuts the body.

    Raises:
        Malformed: it is no message at all (code 0), or not in one piece (400, with what could be read in `message`; 0 for a response).
    """
    data = data.lstrip(b"\r\n")
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        raise Malformed("headers do not end", 0)
    start, fault, lines = _split_head(head.decode("utf-8", "surrogateescape"))
    headers: list[Header] = []
    read = _read_header if len(head) <= _MAX_USUAL_HEAD else _read_header.__wrapped__
    for line in lines:
        header = read(line)
        if header is not None:
            headers.append(header)
        else:
            fault = "header without colon"
    message = Message(start, headers, body)
    if fault:
        raise Malformed(fault, 400 if message.is_request else 0, message=message)
    _cut_body(message)
    return message


@lru_cache(REMEMBERED)
def _read_header(line: str) -> Header | None:
    name, colon, value = line.partition(":")
    return Header(canonical_name(name.rstrip(" \t")), value.strip(" \t")) if colon else None


def _split_head(head: str) -> tuple[str, str, list[str]]:
    """Start line, what is wrong with it as a whole, and the header lines, unfolded."""
    if "\r\n " in head or "\r\n\t" in head:
        head = _FOLD.sub(" ", head)
    lines = head.split("\r\n", MAX_LINES)
    if len(lines) > MAX_LINES:
        raise Malformed("too many lines", 0)
    text = "".join(lines)
    is_clean = text.isprintable() or not _CONTROL.search(text)  # the first is quick, and enough for most
    return lines.pop(0), "" if is_clean else "control character", lines


def _cut_body(message: Message) -> None:
    lengths = message.get_all("Content-Length")
    if not lengths or (len(lengths) == 1 and lengths[0] == str(len(message.body))):
        return
    code = 400 if message.is_request else 0
    try:
        sizes = {number(length, _MAX_SIZE) for length in lengths}
    except Malformed:
        raise Malformed("bad Content-Length", code, message=message) from None
    if len(sizes) > 1 or min(sizes) > len(message.body):
        raise Malformed("wrong Content-Length", code, message=message)
    message.body = message.body[: min(sizes)]


def _is(header: Header, name: str) -> bool:
    """Whether a header has this name, which is in its canonical form."""
    return header.name == name or (name not in KNOWN_NAMES and header.name.lower() == name.lower())


def is_tagged(message: Message, names: tuple[str, ...], tag: str) -> bool:
    """Whether one of these headers lists an option tag, which is given in lower case."""
    listed = ",".join([value for name in names for value in message.get_all(name)])
    return any(one.strip(" \t").lower() == tag for one in listed.split(","))


class CSeq(NamedTuple):
    """`number method` (RFC 3261 §20.16)."""

    number: int
    method: str

    @staticmethod
    def parse(text: str) -> CSeq:
        """Raises: Malformed: it is none, or the number is 2**31 and more."""
        return _parse_cseq(text)

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@remembered
def _parse_cseq(text: str) -> CSeq:
    digits, _, method = text.replace("\t", " ").partition(" ")
    return CSeq(number(digits, 2**31 - 1), method.strip(" "))
