"""The asyncio ends of our pipes: messages over a nonblocking socket, lines of text into the log, the end of a process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Final

from sipcore.wire import FrameDecoder, Message, WireError, encode

_CHUNK_BYTES: Final = 65536
_MAX_LINE_BYTES: Final = 4096
_TAIL_LINES: Final = 20

worker_log = logging.getLogger("sipcore.worker")


class Channel:
    """Messages both ways over a connected stream socket. `on_lost` is called once, with the reason, unless `close` came first."""

    def __init__(self, sock: socket.socket, on_message: Callable[[Message], None], on_lost: Callable[[str], None]) -> None:
        sock.setblocking(False)  # noqa: FBT003
        self._sock = sock
        self._on_message = on_message
        self._on_lost = on_lost
        self._decoder = FrameDecoder()
        self._backlog = bytearray()
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self._loop.add_reader(sock, self._read)

    def send(self, message: Message) -> None:
        """Write now what the socket takes, the rest as soon as it can."""
        if self._is_closed:
            return
        was_empty = not self._backlog
        self._backlog += encode(message)
        if was_empty:
            self._write()

    def send_fds(self, message: Message, fds: list[int]) -> None:
        """Write a message with descriptors, at once.

        Raises:
            OSError: the other end is gone, or does not read.
        """
        data = encode(message)
        if self._is_closed or self._backlog or socket.send_fds(self._sock, [data], fds) != len(data):
            raise BrokenPipeError("the socket does not take a whole message")

    def drain(self) -> None:
        """Read what the other end left behind when it ended."""
        while not self._is_closed and self._read():
            pass

    def close(self) -> None:
        """Stop, and close the socket. Idempotent."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()

    def _lose(self, reason: str) -> None:
        if not self._is_closed:
            self.close()
            self._on_lost(reason)

    def _read(self) -> bool:
        try:
            data = self._sock.recv(_CHUNK_BYTES)
            messages = self._decoder.feed(data)
        except BlockingIOError:
            return False
        except (OSError, WireError) as error:
            self._lose(str(error))
            return False
        for message in messages:
            if not self._is_closed:
                self._on_message(message)
        if not data:
            self._lose("end of file")
        return bool(data)

    def _write(self) -> None:
        try:
            while self._backlog:
                del self._backlog[: self._sock.send(self._backlog)]
            self._loop.remove_writer(self._sock)
        except BlockingIOError:
            self._loop.add_writer(self._sock, self._write)
        except OSError:
            self._backlog.clear()  # the reader sees the end, after the last messages
            self._loop.remove_writer(self._sock)


class LogPipe:
    """What a process prints, line by line into the log `sipcore.worker`, so that the text of a PJSIP assertion is seen.

    Attributes:
        write_fd: For the process; closed here with `close_write_end`.
        tail: The last lines.
    """

    def __init__(self, name: str) -> None:
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._name = name
        self._partial = b""
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_fd, self.drain)

    def close_write_end(self) -> None:
        """After the process has its copy."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    def drain(self) -> None:
        """Log what there is."""
        while self._read_fd >= 0:
            try:
                data = os.read(self._read_fd, _CHUNK_BYTES)
            except BlockingIOError:
                return
            if not data:
                self.close()
                return
            *lines, self._partial = (self._partial + data).split(b"\n")
            for line in lines:
                self._log(line)
            if len(self._partial) > _MAX_LINE_BYTES:
                self._flush_partial()

    def close(self) -> None:
        """Log what is left and close both ends. Idempotent."""
        self.close_write_end()
        if self._read_fd >= 0:
            self._loop.remove_reader(self._read_fd)
            os.close(self._read_fd)
            self._read_fd = -1
            self._flush_partial()

    def _flush_partial(self) -> None:
        self._log(self._partial)
        self._partial = b""

    def _log(self, line: bytes) -> None:
        if text := line.decode("utf-8", "replace").strip():
            self.tail.append(text)
            worker_log.warning("%s: %s", self._name, text[:_MAX_LINE_BYTES])


class ProcessWatch:
    """A process by its pidfd: neither the kill nor the news of its end can hit another process that got the number later."""

    def __init__(self, pid: int, on_exit: Callable[[], None]) -> None:
        self.pid = pid
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._pidfd = -1
            self._loop.call_soon(on_exit)
            return
        self._loop.add_reader(self._pidfd, self._exited)

    def kill(self) -> None:
        """SIGKILL, if it still lives."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def close(self) -> None:
        """Stop watching. Idempotent."""
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _exited(self) -> None:
        self.close()
        self._on_exit()
