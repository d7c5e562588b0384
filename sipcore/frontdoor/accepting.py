"""Listening TCP and TLS sockets: take connections as long as there is room, a few per wake-up."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Final

from .connection import Connection, prepare
from .streams import Connections
from .tls import HANDSHAKE_TIMEOUT_S, SHUTDOWN_TIMEOUT_S

_PER_WAKE_UP: Final = 8
_PAUSE_S: Final = 0.5
_OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """One listening socket on the event loop.

    Args:
        context: Of TLS, asked for with each connection, since it can be replaced; `None` for TCP.
    """

    def __init__(
        self, sock: socket.socket, transport_name: str, connections: Connections, context: Callable[[], ssl.SSLContext | None]
    ) -> None:
        sock.setblocking(False)  # noqa: FBT003
        self._sock = sock
        self._transport_name = transport_name
        self._connections = connections
        self._context = context
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._accept)

    def close(self) -> None:
        """Stop, and close our copy of the socket."""
        self._loop.remove_reader(self._sock)
        if self._pause is not None:
            self._pause.cancel()
        for task in self._tasks:
            task.cancel()
        self._sock.close()

    def _accept(self) -> None:
        for _ in range(_PER_WAKE_UP):
            try:
                sock, peer = self._sock.accept()
            except OSError as error:  # BlockingIOError: nobody waits; or the one that did is gone
                if error.errno in _OUT_OF_DESCRIPTORS:
                    self._wait()
                return
            connection = self._connections.admit(self._transport_name, peer[:2])
            if connection is None:
                sock.close()
                continue
            task = self._loop.create_task(self._open(sock, connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _wait(self) -> None:
        """The socket stays readable: without a pause the loop would spin."""
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(_PAUSE_S, lambda: self._loop.add_reader(self._sock, self._accept))

    async def _open(self, sock: socket.socket, connection: Connection) -> None:
        try:
            sock.setblocking(False)  # noqa: FBT003
            prepare(sock)
            context = self._context()
            timeouts = {"ssl_handshake_timeout": HANDSHAKE_TIMEOUT_S, "ssl_shutdown_timeout": SHUTDOWN_TIMEOUT_S} if context else {}
            await self._loop.connect_accepted_socket(lambda: connection, sock, ssl=context, **timeouts)
        except (OSError, asyncio.CancelledError) as error:  # ssl.SSLError and TimeoutError are OSErrors
            sock.close()
            connection.close(f"handshake: {error}")
