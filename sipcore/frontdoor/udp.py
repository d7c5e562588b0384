"""UDP sockets of the front door: many datagrams a wake-up but never too many, and the local address of each."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable
from typing import Final

from .shedding import BEHIND_S

OnDatagram = Callable[[bytes, str, tuple[str, int]], None]
"""`(data, local, peer)`; `local` is our `host:port` that it came to."""

Spares = Callable[[bytes, str, float], bool]
"""`(data, host, waited_s)`: how long it has been in the queue; see `sipcore.frontdoor.shedding`."""

_MAX_BYTES: Final = 65_535
_SPARED_PER_BUDGET: Final = 16
"""To receive and drop a datagram costs a twentieth of looking at it."""
_IP_PKTINFO: Final = 8  # linux/in.h; Python 3.11 does not name it
_PKTINFO4: Final = struct.Struct("=I4s4s")
_PKTINFO6: Final = struct.Struct("=16sI")
_SO_TIMESTAMPNS: Final = 35  # asm-generic/socket.h, likewise
_TIMESPEC: Final = struct.Struct("@ll")
_ANCILLARY_BYTES: Final = 128
_ROUTES: Final = 1024
_ROUTE_S: Final = 30.0


def join_address(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def address_of(peer: tuple[str, int]) -> str:
    """`host:port`"""
    return join_address(*peer)


class UdpSocket:
    """One bound socket on the event loop.

    Args:
        budget: Datagrams read per wake-up. The loop serves every other socket in between: a flood into this one delays them by no more.
        spares: Asked, when the socket has not been empty for `BEHIND_S`, what of it need not be looked at.

    Attributes:
        family: `AF_INET` or `AF_INET6`.
        host, port: What it is bound to.
    """

    def __init__(self, sock: socket.socket, on_datagram: OnDatagram, budget: int, spares: Spares = lambda *_: False) -> None:
        sock.setblocking(False)  # noqa: FBT003
        self._sock = sock
        self._on_datagram = on_datagram
        self._budget = budget
        self._spares = spares
        self._busy_since: float | None = None
        self._routes = Routes()
        self.family = sock.family
        self.host, self.port = sock.getsockname()[:2]
        self.is_wildcard = self.host in {"0.0.0.0", "::"}  # noqa: S104
        self.address = join_address(self.host, self.port)
        if self.is_wildcard and self.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif self.is_wildcard:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._loop = asyncio.get_running_loop()
        self._receive = self._receive_named if self.is_wildcard else self._receive_plain
        self._loop.add_reader(sock, self._read)

    def send(self, data: bytes, peer: tuple[str, int], local_host: str = "") -> None:
        """Send one datagram; a full queue of the kernel loses it, as the network may.

        Args:
            local_host: On a wildcard socket, the address of ours that it leaves by; empty: as routed.

        Raises:
            OSError: it cannot go there at all (no route, too long, no address).
        """
        socket.inet_pton(self.family, peer[0])  # raises for a name, which the socket would look up and the whole process wait for
        with contextlib.suppress(BlockingIOError):
            if self.is_wildcard and local_host:
                self._sock.sendmsg([data], [self._from(local_host)], 0, peer)
            else:
                self._sock.sendto(data, peer)

    def local_host(self, peer: tuple[str, int]) -> str:
        """Our address that a datagram to `peer` leaves by.

        Raises:
            OSError: there is no route.
        """
        return self._routes.local_host(self.family, peer) if self.is_wildcard else self.host

    def close(self) -> None:
        """Stop, and close our copy of the socket."""
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def _from(self, local_host: str) -> tuple[int, int, bytes]:
        if self.family == socket.AF_INET6:
            return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, _PKTINFO6.pack(socket.inet_pton(socket.AF_INET6, local_host), 0)
        return socket.IPPROTO_IP, _IP_PKTINFO, _PKTINFO4.pack(0, socket.inet_aton(local_host), bytes(4))

    def _read(self) -> None:
        now = self._loop.time()
        is_behind = self._busy_since is not None and now - self._busy_since > BEHIND_S
        receive = self._receive_named if is_behind else self._receive
        left = self._budget
        try:
            for _ in range(self._budget * _SPARED_PER_BUDGET if is_behind else self._budget):
                data, local, peer, waited_s = receive()
                if is_behind and self._spares(data, peer[0], waited_s):
                    continue
                self._on_datagram(data, local, peer)
                left -= 1
                if not left:
                    break
        except OSError:  # BlockingIOError: it is empty; others are of a datagram sent before (ICMP) and mean nothing here
            self._busy_since = None
            return
        if self._is_empty():
            self._busy_since = None
        elif self._busy_since is None:
            self._busy_since = now

    def _is_empty(self) -> bool:
        """What was read may have been the last: then the next datagram, whenever it comes, is not behind."""
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:  # of a datagram sent before
            return False
        return False

    def _receive_plain(self) -> tuple[bytes, str, tuple[str, int], float]:
        data, peer = self._sock.recvfrom(_MAX_BYTES)
        return data, self.address, peer[:2], 0.0

    def _receive_named(self) -> tuple[bytes, str, tuple[str, int], float]:
        """With our address that it came to, and how long it has waited."""
        data, ancillary, _, peer = self._sock.recvmsg(_MAX_BYTES, _ANCILLARY_BYTES)
        local, waited_s = self.address, 0.0
        for level, kind, value in ancillary:
            if level == socket.IPPROTO_IP and kind == _IP_PKTINFO:
                local = f"{socket.inet_ntoa(_PKTINFO4.unpack(value)[1])}:{self.port}"
            elif level == socket.IPPROTO_IPV6 and kind == socket.IPV6_PKTINFO:
                local = f"[{socket.inet_ntop(socket.AF_INET6, _PKTINFO6.unpack(value)[0])}]:{self.port}"
            elif level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(value)
                waited_s = time.time() - seconds - nanoseconds * 1e-9
        return data, local, peer[:2], waited_s


class Routes:
    """Which address of ours the kernel would take towards another; asked with a socket that is connected and sends nothing."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, float]] = {}

    def local_host(self, family: int, peer: tuple[str, int]) -> str:
        """Remembered for half a minute.

        Raises:
            OSError: there is no route.
        """
        now = time.monotonic()
        known = self._known.get(peer[0])
        if known is not None and now < known[1]:
            return known[0]
        socket.inet_pton(family, peer[0])  # as in `send`
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((peer[0], peer[1] or 5060))
            host: str = probe.getsockname()[0]
        if len(self._known) >= _ROUTES:
            self._known.clear()
        self._known[peer[0]] = (host, now + _ROUTE_S)
        return host
