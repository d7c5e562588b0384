"""Reads traced messages and sorts them into conversations and transactions. Lenient: what cannot be read is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from sipcore.frontdoor.message import canonical_name
from sipcore.wire import TracedMessage

_FOLD: Final = re.compile(r"\r?\n[ \t]+")
_TAG: Final = re.compile(r";\s*tag\s*=\s*([^;,\s>]+)", re.IGNORECASE)
_BRANCH: Final = re.compile(r";\s*branch\s*=\s*([^;,\s]+)", re.IGNORECASE)
_CSEQ: Final = re.compile(r"\s*(\d{1,10})\s+([A-Za-z]+)")
_REQUEST: Final = re.compile(r"([A-Z]+) \S+ SIP/2\.0\s*$")
_RESPONSE: Final = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: (.*))?$", re.IGNORECASE)
_NOT_KEPT: Final = " more characters were not kept]"
"""At the end of a message that the trace has cut."""
FINAL: Final = 200


@dataclass(frozen=True)
class Seen:
    """A message that can be read."""

    index: int
    time: float
    is_sent: bool
    message: TracedMessage
    method: str
    """Of a response: what its CSeq says."""
    status: int
    """0: it is a request."""
    phrase: str
    cseq: int
    headers: Mapping[str, Sequence[str]]
    """By long name in lower case."""
    body: str
    is_whole: bool

    @property
    def is_request(self) -> bool:
        """Whether it is one."""
        return not self.status

    @property
    def name(self) -> str:
        """`INVITE`, `200 OK`."""
        return f"{self.status} {self.phrase}".rstrip() if self.status else self.method

    def first(self, name: str) -> str:
        """The first value of a header, by its long name in lower case; empty: there is none."""
        values = self.headers.get(name)
        return values[0] if values else ""

    @cached_property
    def call_id(self) -> str:
        """The header's value."""
        return self.first("call-id")

    @cached_property
    def branch(self) -> str:
        """Of the topmost Via."""
        found = _BRANCH.search(self.first("via").partition(",")[0])
        return found[1] if found else ""

    @cached_property
    def from_tag(self) -> str:
        """Empty: there is none."""
        return _tag(self.first("from"))

    @cached_property
    def to_tag(self) -> str:
        """Empty: there is none."""
        return _tag(self.first("to"))


def _tag(value: str) -> str:
    found = _TAG.search(value.rpartition(">")[2] if ">" in value else value)
    return found[1] if found else ""


def read(message: TracedMessage, index: int) -> Seen | None:
    """The message; `None` when it is none, or has no Call-ID or CSeq."""
    head, body = _split(message.text)
    start, _, rest = head.partition("\n")
    headers: dict[str, list[str]] = {}
    for line in _FOLD.sub(" ", rest).split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(canonical_name(name.strip()).lower(), []).append(value.strip())
    sequence = _CSEQ.match(headers.get("cseq", [""])[0])
    if sequence is None or not headers.get("call-id"):
        return None
    request, response = _REQUEST.match(start.strip()), _RESPONSE.match(start.strip())
    if request is None and response is None:
        return None
    return Seen(
        index=index,
        time=message.time,
        is_sent=message.is_sent,
        message=message,
        method=request[1] if request else sequence[2],
        status=int(response[1]) if response else 0,
        phrase=(response[2] or "").strip() if response else "",
        cseq=int(sequence[1]),
        headers=headers,
        body=body,
        is_whole=not message.text.rstrip().endswith(_NOT_KEPT),
    )


def _split(text: str) -> tuple[str, str]:
    found = re.search(r"\r?\n\r?\n", text)
    return (text[: found.start()], text[found.end() :]) if found else (text, "")


@dataclass(slots=True)
class Transaction:
    """A request with its copies, and the answers it got (RFC 3261 §17); an ACK is none."""

    copies: list[Seen]
    answers: list[Seen] = field(default_factory=list)

    @property
    def request(self) -> Seen:
        """As it was first seen."""
        return self.copies[0]

    @property
    def method(self) -> str:
        """Of the request."""
        return self.request.method

    @property
    def final(self) -> Seen | None:
        """Its first final answer."""
        return next((answer for answer in self.answers if answer.status >= FINAL), None)

    @property
    def is_initial(self) -> bool:
        """Whether the request was sent outside of any dialog."""
        return not self.request.to_tag


@dataclass(slots=True)
class Conversation:
    """All messages of one Call-ID.

    Attributes:
        has_gaps: Something of it was not kept: what is not there may have been.
    """

    seen: list[Seen]
    has_gaps: bool
    until: float
    transactions: list[Transaction] = field(default_factory=list)
    acks: list[Seen] = field(default_factory=list)

    def of(self, *methods: str) -> Iterator[Transaction]:
        """Its transactions of these methods."""
        return (transaction for transaction in self.transactions if transaction.method in methods)


def conversations(messages: Sequence[TracedMessage], until: float) -> list[Conversation]:
    """The messages by Call-ID, each with its transactions."""
    by_call: dict[str, list[Seen]] = {}
    gaps: set[str] = set()
    for index, message in enumerate(messages):
        seen = read(message, index)
        if seen is None:
            continue
        by_call.setdefault(seen.call_id, []).append(seen)
        if message.missing:
            gaps.add(seen.call_id)
    return [_sorted(Conversation(seen, call_id in gaps or not _is_begin(seen[0]), until)) for call_id, seen in by_call.items()]


def _is_begin(first: Seen) -> bool:
    return first.is_request and not first.to_tag


def _sorted(conversation: Conversation) -> Conversation:
    """By branch and method, as RFC 3261 §17.1.3 and §17.2.3 match; in each direction for itself."""
    found: dict[tuple[bool, str, str, int], Transaction] = {}
    for seen in conversation.seen:
        if seen.method == "ACK":
            conversation.acks.append(seen)
            continue
        is_asked_by_us = seen.is_sent if seen.is_request else not seen.is_sent
        key = (is_asked_by_us, seen.branch, seen.method, seen.cseq)
        if not seen.is_request:
            if key in found:
                found[key].answers.append(seen)
        elif key in found:
            found[key].copies.append(seen)
        else:
            found[key] = Transaction([seen])
            conversation.transactions.append(found[key])
    return conversation
