"""The `[[trunks]]` and `[[phones]]` tables of the configuration: who calls are sent to, and who may call."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from sipcore.addresses import Address, SipUri, check_header_text, parse_address, parse_sip_uri
from sipcore.errors import Fault, InvalidRequest

CODECS: Final = {
    "PCMU": "PCMU/8000",
    "PCMA": "PCMA/8000",
    "G722": "G722/8000",  # the RTP clock; it samples at 16 kHz (RFC 3551 §4.5.2)
    "ILBC": "iLBC/8000",
    "GSM": "GSM/8000",
    "SPEEX": "speex/8000",
}
"""What a trunk may offer, by the name in the configuration in capitals: the name that an `engine.Dial` carries."""

ADDRESSES_MAX: Final = 16

_HEADER_NAME = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{1,64}")  # RFC 3261 §25.1 `token`
_OUR_HEADERS: Final = frozenset(
    {
        *(
            "accept",
            "allow",
            "authorization",
            "call-id",
            "contact",
            "content-encoding",
            "content-length",
            "content-type",
            "cseq",
            "expires",
            "from",
        ),
        *("max-forwards", "min-se", "p-asserted-identity", "proxy-authorization", "rack", "record-route", "require", "route", "rseq"),
        *("session-expires", "supported", "to", "user-agent", "via", "x-sipcore-call", *"cefiklmstvx"),
    }
)
"""Headers that PJSIP or the switch writes, and their short forms (RFC 3261 §20): a second one would break the message."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PREFIX = re.compile(r"\+[0-9]{0,15}")
_DIGITS = re.compile(r"[0-9A-Za-z+*._-]{0,32}")
_USER = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,%]{1,128}")


def header_text(value: str) -> str:
    """For validators: text that may stand in a SIP header."""
    try:
        return check_header_text(value, "")
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def host_name(value: str) -> str:
    """For validators: a host name or IPv4 address, or nothing."""
    try:
        is_host = not value or parse_sip_uri(f"sip:{value}").host == value
    except InvalidRequest:
        is_host = False
    if not is_host:
        raise ValueError(f"{value!r} is not a host name or IPv4 address")
    return value


def caller(value: object) -> Address | None:
    """For validators: a caller id, or nothing."""
    if value is None or value == "":
        return None
    try:
        return parse_address(value)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def trunk_address(value: object) -> SipUri:
    """For validators: `host[:port]` or `sip:host[:port][;transport=...]`, an IPv6 address in brackets."""
    if isinstance(value, SipUri):
        return value
    if not isinstance(value, str):
        raise ValueError(f"must be a string like host:port or sip:host[:port][;transport=tcp], not {type(value).__name__}")  # noqa: TRY004
    try:
        uri = _ipv6(value) or parse_sip_uri(value)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None
    if uri.user:
        raise ValueError("a trunk is a host, not a user: put the account into username and password")
    return uri


def _ipv6(text: str) -> SipUri | None:
    found = re.fullmatch(r"(?:sip:)?\[([^\]]*)\]((?:[:;].*)?)", text, re.IGNORECASE)
    if found is None and "[" in text:
        raise ValueError(f"{text!r} is not [address] or [address]:port")
    if found is None:
        return None
    try:
        address = ipaddress.IPv6Address(found[1])
    except ValueError:
        raise ValueError(f"{found[1]!r} is not an IPv6 address") from None
    rest = parse_sip_uri(f"v6.invalid{found[2]}")  # what follows the address is as with a name
    return SipUri(f"[{address}]", "", rest.port, rest.transport)


def network(value: str) -> str:
    """For validators: an address or a network, `192.0.2.0/24`, as `ipaddress` writes it."""
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        raise ValueError(f"{value!r} is not an address or a network like 192.0.2.0/24") from None


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name: letters, digits, '-', '_' and '.', at most 64")
    return value


def _user(value: str) -> str:
    if value and not _USER.fullmatch(value):
        raise ValueError(f"{value!r} cannot be the user part of a SIP URI")
    return value


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value):
        raise ValueError(f"{value!r} is not the beginning of a number in E.164 form, like +8210")
    return value


def _prepend(value: str) -> str:
    if not _DIGITS.fullmatch(value):
        raise ValueError(f"{value!r} cannot stand in front of a number")
    return value


def _some(value: tuple[SipUri, ...]) -> tuple[SipUri, ...]:
    # not min_length, which counts the items that are right only and so has a second fault for each that is wrong
    if not 1 <= len(value) <= ADDRESSES_MAX:
        raise ValueError(f"must have 1 to {ADDRESSES_MAX} addresses")
    return value


def _codec(value: str) -> str:
    if value.upper() not in CODECS:
        raise ValueError(f"{value!r} is not one of PCMU, PCMA, G722, iLBC, GSM, Speex")
    return CODECS[value.upper()]


def further_headers(value: dict[str, str]) -> dict[str, str]:
    """For validators: headers that may be added to an INVITE."""
    for name, text in value.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a SIP header")
        if name.lower() in _OUR_HEADERS:
            raise ValueError(f"{name} is written by the switch itself")
        header_text(text)
    return value


HeaderText = Annotated[str, Field(max_length=128), AfterValidator(header_text)]
HostName = Annotated[str, AfterValidator(host_name)]
Caller = Annotated[Address | None, BeforeValidator(caller)]
TrunkAddress = Annotated[SipUri, BeforeValidator(trunk_address)]
Network = Annotated[str, AfterValidator(network)]


