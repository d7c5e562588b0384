"""Digits in INFO: one way of writing for the workers, whichever the sender has."""

from __future__ import annotations

from typing import Final

from sipcore.frontdoor.message import Message

_BY_NUMBER: Final = dict(zip([str(number) for number in range(10, 16)], "*#ABCD", strict=True))
"""Events of RFC 4733 that some senders write in the place of the key."""
_DEFAULT_MS: Final = 160


def write_plainly(info: Message) -> None:
    """Give a digit in a checked INFO the form that PJSIP reads: `application/dtmf-relay` with the key itself.

    It answers 500 to `application/dtmf`, whose body is the key alone, and takes `Signal=11` for a 1.
    """
    kind = (info.get("Content-Type") or "").partition(";")[0].strip().lower()
    text = info.body.decode("ascii", "replace")
    if kind == "application/dtmf":
        signal, duration = text.strip(), str(_DEFAULT_MS)
    elif kind == "application/dtmf-relay":
        pairs = {key.strip().lower(): value.strip() for key, _, value in (line.partition("=") for line in text.splitlines())}
        signal, duration = pairs.get("signal", ""), pairs.get("duration", str(_DEFAULT_MS))
    else:
        return
    if not signal:
        return
    info.set("Content-Type", "application/dtmf-relay")
    info.body = f"Signal={_BY_NUMBER.get(signal, signal.upper())}\r\nDuration={duration}\r\n".encode("ascii", "replace")
