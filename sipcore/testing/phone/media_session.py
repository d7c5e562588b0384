"""The RTP side of one call: its two ports, the paced sender, the listener (RFC 3550, RFC 3551)."""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import random
import time
from collections import deque

from sipcore.testing import g711
from sipcore.testing.arrival import ANCILLARY_BYTES, arrival_s, note_arrivals
from sipcore.testing.impairment import Impairment
from sipcore.testing.ports import bind_rtp_pair

from .audio import FRAME_MS, FRAME_SAMPLES, SILENCE, Source
from .listening import Listener
from .loop import Loop, Timer
from .rtp import DIGITS, event_frames, format_packet
from .sdp import MediaPlan

_ENCODERS = {"PCMU": g711.encode_mu_law, "PCMA": g711.encode_a_law}
_FRAME_S = FRAME_MS / 1000
_MOST_FRAMES_AT_ONCE = 10  # after a longer stall of this machine the schedule slips instead of bursting
_HELD_UP_S = 0.04  # later than this with a packet, the phone says that it was held up
_DATAGRAMS_AT_ONCE = 32


class MediaSession:
    """Sends one packet every 20 ms and hands what arrives to `listener`. Only on the loop's thread, or under its lock."""

    def __init__(
        self, loop: Loop, host: str, listener: Listener, sent: Impairment | None = None, received: Impairment | None = None
    ) -> None:
        self._loop, self._host, self._listener = loop, host, listener
        self._rtp, self._rtcp = bind_rtp_pair(host)
        note_arrivals(self._rtp)
        self.port: int = self._rtp.getsockname()[1]
        listener.address = f"{host}:{self.port}"
        self._plan: MediaPlan | None = None
        self._source: Source = SILENCE
        self._position = 0
        self._events: deque[bytes | None] = deque()
        self._event_start: int | None = None  # every packet of a press has the timestamp of its start
        self._stream = _OutgoingStream()
        self._next_s = 0.0
        self._timer: Timer | None = None
        self._sent = None if sent is None else sent.start()
        self._received = None if received is None else received.start()
        loop.watch(self._rtp, self._receive)
        loop.watch(self._rtcp, self._discard)

    def apply(self, plan: MediaPlan) -> None:
        """Use what was agreed from now on; sending stops and goes on with its direction."""
        self._plan = plan
        self._listener.codecs[plan.payload_type] = plan.codec
        if plan.event_payload_type is not None:
            self._listener.event_payload_types.add(plan.event_payload_type)

    def play(self, source: Source) -> None:
        """Send `source` from its beginning; the first call starts the stream."""
        self._source, self._position = source, 0
        if self._timer is None:
            self._next_s = time.monotonic()
            self._tick()

    def send_digits(self, digits: str) -> None:
        """Queue presses of 100 ms with 80 ms between them, after those queued before.

        Raises:
            ValueError: not a digit of a phone.
            RuntimeError: the other side did not offer telephone-event.
        """
        if not set(digits.upper()) <= set(DIGITS):
            raise ValueError(f"{digits!r} has more than {DIGITS}")
        if self._plan is not None and self._plan.event_payload_type is None:
            raise RuntimeError("the other side did not offer telephone-event")
        for digit in digits.upper():
            self._events.extend(event_frames(digit))

    def stop_sending(self) -> None:
        """Send nothing any more; still listens."""
        if self._timer is not None:
            self._timer.cancel()

    def close(self) -> None:
        """Stop sending and close both ports, after taking what has arrived already. Only on the loop's thread or before it starts."""
        self.stop_sending()
        self._receive()
        for sock in (self._rtp, self._rtcp):
            self._loop.unwatch(sock)
            sock.close()

    def _tick(self) -> None:
        now_s = time.monotonic()
        if now_s - self._next_s > _HELD_UP_S:
            self._listener.hold_ups.append((self._next_s, now_s))
        for _ in range(_MOST_FRAMES_AT_ONCE):
            self._send_frame()
            self._next_s += _FRAME_S
            if self._next_s > time.monotonic():
                break
        else:
            self._next_s = time.monotonic() + _FRAME_S
        self._timer = self._loop.call_at(self._next_s, self._tick)

    def _send_frame(self) -> None:
        plan, stream = self._plan, self._stream
        if plan is None or not plan.direction.sends or not may_send(self._host, plan.remote[0]):
            stream.timestamp += FRAME_SAMPLES
            stream.is_talkspurt_start = True
            return
        event = self._events.popleft() if self._events else None
        if event is None or plan.event_payload_type is None:
            payload = _ENCODERS[plan.codec](self._source.frame(self._position))
            packet = stream.packet(plan.payload_type, stream.timestamp, payload, marker=stream.is_talkspurt_start)
            stream.is_talkspurt_start = False
            self._event_start = None
        else:
            packet = self._event_packet(plan.event_payload_type, event)
        self._position += FRAME_SAMPLES
        stream.timestamp += FRAME_SAMPLES
        if self._sent is None:
            self._transmit(packet, plan.remote)
        else:
            for at_s in self._sent.deliver(self._next_s):
                self._loop.call_at(at_s, functools.partial(self._transmit, packet, plan.remote))

    def _transmit(self, packet: bytes, remote: tuple[str, int]) -> None:
        with contextlib.suppress(OSError):  # nobody listens there (any more): as on a real network, the sender does not care
            self._rtp.sendto(packet, remote)

    def _event_packet(self, payload_type: int, event: bytes) -> bytes:
        is_first = self._event_start is None
        if self._event_start is None:
            self._event_start = self._stream.timestamp
        return self._stream.packet(payload_type, self._event_start, event, marker=is_first)

    def _receive(self) -> None:
        for _ in range(_DATAGRAMS_AT_ONCE):
            try:
                datagram, ancillary, _, address = self._rtp.recvmsg(2048, ANCILLARY_BYTES)
            except BlockingIOError:
                return
            except OSError:
                continue  # a port of the other side that was closed, reported by ICMP
            came_s, source = arrival_s(ancillary), f"{address[0]}:{address[1]}"
            if self._received is None:
                self._listener.receive(datagram, came_s, source)
                continue
            for at_s in self._received.deliver(came_s):
                self._loop.call_at(at_s, functools.partial(self._listener.receive, datagram, at_s, source))

    def _discard(self) -> None:
        with contextlib.suppress(OSError):
            self._rtcp.recv(2048)


class _OutgoingStream:
    """Numbers the packets; random starts as of RFC 3550 §5.1."""

    def __init__(self) -> None:
        self._ssrc = random.getrandbits(32)
        self._sequence = random.getrandbits(15)
        self.timestamp = random.getrandbits(31)
        self.is_talkspurt_start = True

    def packet(self, payload_type: int, timestamp: int, payload: bytes, *, marker: bool) -> bytes:
        self._sequence += 1
        return format_packet(payload_type, self._sequence, timestamp, self._ssrc, payload, marker=marker)


def may_send(own_host: str, address: str) -> bool:
    """Tell whether `address` may get packets: a phone on loopback never sends beyond it."""
    try:
        return ipaddress.ip_address(address).is_loopback or not ipaddress.ip_address(own_host).is_loopback
    except ValueError:
        return False
