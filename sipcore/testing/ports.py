"""Free ports for the programs and sockets of a test: never a fixed number."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_TRIES: Final = 200
_PROC_TABLES: Final = {"udp": "/proc/net/udp", "tcp": "/proc/net/tcp"}
_TCP_LISTEN: Final = "0A"
_RTP_RANGE: Final = (20000, 32600)  # below the ports that the system gives out by itself, above those that a switch takes by default
_RTP_PORTS: Final = 200
_MEDIA_RANGE: Final = range(61000, 65500)  # Linux gives out 32768 to 60999
_PROGRAM_RANGE: Final = range(10000, 16000)  # below those of a switch's audio


def free_port(host: str = "127.0.0.1", *, in_a_row: int = 1) -> int:
    """A port that is free for UDP and TCP at this moment, the first of so many; for a program that cannot take port 0 itself.

    None of those that the system gives out by itself: no other socket takes it before the program does.

    Raises:
        OSError: there is none.
    """
    for _ in range(_TRIES):
        first = secrets.choice(_PROGRAM_RANGE)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(first, first + in_a_row):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    stack.enter_context(socket.socket(socket.AF_INET, kind)).bind((host, port))
            return first
    raise OSError(f"no port of {host} is free for both UDP and TCP")


def free_media_port(host: str = "127.0.0.1") -> int:
    """A port for the audio of SIPp, which binds that and the second above it for video, and gives up when it cannot.

    Above those that the system gives out by itself, so that no socket of another process comes between.

    Raises:
        OSError: there is none.
    """
    for _ in range(_TRIES):
        port = _MEDIA_RANGE.start + 4 * secrets.randbelow(len(_MEDIA_RANGE) // 4)
        with contextlib.suppress(OSError), bind_udp(host, port), bind_udp(host, port + 2):
            return port
    raise OSError(f"no port of {host} from {_MEDIA_RANGE.start} on is free for audio")


def distinct_ports(count: int) -> tuple[int, ...]:
    """So many free ports of 127.0.0.1, each another.

    Raises:
        OSError: there are not so many.
    """
    found: dict[int, None] = {}
    for _ in range(count + _TRIES):
        if len(found) == count:
            break
        found[free_port()] = None
    if len(found) < count:
        raise OSError(f"only {len(found)} of {count} free ports of 127.0.0.1 were found")
    return tuple(found)


@contextlib.contextmanager
def claimed_range() -> Iterator[tuple[int, int]]:
    """RTP ports that no other process uses which asks here, too: first and last.

    PJSIP sends its audio to whoever sends to its port. So a far end that still talks to the port of a call that is over would get the
    audio of the next call there, and that call's far end nothing.

    Raises:
        OSError: every range is claimed.
    """
    for first in range(*_RTP_RANGE, _RTP_PORTS):
        with contextlib.suppress(OSError):
            claim = bind_udp("127.0.0.1", first + _RTP_PORTS - 1)
            break
    else:
        raise OSError("every block of RTP ports is claimed")
    with claim:
        yield first, first + _RTP_PORTS - 3


def bind_rtp_pair(host: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
    """UDP sockets on a free even port and on the odd one above it (RFC 3550 §11), non-blocking.

    Raises:
        OSError: there is none.
    """
    for _ in range(_TRIES):
        rtp = bind_udp(host, 0)
        port = rtp.getsockname()[1]
        if port % 2 == 0:
            with contextlib.suppress(OSError):
                return rtp, bind_udp(host, port + 1)
        rtp.close()
    raise OSError(f"no pair of free UDP ports on {host}")


def is_bound(port: int, transport: str = "udp") -> bool:
    """Whether some process of this machine has the IPv4 port (for `tcp`: listens on it). Linux only."""
    return bool(_inodes(port, transport))


def is_bound_by(pid: int, port: int, transport: str = "udp") -> bool:
    """Whether this very process has the port; another one may have been quicker."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port, transport)}
    for link in Path(f"/proc/{pid}/fd").iterdir() if wanted else ():
        with contextlib.suppress(OSError):  # closed meanwhile
            if str(link.readlink()) in wanted:
                return True
    return False


def _inodes(port: int, transport: str) -> set[str]:
    """Of the sockets that have the port."""
    rows = [line.split() for line in Path(_PROC_TABLES[transport]).read_text(encoding="ascii").splitlines()[1:]]
    return {row[9] for row in rows if row[1].endswith(f":{port:04X}") and (transport == "udp" or row[3] == _TCP_LISTEN)}


def bind_udp(host: str, port: int) -> socket.socket:
    """A non-blocking UDP socket.

    Raises:
        OSError: the port is taken, or the address is not ours.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock
