"""Answers that need no state (RFC 3261 §8.2.6, §8.2.7): the same request gets the same answer, its To tag included."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from sipcore.frontdoor.grammar import Malformed
from sipcore.frontdoor.message import Header, Message, NameAddr

_COPIED: Final = ("From", "To", "Call-ID", "CSeq")
_UNSAFE: Final = re.compile("[\\x00-\\x08\\x0a-\\x1f\\x7f]")
_TAG_BYTES: Final = 8

PHRASES: Final[dict[int, str]] = {
    100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 202: "Accepted", 300: "Multiple Choices", 301: "Moved Permanently",
    302: "Moved Temporarily", 305: "Use Proxy", 380: "Alternative Service", 400: "Bad Request", 401: "Unauthorized",
    402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
    407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone",
    413: "Request Entity Too Large", 414: "Request-URI Too Long", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme",
    420: "Bad Extension", 421: "Extension Required", 422: "Session Interval Too Small", 423: "Interval Too Brief",
    480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops",
    484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event",
    491: "Request Pending", 493: "Undecipherable", 500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported", 513: "Message Too Large",
    600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
}  # fmt: skip
"""RFC 3261 §21 and the RFCs that add to it."""


def phrase_of(code: int) -> str:
    """The reason phrase that belongs to a code."""
    return PHRASES.get(code, "Unknown")


def reply_to(
    request: Message, code: int, phrase: str = "", headers: Iterable[tuple[str, str]] = (), to_tag: str | None = None, secret: bytes = b""
) -> bytes:
    """The answer to a request, or nothing (`b""`) when there must be none: to an ACK, to a response, to what cannot be read.

    The Vias are copied as they stand: who calls has put `received` and `rport` into the first.

    Args:
        request: may be malformed; what it lacks is left out (RFC 4475 §3.3.1).
        code: 100 to 699.
        phrase: in place of the usual one.
        headers: to add.
        to_tag: `None` derives it from the request and `secret`, so that a retransmission gets the same; unused where the request has one.
        secret: makes derived tags unguessable.
    """
    if not request.is_request or request.method == "ACK":
        return b""
    vias = request.get_all("Via")
    kept = [Header("Via", via) for via in vias]
    kept += [Header(name, request.get(name) or "") for name in _COPIED if request.get(name)]
    if not vias or any(_UNSAFE.search(header.value) for header in kept):
        return b""
    answer = Message(f"SIP/2.0 {code} {phrase or phrase_of(code)}", kept)
    if code > 100:
        _add_tag(answer, derived_tag(request, secret) if to_tag is None else to_tag)
    if code == 100 and (timestamp := request.get("Timestamp")) and not _UNSAFE.search(timestamp):
        answer.append("Timestamp", timestamp)
    for name, value in headers:
        answer.append(name, value)
    return answer.to_bytes()


def derived_tag(request: Message, secret: bytes) -> str:
    """A To tag out of what stays the same in a retransmission (RFC 3261 §8.2.7)."""
    parts = [request.get(name) or "" for name in ("Via", "From", "Call-ID", "CSeq")]
    digest = hashlib.blake2b("\n".join(parts).encode("utf-8", "surrogateescape"), key=secret[:64], digest_size=_TAG_BYTES)
    return digest.hexdigest()


def _add_tag(answer: Message, tag: str) -> None:
    to_value = answer.get("To")
    if to_value is None:
        return
    try:
        has_tag = NameAddr.parse(to_value).param("tag") is not None
    except Malformed:
        return  # an open quote would swallow the tag
    if not has_tag:
        answer.set("To", f"{to_value};tag={tag}")
