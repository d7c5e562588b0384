"""Messages out of a byte stream (RFC 3261 §18.3), and the keep-alives between them (RFC 5626 §4.4.1)."""

from __future__ import annotations

import re
from typing import Final

from sipcore.frontdoor.grammar import Malformed, number

MAX_HEAD_BYTES: Final = 16_384
MAX_MESSAGE_BYTES: Final = 65_535
PONG: Final = b"\r\n"
"""What a `KeepAlive` is answered with."""

_BLANK: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[ \t]*(?:\r\n[ \t]+)?([^\r\n]*)", re.IGNORECASE)
_MAX_LENGTH: Final = 2**31 - 1


class KeepAlive:
    """A double CRLF between two messages: the far end asks whether we are there."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "KeepAlive()"


KEEP_ALIVE: Final = KeepAlive()


class StreamFramer:
    """Cuts what a connection delivers into messages, whatever the pieces are. Unusable after it has raised: close the connection."""

    __slots__ = ("_blanks", "_buffer", "_max_message", "_searched", "_size")

    def __init__(self, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._buffer = bytearray()
        self._max_message = max_message_bytes
        self._searched = 0
        """Up to here there is no end of headers."""
        self._size = 0
        """Bytes of the message in front, when its headers are complete; else 0."""
        self._blanks = 0
        """CRLFs in a row since the last message."""

    @property
    def is_idle(self) -> bool:
        """Nothing of a message is waiting for its rest."""
        return not self._buffer

    def feed(self, data: bytes) -> list[bytes | KeepAlive]:
        """Messages and keep-alives that `data` completes, in order.

        Raises:
            Malformed: the headers are too long, or Content-Length is missing, no number, there twice with two values, or too large.
                Its code is 0: where the next message begins is not known, so there is nobody to answer.
        """
        self._buffer += data
        found: list[bytes | KeepAlive] = []
        while True:
            self._skip_blanks(found)
            if not self._size:
                self._size = self._find_size()
            if not self._size or len(self._buffer) < self._size:
                return found
            found.append(bytes(self._buffer[: self._size]))
            del self._buffer[: self._size]
            self._size = self._searched = self._blanks = 0

    def _skip_blanks(self, found: list[bytes | KeepAlive]) -> None:
        """Empty lines in front of a message mean nothing (RFC 3261 §7.5), two of them ask for an answer."""
        if self._size or not self._buffer.startswith(b"\r\n"):
            return
        end = 0
        while self._buffer.startswith(b"\r\n", end):
            end += 2
            self._blanks += 1
            if self._blanks % 2 == 0 and (not found or found[-1] is not KEEP_ALIVE):
                found.append(KEEP_ALIVE)  # a flood of them in one piece is answered once
        del self._buffer[:end]
        self._searched = 0

    def _find_size(self) -> int:
        """Bytes of the message in front; 0 while its headers are not complete."""
        end = self._buffer.find(_BLANK, max(self._searched - len(_BLANK) + 1, 0), MAX_HEAD_BYTES)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD_BYTES:
                raise Malformed("headers too long", 0)
            self._searched = len(self._buffer)
            return 0
        return end + len(_BLANK) + self._content_length(bytes(self._buffer[:end]), self._max_message - end - len(_BLANK))

    @staticmethod
    def _content_length(head: bytes, most: int) -> int:
        lengths = {length.strip(b" \t").decode("latin-1") for length in _LENGTH.findall(head)}
        if len(lengths) != 1:
            raise Malformed("no Content-Length" if not lengths else "more than one Content-Length", 0)
        try:
            size = number(lengths.pop(), _MAX_LENGTH)
        except Malformed:
            raise Malformed("bad Content-Length", 0) from None
        if size > most:
            raise Malformed("message too large", 0)
        return size
