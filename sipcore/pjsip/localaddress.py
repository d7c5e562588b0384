"""Which of our addresses a far end reaches us at, when media is bound to every interface: the one the kernel would send from."""

from __future__ import annotations

import re
import socket
from ipaddress import AddressValueError, IPv4Address
from typing import Final

_HOP: Final = re.compile(r";hop=[a-z]+-([0-9.]+)-\d+")
_URI_HOST: Final = re.compile(r"sips?:(?:[^@;>]*@)?([0-9.]+)(?=[:;>?]|$)", re.IGNORECASE)
_VIA: Final = re.compile(r"(?im)^(?:via|v)[ \t]*:[ \t]*([^\r\n]*)")
_SENT_BY: Final = re.compile(r"SIP\s*/\s*2\.0\s*/\s*\w+\s+([0-9.]+)", re.IGNORECASE)
_RECEIVED: Final = re.compile(r";\s*received\s*=\s*([0-9.]+)", re.IGNORECASE)
_ANY_PORT: Final = 9  # discard: nothing is sent


def next_hop_host(route_uri: str | None, request_uri: str) -> str:
    """The IPv4 address a request goes to: what the front door's `hop` says, else the route or the request URI; empty for a name."""
    if route_uri and (hop := _HOP.search(route_uri)):
        return hop[1]
    match = _URI_HOST.search(request_uri)
    return match[1] if match else ""


def caller_host(invite: str) -> str:
    """The IPv4 address an INVITE came from: that of the last Via a front door did not add (RFC 3261 §18.2.1); empty for a name."""
    head = invite.replace("\r\n", "\n").partition("\n\n")[0]
    hops = [hop for line in _VIA.findall(head) for hop in line.split(",")]
    hop = (hops[1:2] or hops[:1] or [""])[0]
    match = _RECEIVED.search(hop) or _SENT_BY.search(hop)
    return match[1] if match else ""


def local_address_towards(host: str) -> str:
    """Our address on the way to an IPv4 address; empty when there is none, or no way. Sends nothing."""
    try:
        IPv4Address(host)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, _ANY_PORT))
            return str(probe.getsockname()[0])
    except (AddressValueError, OSError):
        return ""
