"""Who calls from outside, whom, and which rule takes the call. Pure.

What stands in an INVITE was written by a stranger: it is taken as it is where it has the form of an address, and kept as harmless text
where it has not. Only a trunk's word counts for who calls (RFC 3325 §5), and a phone is who it proved to be.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sipcore.actions import Action, legs_needed
from sipcore.addresses import NAME_MAX_CHARS, URI_MAX_CHARS, Address, parse_address
from sipcore.engine import Offer
from sipcore.errors import InvalidRequest

ANONYMOUS = Address("sip", "anonymous@anonymous.invalid")
"""RFC 3323 §4.1.1.3"""
HANDLER_LEGS = 2
"""What a handler may have up at once unless it says more: the call itself, and one that it connects."""

_UNSAFE = re.compile(r"[\x00-\x20\x7f-\x9f<>\"\\\u2028\u2029\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NAME_ADDR = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^<"]*?))\s*<([^<>]*)>')
_E164_USER = re.compile(r"\+[1-9][0-9]{1,14}")
_SEPARATORS = re.compile(r"[-.()]")

Handler = Callable[[Any], Awaitable[None]]
"""Given the call; what it is depends on who registered it."""


# ------------------------------------------------------------------------------------------------------- parties


@dataclass(frozen=True, slots=True)
class Parties:
    """Who calls whom."""

    source: Address
    destination: Address


def parties(offer: Offer, phone_caller_id: Address | None = None) -> Parties:
    """Who calls whom, by this offer.

    A trunk's P-Asserted-Identity goes before From, unless the caller asked for privacy (RFC 3325 §9.3). A phone is its account at the
    host that it names, or the caller id it was given.
    """
    return Parties(_source(offer, phone_caller_id), lenient_address(offer.request_uri))


def lenient_address(uri: str, name: str = "") -> Address:
    """An address from a URI of a message: an E.164 number becomes `tel`, anything else `sip`, without parameters and headers.

    One that cannot be read as a URI is kept as text without anything that could be taken for syntax; it cannot be dialled back.
    """
    shown = _CONTROL.sub("", name)[:NAME_MAX_CHARS]
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() not in {"sip", "sips", "tel"}:
        rest = uri
    user, at, host = rest.partition("@")
    bare = _plain(user) + at + _plain(host)
    number = _SEPARATORS.sub("", bare.partition("@")[0])
    if _E164_USER.fullmatch(number):
        return Address("tel", number, shown)
    try:
        parsed = parse_address({"type": "sip", "target": bare})
    except InvalidRequest:
        return Address("sip", _UNSAFE.sub("", bare)[:URI_MAX_CHARS] or ANONYMOUS.target, shown)
    return Address("sip", parsed.target, shown)


def is_anonymous(source: Address) -> bool:
    """Whether the caller does not say who he is (RFC 3323 §4.1.1.3)."""
    user, _, host = source.target.partition("@")
    return source.type == "sip" and (user.lower() == "anonymous" or host.lower() == "anonymous.invalid")


def _plain(part: str) -> str:
    """Without parameters and headers (RFC 3261 §19.1.1; those of the user part are RFC 3966's)."""
    return part.partition(";")[0].partition("?")[0]


def _source(offer: Offer, phone_caller_id: Address | None) -> Address:
    if offer.username:
        return phone_caller_id or lenient_address(f"sip:{offer.username}@{_host(offer.from_uri)}", offer.from_name)
    asserted = _header(offer, "p-asserted-identity")
    wants_privacy = "id" in re.split(r"[;,\s]+", _header(offer, "privacy").lower())
    if offer.trunk and asserted and not wants_privacy:
        name, uri = _name_and_uri(asserted)
        return lenient_address(uri, name or offer.from_name)
    return lenient_address(offer.from_uri, offer.from_name)


def _host(uri: str) -> str:
    return _plain(uri.partition("@")[2]) or "phone.invalid"


def _header(offer: Offer, name: str) -> str:
    return next((value for key, value in offer.headers if key.lower() == name), "")


def _name_and_uri(value: str) -> tuple[str, str]:
    """Display name and URI of the first entry of a header with name-addrs."""
    if found := _NAME_ADDR.match(value):
        quoted, plain, uri = found.groups()
        return re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain.strip(), uri.strip()
    return "", re.split(r"[,;\s]", value.strip(), maxsplit=1)[0]


# --------------------------------------------------------------------------------------------------------- rules


@dataclass(frozen=True, slots=True)
class Rule:
    """Which calls, and what to do with them: an action list, or a handler."""

    to: str = "*"
    source: str = "*"
    trunk: str = "*"
    phone: str = "*"
    actions: tuple[Action, ...] = ()
    handler: Handler | None = None
    handler_legs: int = HANDLER_LEGS
    place: str = ""
    """Where the rule stands, for messages."""

    @property
    def legs_needed(self) -> int:
        """The most legs such a call can have up at once, itself included."""
        return legs_needed(self.actions) if self.handler is None else self.handler_legs

    def takes(self, offer: Offer, who: Parties) -> bool:
        """Whether this call is one of its."""
        return (
            _is_like(self.trunk, offer.trunk)
            and _is_like(self.phone, offer.username)
            and _names(self.to, who.destination)
            and _names(self.source, who.source)
        )


def choose(rules: Iterable[Rule], offer: Offer, who: Parties) -> Rule | None:
    """The first rule that takes the call."""
    return next((rule for rule in rules if rule.takes(offer, who)), None)


def call_type(offer: Offer, who: Parties) -> str:
    """VoIPBin's `type`: a SIP address that was called directly, not through a trunk, is a `sip-service`; all others are a `flow`."""
    return "sip-service" if who.destination.type == "sip" and not offer.trunk else "flow"


def _names(pattern: str, address: Address) -> bool:
    target = address.target if address.type == "tel" or "@" in pattern else address.target.partition("@")[0]
    return _is_like(pattern, target)


def _is_like(pattern: str, text: str) -> bool:
    """`*` and `?`, in time linear for each star: a pattern of many stars is no trap."""
    at, position = 0, 0
    star, star_at = -1, 0  # the last star, and the text from which on what follows it is tried
    while position < len(text):
        if at < len(pattern) and pattern[at] != "*" and pattern[at] in {"?", text[position]}:
            at, position = at + 1, position + 1
        elif at < len(pattern) and pattern[at] == "*":
            star, star_at, at = at, position, at + 1
        elif star >= 0:
            at, star_at = star + 1, star_at + 1
            position = star_at
        else:
            return False
    return all(character == "*" for character in pattern[at:])
