"""Offer and answer for one G.711 audio stream (RFC 3264, RFC 8866)."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass

_STATIC = {0: "PCMU", 8: "PCMA"}  # RFC 3551 table 4
_PAYLOAD_TYPES = {name: number for number, name in _STATIC.items()}
_OUR_EVENT_PAYLOAD_TYPE = 101


class NotAcceptable(ValueError):
    """The offer has nothing that we can do: 488."""


class Direction(enum.Enum):
    """Who sends, seen from the one who says it (RFC 3264 §5.1)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def mirrored(self) -> Direction:
        """The same seen from the other side."""
        return {Direction.SENDONLY: Direction.RECVONLY, Direction.RECVONLY: Direction.SENDONLY}.get(self, self)

    @property
    def sends(self) -> bool:
        """Whether the one who says it sends."""
        return self in (Direction.SENDRECV, Direction.SENDONLY)


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """What was agreed, seen from us. `event_payload_type` is `None` without telephone-event (RFC 4733)."""

    codec: str
    payload_type: int
    event_payload_type: int | None
    remote: tuple[str, int]
    direction: Direction


@dataclass(frozen=True, slots=True)
class _Stream:
    """One `m=` section."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    attributes: tuple[str, ...]
    address: str


def agree(sdp: str, codecs: Sequence[str]) -> MediaPlan:
    """Choose from an offer, or read an answer: the first codec of its list that we have too.

    Raises:
        NotAcceptable: no audio stream over plain RTP, or no codec in common.
    """
    session, streams = _parse(sdp)
    stream = streams[_audio_index(streams)]
    numbers = [number for number in stream.formats if re.fullmatch("[0-9]{1,3}", number) and int(number) < 128]
    for number in numbers:
        codec = _encoding(stream, number)
        if codec in codecs:
            break
    else:
        raise NotAcceptable(f"no codec of {codecs} in {stream.formats}")
    events = [int(number) for number in numbers if _encoding(stream, number) == "TELEPHONE-EVENT"]
    direction = _direction(stream.attributes) or _direction(session) or Direction.SENDRECV
    if stream.address == "0.0.0.0":  # noqa: S104 - hold as of RFC 2543
        direction = Direction.INACTIVE if not direction.sends else Direction.SENDONLY
    return MediaPlan(codec, int(number), next(iter(events), None), (stream.address, stream.port), direction.mirrored)


def answer(offer: str, plan: MediaPlan, host: str, port: int, version: int) -> str:
    """Write the answer to `offer`: one `m=` line for each of its own, those but the audio refused with port 0 (RFC 3264 §6)."""
    _, streams = _parse(offer)
    chosen = _audio_index(streams)
    sections = [
        _audio_section(plan.codec, plan.payload_type, plan.event_payload_type, port, plan.direction)
        if index == chosen
        else f"m={stream.kind} 0 {stream.protocol} {' '.join(stream.formats)}\r\n"
        for index, stream in enumerate(streams)
    ]
    return _session_section(host, port, version) + "".join(sections)


def offer(codec: str, host: str, port: int, version: int) -> str:
    """Write an offer of ours, for an INVITE that came without one."""
    section = _audio_section(codec, _PAYLOAD_TYPES[codec], _OUR_EVENT_PAYLOAD_TYPE, port, Direction.SENDRECV)
    return _session_section(host, port, version) + section


def _session_section(host: str, port: int, version: int) -> str:
    return f"v=0\r\no=phone {port} {version} IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"


def _audio_section(codec: str, payload_type: int, event_payload_type: int | None, port: int, direction: Direction) -> str:
    formats, maps = f"{payload_type}", f"a=rtpmap:{payload_type} {codec}/8000\r\n"
    if event_payload_type is not None:
        formats += f" {event_payload_type}"
        maps += f"a=rtpmap:{event_payload_type} telephone-event/8000\r\na=fmtp:{event_payload_type} 0-15\r\n"
    return f"m=audio {port} RTP/AVP {formats}\r\n{maps}a=ptime:20\r\na={direction.value}\r\n"


def _parse(sdp: str) -> tuple[tuple[str, ...], list[_Stream]]:
    session, *sections = re.split(r"(?m)^(?=m=)", sdp.replace("\r\n", "\n"))
    address = _address(session, "")
    streams = []
    for section in sections:
        match = re.match(r"m=(\S+) (\d{1,5})(?:/\d+)? (\S+)((?: \S+)*)", section)
        if match is None:
            raise NotAcceptable(f"media line {section[:60]!r}")
        formats = tuple(match[4].split())
        streams.append(_Stream(match[1], int(match[2]), match[3], formats, _attributes(section), _address(section, address)))
    return _attributes(session), streams


def _attributes(section: str) -> tuple[str, ...]:
    return tuple(re.findall(r"(?m)^a=(.*?)\s*$", section))


def _address(section: str, default: str) -> str:
    match = re.search(r"(?m)^c=IN IP4 ([0-9.]+)", section)
    return match[1] if match else default


def _audio_index(streams: Sequence[_Stream]) -> int:
    for index, stream in enumerate(streams):
        if stream.kind == "audio" and 0 < stream.port < 65536 and stream.protocol == "RTP/AVP" and stream.address:
            return index
    raise NotAcceptable("no audio over RTP/AVP")


def _encoding(stream: _Stream, number: str) -> str:
    """Return what format `number` stands for, in capitals; only 8 kHz counts."""
    for attribute in stream.attributes:
        match = re.fullmatch(rf"rtpmap:{re.escape(number)} ([^/\s]+)/8000(?:/1)?", attribute)
        if match:
            return match[1].upper()
    return _STATIC.get(int(number), "")


def _direction(attributes: Sequence[str]) -> Direction | None:
    known = {direction.value: direction for direction in Direction}
    return next((known[attribute] for attribute in attributes if attribute in known), None)
