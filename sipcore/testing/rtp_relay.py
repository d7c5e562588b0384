"""A bad network between any two ends that speak RTP: a UDP relay that loses, delays, reorders and doubles what it passes on."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Final, Self

from sipcore.testing.impairment import Impairment
from sipcore.testing.ports import bind_rtp_pair

_LARGEST_BYTES: Final = 65536
_DATAGRAMS_AT_ONCE: Final = 64

Address = tuple[str, int]


class RtpRelay:
    """Two ports with a thread: what comes to the first goes to `target`, and what that sends comes back out of the first.

    Give its address and `port` to one end as if it were the other: in the SDP of a scenario, for example. It learns where that end is from
    the first packet. RTCP, on the next port, is passed on too, as it is.

    Args:
        target: The other end's RTP address and port.
        forward: What happens to RTP on its way to `target`; nothing when `None`.
        backward: The same for the way back.
        host: Where to bind.

    Attributes:
        port: The RTP port; RTCP's is the next one.
    """

    def __init__(
        self,
        target: Address,
        forward: Impairment | None = None,
        backward: Impairment | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._target = target
        self._front = bind_rtp_pair(host)
        try:
            self._back = bind_rtp_pair(host)
        except OSError:
            for sock in self._front:
                sock.close()
            raise
        self.port: int = self._front[0].getsockname()[1]
        self._sources: list[Address | None] = [None, None]
        self._ways = ((forward or Impairment()).start(), (backward or Impairment()).start())
        self.received = [0, 0]
        """RTP packets that came, forward and backward."""
        self.sent = [0, 0]
        """RTP packets passed on, forward and backward."""
        self._pending: list[tuple[float, int, int, bytes]] = []
        self._order = itertools.count()
        self._wake_in, self._wake_out = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name=f"rtp-relay-{self.port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop the thread and close the ports; what is still on its way is lost. Idempotent."""
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\0")
        self._thread.join()
        for sock in (*self._front, *self._back, self._wake_in, self._wake_out):
            sock.close()

    # ------------------------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake_in, selectors.EVENT_READ)
            for way, pair in enumerate((self._front, self._back)):
                for channel, sock in enumerate(pair):
                    sock.settimeout(0)
                    selector.register(sock, selectors.EVENT_READ, (way, channel))
            while True:
                wait_s = max(0.0, self._pending[0][0] - time.monotonic()) if self._pending else None
                for key, _ in selector.select(wait_s):
                    if key.data is None:
                        return
                    self._receive(*key.data)
                self._pass_on_due()

    def _receive(self, way: int, channel: int) -> None:
        sock = (self._front, self._back)[way][channel]
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                datagram, source = sock.recvfrom(_LARGEST_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue  # ICMP: the other end is not there (yet)
            if way == 0:
                self._sources[channel] = source
            if channel == 1:
                self._send(way, 1, datagram)
                continue
            self.received[way] += 1
            for at_s in self._ways[way].deliver(time.monotonic()):
                heapq.heappush(self._pending, (at_s, next(self._order), way, datagram))

    def _pass_on_due(self) -> None:
        while self._pending and self._pending[0][0] <= time.monotonic():
            _, _, way, datagram = heapq.heappop(self._pending)
            self.sent[way] += self._send(way, 0, datagram)

    def _send(self, way: int, channel: int, datagram: bytes) -> bool:
        """Pass a datagram on; what came before the first end was heard of goes nowhere."""
        to = (self._target[0], self._target[1] + channel) if way == 0 else self._sources[channel]
        if to is None:
            return False
        with contextlib.suppress(OSError):
            (self._back, self._front)[way][channel].sendto(datagram, to)
            return True
        return False
