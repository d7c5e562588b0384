"""The front door's end of its socket to the control process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Final

from sipcore.wire import DoorSettings, DoorWorkers, FrameDecoder, Message, WireError, encode

_CHUNK_BYTES: Final = 65536
_MAX_FDS: Final = 250
"""What one message can carry on Linux (SCM_MAX_FD is 253)."""
_MAX_BACKLOG_BYTES: Final = 8 << 20
"""News for a control process that does not read; beyond it, it is taken for dead."""


class StartError(Exception):
    """What came first was not what a front door needs."""


Start = tuple[DoorSettings, list[socket.socket], DoorWorkers, FrameDecoder, list[Message]]


def receive_start(sock: socket.socket) -> Start:
    """Wait for settings, their sockets and the first table of workers, so that no datagram is judged without them.

    Returns:
        These, and the decoder with what came after them.

    Raises:
        StartError: the control process went away, or sent something else.
    """
    decoder = FrameDecoder()
    messages: list[Message] = []
    fds: list[int] = []
    while len(messages) < 2:
        try:
            data, new_fds, _, _ = socket.recv_fds(sock, _CHUNK_BYTES, _MAX_FDS)
            messages += decoder.feed(data)
        except (OSError, WireError) as error:
            raise StartError(str(error)) from None
        fds += new_fds
        if not data:
            raise StartError("the control process is gone")
    settings, workers, *rest = messages
    if not isinstance(settings, DoorSettings) or not isinstance(workers, DoorWorkers):
        raise StartError(f"{type(settings).__name__} and {type(workers).__name__} came first")
    sockets = [socket.socket(fileno=fd) for fd in fds]
    if len(sockets) != 1 + len(settings.listeners):
        raise StartError(f"{len(sockets)} sockets for {len(settings.listeners)} listeners")
    return settings, sockets, workers, decoder, rest


class ControlLink:
    """Messages both ways on the event loop; `on_end` is called once, when the control process is gone or talks nonsense."""

    def __init__(
        self, sock: socket.socket, decoder: FrameDecoder, on_message: Callable[[Message], None], on_end: Callable[[], None]
    ) -> None:
        sock.setblocking(False)  # noqa: FBT003
        self._sock = sock
        self._decoder = decoder
        self._on_message = on_message
        self._on_end = on_end
        self._backlog = bytearray()
        self._is_ended = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self.read)

    def send(self, message: Message) -> None:
        """Write now what the socket takes, the rest later. Text that is not Unicode is made so: strangers wrote it."""
        try:
            frame = encode(message)
        except UnicodeEncodeError:
            frame = encode(_readable(message))
        was_empty = not self._backlog
        self._backlog += frame
        if was_empty:
            self._write()
        elif len(self._backlog) > _MAX_BACKLOG_BYTES:
            self._end()

    def _write(self) -> None:
        try:
            while self._backlog:
                del self._backlog[: self._sock.send(self._backlog)]
            self._loop.remove_writer(self._sock)
        except BlockingIOError:
            self._loop.add_writer(self._sock, self._write)
        except OSError:
            self._end()

    def read(self) -> None:
        """Take what has come; at once, when the event loop has not had its turn yet."""
        try:
            data = self._sock.recv(_CHUNK_BYTES)
            messages = self._decoder.feed(data)
        except BlockingIOError:
            return
        except (OSError, WireError):
            self._end()
            return
        for message in messages:
            self._on_message(message)
        if not data:
            self._end()

    def _end(self) -> None:
        if not self._is_ended:
            self._is_ended = True
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._on_end()


def _readable(value: Any) -> Any:
    """The same value with every text fit for UTF-8; for the frozen values that we send."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    if isinstance(value, tuple):
        return tuple(_readable(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        return replace(value, **{field.name: _readable(getattr(value, field.name)) for field in fields(value)})
    return value
