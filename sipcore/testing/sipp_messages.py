"""What SIPp sent and received, from the log it writes with `-trace_msg`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

# "UDP message sent (447 bytes):" or "UDP message received [447] bytes :", after a line of dashes with the local time
_ENTRY: Final = re.compile(r"^-{20,} ?([^\n]*)\n(?:UDP|TCP|TLS)? ?message (sent|received)[^\n]*\n\n", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SippMessage:
    """One SIP message. `is_received`: SIPp got it, so we sent it."""

    is_received: bool
    text: str
    time_s: float = 0.0
    """Seconds since 1970; 0 when the log does not say."""

    @property
    def first_line(self) -> str:
        """`INVITE sip:... SIP/2.0`, `SIP/2.0 200 OK`."""
        return self.text.partition("\n")[0].strip()

    @property
    def method(self) -> str:
        """Of a request, or of the request that a response answers (from CSeq)."""
        return self.header("CSeq").rpartition(" ")[2]

    @property
    def is_request(self) -> bool:
        """False for a response."""
        return not self.first_line.startswith("SIP/2.0 ")

    @property
    def status(self) -> int:
        """Status code of a response, 0 for a request."""
        return 0 if self.is_request else int(self.first_line.split()[1])

    @property
    def body(self) -> str:
        """What follows the headers."""
        return self.text.replace("\r\n", "\n").partition("\n\n")[2]

    def headers(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        head = self.text.replace("\r\n", "\n").partition("\n\n")[0]
        lines = (line.partition(":") for line in head.split("\n")[1:])
        return [value.strip() for key, _, value in lines if key.strip().lower() == name.lower()]

    def header(self, name: str) -> str:
        """The first value of a header, empty when it is not there."""
        return next(iter(self.headers(name)), "")


def parse_messages(log: str) -> tuple[SippMessage, ...]:
    """Every message of a log, in order; one that is half written is left out."""
    entries = list(_ENTRY.finditer(log))
    ends = [*(entry.start() for entry in entries), len(log)][1:]
    messages = [
        SippMessage(entry[2].lower() == "received", log[entry.end() : end].rstrip("\n") + "\n", _time_s(entry[1]))
        for entry, end in zip(entries, ends, strict=False)
    ]
    return tuple(message for message in messages if message.header("CSeq"))


def _time_s(text: str) -> float:
    """Of `2026-11-23 18:54:18.804070`, which is local time."""
    try:
        return datetime.fromisoformat(text.strip().replace("\t", " ")).timestamp()
    except ValueError:
        return 0.0
