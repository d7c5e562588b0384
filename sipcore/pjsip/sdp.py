"""What we change in the SDP that PJSIP writes: the codecs of this call and the address media is reached at (RFC 8866, RFC 3264). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_STATIC: Final = {"0": "pcmu/8000", "3": "gsm/8000", "8": "pcma/8000", "9": "g722/8000"}  # RFC 3551 table 4
_NOT_AUDIO: Final = ("telephone-event/", "cn/")
"""Payloads that go beside a codec and stay whatever is chosen."""

_FORMAT_ATTRIBUTE: Final = re.compile(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+) ")
_ADDRESS_LINE: Final = re.compile(r"(?m)^(c=IN IP4 |o=\S+ \S+ \S+ IN IP4 |a=rtcp:\d+ IN IP4 )\S+")


def rtp_name(name: str) -> str:
    """A codec's name as it is compared: encoding and clock rate, lower case."""
    return "/".join(name.lower().split("/")[:2])


def edited(sdp: str, codecs: Sequence[str] = (), offer: str = "", address: str = "") -> str:
    """`sdp` with what this call wants.

    Args:
        sdp: Ours, as PJSIP wrote it.
        codecs: RTP names in the order of preference; empty: all stay, in their order. Those PJSIP has not are passed over.
        offer: What the far end offered, when ours is the answer: only the first codec that both have is left, so that our order decides.
        address: Written instead of the local address; empty: it stays.
    """
    text = _ADDRESS_LINE.sub(rf"\g<1>{address}", sdp) if address else sdp
    if not codecs:
        return text
    session, *sections = re.split(r"(?m)^(?=m=)", text)
    return "".join([session, *(_with_codecs(section, codecs, offer) for section in sections)])


def has_common_codec(offer: str, codecs: Sequence[str]) -> bool:
    """Whether an offer has one of `codecs`; also for no offer, or no list."""
    offered = _offered(offer)
    return not codecs or not offer or any(rtp_name(codec) in offered for codec in codecs)


def connection_host(sdp: str) -> str:
    """The first IPv4 address that media is asked for at; empty without one."""
    match = re.search(r"(?m)^c=IN IP4 ([0-9.]+)", sdp)
    return match[1] if match else ""


def keys_of(offer: str) -> str:
    """How an offer of audio is keyed: `required` (RTP/SAVP), `optional` (RTP/AVP with a=crypto), `off`."""
    if re.search(r"(?m)^m=audio [1-9]\d* RTP/SAVPF?\b", offer):
        return "required"
    return "optional" if re.search(r"(?m)^a=crypto:", offer) else "off"


def _offered(sdp: str) -> set[str]:
    sections = re.split(r"(?m)^(?=m=)", sdp)[1:]
    return {name for section in sections if section.startswith("m=audio ") for name in _names(section).values()}


def _names(section: str) -> dict[str, str]:
    """Payload type to codec name of one `m=` section."""
    payloads = section.split("\n", 1)[0].split()[3:]
    names = {payload: _STATIC[payload] for payload in payloads if payload in _STATIC}
    for payload, name in re.findall(r"(?m)^a=rtpmap:(\d+) ([^\s]+)", section):
        if payload in payloads:
            names[payload] = rtp_name(name)
    return names


def _with_codecs(section: str, codecs: Sequence[str], offer: str) -> str:
    if not section.startswith("m=audio "):
        return section
    names = _names(section)
    wanted = [rtp_name(codec) for codec in codecs]
    chosen = sorted((payload for payload in names if names[payload] in wanted), key=lambda payload: wanted.index(names[payload]))
    if offer:
        offered = _offered(offer)
        chosen = [payload for payload in chosen if names[payload] in offered][:1]
    if not chosen:
        return section
    return _with_payloads(section, [*chosen, *(payload for payload in names if names[payload].startswith(_NOT_AUDIO))])


def _with_payloads(section: str, payloads: Sequence[str]) -> str:
    lines = section.splitlines(keepends=True)
    head, ending = lines[0].split(), lines[0][len(lines[0].rstrip("\r\n")) :]
    kept = [
        line for line in lines[1:] if not (match := _FORMAT_ATTRIBUTE.match(line)) or match[1] in payloads
    ]  # attributes that belong to no payload stay
    return "".join([" ".join([*head[:3], *payloads]) + ending, *kept])
