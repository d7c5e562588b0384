"""Who calls and who is called: parsing, checking and writing of `tel:` and `sip:` addresses.

PJSIP writes URIs, display names and headers to the wire as they come, so nothing reaches it that was not taken apart and
put together again here: no control characters, no URI headers (`?X=y`), no parameters but the ones we know.
Sources: RFC 3261 §19.1, §25.1 (SIP URI grammar), RFC 3966 §5.1 (visual separators), ITU-T E.164 (15 digits).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Any, Literal

from sipcore.errors import Fault, InvalidRequest

Transport = Literal["udp", "tcp", "tls"]
NAME_MAX_CHARS = 128
URI_MAX_CHARS = 255  # PJSIP_MAX_URL_SIZE is 256 in the wheel

_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
_VISUAL_SEPARATORS = re.compile(r"[-.() ]")
# RFC 3261 §25.1 `user`. "?" and ";" are legal there and refused here: they read as headers or parameters.
_USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,/]|%[0-9A-Fa-f]{2})+")
_HOST_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_TOP_LABEL = re.compile(r"[A-Za-z].*")
_PORT_ONLY = re.compile(r"[0-9]+(?:;|$)")  # "sip:5060": port 5060 of a host that is named sip
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ESCAPED_CONTROL = re.compile(r"%(?:[01][0-9A-Fa-f]|7[Ff])")


@dataclass(frozen=True, slots=True)
class SipUri:
    """A SIP URI that is safe to send: `sip:user@host:port;transport=tcp`."""

    host: str
    user: str = ""
    port: int | None = None
    transport: Transport | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        transport = f";transport={self.transport}" if self.transport else ""
        return f"sip:{user}{self.host}{port}{transport}"

    @property
    def bare(self) -> str:
        """Without the scheme: the `target` of an address of type `sip`."""
        return str(self).removeprefix("sip:")


@dataclass(frozen=True, slots=True)
class Address:
    """One party: `type` is `tel` (target in E.164 form) or `sip` (target `user@host[:port][;transport=...]`)."""

    type: Literal["tel", "sip"]
    target: str
    name: str = ""

    def to_json(self) -> dict[str, str]:
        """`{"type", "target", "name"}`."""
        return {"type": self.type, "target": self.target, "name": self.name}

    def __str__(self) -> str:
        return f"{self.type}:{self.target}"

    @property
    def uri(self) -> SipUri:
        """The target as a URI; for `sip` addresses only."""
        assert self.type == "sip", self
        return parse_sip_uri(self.target)


def parse_address(value: object, path: str = "") -> Address:
    """An `Address` from `"tel:+E164"`, `"+E164"`, `"sip:..."`, a `{"type", "target", "name"}` mapping or an `Address`.

    Raises:
        InvalidRequest: naming what is wrong under `path`.
    """
    match value:
        case Address():
            return _from_mapping(value.to_json(), path)
        case str():
            return _from_text(value, path)
        case Mapping():
            return _from_mapping(value, path)
        case _:
            raise _fault(path, f"an address is a string or an object with type and target, not {type(value).__name__}")


@lru_cache(maxsize=1024)  # each address of a call is asked for several times
def parse_sip_uri(text: str, path: str = "") -> SipUri:
    """A `SipUri` from text, with or without the `sip:` in front.

    Raises:
        InvalidRequest: the text is not a SIP URI that may be dialled.
    """
    if len(text) > URI_MAX_CHARS:
        raise _fault(path, f"a SIP URI has at most {URI_MAX_CHARS} characters, this one has {len(text)}")
    if _CONTROL.search(text) or _ESCAPED_CONTROL.search(text):
        raise _fault(path, f"control characters are not allowed in a SIP URI: {text!r}")
    if text.lower().startswith("sips:"):
        raise _fault(path, "sips: is not supported, use sip: with ;transport=tls")
    is_schemed = text.lower().startswith("sip:") and not _PORT_ONLY.match(text, 4)
    rest = text[4:] if is_schemed else text
    if "?" in rest:
        raise _fault(path, f"headers in a SIP URI are not allowed: {text!r}")
    rest, *parameters = rest.split(";")
    user, at, host_port = rest.rpartition("@")
    if at and not _USER.fullmatch(user):
        raise _fault(path, f"{user!r} is not a user name of a SIP URI")
    host, port = _host_and_port(host_port, path, text)
    uri = SipUri(host=host, user=user, port=port, transport=_transport(parameters, path))
    if len(str(uri)) > URI_MAX_CHARS:
        raise _fault(path, f"a SIP URI has at most {URI_MAX_CHARS} characters, this one has {len(str(uri))}")
    return uri


def name_addr(uri: SipUri | str, name: str = "") -> str:
    """`"Name" <sip:...>` (RFC 3261 §25.1); the display name is quoted and escaped."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{uri}>' if name else f"<{uri}>"


