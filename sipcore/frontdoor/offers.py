"""From an INVITE to the offer that the control process decides on."""

from __future__ import annotations

from typing import Final

from sipcore.engine import Offer
from sipcore.frontdoor.incoming import Incoming
from sipcore.frontdoor.message import Message, NameAddr

_HEADERS: Final = frozenset({
    "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID", "Privacy", "Diversion", "History-Info", "User-Agent", "Subject",
    "Alert-Info", "Call-Info", "Reason", "Organization", "Priority", "Accept-Language", "Date",
})  # fmt: skip
_MAX_HEADERS: Final = 40
_MAX_TEXT: Final = 1_000


def offer_of(incoming: Incoming, caller: NameAddr, trunk: str, username: str) -> Offer:
    """Everything as clean text, cut where it is overlong; `caller` is the From."""
    request = incoming.request
    called = NameAddr.parse(request.get("To") or "")
    return Offer(
        sip_call_id=clean(incoming.sip_call_id),
        request_uri=clean(request.request_uri),
        from_uri=clean(str(caller.uri)),
        from_name=clean(caller.name),
        to_uri=clean(str(called.uri)),
        source=incoming.source,
        transport=incoming.flow.transport,
        trunk=trunk,
        username=username,
        headers=_wanted(request),
    )


def clean(text: str) -> str:
    """Bytes that are no UTF-8 as U+FFFD, control characters and line separators as blanks, at most 1,000 characters."""
    text = text[:_MAX_TEXT]
    if text.isascii() and text.isprintable():
        return text
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(character if character.isprintable() else " " for character in valid)


def _wanted(request: Message) -> tuple[tuple[str, str], ...]:
    found = [header for header in request.headers if header.name in _HEADERS or header.name[:2].upper() == "X-"]
    return tuple([(header.name, clean(header.value)) for header in found[:_MAX_HEADERS]])
