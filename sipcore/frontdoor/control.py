"""The front door's end of its socket to the control process."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Final

from sipcore.wire import DoorSettings, DoorWorkers, FrameDecoder, Message, WireError, encode

_CHUNK_BYTES: Final = 65536
_MAX_FDS: Final = 250
"""What one message can carry on Linux (SCM_MAX_FD is 253)."""
_PARENT_POLL_MS: Final = 1000
_MAX_BACKLOG_BYTES: Final = 8 << 20
"""News for a control process that does not read; beyond it, it is taken for dead."""


class StartError(Exception):
    """What came first was not what a front door needs."""


Start = tuple[DoorSettings, list[socket.socket], DoorWorkers, FrameDecoder, list[Message]]


def has_come(sock: socket.socket, timeout_ms: int = 0) -> bool:
    """Whether something can be read, or the other end is closed."""
    poll = select.poll()  # not `select`: the number may be beyond 1,023
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(timeout_ms))


def receive_start(sock: socket.socket, control_pid: int = 0) -> Start:
    """Wait, however long, for settings, their sockets and the first table of workers, so that no datagram is judged without them.

    Args:
        control_pid: Our parent. Its end ends the wait, too: a fork of it may hold our socket open. 0: only the socket tells.

    Returns:
        These, the decoder, and what came between and after them.

    Raises:
        StartError: the control process went away, or sent something else.
    """
    decoder = FrameDecoder()
    messages: list[Message] = []
    fds: list[int] = []
    while not _is_complete(messages):
        _wait(sock, control_pid)
        try:
            data, new_fds, _, _ = socket.recv_fds(sock, _CHUNK_BYTES, _MAX_FDS)
            messages += decoder.feed(data)
        except (OSError, WireError) as error:
            raise StartError(str(error)) from None
        fds += new_fds
        if not data:
            raise StartError("the control process is gone")
    settings, *rest = messages
    workers = next((message for message in rest if isinstance(message, DoorWorkers)), None)
    if not isinstance(settings, DoorSettings) or workers is None:
        raise StartError(f"{type(settings).__name__} came first")
    rest.remove(workers)
    sockets = [socket.socket(fileno=fd) for fd in fds]
    if len(sockets) != 1 + len(settings.listeners):
        raise StartError(f"{len(sockets)} sockets for {len(settings.listeners)} listeners")
    return settings, sockets, workers, decoder, rest


def _is_complete(messages: list[Message]) -> bool:
    """The first table has come, or what came first is wrong."""
    return any(isinstance(message, DoorWorkers) or not isinstance(messages[0], DoorSettings) for message in messages)


def _wait(sock: socket.socket, control_pid: int) -> None:
    while not has_come(sock, _PARENT_POLL_MS):
        if control_pid and os.getppid() != control_pid:
            raise StartError("the control process is gone")


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
