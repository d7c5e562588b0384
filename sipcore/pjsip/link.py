"""The worker's end of its socket to the control process: nothing here ever blocks the owner thread."""

from __future__ import annotations

import os
import select
import socket
from dataclasses import fields, replace
from typing import Any, Final

from sipcore.wire import FrameDecoder, Message, WireError, encode

from .siptext import readable

_CHUNK_BYTES: Final = 65536
_MAX_BACKLOG_BYTES: Final = 8 << 20
"""Events kept for a control process that does not read. Beyond it, it is taken for dead: hours of events of one worker."""


class ControlLink:
    """Messages to and from the control process over a nonblocking stream socket.

    Attributes:
        is_closed: The control process is gone, or talks nonsense.
    """

    def __init__(self, sock: socket.socket, control_pid: int) -> None:
        sock.setblocking(False)  # noqa: FBT003
        self._sock = sock
        self._decoder = FrameDecoder()
        self._backlog = bytearray()
        self.is_closed = False
        self._control = select.poll()
        self._pidfd = _watch(control_pid)
        if self._pidfd is not None:
            self._control.register(self._pidfd, select.POLLIN)

    def send(self, message: Message) -> None:
        """Queue a message and write what the socket takes. Text that is not Unicode does not lose it: see `readable`."""
        try:
            frame = encode(message)
        except UnicodeEncodeError:
            values = ((field.name, getattr(message, field.name)) for field in fields(message))
            texts: dict[str, Any] = {name: readable(value) for name, value in values if isinstance(value, str)}
            frame = encode(replace(message, **texts))
        self._backlog += frame
        self.flush()

    def flush(self) -> None:
        """Write what is queued, as far as the socket takes it."""
        if self.is_closed:
            self._backlog.clear()
        try:
            while self._backlog:
                del self._backlog[: self._sock.send(self._backlog)]
        except BlockingIOError:
            if len(self._backlog) > _MAX_BACKLOG_BYTES:
                self.is_closed = True
        except OSError:
            self.is_closed = True

    def receive(self) -> list[Message]:
        """Everything that has arrived; sets `is_closed` at end of file."""
        messages: list[Message] = []
        try:
            while not self.is_closed:
                data = self._sock.recv(_CHUNK_BYTES)
                if data:
                    messages += self._decoder.feed(data)
                else:
                    self.is_closed = True
        except BlockingIOError:
            pass
        except (OSError, WireError):
            self.is_closed = True
        if self._pidfd is not None and self._control.poll(0):
            self.is_closed = True
        return messages


def _watch(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends; `None` where that cannot be had."""
    try:
        return os.pidfd_open(pid) if pid else None
    except OSError:  # gone already (the socket tells), or a kernel before 5.3
        return None
