"""Our side of the wall in SIP text: what we call ourselves outside, what workers see of us, and what each must not see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipcore.frontdoor.message import KNOWN_NAMES, Header, Message
from sipcore.frontdoor.uri import join_host_port, split_host_port
from sipcore.wire import DoorSettings

ALLOWED: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY"
_SUPPORTED: Final = "100rel, timer, norefersub"
"""What we tell the outside we can: less than PJSIP says of itself, since the front door lets less in (no Replaces, no SUBSCRIBE)."""
_RELIABLE: Final = "100rel"
PRIVATE_PREFIX: Final = "x-sipcore-"
"""Headers between workers and front door; outside nobody sees them or can set them."""


class Face:
    """Addresses of ours, by which way a message leaves.

    Attributes:
        abilities: Headers of our answer to OPTIONS.
        has_100rel: Whether provisional answers may be acknowledged.
    """

    __slots__ = ("_inner_uri", "_ports", "_promises", "_public", "abilities", "has_100rel", "inner_address")

    def __init__(self, settings: DoorSettings) -> None:
        self.inner_address = settings.inner_address
        self._inner_uri = f"sip:{settings.inner_address};"
        self._public = settings.public_address.strip("[]")
        self.has_100rel = settings.has_100rel
        unsaid = frozenset({"replaces"} if settings.has_100rel else {"replaces", _RELIABLE})
        self.abilities = (("Allow", ALLOWED), ("Accept", "application/sdp"), ("Supported", _without(_SUPPORTED, unsaid)))
        self._promises: dict[str, Callable[[str], Header]] = {
            "Allow": lambda _value: Header("Allow", ALLOWED),
            "Supported": lambda value: Header("Supported", _without(value, unsaid)),
        }
        self._ports = {transport: split_host_port(address)[1] for transport, address in reversed(settings.listeners)}

    def address(self, transport: str, local: str) -> str:
        """`host:port` by which the far end reaches us: the listener's port also where an own connection has another."""
        host, port = split_host_port(local)
        if self._public and (":" in host) == (":" in self._public):
            host = self._public
        return join_host_port(host, port if transport == "udp" else self._ports.get(transport, port))

    def via(self, transport: str, local: str, branch: str) -> str:
        """Our only Via on a request of a worker."""
        return f"SIP/2.0/{transport.upper()} {self.address(transport, local)};rport;branch={branch}"

    def contact(self, transport: str, local: str, user: str) -> str:
        """Contact URI that leads back to us."""
        suffix = "" if transport == "udp" else f";transport={transport}"
        at = f"{user}@" if user else ""
        return f"sip:{at}{self.address(transport, local)}{suffix}"

    def inner_via(self, key: str, flow: str) -> str:
        """Our Via on top of what a worker gets; the response brings the flow back."""
        return f"SIP/2.0/UDP {self.inner_address};branch=z9hG4bK{key};flow={flow}"

    def record_route(self, flow: str) -> str:
        """Our Record-Route in what a worker gets."""
        return f"<{self._inner_uri}lr;flow={flow}>" if flow else f"<{self._inner_uri}lr>"

    def is_inner_route(self, route: str) -> bool:
        """True for a Route or Record-Route that leads to the inner socket."""
        return self._inner_uri in route

    def hide(self, message: Message) -> None:
        """Take out of a worker's message what only we may see, Record-Routes of ours and private headers, and correct what it promises."""
        headers, promises = message.headers, self._promises
        headers[:] = [promises[header[0]](header[1]) if header[0] in promises else header for header in public(headers)]
        routes = message.get_all("Record-Route")
        if routes:
            put_list(message, "Record-Route", [route for route in routes if not self.is_inner_route(route)])


def public(headers: list[Header]) -> list[Header]:
    """The headers without those that never cross the wall."""
    return [header for header in headers if header[0] in _PUBLIC or not header[0].lower().startswith(PRIVATE_PREFIX)]


def put_list(message: Message, name: str, values: list[str]) -> None:
    """Make these the values of a list header; none: take it out."""
    if values:
        message.set(name, ", ".join(values))
    else:
        message.remove(name)


def _without(tags: str, unwanted: frozenset[str]) -> str:
    return ", ".join([tag for part in tags.split(",") if (tag := part.strip(" \t")) and tag.lower() not in unwanted])


_PUBLIC: Final = frozenset([name for name in KNOWN_NAMES if not name.lower().startswith(PRIVATE_PREFIX)])
