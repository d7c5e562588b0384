"""SIP out of a network capture, for SIP lint, the ladder and the pictures: pcap and pcapng, UDP.

capture = read_sip("pbx.pcap")
for finding in lint(capture.messages, packets=capture.packets):
    print(finding)
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sipcore.frontdoor.redaction import redact
from sipcore.siplint import Finding, MediaPacket, lint
from sipcore.testing.hearing.rtp_capture import Datagram, datagrams
from sipcore.wire import TracedMessage

_SIP: Final = re.compile(rb"(?:SIP/2\.0 [1-6]\d\d |[A-Z]{3,20} [^\s]{1,1000} SIP/2\.0\r?\n)")


@dataclass(frozen=True, slots=True)
class SipCapture:
    """What one end, `us`, has sent and received."""

    us: str
    """`host:port`, or a host."""
    messages: tuple[TracedMessage, ...]
    """Secrets blanked."""
    packets: tuple[MediaPacket, ...]
    """What else there is, between any ends: media, most likely."""

    def lint(self, *, patience_s: float = 32.0, ringback_within_s: float | None = None) -> tuple[Finding, ...]:
        """What SIP lint finds; `is_ours` is about `us`."""
        until = max([message.time for message in self.messages[-1:]] + [packet.time for packet in self.packets[-1:]])
        return lint(self.messages, until=until, patience_s=patience_s, ringback_within_s=ringback_within_s, packets=self.packets)


def read_sip(path: str | Path, us: str = "") -> SipCapture:
    """The SIP of a capture as one end of it saw it.

    Args:
        path: The file.
        us: `host:port` or `host` of that end; the one that has most of the messages by default, of two the one that spoke first.

    Raises:
        ValueError: the file is no capture, has no SIP over UDP, or `us` has none of it.
        OSError: it cannot be read.
    """
    found = list(datagrams(Path(path)))
    sip = [datagram for datagram in found if _SIP.match(datagram.payload)]
    if not sip:
        raise ValueError(f"{path} has no SIP over UDP")
    ends = Counter(end for datagram in sip for end in (datagram.source, datagram.target))
    us = us or ends.most_common(1)[0][0]
    messages = tuple(_message(datagram, us) for datagram in sip if _is_of(us, datagram.source) or _is_of(us, datagram.target))
    if not messages:
        raise ValueError(f"{path} has no SIP of {us}; there are {', '.join(sorted(ends))}")
    others = (datagram for datagram in found if not _SIP.match(datagram.payload))
    return SipCapture(us, messages, tuple(MediaPacket(other.at_s, other.source, other.target) for other in others))


def _is_of(us: str, end: str) -> bool:
    return us in {end, end.rpartition(":")[0]}


def _message(datagram: Datagram, us: str) -> TracedMessage:
    is_sent = _is_of(us, datagram.source)
    local, remote = (datagram.source, datagram.target) if is_sent else (datagram.target, datagram.source)
    return TracedMessage(datagram.at_s, is_sent, "udp", local, remote, redact(datagram.payload.decode("utf-8", "replace")))
