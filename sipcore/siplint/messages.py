"""Rules of single messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sipcore.siplint.blame import about
from sipcore.siplint.finding import Finding
from sipcore.siplint.reading import FINAL, Conversation, Seen

_MULTIPLE: Final = 300
_TRYING: Final = 100
_CONTACT_IN_REQUEST: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})


def message_findings(conversation: Conversation) -> Iterator[Finding]:
    """Of each message by itself."""
    for seen in conversation.seen:
        yield from _content_length(seen)
        yield from _contact(seen)
        yield from _tags(seen)
        yield from _method(seen)


def _content_length(seen: Seen) -> Iterator[Finding]:
    told = seen.first("content-length")
    if not seen.is_whole or not told.isdecimal() or "\N{REPLACEMENT CHARACTER}" in seen.body:
        return
    if (size := len(seen.body.encode())) != int(told):
        yield about("content-length", seen, f"{seen.name} says {told} bytes of body and has {size}")


def _contact(seen: Seen) -> Iterator[Finding]:
    is_needed = seen.method in _CONTACT_IN_REQUEST if seen.is_request else seen.method == "INVITE" and FINAL <= seen.status < _MULTIPLE
    if is_needed and not seen.first("contact"):
        yield about("contact-missing", seen, f"{seen.name} has no Contact")


def _tags(seen: Seen) -> Iterator[Finding]:
    if seen.is_request and not seen.from_tag:  # an answer has that of its request
        yield about("tag-missing", seen, f"{seen.name} has no tag in From")
    if seen.status > _TRYING and not seen.to_tag:
        yield about("tag-missing", seen, f"{seen.name} has no tag in To")


def _method(seen: Seen) -> Iterator[Finding]:
    if seen.is_request and (told := seen.first("cseq").split()[1:2]) and told[0] != seen.method:
        yield about("cseq-method", seen, f"{seen.method} says {told[0]} in CSeq")
