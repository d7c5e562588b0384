"""How what the router wants sent leaves: which socket, which connection, and what happens when there is none."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from sipcore.rfc3263 import Hop

from .connection import Connection
from .keepalive import PING, Registered
from .message import Malformed
from .names import Locate, Names
from .opening import Openings
from .steps import Tag, Target, ToFlow, ToTarget
from .streams import Connections
from .tls import TlsContexts
from .udp import UdpSocket, address_of

MAX_UDP_BYTES: Final = 1300
"""RFC 3261 §18.1.1: larger requests go by TCP where the transport is free."""

_HOPS_TRIED: Final = 3
_LISTENERS_KNOWN: Final = 256
_UNSENDABLE: Final = (OSError, OverflowError, ValueError, Malformed)
"""No route, no port, no address, or nothing that the router can write for it."""


class Parcel(NamedTuple):
    """One message on its way out."""

    finish: Callable[[str, str], bytes]
    """`(local, transport)` to the bytes; see `ToTarget`. May be asked more than once."""
    lost: Callable[[str], None]
    """It could not be sent, and why."""
    tag: Tag | None


class Outlet(Protocol):
    """Who is told what became of it."""

    def sent(self, transport: str, local: str, remote: str, data: bytes, tag: Tag | None) -> None:
        """A message has left."""

    def unsendable(self, step: ToTarget, reason: str) -> None:
        """A request has not."""

    def lost(self, reason: str) -> None:
        """A response has not."""


class Sender:
    """Sends over all transports.

    Args:
        udp: The outer sockets; the first of a family is the one its requests leave by.
        has_tcp: Whether TCP may be chosen for what is too large for UDP.
    """

    def __init__(
        self,
        udp: list[UdpSocket],
        connections: Connections,
        contexts: Callable[[], TlsContexts],
        outlet: Outlet,
        *,
        has_tcp: bool,
        locate: Locate | None = None,
    ) -> None:
        self._udp = udp
        self._connections = connections
        self._outlet = outlet
        self._has_tcp = has_tcp
        self._registered = Registered()
        self._listener = lru_cache(_LISTENERS_KNOWN)(self._find_listener)
        self._names = Names(locate)
        self._openings = Openings(connections, contexts, {one.family: one.host for one in reversed(udp) if not one.is_wildcard})

    def close(self) -> None:
        """Give up what waits."""
        self._names.close()
        self._openings.close()

    def keep_alive(self) -> None:
        """Once a second: keep the way back from registrars open."""
        for local, peer in self._registered.due(time.monotonic()):
            sock, host = self._listener(local, _family(peer[0]))
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.send(PING, peer, host)

    # --------------------------------------------------------------------------------------------------- flows

    def to_flow(self, step: ToFlow, *, is_of_worker: bool) -> None:
        """A response, back where its request came from."""
        flow, data = step.flow, step.data
        parcel = Parcel(lambda _local, _transport: data, self._outlet.lost, step.tag)
        if flow.transport == "udp":
            self._from_listener(parcel, flow.local, flow.peer)
            return
        connection = self._connections.get(flow.connection) or self._connections.find(flow.transport, flow.peer)
        if connection is not None and self._write(parcel, connection, is_of_worker=is_of_worker):
            return
        if step.fallback is None:
            parcel.lost("its connection is gone")
        else:
            self._to(parcel, step.fallback)

    def to_target(self, step: ToTarget) -> None:
        """A request of a worker."""
        parcel = Parcel(step.finish, lambda reason: self._outlet.unsendable(step, reason), step.tag)
        flow = step.flow
        if flow is not None and flow.transport == "udp":
            self._from_listener(parcel, flow.local, flow.peer)
            return
        if flow is not None:
            connection = self._connections.get(flow.connection) or self._connections.find(flow.transport, flow.peer)
            if connection is not None and self._write(parcel, connection, is_of_worker=True):
                return
        self._to(parcel, step.target)

    def _from_listener(self, parcel: Parcel, local: str, peer: tuple[str, int]) -> None:
        sock, host = self._listener(local, _family(peer[0]))
        if sock is not None:
            self._send_udp(parcel, sock, peer, host)
        else:
            parcel.lost(f"no UDP socket for {address_of(peer)}")

    def _find_listener(self, local: str, family: socket.AddressFamily) -> tuple[UdpSocket | None, str]:
        """The socket that has this address, or another of the family, and the address of ours to leave by where it has several."""
        host, _, port = local.rpartition(":")
        bare = host.strip("[]")
        fitting = [one for one in self._udp if one.family == family]
        chosen = next((one for one in fitting if one.address == local or (one.is_wildcard and str(one.port) == port)), None)
        if chosen is not None:
            return chosen, bare if bare not in {"0.0.0.0", "::"} else ""  # noqa: S104
        return (fitting[0] if fitting else None), ""

    def _send_udp(self, parcel: Parcel, sock: UdpSocket, peer: tuple[str, int], local_host: str) -> None:
        try:
            local = address_of((local_host or sock.local_host(peer), sock.port))
            data = parcel.finish(local, "udp")
            sock.send(data, peer, local_host)
        except _UNSENDABLE as error:
            parcel.lost(f"{address_of(peer)}: {error}")
            return
        if data.startswith(b"REGISTER "):
            self._registered.note(data, (local, peer), time.monotonic())
        self._outlet.sent("udp", local, address_of(peer), data, parcel.tag)

    def _write(self, parcel: Parcel, connection: Connection, *, is_of_worker: bool) -> bool:
        if not connection.is_open:
            return False
        local = address_of(connection.local)
        try:
            data = parcel.finish(local, connection.transport_name)
        except Malformed as error:
            parcel.lost(str(error))
            return True
        if not connection.send(data):
            return False
        connection.is_in_use |= is_of_worker
        self._outlet.sent(connection.transport_name, local, address_of(connection.peer), data, parcel.tag)
        return True

    # -------------------------------------------------------------------------------------------------- targets

    def _to(self, parcel: Parcel, target: Target) -> None:
        self._names.ask(target, lambda hops, reason: self._try(parcel, hops, reason))

    def _try(self, parcel: Parcel, hops: tuple[Hop, ...], reason: str = "no address") -> None:
        """The first hop that takes it; UDP takes everything."""
        if not hops:
            parcel.lost(reason)
            return
        hop, rest = hops[0], hops[1:_HOPS_TRIED]
        if hop.transport in {"udp", "any"}:
            self._by_udp(parcel, hop)
        else:
            self._by_stream(parcel, hop, lambda why: self._try(parcel, rest, why))

    def _by_udp(self, parcel: Parcel, hop: Hop) -> None:
        peer = (hop.host, hop.port)
        sock = next((one for one in self._udp if one.family == _family(hop.host)), None)
        if sock is None:
            parcel.lost(f"no UDP socket for {address_of(peer)}")
        elif hop.transport == "any" and self._has_tcp and self._is_large(parcel, sock, peer):
            # Who does not listen on TCP still gets it by UDP, in fragments (RFC 3261 §18.1.1).
            self._by_stream(parcel, replace(hop, transport="tcp"), lambda _why: self._send_udp(parcel, sock, peer, ""))
        else:
            self._send_udp(parcel, sock, peer, "")

    def _is_large(self, parcel: Parcel, sock: UdpSocket, peer: tuple[str, int]) -> bool:
        with contextlib.suppress(*_UNSENDABLE):
            return len(parcel.finish(address_of((sock.local_host(peer), sock.port)), "udp")) > MAX_UDP_BYTES
        return False

    def _by_stream(self, parcel: Parcel, hop: Hop, fail: Callable[[str], None]) -> None:
        """Over the connection there is, or one that is opened for it (RFC 3261 §18: connections are kept and used again)."""
        peer = (hop.host, hop.port)
        name = (hop.name or hop.host).lower().removesuffix(".") if hop.transport == "tls" else ""
        found = self._connections.find(hop.transport, peer, name)
        if found is not None and self._write(parcel, found, is_of_worker=True):
            return

        def opened(connection: Connection | None, reason: str) -> None:
            if connection is None or not self._write(parcel, connection, is_of_worker=True):
                fail(reason or f"{hop.transport} {address_of(peer)}: closed at once")

        self._openings.open(hop.transport, peer, name, opened)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
