"""The worker server: imports pjsua2 once, forks a worker whenever it is told to, and reports the ends of its children.

    python -m sipcore.pjsip.server --fd N

`N` is a connected stream socket to the pool. The server never creates a PJSIP endpoint itself and has one thread, so forking it is safe;
each worker starts in milliseconds and shares its memory. At end of file it waits for its children, and ends.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import select
import signal
import socket
import time
from collections import deque
from importlib.metadata import version
from typing import Final, NoReturn

import pjsua2 as pj

from sipcore import wire

from . import worker

_CHUNK_BYTES: Final = 65536
_MAX_FDS: Final = 64
_FDS_PER_FORK: Final = 2
CHILDREN_GRACE_S: Final = 1.8
"""At end of file the workers see the same and end by themselves; what is left after this long is killed."""


class Server:
    """The loop of the server process.

    Args:
        sock: To the pool.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._decoder = wire.FrameDecoder()
        self._fds: deque[int] = deque()
        self._children: dict[int, int] = {}
        self._parent = _watch_parent()
        self._woken, self._waker = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._waker, False)

    def run(self) -> None:
        """Serve until the pool closes its end."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        gc.collect()
        gc.freeze()  # the workers' collections then leave the shared pages alone
        self._send(wire.ServerReady(version("pjsua2-python"), int(pj.UaConfig().maxCalls)))
        while self._serve_once():
            pass
        self._outlive_children()

    def _serve_once(self) -> bool:
        readable, _, _ = select.select([self._sock.fileno(), self._woken, *self._parent], [], [])
        if any(fd in readable for fd in self._parent):
            return False
        if self._woken in readable:
            os.read(self._woken, _CHUNK_BYTES)
            self._reap()
        if self._sock.fileno() not in readable:
            return True
        try:
            data, fds, _, _ = socket.recv_fds(self._sock, _CHUNK_BYTES, _MAX_FDS)
            messages = self._decoder.feed(data)
        except (OSError, wire.WireError):
            return False
        self._fds += fds
        for message in messages:
            if isinstance(message, wire.ForkWorker):
                self._fork(message)
        return bool(data)

    def _fork(self, order: wire.ForkWorker) -> None:
        sock_fd, stderr_fd = (self._fds.popleft() for _ in range(_FDS_PER_FORK))
        pid = os.fork()
        if pid == 0:
            self._become_worker(sock_fd, stderr_fd, order.settings)
        os.close(sock_fd)
        os.close(stderr_fd)
        self._children[pid] = order.worker_id
        self._send(wire.WorkerForked(order.worker_id, pid))

    def _become_worker(self, sock_fd: int, stderr_fd: int, settings: wire.WorkerSettings) -> NoReturn:
        """In the child: keep nothing of the server's but its memory."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for fd in (self._woken, self._waker, *self._parent, *self._fds):
                os.close(fd)
            self._sock.close()
            os.dup2(stderr_fd, 2)
            os.close(stderr_fd)
            os.dup2(0, 1)  # /dev/null: PJSIP chats there until it is configured
            worker.main(socket.socket(fileno=sock_fd), settings)
        finally:
            os._exit(1)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            worker_id = self._children.pop(pid)
            self._send(wire.WorkerExited(worker_id, pid, os.waitstatus_to_exitcode(status)))

    def _send(self, message: wire.Message) -> None:
        with contextlib.suppress(OSError):  # the pool is gone: the next read says so
            self._sock.sendall(wire.encode(message))

    def _outlive_children(self) -> None:
        """Stay until every child is reaped, so that none is left behind as a zombie."""
        self._sock.close()
        deadline = time.monotonic() + CHILDREN_GRACE_S
        while self._children and (rest_s := deadline - time.monotonic()) > 0:
            select.select([self._woken], [], [], min(rest_s, 0.2))
            self._reap()
        for pid in self._children:
            os.kill(pid, signal.SIGKILL)
        while self._children:
            pid, _ = os.waitpid(-1, 0)
            self._children.pop(pid, None)


def _watch_parent() -> list[int]:
    """A descriptor that is readable when our parent is gone: a fork of it may hold our socket open. Empty: kernel before 5.3."""
    try:
        return [os.pidfd_open(os.getppid())]
    except OSError:
        return []


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the program."""
    parser = argparse.ArgumentParser(prog="sipcore.pjsip.server", description="Fork PJSIP workers for a sipcore pool.")
    parser.add_argument("--fd", type=int, required=True, help="number of the inherited socket to the pool")
    options = parser.parse_args(arguments)
    fd = os.dup(options.fd)  # the lowest number free, and not inherited; the pool's may be beyond what `select` takes
    os.close(options.fd)
    Server(socket.socket(fileno=fd)).run()


if __name__ == "__main__":
    main()
