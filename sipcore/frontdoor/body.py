"""The rules for bodies: SDP (RFC 4566), DTMF in INFO, and multipart around them (RFC 2046 §5.1)."""

from __future__ import annotations

import re
from typing import Final

from sipcore.frontdoor import sdp
from sipcore.frontdoor.grammar import Malformed, find_param, is_token, number, split_params, unquote
from sipcore.frontdoor.message import Message

MAX_PARTS: Final = 8
MAX_PART_HEADERS: Final = 16

_OFFERS: Final = ("INVITE", "UPDATE", "PRACK")
_PADDING: Final = b"\r\n \t\0"
"""What some senders put behind a message without a body."""
_BOUNDARY: Final = re.compile(r"[A-Za-z0-9'()+_,\-./:=? ]{0,69}[A-Za-z0-9'()+_,\-./:=?]")
_CONTENT_ID: Final = re.compile(r"<[!-;=?-~]{1,200}>")
_CONTROL: Final = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]")
_SIGNAL: Final = re.compile(r"[0-9A-Da-d*#]|1[0-6]")
"""One key, or its number by RFC 4733 (16 is a hook flash)."""
_SIPFRAG: Final = re.compile(rb"SIP/2\.0 [1-6][0-9]{2} [^\x00-\x08\x0a-\x1f\x7f]*(?:\r\n[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*)?")
"""A status line, and headers that nobody reads (RFC 3420)."""
_MAX_SIPFRAG: Final = 2_048
_MAX_DTMF_MS: Final = 100_000


def check(message: Message) -> None:
    """Raises: Malformed, with `in_body` set."""
    kind = message.get("Content-Type")
    if kind is None:
        if message.body.strip(_PADDING):
            raise Malformed("body without Content-Type", in_body=True)
        return
    try:
        media_type, params = _media_type(kind)
        if (message.get("Content-Encoding") or "identity").lower() != "identity":
            raise Malformed("encoded body", 415, (("Accept-Encoding", "identity"),))
        if message.body:
            _check_entity(message, media_type, find_param(params, "boundary"))
    except Malformed as error:
        error.in_body = True
        raise


def _media_type(text: str) -> tuple[str, tuple[tuple[str, str | None], ...]]:
    media_type, semicolon, rest = text.partition(";")
    kind, _, subtype = [part.strip(" \t") for part in media_type.lower().partition("/")]
    if not (is_token(kind) and is_token(subtype)):
        raise Malformed("bad Content-Type")
    params = split_params(semicolon + rest)
    if not all(is_token(name) and value for name, value in params):
        raise Malformed("bad Content-Type parameter")
    return f"{kind}/{subtype}", params


def _check_entity(message: Message, media_type: str, boundary: str | None) -> None:
    if media_type == "application/sdp":
        sdp.check(message.body)
    elif media_type.startswith("multipart/"):
        _check_multipart(message.body, unquote(boundary or ""))
    elif message.is_request and message.method in _OFFERS and "handling=optional" not in (message.get("Content-Disposition") or "").lower():
        raise Malformed("unknown Content-Type", 415, (("Accept", "application/sdp"),))
    elif media_type == "application/dtmf-relay":
        _check_dtmf_relay(message.body)
    elif media_type == "message/sipfrag":
        if len(message.body) > _MAX_SIPFRAG or not _SIPFRAG.fullmatch(message.body):
            raise Malformed("bad sipfrag")
    elif media_type == "application/dtmf":
        _check_signal(message.body.decode("ascii", "replace").strip())


def _check_dtmf_relay(body: bytes) -> None:
    """`Signal=5`, `Duration=160`, each on a line."""
    values = {}
    for line in body.decode("ascii", "replace").splitlines():
        key, equals, value = line.partition("=")
        if line.strip() and not (equals and value.strip()):
            raise Malformed("bad DTMF line")
        values[key.strip().lower()] = value.strip()
    _check_signal(values.get("signal", ""))
    if "duration" in values:
        number(values["duration"], _MAX_DTMF_MS)


def _check_signal(signal: str) -> None:
    if not _SIGNAL.fullmatch(signal):
        raise Malformed("bad DTMF signal")


def _check_multipart(body: bytes, boundary: str) -> None:
    if not _BOUNDARY.fullmatch(boundary):
        raise Malformed("bad multipart boundary")
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("ascii"))
    if len(pieces) < 3 or len(pieces) - 2 > MAX_PARTS or not pieces[-1].startswith(b"--"):
        raise Malformed("bad multipart body")
    for piece in pieces[1:-1]:
        _check_part(piece)


def _check_part(piece: bytes) -> None:
    """One part: the rest of its delimiter line, headers, blank line, content."""
    padding, line_end, rest = piece.partition(b"\r\n")
    head, blank, content = (b"\r\n" + rest).partition(b"\r\n\r\n")
    if padding.strip(b" \t") or not line_end or not blank:
        raise Malformed("bad part")
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")[1:]
    if len(lines) > MAX_PART_HEADERS:
        raise Malformed("too many headers in a part")
    for line in lines:
        _check_part_header(line, content)


def _check_part_header(line: str, content: bytes) -> None:
    name, colon, value = line.partition(":")
    value = value.strip(" \t")
    if not colon or not is_token(name.strip(" \t")) or _CONTROL.search(line) or not value:
        raise Malformed("bad header in a part")
    match name.strip(" \t").lower():
        case "content-id":
            if not _CONTENT_ID.fullmatch(value):
                raise Malformed("bad Content-ID")
        case "content-length":
            number(value, len(content))
        case "content-type" | "c":
            media_type, _ = _media_type(value)
            if media_type.startswith("multipart/"):
                raise Malformed("multipart in multipart", 415, (("Accept", "application/sdp"),))
            if media_type == "application/sdp":
                sdp.check(content)
