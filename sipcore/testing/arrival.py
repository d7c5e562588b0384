"""When a datagram came, as the kernel saw it: how late a thread reads is no gap in what came."""

from __future__ import annotations

import socket
import struct
import sys
import time
from collections.abc import Sequence
from typing import Final

_SO_TIMESTAMPNS: Final = 35  # Linux asm-generic/socket.h; Python has no name for it before 3.14
_TIMESPEC: Final = struct.Struct("@ll")
_AT_ONCE_NS: Final = 50_000
_LOOKS: Final = 10

ANCILLARY_BYTES: Final = socket.CMSG_SPACE(_TIMESPEC.size)
"""For `recvmsg`."""


def note_arrivals(sock: socket.socket) -> None:
    """Have the kernel tell when each datagram came, where it can."""
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def arrival_s(ancillary: Sequence[tuple[int, int, bytes]]) -> float:
    """Return when it came, on the monotonic clock, from what `recvmsg` gave; now, when the kernel has not said."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            came_s: float = (seconds * 10**9 + nanoseconds - _wall_ahead_ns()) / 1e9
            return min(came_s, time.monotonic())
    return time.monotonic()


def _wall_ahead_ns() -> int:
    """How far the wall clock is ahead of the monotonic one.

    Another thread or process may run between two looks at clocks, for a tenth of a second: the looks that were closest together count.
    """
    closest_ns, ahead_ns = sys.maxsize, 0
    for _ in range(_LOOKS):
        begin_ns, wall_ns, end_ns = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if end_ns - begin_ns < closest_ns:
            closest_ns, ahead_ns = end_ns - begin_ns, wall_ns - (begin_ns + end_ns) // 2
        if closest_ns < _AT_ONCE_NS:
            break
    return ahead_ns