def check_header_text(text: str, path: str, max_chars: int = 512) -> str:
    """The text, if it may stand in a SIP header.

    Raises:
        InvalidRequest: it has control characters, which would start a header of their own, or is too long.
    """
    if found := _CONTROL.search(text):
        raise _fault(path, f"control character {found.group()!r} is not allowed here")
    if len(text) > max_chars:
        raise _fault(path, f"at most {max_chars} characters, this has {len(text)}")
    return text


def _from_text(text: str, path: str) -> Address:
    scheme, colon, rest = text.partition(":")
    if text.startswith("+"):
        return _checked("tel", text, "", path)
    if colon and scheme.lower() in {"tel", "sip", "sips"}:
        return _checked("tel", rest, "", path) if scheme.lower() == "tel" else _checked("sip", text, "", path)
    raise _fault(path, f'{text!r} is not an address: write "tel:+E164", "+E164" or "sip:user@host"')


def _from_mapping(value: Mapping[Any, Any], path: str) -> Address:
    prefix = f"{path}." if path else ""
    faults = [Fault(f"{prefix}{key}", "unknown key of an address") for key in value if key not in {"type", "target", "name"}]
    faults += [Fault(f"{prefix}{key}", "is missing") for key in ("type", "target") if key not in value]
    for key in ("type", "target", "name"):
        if key in value and not isinstance(value[key], str):
            faults.append(Fault(f"{prefix}{key}", f"must be a string, not {type(value[key]).__name__}"))
    if faults:
        raise InvalidRequest(faults)
    return _checked(value["type"], value["target"], value.get("name", ""), path)


def _checked(kind: str, target: str, name: str, path: str) -> Address:
    prefix = f"{path}." if path else ""
    check_header_text(name, f"{prefix}name", NAME_MAX_CHARS)
    match kind:
        case "tel":
            number = _VISUAL_SEPARATORS.sub("", target)
            if not _E164.fullmatch(number):
                raise _fault(path, f'{target!r} is not a number in E.164 form: "+", country code, at most 15 digits')
            return Address("tel", number, name)
        case "sip":
            return Address("sip", parse_sip_uri(target, path).bare, name)
        case _:
            raise _fault(f"{prefix}type", f'{kind!r} is not an address type: "tel" or "sip"')


def _host_and_port(text: str, path: str, whole: str) -> tuple[str, int | None]:
    if text.startswith("["):
        raise _fault(path, "IPv6 hosts are not supported yet")
    host, colon, port_text = text.partition(":")
    if not host:
        raise _fault(path, f"{whole!r} has no host")
    if len(host) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in host.removesuffix(".").split(".")):
        raise _fault(path, f"{host!r} is not a host name")
    if not _is_ipv4(host) and not _TOP_LABEL.fullmatch(host.removesuffix(".").rpartition(".")[2]):
        raise _fault(path, f"{host!r} is neither a host name nor an IPv4 address")
    if not colon:
        return host, None
    if not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text) < 65536):
        raise _fault(path, f"{port_text!r} is not a port: 1 to 65535")
    return host, int(port_text)


def _is_ipv4(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True


def _transport(parameters: list[str], path: str) -> Transport | None:
    transport: Transport | None = None
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        match key.lower(), value.lower():
            case "transport", ("udp" | "tcp" | "tls") as known:
                transport = known
            case "transport", _:
                raise _fault(path, f"unknown transport {value!r}: udp, tcp or tls")
            case "user", "phone" | "ip":
                pass
            case _:
                raise _fault(path, f"unknown URI parameter {parameter!r}: only transport is allowed")
    return transport


def _fault(path: str, message: str) -> InvalidRequest:
    return InvalidRequest([Fault(path, message)])
