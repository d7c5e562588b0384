"""The SIP messages of the last calls, in a ring with limits: the first and the last of each call, nothing secret in them.

Pure: times come with the messages.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Final

from sipcore.frontdoor.redaction import redact
from sipcore.wire import MAX_FRAME_BYTES, TracedMessage

_OVERHEAD_BYTES: Final = 400
"""Of one message beside its text, about: the object, two addresses, a place in a list."""
_MAX_FOUND_BYTES: Final = MAX_FRAME_BYTES * 3 // 4
_MAX_MESSAGE_BYTES: Final = 65_536
_MAX_CALLS_OF_DIALOG: Final = 8
"""One Call-ID can be of two calls of ours: one that was placed to ourselves."""


@dataclass(slots=True)
class _Dialog:
    """What has one SIP Call-ID."""

    size_bytes: int
    call_ids: list[str] = field(default_factory=list)
    first: list[TracedMessage] = field(default_factory=list)
    last: deque[TracedMessage] = field(default_factory=deque)
    first_bytes: int = 0
    last_bytes: int = 0
    missing: int = 0

    def add(self, message: TracedMessage, limit_bytes: int) -> int:
        """Keep a message, in the first half of the limit or, pushing others out, in the second; returns by how much it has grown."""
        size = _size(message)
        half = limit_bytes // 2
        if not self.last and self.first_bytes + size <= half:
            self.first.append(message)
            self.first_bytes += size
            self.size_bytes += size
            return size
        self.last.append(message)
        grown = size
        while self.last_bytes + grown > half and len(self.last) > 1:
            grown -= _size(self.last.popleft())
            self.missing += 1
        self.last_bytes += grown
        self.size_bytes += grown
        return grown

    def messages(self) -> Iterator[TracedMessage]:
        """The oldest first; the one after a gap says how wide it is."""
        later = iter(self.last)
        if self.missing:
            later = chain((replace(next(later), missing=self.missing),), later)
        return chain(self.first, later)


class Trace:
    """Messages by SIP Call-ID, and by the id of our call once that is known.

    Args:
        calls: How many Call-IDs are remembered.
        call_bytes: Memory for the messages of one of them.
        total_bytes: Memory for all of them.
    """

    def __init__(self, calls: int = 1000, call_bytes: int = 65_536, total_bytes: int = 32 * 2**20) -> None:
        self._max_calls, self._call_bytes, self._max_bytes = calls, call_bytes, total_bytes
        self._message_bytes = min(call_bytes // 4, _MAX_MESSAGE_BYTES)
        self._unknown: OrderedDict[str, _Dialog] = OrderedDict()
        """Of no call of ours, so far; they go first, or strangers could push out our calls. The one that was quiet longest comes first."""
        self._known: OrderedDict[str, _Dialog] = OrderedDict()
        self._dialogs_of: dict[str, list[str]] = {}
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Memory that the messages take, about."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._unknown) + len(self._known)

    def add(self, sip_call_id: str, call_id: str | None, message: TracedMessage) -> None:
        """Keep a message; `call_id` may come with any message of the Call-ID, and is good for those before and after."""
        dialog = self._known.get(sip_call_id) or self._unknown.get(sip_call_id) or self._new(sip_call_id)
        if call_id and call_id not in dialog.call_ids and len(dialog.call_ids) < _MAX_CALLS_OF_DIALOG:
            self._tag(sip_call_id, call_id, dialog)
        (self._known if dialog.call_ids else self._unknown).move_to_end(sip_call_id)
        text = _cut(redact(message.text), self._message_bytes)
        self._bytes += dialog.add(message if text == message.text else replace(message, text=text), self._call_bytes)
        self._drop_the_oldest(sip_call_id)

    def find(self, call_id: str) -> tuple[TracedMessage, ...]:
        """The messages of our call, the oldest first; empty when there are none any more. They fit into a frame."""
        dialogs = [self._known[sip_call_id].messages() for sip_call_id in self._dialogs_of.get(call_id, ())]
        return _fitting(list(heapq.merge(*dialogs, key=lambda message: message.time)))

    def _new(self, sip_call_id: str) -> _Dialog:
        dialog = self._unknown[sip_call_id] = _Dialog(_text_bytes(sip_call_id) + _OVERHEAD_BYTES)
        self._bytes += dialog.size_bytes
        return dialog

    def _tag(self, sip_call_id: str, call_id: str, dialog: _Dialog) -> None:
        dialog.call_ids.append(call_id)
        self._dialogs_of.setdefault(call_id, []).append(sip_call_id)
        if sip_call_id in self._unknown:
            self._known[sip_call_id] = self._unknown.pop(sip_call_id)

    def _drop_the_oldest(self, newest: str) -> None:
        while len(self) > 1 and (len(self) > self._max_calls or self._bytes > self._max_bytes):
            dialogs_to_drop = self._unknown if next(iter(self._unknown), newest) != newest else self._known
            sip_call_id, dialog = dialogs_to_drop.popitem(last=False)
            self._bytes -= dialog.size_bytes
            for call_id in dialog.call_ids:
                dialogs = self._dialogs_of[call_id]
                dialogs.remove(sip_call_id)
                if not dialogs:
                    del self._dialogs_of[call_id]


def _fitting(messages: list[TracedMessage]) -> tuple[TracedMessage, ...]:
    if sum(map(_size, messages)) <= _MAX_FOUND_BYTES:
        return tuple(messages)
    first = _within(messages, _MAX_FOUND_BYTES // 2)
    last = _within(reversed(messages), _MAX_FOUND_BYTES // 2)[::-1]
    left_out = messages[len(first) : len(messages) - len(last)]
    missing = len(left_out) + sum(message.missing for message in left_out) + last[0].missing
    return (*first, replace(last[0], missing=missing), *last[1:])


def _within(messages: Iterable[TracedMessage], limit_bytes: int) -> list[TracedMessage]:
    taken = []
    for message in messages:
        limit_bytes -= _size(message)
        if limit_bytes < 0:
            break
        taken.append(message)
    return taken


def _size(message: TracedMessage) -> int:
    return _text_bytes(message.text) + _OVERHEAD_BYTES


def _text_bytes(text: str) -> int:
    return len(text) if text.isascii() else 4 * len(text)  # what CPython takes at most, and UTF-8 too


def _cut(text: str, limit_bytes: int) -> str:
    size = _text_bytes(text)
    if size <= limit_bytes:
        return text
    kept = limit_bytes * len(text) // size
    return f"{text[:kept]}\r\n[{len(text) - kept} more characters were not kept]\r\n"
