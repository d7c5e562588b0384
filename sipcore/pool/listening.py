"""The sockets of the front door. Control binds and keeps them: one that is started again has the same ports, and what was queued there."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final

INNER_HOST: Final = "127.0.0.1"

_BUFFER_BYTES: Final = 4 << 20
"""Holds some two thousand datagrams while the front door is started again; the kernel gives what `net.core.rmem_max` allows."""
_BACKLOG: Final = 1024
_TRIES: Final = 100


class AddressTaken(OSError):
    """An address cannot be listened at; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One bound socket; `transport` is `udp`, `tcp` or `tls`."""

    transport: str
    sock: socket.socket

    @property
    def address(self) -> str:
        """`host:port`, the real port."""
        host, port = self.sock.getsockname()[:2]
        return join_address(host, port)


def join_address(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(address: str, default_port: int) -> tuple[str, int]:
    """Of `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.

    Raises:
        ValueError: the port is no number of one.
    """
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(address.strip("[]"))), default_port
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        if host or not address or ":" in address:
            raise ValueError(f"{address!r} is no host:port")
        return address, default_port
    return host.strip("[]"), int(port)


def bind_inner() -> socket.socket:
    """Where workers send to: loopback only."""
    return _bind("udp", INNER_HOST, 0)


def bind_outer(hosts: tuple[str, ...], port: int, *, tcp: bool) -> list[Listener]:
    """UDP of every host, then TCP of every host, all on one port number: `port`, or a free one for 0.

    Raises:
        AddressTaken: names the address.
    """
    for attempt in range(_TRIES):
        listeners: list[Listener] = []
        chosen = port
        try:
            for transport in ("udp", "tcp") if tcp else ("udp",):
                for host in hosts:
                    listeners.append(Listener(transport, _bind(transport, host, chosen)))
                    chosen = chosen or listeners[0].sock.getsockname()[1]
        except AddressTaken:
            close_all(listeners)
            if port or not listeners or attempt == _TRIES - 1:  # the first bind had a free choice: it will not get better
                raise
            continue
        return listeners
    raise AssertionError("unreachable")


def bind_tls(address: str) -> Listener:
    """A TLS listener at `host[:port]`, port 5061 when none is said.

    Raises:
        AddressTaken: names the address.
        ValueError: it is no address.
    """
    host, port = split_address(address, 5061)
    return Listener("tls", _bind("tls", host, port))


def close_all(listeners: list[Listener]) -> None:
    """Close their sockets."""
    for listener in listeners:
        listener.sock.close()


def _bind(transport: str, host: str, port: int) -> socket.socket:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise AddressTaken(error.errno, f"cannot listen at {transport} {join_address(host, port)}: {error.strerror}") from None
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # the IPv4 sockets are of their own
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of a run before may be in TIME_WAIT
            sock.bind((host, port))
            sock.listen(_BACKLOG)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            sock.bind((host, port))
    except OSError as error:
        sock.close()
        reason = error.strerror or str(error)
        raise AddressTaken(error.errno, f"cannot listen at {transport} {join_address(host, port)}: {reason}") from None
    return sock
