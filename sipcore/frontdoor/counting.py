"""What the front door counts, and how much of what strangers do reaches the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from sipcore.wire import DoorCounters

_LINES_PER_S: Final = 10
_MAX_LINE: Final = 300
_STATUS: Final = slice(8, 11)  # of "SIP/2.0 403 Forbidden"
_CHALLENGES: Final = frozenset({b"401", b"407"})


@dataclass(slots=True)
class Counting:
    """Numbers since the start of the process."""

    received: int = 0
    """From outside."""
    sent: int = 0
    dropped: int = 0
    refused: int = 0
    """Requests from outside that the front door itself, or control, refused; challenges are not."""

    def answered(self, response: bytes) -> None:
        """A response of ours."""
        status = response[_STATUS]
        if status >= b"300" and status not in _CHALLENGES and response.startswith(b"SIP/"):
            self.refused += 1

    def message(self, connections: int) -> DoorCounters:
        """For the control process."""
        return DoorCounters(self.received, self.sent, self.dropped, self.refused, connections)


class Told:
    """Lines for the log, so many a second and no more, with nothing in them that a terminal would obey."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._left = _LINES_PER_S
        self._unsaid = 0

    def line(self, text: str) -> None:
        """What somebody outside did."""
        if self._may():
            self._log.warning("%s", printable(text))

    def bug(self, where: str) -> None:
        """An error of ours, with its traceback; call it where it was caught."""
        if self._may():
            self._log.exception("front door: error at %s", where)

    def tick(self) -> None:
        """Once a second."""
        if self._unsaid:
            self._log.warning("%d more lines were left out", self._unsaid)
        self._left, self._unsaid = _LINES_PER_S, 0

    def _may(self) -> bool:
        if self._left <= 0:
            self._unsaid += 1
            return False
        self._left -= 1
        return True


def printable(text: str) -> str:
    """One line without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:_MAX_LINE])
