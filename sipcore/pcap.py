"""SIP messages, and RTP beside them, as a capture file that Wireshark and tshark read.

The front door keeps messages, not packets, so the IP and UDP headers are made here; messages that went over TCP or TLS stand as UDP
too, with their true addresses and ports. What was blanked as secret stays blanked.

Format: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/, the classic one with microseconds.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable
from typing import Final

from sipcore.wire import TracedMessage

_LINKTYPE_RAW: Final = 101
"""Each packet begins with its IPv4 or IPv6 header."""
_SNAPSHOT_BYTES: Final = 262_144
_UDP: Final = 17
_TTL: Final = 64
_MAX_PAYLOAD_BYTES: Final = 65_535 - 20 - 8
_FILE: Final = struct.Struct("<IHHiIII")
_RECORD: Final = struct.Struct("<IIII")
_US: Final = 1_000_000

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


Datagram = tuple[float, str, str, bytes]
"""Seconds since 1970, source and target as `host:port`, payload."""


def make_pcap(messages: Iterable[TracedMessage]) -> bytes:
    """The file, one packet for each message."""
    return make_capture(map(datagram_of, messages))


def datagram_of(message: TracedMessage) -> Datagram:
    """As it stands in the file."""
    source, target = (message.local, message.remote) if message.is_sent else (message.remote, message.local)
    return message.time, source, target, message.text.encode("utf-8", "replace")


def make_capture(datagrams: Iterable[Datagram]) -> bytes:
    """The file of any datagrams, in the order they are given."""
    parts = [_FILE.pack(0xA1B2C3D4, 2, 4, 0, 0, _SNAPSHOT_BYTES, _LINKTYPE_RAW)]
    for at_s, source, target, payload in datagrams:
        packet = _packet(_parse(source), _parse(target), payload[:_MAX_PAYLOAD_BYTES])
        seconds, microseconds = divmod(max(0, round(at_s * _US)), _US)
        parts += [_RECORD.pack(seconds & 0xFFFFFFFF, microseconds, len(packet), len(packet)), packet]
    return b"".join(parts)


def _packet(from_end: tuple[_Ip, int], to_end: tuple[_Ip, int], payload: bytes) -> bytes:
    (source, source_port), (target, target_port) = from_end, to_end
    source, target = _same_family(source, target)
    size = 8 + len(payload)
    if isinstance(source, ipaddress.IPv6Address):
        pseudo = source.packed + target.packed + struct.pack("!II", size, _UDP)
        header = struct.pack("!IHBB", 6 << 28, size, _UDP, _TTL) + source.packed + target.packed
    else:
        pseudo = source.packed + target.packed + struct.pack("!HH", _UDP, size)
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + size, 0, 0x4000, _TTL, _UDP, 0) + source.packed + target.packed
        header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    udp = struct.pack("!HHHH", source_port, target_port, size, 0) + payload
    # RFC 768: a sum of 0 is sent as all ones, since 0 means "none".
    return header + udp[:6] + struct.pack("!H", checksum(pseudo + udp) or 0xFFFF) + payload


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _parse(address: str) -> tuple[_Ip, int]:
    """`host:port` or `[v6]:port`; what is no address is 0.0.0.0, port 0."""
    host, _, port = address.rpartition(":")
    try:
        ip: _Ip = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        ip = ipaddress.IPv4Address(0)
    return ip, int(port) if port.isascii() and port.isdecimal() and int(port) < 65_536 else 0


def _same_family(source: _Ip, target: _Ip) -> tuple[_Ip, _Ip]:
    """Both as they are, or both as IPv6: a socket bound to `::` may name an IPv4 far end either way."""
    if source.version == target.version:
        return source, target
    return _as_v6(source), _as_v6(target)


def _as_v6(ip: _Ip) -> ipaddress.IPv6Address:
    return ip if isinstance(ip, ipaddress.IPv6Address) else ipaddress.IPv6Address(b"\0" * 10 + b"\xff\xff" + ip.packed)
