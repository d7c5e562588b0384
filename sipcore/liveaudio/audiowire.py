"""How live audio of one leg crosses a wall: packets of 20 ms on a Unix socket of its own, `SOCK_SEQPACKET`.

Call control listens at a name that nobody can guess (`AudioListener`); the engine connects to it and sends one packet for each tick of its
clock: the number of the tick, how many packets it has taken so far, and what the far end said; where that is wanted, what the far end
heard in the same tick follows. In return it takes one packet a tick, which is samples and nothing else, and lets the far end hear it. The
packets are the only clock: whoever writes sends as many as were taken.
Either end closes the audio by closing its socket.
"""

from __future__ import annotations

import os
import secrets
import socket
import struct
from typing import Final

TICK_S: Final = 0.02
TICKS_PER_S: Final = 50
HEAD: Final = struct.Struct("<II")
"""Number of the tick, packets taken; both modulo 2**32. The samples follow: 16 bit, in the byte order of the machine."""
WRAP: Final = 1 << 32
SAMPLE_BYTES: Final = 2
MAX_PACKET_BYTES: Final = HEAD.size + 2 * (48_000 // TICKS_PER_S * SAMPLE_BYTES)

_CREDENTIALS: Final = struct.Struct("3i")


class AudioListener:
    """Where the engine connects to, once. The name is in the kernel only ("abstract"): no file stays behind a process that is killed.

    Attributes:
        address: For `engine.OpenAudio`.
    """

    def __init__(self) -> None:
        self.address = f"@sipcore-{secrets.token_hex(16)}"
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        try:
            self._sock.bind(_kernel_name(self.address))
            self._sock.listen(1)
        except BaseException:
            self._sock.close()
            raise

    def fileno(self) -> int:
        """Readable when somebody has connected."""
        return self._sock.fileno()

    def accept(self) -> socket.socket | None:
        """The connection; `None` when it is not of this user: any process of the machine sees the name."""
        sock, _ = self._sock.accept()
        sock.setblocking(False)  # noqa: FBT003
        _, uid, _ = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        if uid in (os.geteuid(), 0):
            return sock
        sock.close()
        return None

    def close(self) -> None:
        """Nobody can connect any more. Idempotent."""
        self._sock.close()


def connect(address: str) -> socket.socket:
    """The engine's end; nonblocking.

    Raises:
        OSError: nobody listens there any more.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        sock.connect(_kernel_name(address))
    except BaseException:
        sock.close()
        raise
    return sock


def _kernel_name(address: str) -> bytes:
    return b"\0" + address.removeprefix("@").encode("ascii")
