"""Which UDP flows need a datagram now and then, so that a NAT or a firewall on the way keeps them open: those of registrations. Pure.

RFC 5626 §3.5 would have STUN on UDP; registrars that know nothing of it drop an empty line, and the NAT has seen a packet.
"""

from __future__ import annotations

import re
from typing import Final

PING: Final = b"\r\n\r\n"
UDP_EVERY_S: Final = 25.0
"""RFC 5626 §4.4.2: 24 to 29 seconds."""
_MAX_FLOWS: Final = 1_000
_EXPIRES: Final = re.compile(rb"\r\nExpires:[ \t]*(\d{1,9})")
_USUAL_EXPIRES_S: Final = 3600
"""RFC 3261 §10.2: of a REGISTER that does not say it."""

UdpFlow = tuple[str, tuple[str, int]]
"""Our `host:port`, and the registrar's address and port."""


class Registered:
    """The flows that REGISTER requests of ours went by."""

    __slots__ = ("_flows",)

    def __init__(self) -> None:
        self._flows: dict[UdpFlow, list[float]] = {}

    def note(self, register: bytes, flow: UdpFlow, now: float) -> None:
        """A REGISTER went out; the flow is kept for as long as it asks for."""
        found = _EXPIRES.search(register)
        expires_s = int(found[1]) if found else _USUAL_EXPIRES_S
        if not expires_s:
            self._flows.pop(flow, None)
        elif flow in self._flows or len(self._flows) < _MAX_FLOWS:
            self._flows[flow] = [now + UDP_EVERY_S, now + expires_s]

    def due(self, now: float) -> list[UdpFlow]:
        """The flows to send `PING` by now."""
        for flow in [flow for flow, (_, until) in self._flows.items() if until <= now]:
            del self._flows[flow]
        found = [flow for flow, (at, _) in self._flows.items() if at <= now]
        for flow in found:
            self._flows[flow][0] = now + UDP_EVERY_S
        return found
