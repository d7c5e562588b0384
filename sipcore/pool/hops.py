"""Where the INVITE or REGISTER of one call or trunk may be sent, and what of that is left to try. Pure: time is an argument."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from sipcore.rfc3263 import DEFAULT_PORTS, Hop, literal

SILENCE_S: Final = 30.0
"""A hop that did not answer is tried last for so long, or every call would wait for it anew."""
MAX_REMEMBERED: Final = 1000

_PLACE: Final = re.compile(
    r"<?(?:sip:)?(?:[^@<>]*@)?(?P<host>\[[0-9a-f:.]+\]|[^\s;:?<>@\[\]]+)(?::(?P<port>\d{1,5}))?(?P<parameters>(?:;[^?<>]*)?)(?:[?>].*)?",
    re.IGNORECASE,
)
_TRANSPORT: Final = re.compile(r";transport=(udp|tcp|tls)(?:;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """What a target or a URI says of where to go; `transport` is `None` when it says nothing."""

    host: str
    port: int | None
    transport: str | None

    def hop(self) -> Hop | None:
        """Without any look-up: the host is an address."""
        transport = self.transport or "any"
        address = literal(self.host)
        return Hop(transport, address, self.port or DEFAULT_PORTS[transport], address) if address else None


def parse_place(text: str) -> Place | None:
    """Of `host[:port][;transport=...]`, or a SIP URI; `None` for what is neither, and for `sips:`."""
    match = _PLACE.fullmatch(text)
    if match is None or text.lower().startswith(("sips:", "<sips:")):
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        return None
    transport = _TRANSPORT.search(match["parameters"])
    return Place(match["host"], port, transport[1].lower() if transport else None)


def route_uri(hop: Hop, inner_port: int) -> str:
    """For `Account.route_uri`: through the front door to this hop; its grammar is in ADR 5."""
    host = f"[{hop.host}]" if ":" in hop.host else hop.host
    sni = f";sni={hop.name}" if hop.transport == "tls" and hop.name and not literal(hop.name) else ""
    return f"sip:127.0.0.1:{inner_port};lr;hop={hop.transport}-{host}-{hop.port}{sni}"


@dataclass(slots=True)
class Itinerary:
    """What is left to try: found hops, then targets that are not looked up yet, then the hops that were silent lately."""

    places: list[Place]
    hops: list[Hop] = field(default_factory=list)
    spare: list[Hop] = field(default_factory=list)
    seen: set[Hop] = field(default_factory=set)

    @property
    def has_more(self) -> bool:
        """Whether there may be another hop."""
        return bool(self.hops or self.places or self.spare)

    def add(self, found: Iterable[Hop], silent: Silence, now: float) -> None:
        """Put in what a look-up found, each hop once."""
        for hop in found:
            if hop not in self.seen:
                self.seen.add(hop)
                (self.spare if silent.has(hop, now) else self.hops).append(hop)

    def take(self) -> Hop | Place | None:
        """The next hop, or a place to look up first; `None` at the end."""
        if self.hops:
            return self.hops.pop(0)
        if self.places:
            return self.places.pop(0)
        return self.spare.pop(0) if self.spare else None


class Silence:
    """Which hops did not answer lately."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, int], float] = {}

    def has(self, hop: Hop, now: float) -> bool:
        """Whether this one did not."""
        return self._until.get((hop.host, hop.port), now) > now

    def note(self, hop: Hop, now: float) -> None:
        """It did not answer in time."""
        self._until.pop((hop.host, hop.port), None)
        while len(self._until) >= MAX_REMEMBERED:
            del self._until[next(iter(self._until))]
        self._until[hop.host, hop.port] = now + SILENCE_S

    def end(self, hop: Hop) -> None:
        """It answered."""
        self._until.pop((hop.host, hop.port), None)
