"""The rules for session descriptions (RFC 4566, RFC 3264): forms, counts and sizes that the media engine has room for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sipcore.frontdoor.grammar import Malformed, number, remembered

MAX_MEDIA: Final = 16
MAX_FORMATS: Final = 32
MAX_ATTRIBUTES: Final = 64
MAX_BANDWIDTHS: Final = 4
"""Of each section; the numbers up to here are those that PJSIP was compiled with, or just below."""
MAX_CRYPTO: Final = 8
MAX_LINES: Final = 1_200
MAX_RATE_HZ: Final = 384_000
MAX_PTIME_MS: Final = 1_000
_MAX_PORT: Final = 65_535
_MAX_PAYLOAD_TYPE: Final = 127
_MAX_CHANNELS: Final = 255
_FIRST_DYNAMIC: Final = 96
"""RFC 3551 §6."""
_ORIGIN_FIELDS: Final = 6

_CONTROL: Final = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]")
_IPV4: Final = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_IPV6: Final = re.compile(r"[0-9A-Fa-f:.]{2,45}")
_MODE: Final = re.compile(r"(?:^|[;\s])mode\s*=\s*([^;\s]*)", re.IGNORECASE)
_ILBC_MODES: Final = {"20", "30"}


class _Attribute(NamedTuple):
    """What counts of one a= line."""

    payload_type: str = ""
    modes: tuple[str, ...] = ()
    is_ilbc: bool = False
    is_crypto: bool = False


_PLAIN: Final = _Attribute()


@dataclass(slots=True)
class _Section:
    """The session part, or one m= with what follows it."""

    proto: str = ""
    port: int = 0
    address_type: str = ""
    """Of the last c= line; empty: none."""
    attributes: int = 0
    bandwidths: int = 0
    cryptos: int = 0
    ilbc: set[str] = field(default_factory=set)
    """Payload types that are iLBC."""
    modes: dict[str, set[str]] = field(default_factory=dict)
    """What follows `mode=` in the fmtp lines of each payload type."""

    def note(self, attribute: _Attribute) -> None:
        """Count an a= line."""
        self.attributes += 1
        if attribute is _PLAIN:
            return
        self.cryptos += attribute.is_crypto
        if attribute.is_ilbc:
            self.ilbc.add(attribute.payload_type)
        if attribute.modes:
            self.modes.setdefault(attribute.payload_type, set()).update(attribute.modes)


def check(body: bytes) -> None:
    """Raises: Malformed: 400 for what is not SDP, 488 with a Warning for what we cannot do."""
    sections = [_Section()]
    lines = _split_lines(body)
    if not lines or lines[0] != "v=0":
        raise Malformed("SDP does not begin with v=0")
    kinds = [_check_line(line, sections) for line in lines]
    if kinds.count("v") != 1 or kinds[:3] != ["v", "o", "s"]:
        raise Malformed("SDP without o= and s=")
    if len(sections) - 1 > MAX_MEDIA:
        raise Malformed("too many m= lines", 488)
    for section in sections:
        _check_section(section)
    _check_reachable(sections)


def _split_lines(body: bytes) -> list[str]:
    text = body.decode("utf-8", "surrogateescape").replace("\r\n", "\n").rstrip("\n")
    if _CONTROL.search(text):
        raise Malformed("control character in SDP")
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise Malformed("SDP too long")
    return lines


def _check_line(line: str, sections: list[_Section]) -> str:
    kind, value = line[:1], line[2:]
    if line[1:2] != "=" or not ("a" <= kind <= "z") or not (value or kind == "s"):
        raise Malformed("bad SDP line")
    if kind == "a":  # most lines are, and most of them are the same in every call
        sections[-1].note(_attribute(value))
    elif kind == "m":
        sections.append(_media(value))
    elif kind == "c":
        sections[-1].address_type = _address_type(value)
    elif kind == "o":
        if len(_fields(value)) != _ORIGIN_FIELDS:
            raise Malformed("bad o= line")
    elif kind == "b":
        sections[-1].bandwidths += 1
        number(value.partition(":")[2].strip(" "), 2**32 - 1)
    return kind


def _fields(value: str) -> list[str]:
    return [part for part in value.replace("\t", " ").split(" ") if part]


def _media(value: str) -> _Section:
    parts = _fields(value)
    if len(parts) < 4 or len(parts) - 3 > MAX_FORMATS:
        raise Malformed("bad m= line")
    port, _, count = parts[1].partition("/")
    if count:
        number(count, MAX_MEDIA)
    section = _Section(proto=parts[2].upper(), port=number(port, _MAX_PORT))
    if "RTP/" in section.proto:
        for payload_type in parts[3:]:
            number(payload_type, _MAX_PAYLOAD_TYPE)
    return section


def _address_type(value: str) -> str:
    parts = _fields(value)
    if len(parts) != 3 or parts[0] != "IN":
        raise Malformed("bad c= line")
    if parts[1] == "IP6" and _IPV6.fullmatch(parts[2].partition("/")[0]):
        return "IP6"
    if parts[1] == "IP4" and "/" in parts[2]:
        raise _unusable("multicast is not supported")
    if parts[1] == "IP4" and _IPV4.fullmatch(parts[2]):
        return "IP4"
    if parts[1] in ("IP4", "IP6"):
        raise _unusable("c= needs an address, not a host name")
    raise Malformed("bad c= line")


@remembered
def _attribute(value: str) -> _Attribute:
    name, _, rest = value.partition(":")
    match name.strip(" ").lower():
        case "rtpmap":
            return _rtpmap(rest)
        case "fmtp":
            payload_type, _, text = rest.strip(" \t").replace("\t", " ").partition(" ")
            return _Attribute(payload_type.lstrip("0"), modes=tuple(_MODE.findall(text)))
        case "ptime" | "maxptime":
            if number(rest.strip(" "), MAX_PTIME_MS) == 0:
                raise Malformed("ptime of 0")
        case "rtcp":
            number(rest.strip(" ").partition(" ")[0], _MAX_PORT)
        case "crypto":
            return _Attribute(is_crypto=True)
    return _PLAIN


def _rtpmap(text: str) -> _Attribute:
    payload_type, _, encoding = text.strip(" ").partition(" ")
    is_static = number(payload_type, _MAX_PAYLOAD_TYPE) < _FIRST_DYNAMIC
    parts = encoding.strip(" ").split("/")
    if not (is_static and len(parts) == 1 and parts[0]):  # without a rate, as in RFC 4475: the number says it all
        _check_rate(parts)
    return _Attribute(payload_type.lstrip("0"), is_ilbc=True) if parts[0].lower() == "ilbc" else _PLAIN


def _check_rate(parts: list[str]) -> None:
    if len(parts) not in (2, 3) or not parts[0]:
        raise Malformed("bad rtpmap")
    if number(parts[1], MAX_RATE_HZ) == 0 or (len(parts) == 3 and number(parts[2], _MAX_CHANNELS) == 0):
        raise Malformed("bad rtpmap")


def _check_section(section: _Section) -> None:
    if section.attributes > MAX_ATTRIBUTES or section.bandwidths > MAX_BANDWIDTHS or section.cryptos > MAX_CRYPTO:
        raise Malformed("too many SDP lines of one kind", 488)
    for payload_type in section.ilbc & section.modes.keys():
        if not section.modes[payload_type] <= _ILBC_MODES:
            raise Malformed("iLBC mode", 488)


def _check_reachable(sections: list[_Section]) -> None:
    """Media that is wanted must have an IPv4 address, its own or the session's."""
    session, *media = sections
    for section in media:
        if section.port == 0:
            continue
        address_type = section.address_type or session.address_type
        if not address_type:
            raise Malformed("media without c= line")
        if address_type != "IP4":
            raise _unusable("media over IPv6 is not supported")


def _unusable(text: str) -> Malformed:
    """RFC 3261 §20.43: 301 is an incompatible network address format."""
    return Malformed(text, 488, (("Warning", f'301 sipcore "{text}"'),))
