"""The few things read from the text of a SIP message, since pjsua2 gives no structured headers."""

from __future__ import annotations

import re
from typing import Final

_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: ([^\r\n]{0,200}))?", re.IGNORECASE)
_REASON_HEADER: Final = re.compile(r"^reason[ \t]*:([^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)", re.IGNORECASE | re.MULTILINE)
_Q850_CAUSE: Final = re.compile(r"(?:^|,)\s*q\.850\b(?:[^,\"]|\"[^\"]*\")*?;\s*cause\s*=\s*(\d{1,3})\b", re.IGNORECASE)
_SUPPORTED_HEADER: Final = re.compile(r"^(?:supported|k)[ \t]*:([^\n]*(?:\n[ \t]+[^\n]*)*)", re.IGNORECASE | re.MULTILINE)
_BRACKETED_URI: Final = re.compile(r"<(sips?:[!-;=?-~]+)>", re.IGNORECASE)
_BARE_URI: Final = re.compile(r"(sips?:[!-+\--:=?-~]+)", re.IGNORECASE)  # without brackets a semicolon ends it (RFC 3261 §20.10)
_MAX_CAUSE: Final = 127  # Q.850: 7 bits


def readable(text: str) -> str:
    """Text from PJSIP as it may be sent on: bytes that are not UTF-8 arrive as lone surrogates, which no codec takes, and become U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def status_of(message: str) -> tuple[int, str] | None:
    """Status code and phrase of a response (RFC 3261 §7.2); `None` for anything else."""
    match = _STATUS_LINE.match(message)
    return (int(match[1]), (match[2] or "").strip()) if match else None


def q850_cause_of(message: str) -> int | None:
    """The Q.850 cause of the Reason headers (RFC 3326 §2), 0 to 127; `None` when there is none."""
    head = message.replace("\r\n", "\n").partition("\n\n")[0]
    for header in _REASON_HEADER.finditer(head):
        match = _Q850_CAUSE.search(header[1])
        if match and int(match[1]) <= _MAX_CAUSE:
            return int(match[1])
    return None


def header_of(message: str, name: str) -> str:
    """Value of the first header of this name, unfolded (RFC 3261 §7.3.1); empty when there is none."""
    head = message.replace("\r\n", "\n").partition("\n\n")[0]
    match = re.search(rf"(?im)^{re.escape(name)}[ \t]*:[ \t]*([^\n]*(?:\n[ \t]+[^\n]*)*)", head)
    return " ".join(match[1].split()) if match else ""


def is_supported(message: str, option: str) -> bool:
    """Whether the sender says that it knows this extension (RFC 3261 §20.37)."""
    head = message.replace("\r\n", "\n").partition("\n\n")[0]
    listed = ",".join(_SUPPORTED_HEADER.findall(head))
    return option in {name.strip().lower() for name in listed.split(",")}


def contact_uri_of(message: str) -> str:
    """SIP URI of the first Contact, without its header parameters; empty when there is none."""
    value = header_of(message, "Contact") or header_of(message, "m")
    match = _BRACKETED_URI.search(value) or _BARE_URI.match(value)
    return match[1] if match else ""


def body_of(message: str) -> str:
    """What follows the empty line."""
    return message.replace("\r\n", "\n").partition("\n\n")[2]
