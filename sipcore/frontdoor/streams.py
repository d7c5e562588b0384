"""The TCP and TLS connections of the front door, in both directions: their limits, and the order in which they are served."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .connection import Connection

_TURN_MESSAGES: Final = 16

OnMessage = Callable[[Connection, bytes], None]


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """See `sipcore.wire.DoorLimits`."""

    connections: int
    connections_per_source: int
    message_bytes: int


class Rota:
    """Connections with messages that wait, each served one message in turn, and so many in all before the event loop sees to others."""

    def __init__(self, on_message: OnMessage) -> None:
        self._on_message = on_message
        self._queue: deque[Connection] = deque()
        self._waiting: set[Connection] = set()
        self._loop = asyncio.get_running_loop()

    def put(self, connection: Connection) -> None:
        """It has a message."""
        if connection not in self._waiting:
            self._waiting.add(connection)
            self._queue.append(connection)
            if len(self._queue) == 1:
                self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        try:
            for _ in range(min(_TURN_MESSAGES, len(self._queue))):
                self._serve(self._queue[0])
        finally:
            if self._queue:
                self._loop.call_soon(self._turn)

    def _serve(self, connection: Connection) -> None:
        message = connection.take()
        self._queue.popleft()
        if message is None:
            self._waiting.discard(connection)
            return
        self._queue.append(connection)
        self._on_message(connection, message)


class Connections:
    """All of them, and the limits they share. What strangers open takes no room from what we open."""

    def __init__(self, limits: ConnectionLimits, on_message: OnMessage, on_closed: Callable[[Connection, str], None]) -> None:
        """`on_closed` is told of connections that we cut off, and why."""
        self.message_bytes = limits.message_bytes
        self._limits = limits
        self._on_closed = on_closed
        self._rota = Rota(on_message)
        self._loop = asyncio.get_running_loop()
        self._all: dict[int, Connection] = {}
        self._by_peer: dict[tuple[str, str, int], Connection] = {}
        self._per_source: Counter[str] = Counter()
        self._accepted = self._number = 0

    def __len__(self) -> int:
        return len(self._all)

    def now(self) -> float:
        """Monotonic seconds."""
        return self._loop.time()

    def admit(self, transport_name: str, peer: tuple[str, int]) -> Connection | None:
        """Room for one that was accepted; `None` when there is none. It counts from now on, handshake included."""
        source = _source(peer[0])
        if self._accepted >= self._limits.connections or self._per_source[source] >= self._limits.connections_per_source:
            return None
        self._accepted += 1
        self._per_source[source] += 1
        return self._add(Connection(self, self._next_number(), transport_name, peer))

    def call(self, transport_name: str, peer: tuple[str, int], name: str) -> Connection | None:
        """One that we are about to open; `None` when there are too many of ours."""
        if len(self._all) - self._accepted >= self._limits.connections:
            return None
        return self._add(Connection(self, self._next_number(), transport_name, peer, name, is_ours=True))

    def get(self, number: int) -> Connection | None:
        """By its id, while it is open."""
        return self._all.get(number)

    def find(self, transport_name: str, peer: tuple[str, int], name: str = "") -> Connection | None:
        """An open one to the peer; with a name, only one whose certificate was checked for it."""
        found = self._by_peer.get((transport_name, *peer))
        return found if found is not None and (not name or transport_name != "tls" or found.name == name) else None

    def has_messages(self, connection: Connection) -> None:
        """Its turn comes."""
        self._rota.put(connection)

    def told(self, connection: Connection, reason: str) -> None:
        """We cut it off."""
        self._on_closed(connection, reason)

    def opened(self, connection: Connection) -> None:
        """It can be written to."""
        self._by_peer[connection.transport_name, *connection.peer] = connection

    def gone(self, connection: Connection) -> None:
        """It is closed, or never came up."""
        self._all.pop(connection.number, None)
        key = (connection.transport_name, *connection.peer)
        if self._by_peer.get(key) is connection:
            del self._by_peer[key]
        if connection.is_ours:
            return
        self._accepted -= 1
        source = _source(connection.peer[0])
        self._per_source[source] -= 1
        if self._per_source[source] <= 0:
            del self._per_source[source]

    def sweep(self) -> None:
        """Once a second: close what is overdue, ping what is ours."""
        now = self.now()
        for connection in list(self._all.values()):
            if reason := connection.overdue(now):
                connection.close(reason)
            else:
                connection.keep_alive(now)

    def close(self) -> None:
        """Close all."""
        for connection in list(self._all.values()):
            connection.close("the front door ends")

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _add(self, connection: Connection) -> Connection:
        self._all[connection.number] = connection
        return connection


def _source(host: str) -> str:
    """Whom a connection counts for: one IPv6 subscriber has 2**64 addresses."""
    if ":" not in host:
        return host
    return socket.inet_pton(socket.AF_INET6, host)[:8].hex()
