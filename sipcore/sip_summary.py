"""One line about a SIP message, for people. Lenient: whatever the text is, there is a line, of printable ASCII."""

from __future__ import annotations

import re
from typing import Final

_COMPACT: Final = {"r": "refer-to", "c": "content-type"}
_STATIC_CODECS: Final = {"0": "PCMU", "3": "GSM", "4": "G723", "8": "PCMA", "9": "G722", "18": "G729"}
"""RFC 3551 §6."""
_NOT_AUDIO: Final = frozenset({"TELEPHONE-EVENT", "CN", "RED"})
_MAX_CODECS: Final = 6
_MAX_CHARS: Final = 200
_UNPRINTABLE: Final = re.compile(r"[^ -~]")


def clean(text: str) -> str:
    """The text for a terminal: everything but printable ASCII is a question mark."""
    return _UNPRINTABLE.sub("?", text[:_MAX_CHARS])


def summarize(text: str) -> tuple[str, str]:
    """What the message is, `INVITE` or `180 Ringing`, and what else there is to say of it, `1 INVITE, PCMU PCMA, sendonly`."""
    head, body = _split(text)
    start, _, rest = head.partition("\n")
    headers = _headers(rest)
    is_response = start[:8].upper() == "SIP/2.0 "
    name = start[8:].strip() if is_response else start.partition(" ")[0].strip()
    said = [_sequence(headers.get("cseq", ""), is_response), _reason(headers.get("reason", ""))]
    if not is_response:
        said += [_refer_to(headers.get("refer-to", "")), headers.get("subscription-state", "").partition(";")[0]]
    said.append(_body(headers.get("content-type", "").lower(), body))
    return clean(name) or "?", clean(", ".join(part for part in said if part))


def _split(text: str) -> tuple[str, str]:
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    return head, body


def _headers(text: str) -> dict[str, str]:
    """The first value of each header, folded lines put together."""
    headers: dict[str, str] = {}
    for line in re.sub(r"\n[ \t]+", " ", text).split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            key = name.strip().lower()
            headers.setdefault(_COMPACT.get(key, key), value.strip())
    return headers


def _sequence(cseq: str, is_response: bool) -> str:
    """`2 INVITE` of a response, `2` of a request: its method stands before it already."""
    return cseq if is_response else cseq.partition(" ")[0]


def _reason(value: str) -> str:
    """RFC 3326: `Q.850 cause 16`."""
    protocol = value.partition(";")[0].strip()
    cause = re.search(r"cause\s*=\s*(\d+)", value, re.IGNORECASE)
    return f"{protocol} cause {cause[1]}" if cause else protocol


def _refer_to(value: str) -> str:
    inner = re.search(r"<([^<>]*)>", value)
    return f"to {(inner[1] if inner else value).partition('?')[0]}" if value else ""


def _body(content_type: str, body: str) -> str:
    kind = content_type.partition(";")[0].strip()
    if kind == "application/sdp" or (kind.startswith("multipart/") and "\nv=0\n" in body):
        return _sdp(body)
    if kind == "message/sipfrag":
        return body.strip().partition("\n")[0]
    return kind if body.strip() else ""


def _sdp(body: str) -> str:
    """What the first audio stream offers: `PCMU PCMA, sendonly, SRTP`."""
    session, found, audio = ("\n" + body).partition("\nm=audio ")
    if not found:
        return "SDP without audio"
    audio = audio.partition("\nm=")[0]
    media = audio.partition("\n")[0].split()
    port, transport, formats = media[0] if media else "", "".join(media[1:2]), media[2:]
    names = dict(re.findall(r"^a=rtpmap:(\d{1,3})\s+([\w.-]+)", audio, re.MULTILINE))
    codecs = [names.get(number, _STATIC_CODECS.get(number, "")) for number in formats]
    codecs = [codec for codec in codecs if codec and codec.upper() not in _NOT_AUDIO]
    shown = " ".join(codecs[:_MAX_CODECS]) + (" ..." if len(codecs) > _MAX_CODECS else "")
    parts = [shown or "no codec", _direction(audio) or _direction(session), "SRTP" if "SAVP" in transport.upper() else ""]
    if re.search(r"^c=IN IP4 0\.0\.0\.0\s*$", f"{session}\n{audio}", re.MULTILINE):
        parts.append("hold (0.0.0.0)")
    return "audio refused" if port == "0" else ", ".join(part for part in parts if part)


def _direction(part: str) -> str:
    found = re.search(r"^a=(sendonly|recvonly|inactive)\s*$", part, re.MULTILINE)
    return found[1] if found else ""
