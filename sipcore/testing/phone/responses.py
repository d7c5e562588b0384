"""Responses to requests, and where they go (RFC 3261 §8.2.6, §18.2.2; RFC 3581)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .sip_message import Header, Message, format_message, parameters, sent_by

Address = tuple[str, int]

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO"

_REASONS = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress", 200: "OK",
    300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy", 400: "Bad Request",
    401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone", 415: "Unsupported Media Type",
    420: "Bad Extension", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected",
    483: "Too Many Hops", 484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated",
    488: "Not Acceptable Here", 491: "Request Pending", 500: "Server Internal Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Server Time-out", 600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere",
    606: "Not Acceptable", 607: "Unwanted",
}  # fmt: skip


def response_text(
    request: Message,
    source: Address,
    code: int,
    *,
    to_tag: str = "",
    reason: str | None = None,
    headers: Sequence[Header] = (),
    body: str = "",
) -> str:
    """Write the response `code` to `request`, which came from `source`; an existing To tag is kept."""
    first, *other_vias = request.headers.get_all("via")
    to = request.headers.get("to")
    if to_tag and not request.to_tag:
        to = f"{to};tag={to_tag}"
    copied = [("Via", _with_source(first, source)), *(("Via", via) for via in other_vias)]
    if request.method == "INVITE" and 100 < code < 300:  # RFC 3261 §12.1.1
        copied += [("Record-Route", route) for route in request.headers.get_all("record-route")]
    copied += [("From", request.headers.get("from")), ("To", to), ("Call-ID", request.call_id), ("CSeq", request.headers.get("cseq"))]
    text = _REASONS.get(code, "Unknown") if reason is None else reason
    return format_message(f"SIP/2.0 {code} {text}", [*copied, *headers], body)


def response_address(request: Message, source: Address) -> Address:
    """Return where responses go: back to the source with `rport`, else to the source host and the Via's port."""
    via = request.headers.get("via")
    return source if "rport" in parameters(via) else (source[0], sent_by(via)[1])


def _with_source(via: str, source: Address) -> str:
    has_rport = "rport" in parameters(via)
    via = re.sub(r";\s*rport\s*(?:=\s*\d*)?(?=\s*(;|$))", f";rport={source[1]}", via, flags=re.IGNORECASE)
    if (has_rport or sent_by(via)[0] != source[0]) and "received" not in parameters(via):
        via = f"{via};received={source[0]}"
    return via