class TrunkConfig(BaseModel):
    """One trunk: a provider, or a PBX beside us."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    name: Annotated[str, AfterValidator(_name)]
    """Calls, rules and metrics name it so."""
    addresses: Annotated[tuple[TrunkAddress, ...], AfterValidator(_some)]
    """`host[:port]`, in the order they are tried. The request URI has the first."""
    transport: Literal["auto", "udp", "tcp", "tls"] = "auto"
    """`auto`: what DNS says, or UDP, and TCP for what is too large for it. An address with `;transport=` of its own has its way."""

    username: HeaderText = ""
    """Digest account; empty when the trunk knows us by our address."""
    password: SecretStr = SecretStr("")
    realm: HeaderText = ""
    """Answer only challenges for this realm; empty: any."""
    registers: Annotated[bool, Field(alias="register")] = False
    """Whether to keep a registration (RFC 3261 §10): calls for it come to us then."""
    registrar: TrunkAddress | None = None
    """Where to register; the addresses by default."""
    expires_s: Annotated[int, Field(ge=60, le=86_400)] = 300
    """How long a registration is asked for."""
    retry_s: Annotated[int, Field(ge=1, le=600)] = 30
    """First wait after a registration that failed; it doubles to at most ten minutes."""
    contact_user: Annotated[str, AfterValidator(_user)] = ""
    """User part of our Contact; the username by default."""

    default: bool = False
    """Takes the numbers that no prefix of another trunk fits."""
    prefixes: tuple[Annotated[str, AfterValidator(_prefix)], ...] = ()
    """Numbers that begin so go to this trunk; the longest prefix of all trunks decides."""
    strip: Annotated[int, Field(ge=0, le=16)] = 0
    """So many characters are taken off the front of a number, its `+` is one of them."""
    prepend: Annotated[str, AfterValidator(_prepend)] = ""
    """Then this is put in front."""

    from_domain: HostName = ""
    """Host part of the From header; the first address's by default."""
    from_user: Annotated[str, AfterValidator(_user)] = ""
    """User part of the From header, whoever calls; the caller id then stands in P-Asserted-Identity only."""
    caller_id: Caller = None
    """The caller id of calls over this trunk that name no source."""
    p_asserted_identity: bool = False
    """Also send the caller id as P-Asserted-Identity (RFC 3325)."""
    headers: Annotated[dict[str, str], AfterValidator(further_headers)] = Field(default_factory=dict)
    """Further headers of each INVITE."""

    codecs: tuple[Annotated[str, AfterValidator(_codec)], ...] = ()
    """What is offered, in this order; empty: every codec of the switch."""
    dtmf: Literal["rfc4733", "info", "inband"] = "rfc4733"
    """How key presses are sent."""
    srtp: Literal["off", "optional", "required"] = "off"
    """SRTP with keys in SDP (RFC 4568); use TLS with it."""

    max_calls: Annotated[int, Field(ge=0, le=100_000)] = 0
    """The most calls out over this trunk at once; 0: no limit."""
    calls_per_second: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """New calls wait in order for their turn; 0: no limit."""

    sources: tuple[Network, ...] | None = None
    """Where its calls to us come from; by default the addresses, and what their names resolve to. Empty: from anywhere, to our Contact."""
    redirects: Annotated[int, Field(ge=0, le=5)] = 0
    """How many 3xx answers in a row a call follows; 0: none."""
    allows_refer: bool = False
    """Whether it may transfer a call with REFER."""

    @model_validator(mode="after")
    def _fits_together(self) -> TrunkConfig:
        if self.registers and not self.username:
            raise ValueError("register needs a username")
        return self

    def with_transport(self, uri: SipUri) -> SipUri:
        """An address of this trunk with the transport that it asks for; one that the address names goes before it."""
        return uri if uri.transport or self.transport == "auto" else replace(uri, transport=self.transport)


class PhoneConfig(BaseModel):
    """An account that may call in by digest (RFC 3261 §22), without being registered."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    username: Annotated[HeaderText, Field(min_length=1)]
    password: Annotated[SecretStr, Field(min_length=1)]
    realm: HeaderText = ""
    """`from_domain`, or "sipcore", by default."""
    caller_id: Caller = None
    """Who calls, whatever its From says."""
    algorithms: Annotated[tuple[Literal["SHA-256", "MD5"], ...], Field(min_length=1)] = ("MD5",)
    """What it is asked to prove itself with, the preferred one first (RFC 8760). Some phones stumble over any but MD5: baresip 1.0."""


def conflicts(trunks: Sequence[TrunkConfig], phones: Sequence[PhoneConfig], *, has_default: bool) -> list[Fault]:
    """What of the tables contradicts each other; `has_default`: there is a trunk of the plain keys too, named "default"."""
    faults = [Fault("trunks", 'the key trunk makes a trunk named "default" already')] * (has_default and "default" in _names(trunks))
    faults += _twice("trunks", "name", _names(trunks))
    faults += _twice("trunks", "contact_user", [trunk.contact_user or trunk.username if trunk.registers else "" for trunk in trunks])
    faults += _twice("trunks", "default", [str(trunk.default) if trunk.default else "" for trunk in trunks])
    faults += _twice("phones", "username", [phone.username for phone in phones])
    first: dict[str, int] = {}
    for index, trunk in enumerate(trunks):
        for prefix in trunk.prefixes:
            if (owner := first.setdefault(prefix, index)) != index:
                faults.append(Fault(f"trunks[{index}].prefixes", f"{prefix} is a prefix of {trunks[owner].name} already"))
    return faults


def _names(trunks: Sequence[TrunkConfig]) -> list[str]:
    return [trunk.name for trunk in trunks]


def _twice(table: str, key: str, values: Sequence[str]) -> list[Fault]:
    """A fault for each value that was there before; empty ones count as none."""
    return [
        Fault(f"{table}[{index}].{key}", f"is the same as in {table}[{values.index(value)}]")
        for index, value in enumerate(values)
        if value and values.index(value) != index
    ]
