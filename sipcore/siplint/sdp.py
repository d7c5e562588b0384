"""Rules of session descriptions: the version in o=, and whether an answer fits its offer (RFC 3264)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from sipcore.siplint.blame import about
from sipcore.siplint.finding import Finding
from sipcore.siplint.reading import FINAL, Conversation, Seen, Transaction

_MULTIPLE: Final = 300
_STATIC: Final = {"0": "PCMU/8000", "3": "GSM/8000", "4": "G723/8000", "8": "PCMA/8000", "9": "G722/8000", "18": "G729/8000"}
"""RFC 3551 §6."""
_NO_MEDIA: Final = frozenset({"TELEPHONE-EVENT/8000", "CN/8000"})
_ORIGIN: Final = re.compile(r"^o=(\S+) (\d+) (\d+) (\S+ \S+ \S+)[ \t]*$", re.MULTILINE)
_RTPMAP: Final = re.compile(r"^a=rtpmap:(\d{1,3})\s+([^\s/]+/\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Stream:
    kind: str
    port: str
    formats: frozenset[str]
    """`PCMU/8000`, or the format as it stands; nothing but what carries media."""


@dataclass(frozen=True, slots=True)
class _Sdp:
    origin: tuple[str, str, str]
    version: int
    rest: str
    streams: tuple[_Stream, ...]


def _read(seen: Seen) -> _Sdp | None:
    kind = seen.first("content-type").partition(";")[0].strip().lower()
    body = seen.body.replace("\r\n", "\n")
    origin = _ORIGIN.search(body)
    if kind != "application/sdp" or not seen.is_whole or origin is None:
        return None
    rest = body[: origin.start()] + body[origin.end() :]
    return _Sdp((origin[1], origin[2], origin[4]), int(origin[3]), rest.strip(), tuple(_streams(body)))


def _streams(body: str) -> Iterator[_Stream]:
    for part in ("\n" + body).split("\nm=")[1:]:
        line = part.partition("\n")[0].split()
        names = _STATIC | {number: name.upper() for number, name in _RTPMAP.findall(part)}
        formats = frozenset(names.get(number, number) for number in line[3:]) - _NO_MEDIA
        yield _Stream(line[0] if line else "", line[1].partition("/")[0] if len(line) > 1 else "", formats)


def sdp_findings(conversation: Conversation) -> Iterator[Finding]:
    """Of one Call-ID."""
    yield from _versions(conversation)
    for transaction in conversation.of("INVITE", "UPDATE", "PRACK"):
        yield from _answer(transaction, conversation)


def _versions(conversation: Conversation) -> Iterator[Finding]:
    """Of each side of each dialog. What was refused did not become the session, and a new INVITE begins anew."""
    refused = {id(copy) for found in conversation.transactions if found.final and found.final.status >= _MULTIPLE for copy in found.copies}
    last: dict[tuple[bool, str], _Sdp] = {}
    for seen in conversation.seen:
        sdp = _read(seen)
        if sdp is None or id(seen) in refused:
            continue
        side = (seen.is_sent, seen.from_tag if seen.is_request else seen.to_tag)
        is_new = seen.is_request and not seen.to_tag
        earlier = None if is_new else last.get(side)
        last[side] = sdp
        if earlier is not None:
            yield from _change(seen, earlier, sdp)


def _change(seen: Seen, earlier: _Sdp, sdp: _Sdp) -> Iterator[Finding]:
    if sdp.origin != earlier.origin:
        yield about("sdp-version", seen, f"{seen.name}: o= was {' '.join(earlier.origin)}, and is {' '.join(sdp.origin)}")
    elif sdp.rest != earlier.rest and sdp.version <= earlier.version:
        yield about("sdp-version", seen, f"{seen.name}: the SDP has changed, its version is {sdp.version} after {earlier.version}")
    elif sdp.rest == earlier.rest and sdp.version != earlier.version:
        yield about("sdp-version-idle", seen, f"{seen.name}: the SDP is the same, its version is {sdp.version} after {earlier.version}")


def _answer(transaction: Transaction, conversation: Conversation) -> Iterator[Finding]:
    pairs = _pairs(transaction, conversation)
    told: set[str] = set()
    for offer, answer in pairs:
        offered, answered = _read(offer), _read(answer)
        if offered is None or answered is None or (text := _misfit(offered, answered)) in told:
            continue
        told.add(text)
        if text:
            yield about("answer-media", answer, f"{answer.name}: {text}")


def _pairs(transaction: Transaction, conversation: Conversation) -> Iterator[tuple[Seen, Seen]]:
    """Offers and their answers: in request and response, or, when the INVITE has none, in 2xx and ACK."""
    request = transaction.request
    if _read(request) is not None:
        yield from ((request, answer) for answer in transaction.answers if answer.status < _MULTIPLE)
        return
    final = transaction.final
    if transaction.method == "INVITE" and final is not None and FINAL <= final.status < _MULTIPLE:
        is_offered_early = any(_read(answer) for answer in transaction.answers if answer.status < FINAL)  # reliably: PRACK has the answer
        acks = [ack for ack in conversation.acks if ack.cseq == final.cseq and ack.is_sent == request.is_sent]
        yield from ((final, ack) for ack in acks if not is_offered_early)


def _misfit(offer: _Sdp, answer: _Sdp) -> str:
    for number, (offered, answered) in enumerate(zip_longest(offer.streams, answer.streams), 1):
        if offered is None or answered is None:
            return f"the answer has {len(answer.streams)} streams, the offer {len(offer.streams)}"
        if offered.kind != answered.kind:
            return f"stream {number} is {answered.kind}, and was offered as {offered.kind}"
        if answered.port != "0" and offered.formats and not offered.formats & answered.formats:
            return f"stream {number} has none of the formats that were offered: {', '.join(sorted(answered.formats)) or 'nothing'}"
    return ""
