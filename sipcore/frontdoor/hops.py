"""Where requests and responses go: next hops, and flows written into Via and Record-Route so that nobody has to remember them.

Two URI parameters of the front door's own Route tell it the next hop of a worker's request:

* `hop=<transport>-<host>-<port>`, written by the pool: send it there. The transport is `udp`, `tcp`, `tls` or `any` (UDP, and TCP for
  what is too large for it); IPv6 hosts stand in brackets; port 0 leaves it to RFC 3263. With `sni=<name>` the certificate must have
  that name.
* `flow=...`, written by the front door into its Record-Route: go back by this flow (RFC 5626 §5.3 in spirit), else as without.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_network
from typing import Final

from sipcore.frontdoor.grammar import Malformed, remembered
from sipcore.frontdoor.sources import plain_address
from sipcore.frontdoor.steps import Flow, Target
from sipcore.frontdoor.uri import MAX_PORT, Uri
from sipcore.frontdoor.via import Via

DEFAULT_PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061}

_CACHED: Final = 4_096
_TO_TOKEN: Final = str.maketrans(":[]", "_!*")
"""A flow has to be a `token` (RFC 3261 §25.1) to be a parameter of a Via."""
_FROM_TOKEN: Final = str.maketrans("_!*", ":[]")
_PRIVATE_V4: Final = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8")
_PRIVATE_V6: Final = ("fc00::/7", "fe80::/10", "::1/128")
_PRIVATE: Final = tuple(ip_network(text) for text in (*_PRIVATE_V4, *_PRIVATE_V6))


@lru_cache(maxsize=_CACHED)
def encode_flow(flow: Flow) -> str:
    """A flow as the value of a parameter."""
    return f"{flow.transport}-{flow.peer[0]}-{flow.peer[1]}-{flow.local}-{flow.connection}".translate(_TO_TOKEN)


@remembered
def decode_flow(text: str) -> Flow | None:
    """The opposite; None when it is none of ours."""
    parts = text.translate(_FROM_TOKEN).split("-")
    if len(parts) != 5 or parts[0] not in DEFAULT_PORTS or not (_is_number(parts[2]) and _is_number(parts[4])):
        return None
    return Flow(parts[0], parts[3], (parts[1], int(parts[2])), int(parts[4]))


def decode_hop(text: str, server_name: str) -> Target | None:
    """The target in a `hop=` parameter; None when it is none."""
    transport, _, rest = text.partition("-")
    host, dash, port = rest.rpartition("-")
    if not dash or not host or (transport not in DEFAULT_PORTS and transport != "any") or not _is_number(port) or int(port) > MAX_PORT:
        return None
    return Target(host.strip("[]"), int(port) or None, None if transport == "any" else transport, server_name)


def target_of(uri: Uri) -> Target:
    """Where a request with this URI on top goes (RFC 3261 §8.1.2, RFC 3263 §4).

    Raises:
        Malformed: 416, there is no host in it; 503, we do not speak its transport.
    """
    transport = (uri.param("transport") or "").lower() or None
    if uri.scheme == "tel":
        raise Malformed("no host to send to", 416)
    if uri.scheme == "sips":
        transport = "tls"
    if transport is not None and transport not in DEFAULT_PORTS:
        raise Malformed("unknown transport", 503)
    return Target((uri.param("maddr") or uri.host).strip("[]"), uri.port, transport)


def reply_flow(flow: Flow, top: Via) -> Flow:
    """The flow of the response to a request that came by `flow` with this top Via (RFC 3261 §18.2.2, RFC 3581 §4)."""
    if flow.transport != "udp" or top.rport is not None:
        return flow
    return Flow(flow.transport, flow.local, (flow.peer[0], top.port or DEFAULT_PORTS["udp"]), flow.connection)


def reply_fallback(flow: Flow, next_via: Via) -> Target | None:
    """Where a response goes when its connection is closed; None for UDP."""
    if flow.transport == "udp":
        return None
    return Target(next_via.received or next_via.host, next_via.port or DEFAULT_PORTS[flow.transport], flow.transport)


def is_pinned(flow: Flow, next_hop: Uri | str | None, top: Via | None) -> bool:
    """Whether what follows in the dialog must come back by this flow, since what the far end calls itself does not lead to it.

    That is so behind NAT (its address is not the one its packets come from, and it is no other machine's), and for streams, where the
    far end may not listen at all. A name, or the address of another machine, is followed as RFC 3261 says.
    """
    if not isinstance(next_hop, Uri) or next_hop.host.lower().endswith(".invalid"):
        return True
    claimed, seen = plain_address(next_hop.host), plain_address(flow.peer[0])
    if claimed is None or seen is None:
        return False
    if claimed == seen:
        return flow.transport != "udp"
    if top is not None and plain_address(top.host) == claimed:
        return True
    return _is_private(str(claimed)) and not _is_private(str(seen))


@lru_cache(maxsize=_CACHED)
def _is_private(host: str) -> bool:
    address = plain_address(host)
    return address is not None and any(address in network for network in _PRIVATE)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 12
