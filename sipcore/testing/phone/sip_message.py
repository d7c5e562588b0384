"""SIP messages as text: parsing what arrives, writing what is sent (RFC 3261 §7, §25)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Header = tuple[str, str]

# RFC 3261 §7.3.3 and the registry of compact forms at IANA
_COMPACT = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition", "e": "content-encoding", "f": "from",
    "i": "call-id", "j": "reject-contact", "k": "supported", "l": "content-length", "m": "contact", "o": "event", "r": "refer-to",
    "s": "subject", "t": "to", "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip
_LISTS = frozenset({"via", "route", "record-route", "contact", "require", "supported", "allow"})
_LARGEST_PORT = 65535
_REQUIRED = ("via", "from", "to", "call-id", "cseq")
_REQUEST_LINE = re.compile(r"([A-Za-z0-9.!%*_+`'~-]+) (\S+) SIP/2\.0")
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6]\d\d) ?(.*)")
_CSEQ = re.compile(r"(\d{1,10})\s+(\S+)")
_PARAMETER = re.compile(r';\s*([^\s=;,]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;,]*))?')


class MalformedMessage(ValueError):
    """A datagram is not a SIP message that can be answered."""


class Headers:
    """Header fields in order; names compare without case and with their compact forms (RFC 3261 §7.3)."""

    def __init__(self, fields: Iterable[Header] = ()) -> None:
        self._fields = tuple(fields)

    def get_all(self, name: str) -> list[str]:
        """Return every value of `name` in order; a comma-separated list of routes, Vias, Contacts counts as several."""
        wanted = canonical_name(name)
        values = [value for key, value in self._fields if canonical_name(key) == wanted]
        return [item for value in values for item in split_list(value)] if wanted in _LISTS else values

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of `name`, or `default`."""
        return next(iter(self.get_all(name)), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[Header]:
        return iter(self._fields)

    def __repr__(self) -> str:
        return f"Headers({list(self._fields)!r})"


@dataclass(frozen=True, slots=True)
class Message:
    """A request (`method` and `uri`) or a response (`code`, `method` from its CSeq)."""

    method: str
    uri: str
    code: int
    headers: Headers
    body: str

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self.headers.get("call-id")

    @property
    def cseq(self) -> int:
        """The number of the CSeq."""
        return int(self.headers.get("cseq").split()[0])

    @property
    def from_tag(self) -> str:
        """The tag of From, empty without one."""
        return parameters(self.headers.get("from")).get("tag", "")

    @property
    def to_tag(self) -> str:
        """The tag of To, empty outside a dialog."""
        return parameters(self.headers.get("to")).get("tag", "")

    @property
    def branch(self) -> str:
        """The transaction: branch of the topmost Via with its sent-by (RFC 3261 §17.2.3)."""
        via = self.headers.get("via")
        return f"{parameters(via).get('branch', '')} {sent_by(via)[0]}:{sent_by(via)[1]} {self.cseq}"


def canonical_name(name: str) -> str:
    """Return the long form of a header name, in lower case."""
    lower = name.strip().lower()
    return _COMPACT.get(lower, lower)


def split_list(value: str) -> list[str]:
    """Split at the commas outside quotes and angle brackets."""
    return [item.strip() for item in re.findall(r'(?:"(?:[^"\\]|\\.)*"|<[^>]*>|[^,"<])+', value) if item.strip()]


def parameters(value: str) -> dict[str, str]:
    """Return the header parameters of a name-addr or Via, names in lower case, quotes removed."""
    outside = re.sub(r'^\s*(?:"(?:[^"\\]|\\.)*")?[^<"]*<[^>]*>', "", value)
    return {name.lower(): text.strip('"') for name, text in _PARAMETER.findall(outside)}


def address_uri(value: str) -> str:
    """Return the URI of a name-addr or addr-spec: `sip:bob@host` of `"Bob" <sip:bob@host>;tag=1`."""
    bracketed = re.search(r"<([^>]*)>", re.sub(r'"(?:[^"\\]|\\.)*"', "", value))
    return bracketed[1] if bracketed else value.split(";")[0].strip()


def sent_by(via: str) -> tuple[str, int]:
    """Return host and port (5060 when unsaid) of a Via."""
    match = re.match(r"\s*SIP\s*/\s*2\.0\s*/\s*\w+\s+([^\s;:]+)\s*(?::\s*(\d{1,5})\b)?", via, re.IGNORECASE)
    if match is None or int(match[2] or 5060) > _LARGEST_PORT:
        raise MalformedMessage(f"Via {via!r}")
    return match[1], int(match[2] or 5060)


def uri_target(uri: str) -> tuple[str, int]:
    """Return host and port (5060 when unsaid) of a SIP URI."""
    match = re.match(r"sips?:(?:[^@]*@)?(\[[^\]]+\]|[^:;?>]+)(?::(\d{1,5}))?", uri, re.IGNORECASE)
    if match is None or int(match[2] or 5060) > _LARGEST_PORT:
        raise MalformedMessage(f"URI {uri!r}")
    return match[1], int(match[2] or 5060)


def parse_message(datagram: bytes) -> Message:
    """Parse one datagram.

    Raises:
        MalformedMessage: it cannot be understood well enough to be answered.
    """
    head, separator, body = datagram.decode("utf-8", "surrogateescape").lstrip("\r\n").partition("\r\n\r\n")
    start, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
    request, status = _REQUEST_LINE.fullmatch(start), _STATUS_LINE.fullmatch(start)
    if not separator or (request is None and status is None):
        raise MalformedMessage(f"start line {start[:80]!r}")
    headers = Headers(_parse_field(line) for line in lines)
    missing = [name for name in _REQUIRED if name not in headers]
    cseq = _CSEQ.fullmatch(headers.get("cseq"))
    if missing or cseq is None or (request and request[1] != cseq[2]):
        raise MalformedMessage(f"CSeq, or without {missing}")
    sent_by(headers.get("via"))
    body = _cut_body(body, headers.get("content-length"))
    return Message(cseq[2], request[2] if request else "", int(status[1]) if status else 0, headers, body)


def _parse_field(line: str) -> Header:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise MalformedMessage(f"header line {line[:80]!r}")
    return name.strip(), value.strip()


def _cut_body(body: str, content_length: str) -> str:
    if not content_length:
        return body
    data = body.encode("utf-8", "surrogateescape")
    if not content_length.isascii() or not content_length.isdecimal() or int(content_length) > len(data):
        raise MalformedMessage(f"Content-Length {content_length[:20]!r} with {len(data)} bytes")
    return data[: int(content_length)].decode("utf-8", "surrogateescape")


def format_message(start_line: str, headers: Sequence[Header], body: str = "", content_type: str = "application/sdp") -> str:
    """Write a message with its Content-Length, in bytes (RFC 3261 §20.14)."""
    length = len(body.encode("utf-8", "surrogateescape"))
    typed = [("Content-Type", content_type)] if body else []
    lines = [start_line, *(f"{name}: {value}" for name, value in [*headers, *typed, ("Content-Length", str(length))])]
    return "\r\n".join(lines) + "\r\n\r\n" + body
