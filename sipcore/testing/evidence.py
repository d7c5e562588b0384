"""Capture files of what a telephone or a SIPp has seen, for Wireshark and `capture_of`: its SIP, and the RTP that came to it.

Made of what they remember, so that nobody has to be root. What they sent themselves as RTP is not remembered.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sipcore.pcap import Datagram, datagram_of, make_capture
from sipcore.testing.phone.rtp import ReceivedPacket, format_packet
from sipcore.wire import TracedMessage

if TYPE_CHECKING:
    from sipcore.testing.phone import Phone
    from sipcore.testing.sipp import SippProcess


def write_phone_pcap(phone: Phone, path: Path) -> None:
    """Write all calls of a telephone."""
    datagrams = [datagram_of(message) for call in phone.calls for message in call.traced()]
    datagrams += [heard for call in phone.calls for heard in _heard(call.packets, call.rtp_address)]
    path.write_bytes(make_capture(sorted(datagrams)))


def write_sipp_pcap(process: SippProcess, path: Path) -> None:
    """Write what a SIPp logged; a far end whose address the log does not name stands as its target, or as port 0."""
    transport, far_end = process.transport.upper(), process.target or "127.0.0.1:0"
    datagrams = [
        datagram_of(
            TracedMessage(message.time_s, not message.is_received, transport, process.address, far_end, message.text.replace("\n", "\r\n"))
        )
        for message in process.messages
    ]
    if process.rtp is not None:
        datagrams += _heard(process.rtp.packets, process.rtp.address)
    path.write_bytes(make_capture(sorted(datagrams)))


def _heard(packets: Iterable[ReceivedPacket], address: str) -> Iterator[Datagram]:
    since_1970_s = time.time() - time.monotonic()
    for packet in packets:
        datagram = format_packet(
            packet.payload_type, packet.sequence, packet.timestamp, packet.ssrc, packet.payload, marker=packet.marker
        )  # fmt: skip
        yield packet.arrival_s + since_1970_s, packet.source, address, datagram
