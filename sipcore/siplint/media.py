"""Rules of media: nobody talks after the end."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sipcore.flight.record import FlightRecord
from sipcore.siplint.blame import about
from sipcore.siplint.finding import Finding
from sipcore.siplint.reading import Conversation, Seen

_ON_ITS_WAY_S: Final = 0.5
_HOST: Final = re.compile(r"^c=IN IP[46] (\S+)", re.MULTILINE)
_PORT: Final = re.compile(r"^m=\w+ (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MediaPacket:
    """A packet of a capture that is no SIP; the ends are `host:port`."""

    time: float
    source: str
    target: str


def packet_findings(conversation: Conversation, packets: Sequence[MediaPacket]) -> Iterator[Finding]:
    """What a capture shows after the BYE, between the ports that the SDPs of the call have named."""
    bye = next((found.request for found in conversation.of("BYE")), None)
    if bye is None:
        return
    places = {place: seen.is_sent for seen in conversation.seen for place in _places(seen)}
    late: dict[str, list[MediaPacket]] = {}
    for packet in packets:
        if packet.time > bye.time + _ON_ITS_WAY_S and packet.source in places and packet.target in places:
            late.setdefault(packet.source, []).append(packet)
    for source, found in late.items():
        text = f"{len(found)} packets of media from {source} until {found[-1].time - bye.time:.2f} s after the BYE"
        yield about("rtp-after-bye", bye, text, is_ours=places[source])


def _places(seen: Seen) -> list[str]:
    host = _HOST.search(seen.body)
    return [f"{host[1]}:{port}" for port in _PORT.findall(seen.body)] if host else []


def sample_findings(record: FlightRecord, bye: Seen) -> Iterator[Finding]:
    """What the counters of the call say."""
    for call in record.calls:
        for earlier, later in pairwise(call.rtp):
            if earlier.at > bye.time + _ON_ITS_WAY_S and later.tx_packets > earlier.tx_packets:
                text = f"{later.tx_packets - earlier.tx_packets} packets were sent {later.at - bye.time:.1f} s after the BYE"
                yield about("rtp-after-bye", bye, text, is_ours=True)
                break
