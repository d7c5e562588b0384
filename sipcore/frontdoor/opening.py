"""Connections that we open: one for all that goes to the same place, within four seconds or not at all."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Final

from .connection import Connection, prepare
from .streams import Connections
from .tls import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S, TlsContexts
from .udp import address_of

CONNECT_TIMEOUT_S: Final = 4.0

_MAX_WAITING: Final = 64
"""Messages that wait for one connection."""
_MAX_OPENINGS: Final = 512

Then = Callable[[Connection | None, str], None]
"""`(connection, reason)`; without a connection the reason says why."""
_Key = tuple[str, str, int, str]


class Openings:
    """See the module docstring.

    Args:
        homes: The address to call from, for each family that has one that is bound; else the kernel chooses.
    """

    def __init__(self, connections: Connections, contexts: Callable[[], TlsContexts], homes: dict[socket.AddressFamily, str]) -> None:
        self._connections = connections
        self._contexts = contexts
        self._homes = homes
        self._waiting: dict[_Key, list[Then]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Give up what waits."""
        for task in self._tasks:
            task.cancel()

    def open(self, transport: str, peer: tuple[str, int], name: str, then: Then) -> None:
        """Call there; who asks for the same meanwhile waits along, in order. `name` is the one a certificate must have."""
        key = (transport, *peer, name)
        waiting = self._waiting.get(key)
        if waiting is not None and len(waiting) < _MAX_WAITING:
            waiting.append(then)
            return
        has_room = waiting is None and len(self._waiting) < _MAX_OPENINGS
        connection = self._connections.call(transport, peer, name) if has_room else None
        if connection is None:
            then(None, f"too much waits for a connection to {address_of(peer)}")
            return
        self._waiting[key] = [then]
        task = self._loop.create_task(self._open(key, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _open(self, key: _Key, connection: Connection) -> None:
        transport, host, port, name = key
        found: Connection | None = connection
        reason = ""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connect(connection, transport, (host, port), name)
        except (OSError, ValueError) as error:  # TimeoutError and ssl.SSLError are OSErrors
            found, reason = None, f"{transport} {address_of((host, port))}: {_why(error)}"
            connection.close(reason)
        for then in self._waiting.pop(key):
            then(found, reason)

    async def _connect(self, connection: Connection, transport: str, peer: tuple[str, int], name: str) -> None:
        sock = socket.socket(socket.AF_INET6 if ":" in peer[0] else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            prepare(sock)
            if (home := self._homes.get(sock.family)) is not None:
                sock.bind((home, 0))
            await self._loop.sock_connect(sock, peer)
            if transport == "tls":
                await self._loop.create_connection(
                    lambda: connection,
                    sock=sock,
                    ssl=self._contexts().client,
                    server_hostname=name,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                    ssl_shutdown_timeout=SHUTDOWN_TIMEOUT_S,
                )
                if connection.refusal:
                    raise ConnectionRefusedError(connection.refusal)
            else:
                await self._loop.create_connection(lambda: connection, sock=sock)
        except BaseException:
            sock.close()
            raise


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason}"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or "no connection in time"
