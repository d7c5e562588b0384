"""One TCP or TLS connection of the front door: framed, bounded, and not idle for ever."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from typing import Final, Protocol

from .framing import PONG, KeepAlive, StreamFramer
from .keepalive import PING
from .message import Malformed
from .tls import mismatch, names_match

HALF_MESSAGE_S: Final = 10.0
"""A message that has begun must be complete after so long."""
SILENT_S: Final = 30.0
"""A connection that has not brought one whole message by then is closed."""
IDLE_S: Final = 180.0
"""Without a byte. RFC 5626 §4.4.1 has clients ping at least every 120 s."""
IDLE_IN_USE_S: Final = 2000.0
"""The same for one that a worker has sent over: it belongs to a dialog, whose session timer speaks every 1,800 s."""

MAX_UNSENT_BYTES: Final = 256 * 1024
"""A peer that leaves so much unread is cut off."""
_PENDING_MESSAGES: Final = 32
PING_EVERY_S: Final = 95.0
PING_SPREAD_S: Final = 20
"""RFC 5626 §4.4.1: every 95 to 120 s, not all connections at once."""
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 60), (socket.TCP_KEEPINTVL, 15), (socket.TCP_KEEPCNT, 4))
"""Seconds, seconds, probes: a peer that is gone without a word is noticed within two minutes."""


class Owner(Protocol):
    """Who a connection belongs to."""

    message_bytes: int

    def now(self) -> float:
        """Monotonic seconds."""

    def opened(self, connection: Connection) -> None:
        """It can be written to."""

    def has_messages(self, connection: Connection) -> None:
        """`take` gives them."""

    def told(self, connection: Connection, reason: str) -> None:
        """We cut it off."""

    def gone(self, connection: Connection) -> None:
        """It is closed, or never came up; once."""


class Connection(asyncio.Protocol):
    """One connection.

    Attributes:
        number: Its id in flows; never used twice.
        transport_name: `tcp` or `tls`.
        peer, local: `(host, port)` of both ends.
        name: The host name its certificate was checked for; empty when it was not we who called.
        is_ours: We opened it.
        is_in_use: A worker has sent over it.
        refusal: Why the certificate of the far end is not accepted, although its chain is good; empty: it is.
    """

    def __init__(
        self, owner: Owner, number: int, transport_name: str, peer: tuple[str, int], name: str = "", *, is_ours: bool = False
    ) -> None:
        self._owner = owner
        self._framer = StreamFramer(owner.message_bytes)
        self._transport: asyncio.Transport | None = None
        self._pending: deque[bytes] = deque()
        self._is_paused = False
        self.number = number
        self.transport_name = transport_name
        self.peer = peer
        self.local: tuple[str, int] = ("", 0)
        self.name = name
        self.is_ours = is_ours
        self.is_in_use = is_ours
        self.is_gone = False
        self._heard_at = self._begun_at = owner.now()
        self._half_since: float | None = None
        self._has_spoken = False
        self._used_at = self._pinged_at = self._begun_at
        self.refusal = ""

    # ------------------------------------------------------------------------------------- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open; for TLS, the handshake is done."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.local = transport.get_extra_info("sockname")[:2]
        if self.is_gone:  # closed during the handshake
            transport.abort()
            return
        certificate = transport.get_extra_info("peercert")
        if self.is_ours and self.transport_name == "tls" and not names_match(certificate, self.name):
            self.refusal = f"certificate: {mismatch(certificate, self.name)}"
            self.close(self.refusal)
            return
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        """Cut into messages; they are taken in turn with those of the others."""
        self._heard_at = self._owner.now()
        try:
            pieces = self._framer.feed(data)
        except Malformed as error:
            self.close(error.reason)
            return
        for piece in pieces:
            if isinstance(piece, KeepAlive):
                if not self.is_ours:  # there it is two answers to pings of ours: who has called pings
                    self._write(PONG)
            else:
                self._used_at = self._heard_at
                self._pending.append(piece)
                self._has_spoken = True
                self._half_since = None  # what is left, if any, has begun now
        self._note_half()
        if self._pending:
            self._owner.has_messages(self)
            if len(self._pending) > _PENDING_MESSAGES and self._transport is not None:
                self._is_paused = True
                self._transport.pause_reading()

    def _note_half(self) -> None:
        if self._framer.is_idle:
            self._half_since = None
        elif self._half_since is None:
            self._half_since = self._heard_at

    def connection_lost(self, _error: Exception | None) -> None:
        """Closed by either side."""
        self._gone()

    # --------------------------------------------------------------------------------------------- our side

    def take(self) -> bytes | None:
        """The next message; `None` when none waits, or the connection is gone."""
        if self.is_gone or not self._pending:
            return None
        message = self._pending.popleft()
        if self._is_paused and len(self._pending) <= _PENDING_MESSAGES // 2 and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()
        return message

    @property
    def is_open(self) -> bool:
        """It can be written to."""
        return not self.is_gone and self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes) -> bool:
        """Write a message; False when it is gone, or the peer does not read and was cut off."""
        self._used_at = self._owner.now()
        return self._write(data)

    def keep_alive(self, now: float) -> None:
        """Ping what we have opened (RFC 5626 §3.5.1): NATs on the way forget a silent connection. Not all far ends answer."""
        if self.is_ours and now - max(self._pinged_at, self._used_at) >= PING_EVERY_S + self.number % PING_SPREAD_S:
            self._pinged_at = now
            self._write(PING)

    def _write(self, data: bytes) -> bool:
        transport = self._transport
        if transport is None or not self.is_open:
            return False
        transport.write(data)
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self.close("it does not read")
            return False
        return True

    def close(self, reason: str) -> None:
        """Cut it off, at once."""
        if not self.is_gone:
            self._owner.told(self, reason)
        self._gone()
        if self._transport is not None:
            self._transport.abort()

    def overdue(self, now: float) -> str:
        """Why it should be closed; empty when it should not."""
        if self._half_since is not None and now - self._half_since > HALF_MESSAGE_S:
            return "half a message"
        if not self._has_spoken and not self.is_ours and now - self._begun_at > SILENT_S:
            return "it says nothing"
        if self.is_ours:  # answers to our own pings do not count
            return "idle" if now - self._used_at > IDLE_IN_USE_S else ""
        return "idle" if now - self._heard_at > (IDLE_IN_USE_S if self.is_in_use else IDLE_S) else ""

    def _gone(self) -> None:
        if not self.is_gone:
            self.is_gone = True
            self._pending.clear()
            self._owner.gone(self)


def prepare(sock: socket.socket) -> None:
    """Small writes at once, and notice of a peer that is gone."""
    with contextlib.suppress(OSError):  # closed already: reading it tells
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
