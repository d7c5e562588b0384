"""RTP packets and the telephone events in them (RFC 3550 §5.1, RFC 4733 §2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from .audio import FRAME_SAMPLES

_VERSION = 2
_HEADER = struct.Struct("!BBHII")
_EVENT = struct.Struct("!BBH")
_EVENT_END = 0x80
_EVENT_VOLUME_DBM0 = 10  # of -dBm0, as phones send it
DIGITS = "0123456789*#ABCD"  # RFC 4733 table 3, in the order of the event codes
_EVENT_FRAMES = 5  # 100 ms a digit
_END_REPEATS = 3  # RFC 4733 §2.5.1.4
_PAUSE_FRAMES = 4


@dataclass(frozen=True, slots=True)
class ReceivedPacket:
    """One RTP packet; `arrival_s` is monotonic, `timestamp` counts samples of 1/8000 s."""

    arrival_s: float
    sequence: int
    timestamp: int
    marker: bool
    payload_type: int
    ssrc: int = 0
    payload: bytes = field(default=b"", repr=False)
    source: str = field(default="", repr=False)
    """Where it came from, `host:port`; empty when nobody noted it."""


def parse_packet(datagram: bytes, arrival_s: float, source: str = "") -> ReceivedPacket | None:
    """Parse RTP; `None` when it is not."""
    if len(datagram) < _HEADER.size or datagram[0] >> 6 != _VERSION:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
    start = _HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:  # header extension
        if len(datagram) < start + 4:
            return None
        start += 4 + 4 * struct.unpack_from("!H", datagram, start + 2)[0]
    end = len(datagram) - (datagram[-1] if first & 0x20 else 0)
    if end < start:
        return None
    return ReceivedPacket(arrival_s, sequence, timestamp, bool(second & 0x80), second & 0x7F, ssrc, datagram[start:end], source)


def format_packet(payload_type: int, sequence: int, timestamp: int, ssrc: int, payload: bytes, *, marker: bool) -> bytes:
    """Write an RTP packet; `sequence` and `timestamp` wrap around."""
    second = payload_type | (0x80 if marker else 0)
    return _HEADER.pack(_VERSION << 6, second, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def event_frames(digit: str) -> list[bytes | None]:
    """Return what goes out in each 20 ms for one press: event payloads, then `None` for a pause in which audio goes on."""
    code = DIGITS.index(digit)
    durations = [FRAME_SAMPLES * (index + 1) for index in range(_EVENT_FRAMES)]
    going_on = [_EVENT.pack(code, _EVENT_VOLUME_DBM0, duration) for duration in durations[:-1]]
    end = _EVENT.pack(code, _EVENT_END | _EVENT_VOLUME_DBM0, durations[-1])
    return [*going_on, *[end] * _END_REPEATS, *[None] * _PAUSE_FRAMES]


def event_digit(payload: bytes) -> str:
    """Return the digit of a telephone-event payload, empty for other events."""
    return DIGITS[payload[0]] if len(payload) >= _EVENT.size and payload[0] < len(DIGITS) else ""
