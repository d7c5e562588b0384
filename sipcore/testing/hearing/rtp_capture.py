"""RTP streams out of a network capture: pcap and pcapng, Ethernet, Linux cooked, loopback or raw IP, UDP over IPv4 and IPv6.

Formats: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/, https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/.
A stream is recognised by what stays and what goes on in it (RFC 3550 §A.1): addresses, SSRC, a sequence that rises. Dynamic payload
types are those of the SDP in the same file.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np

from media.dtmf_detector import Press
from sipcore.testing.phone.listening import laid_out
from sipcore.testing.phone.rtp import ReceivedPacket, event_digit, parse_packet

from .capture import Capture
from .rtp_codecs import decode

_FEWEST_PACKETS: Final = 5
"""Fewer with one SSRC are taken for something that only looks like RTP."""
_STATIC: Final = {0: "PCMU", 3: "GSM", 8: "PCMA", 9: "G722", 13: "CN", 18: "G729"}  # RFC 3551 table 4
_UDP: Final = 17
_MAGIC: Final = {  # byte order and ticks a second
    0xA1B2C3D4: ("<", 10**6),
    0xD4C3B2A1: (">", 10**6),
    0xA1B23C4D: ("<", 10**9),
    0x4D3CB2A1: (">", 10**9),
}
_PCAPNG: Final = 0x0A0D0D0A
_LARGEST_PACKET_BYTES: Final = 1 << 20


@dataclass(slots=True)
class RtpStream:
    """One SSRC between two addresses."""

    source: str
    target: str
    ssrc: int
    packets: list[ReceivedPacket] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.source} -> {self.target} SSRC {self.ssrc:08x}, {len(self.packets)} packets"


@dataclass(frozen=True, slots=True)
class Datagram:
    """One of a capture; the ends are `host:port`."""

    at_s: float
    source: str
    target: str
    payload: bytes


def read_capture(path: Path, stream: int | None = None) -> Capture:
    """Return what one RTP stream of a capture sounds like.

    Raises:
        ValueError: no capture, no RTP in it, no such stream, a choice to make, or a codec that cannot be decoded here: see `rtp_codecs`.
    """
    streams, codecs = read_streams(path)
    listing = "".join(f"\n  stream {index}: {one}" for index, one in enumerate(streams))
    if not streams:
        raise ValueError(f"{path} has no RTP stream of {_FEWEST_PACKETS} packets or more")
    if stream is None and len(streams) > 1:
        raise ValueError(f"{path} has {len(streams)} RTP streams: say which, capture_of(path, stream=0){listing}")
    if not 0 <= (stream or 0) < len(streams):
        raise ValueError(f"{path} has no RTP stream {stream}{listing}")
    chosen = streams[stream or 0]
    return _as_capture(f"{path}, {chosen.source} -> {chosen.target}", chosen, codecs)


def read_streams(path: Path) -> tuple[list[RtpStream], Mapping[int, str]]:
    """Return the RTP streams of a capture in the order of their beginning, and the codec of each payload type.

    Raises:
        ValueError: the file is no capture, or of a kind that is not known here.
    """
    codecs = dict(_STATIC)
    streams: dict[tuple[str, str, int], RtpStream] = {}
    for datagram in datagrams(path):
        if b"a=rtpmap:" in datagram.payload:
            codecs |= {
                int(number): name.decode().upper() for number, name in re.findall(rb"a=rtpmap:(\d{1,3}) ([\w.-]+)/", datagram.payload)
            }
            continue
        packet = parse_packet(datagram.payload, datagram.at_s)
        if packet is not None and not 72 <= packet.payload_type <= 76:  # RTCP with its marker bit (RFC 5761 §4)
            key = (datagram.source, datagram.target, packet.ssrc)
            streams.setdefault(key, RtpStream(*key)).packets.append(packet)
    found = [one for one in streams.values() if len(one.packets) >= _FEWEST_PACKETS and _goes_on(one.packets)]
    return found, codecs


def _goes_on(packets: Sequence[ReceivedPacket]) -> bool:
    """Whether most sequence numbers are a little above the one before."""
    steps = [(after.sequence - before.sequence) % 65536 for before, after in pairwise(packets)]
    return sum(1 <= step < 100 for step in steps) > 0.5 * len(steps)


def _as_capture(name: str, stream: RtpStream, codecs: Mapping[int, str]) -> Capture:
    sound: list[tuple[ReceivedPacket, str]] = []
    presses: dict[int, Press] = {}
    used = ""
    for packet in stream.packets:
        codec = codecs.get(packet.payload_type, f"of payload type {packet.payload_type}")
        if codec == "TELEPHONE-EVENT":
            digit = event_digit(packet.payload)
            if digit and packet.timestamp not in presses:
                presses[packet.timestamp] = Press(digit, packet.arrival_s - stream.packets[0].arrival_s)
        elif codec != "CN" and packet.payload:
            used = codec
            sound.append((packet, codec))
    has_events = "TELEPHONE-EVENT" in codecs.values()
    audio, rate_hz = decode(name, sound)
    wave = laid_out(audio, rate_hz).astype(np.float32) / np.float32(32768)
    return Capture(wave, rate_hz, name, tuple(stream.packets), tuple(presses.values()) if has_events else None, used)


# ------------------------------------------------------------------------------------------------------------ the file


def datagrams(path: Path) -> Iterator[Datagram]:
    """Return what of a capture is UDP.

    Raises:
        ValueError: the file is no capture, or broken.
    """
    for at_s, link, frame in _frames(path):
        packet = _ip_packet(link, frame)
        datagram = _udp(at_s, packet) if packet else None
        if datagram is not None:
            yield datagram


def _frames(path: Path) -> Iterator[tuple[float, int, bytes]]:
    """Time, link type and bytes of each packet; a file that ends in the middle of one ends before it."""
    data = path.read_bytes()
    magic = struct.unpack_from("<I", data)[0] if len(data) >= 24 else 0
    if magic == _PCAPNG:
        yield from _pcapng_frames(path, data)
        return
    if magic not in _MAGIC:
        raise ValueError(f"{path} is neither pcap nor pcapng")
    order, ticks = _MAGIC[magic]
    link = struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, length, _ = struct.unpack_from(order + "IIII", data, at)
        if length > _LARGEST_PACKET_BYTES:
            raise ValueError(f"{path} is broken at byte {at}: a packet of {length} bytes")
        yield seconds + fraction / ticks, link, data[at + 16 : at + 16 + length]
        at += 16 + length


def _pcapng_frames(path: Path, data: bytes) -> Iterator[tuple[float, int, bytes]]:
    """Enhanced packet blocks; sections and interfaces are taken as they come."""
    order, at = "<", 0
    interfaces: list[tuple[int, int]] = []
    while at + 12 <= len(data):
        kind = struct.unpack_from(order + "I", data, at)[0]
        if kind == _PCAPNG:
            order = "<" if data[at + 8 : at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        length = struct.unpack_from(order + "I", data, at + 4)[0]
        if length < 12 or length % 4:
            raise ValueError(f"{path} is broken at byte {at}: a block of {length} bytes")
        body = data[at + 8 : at + length - 4]
        if kind == 1 and len(body) >= 8:
            interfaces.append((struct.unpack_from(order + "H", body)[0], _ticks(order, body[8:])))
        elif kind == 6 and len(body) >= 20:
            number, high, low, captured = struct.unpack_from(order + "IIII", body)
            if number >= len(interfaces):
                raise ValueError(f"{path} is broken at byte {at}: there is no interface {number}")
            link, ticks = interfaces[number]
            yield ((high << 32) + low) / ticks, link, body[20 : 20 + captured]
        at += length


def _ticks(order: str, options: bytes) -> int:
    """Ticks a second of an interface: its option 9, a million without it."""
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from(order + "HH", options, at)
        if code == 9 and length == 1:
            value = options[at + 4]
            return 1 << (value & 0x7F) if value & 0x80 else int(10**value)
        at += 4 + -(-length // 4) * 4
    return 10**6


def _ip_packet(link: int, frame: bytes) -> bytes:
    """The IP packet in a frame, empty when it has none."""
    if link == 1:  # Ethernet, perhaps with VLAN tags
        at = 12
        while frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8"):
            at += 4
        return frame[at + 2 :] if frame[at : at + 2] in (b"\x08\x00", b"\x86\xdd") else b""
    skipped = {101: 0, 12: 0, 228: 0, 229: 0, 0: 4, 108: 4, 113: 16, 276: 20}
    return frame[skipped[link] :] if link in skipped else b""


def _udp(at_s: float, packet: bytes) -> Datagram | None:
    """The UDP datagram of an IP packet; `None` for anything else, and for fragments, whose rest is not put together."""
    version = packet[0] >> 4
    if version == 4 and len(packet) >= 28 and packet[9] == _UDP and not struct.unpack_from("!H", packet, 6)[0] & 0x3FFF:
        start = 4 * (packet[0] & 15)
        hosts = [".".join(map(str, packet[at : at + 4])) for at in (12, 16)]
    elif version == 6 and len(packet) >= 48 and packet[6] == _UDP:
        start = 40
        hosts = [f"[{packet[at : at + 16].hex(':', 2)}]" for at in (8, 24)]
    else:
        return None
    if len(packet) < start + 8:
        return None
    source, target, length = struct.unpack_from("!HHH", packet, start)
    return Datagram(at_s, f"{hosts[0]}:{source}", f"{hosts[1]}:{target}", packet[start + 8 : start + length])
