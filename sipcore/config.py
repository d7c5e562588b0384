"""The configuration: the keywords of `Switch`, and the keys of the TOML file, are the same names.

Every key is described in `config/sipcore.toml`. Unknown keys are errors, and all faults are reported at once with their paths.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from platformdirs import user_cache_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator

from sipcore.addresses import Address, SipUri, check_header_text, parse_address, parse_sip_uri
from sipcore.config_http import HttpConfig
from sipcore.errors import ConfigError, Fault, InvalidRequest


def _caller(value: object) -> Address | None:
    if value is None or value == "":
        return None
    try:
        return parse_address(value)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


def _trunk(value: object) -> SipUri | None:
    if value is None or value == "":
        return None
    if isinstance(value, SipUri):
        return value
    if not isinstance(value, str):
        raise ValueError(f"must be a string like sip:host[:port][;transport=tcp], not {type(value).__name__}")  # noqa: TRY004
    if not value.lower().startswith("sip:"):
        raise ValueError(f"{value!r} must begin with sip:")
    try:
        uri = parse_sip_uri(value)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None
    if uri.user:
        raise ValueError("a trunk is a host, not a user: put the account into username and password")
    return uri


def _host_port(value: object) -> tuple[str, int]:
    if isinstance(value, tuple | list) and len(value) == 2:
        value = f"{value[0]}:{value[1]}"
    if not isinstance(value, str):
        raise ValueError(f"must be a string like 192.0.2.1:5060, not {type(value).__name__}")  # noqa: TRY004
    host, colon, port = value.rpartition(":")
    host, port = (host, port) if colon else (value, "0")
    if not host or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"{value!r} is not host:port")
    return host, int(port)


class Config(BaseModel):
    """All settings of a switch, checked. Units are in the names."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    trunk: Annotated[SipUri | None, BeforeValidator(_trunk)] = None
    """Where `tel:` numbers are sent: `sip:host[:port][;transport=udp|tcp|tls]`. Without one only `sip:` targets can be dialled."""
    caller_id: Annotated[Address | None, BeforeValidator(_caller)] = None
    """The caller id of calls that name no source."""
    username: str = Field(default="", max_length=128)
    """Digest account at the trunk; empty when the trunk knows us by our address."""
    password: SecretStr = SecretStr("")
    from_domain: str = ""
    """Host part of the From header; the trunk's host by default."""
    p_asserted_identity: bool = False
    """Also send the caller id as P-Asserted-Identity (RFC 3325)."""

    sip_address: Annotated[tuple[str, int], BeforeValidator(_host_port)] = ("0.0.0.0", 0)  # noqa: S104 - a phone line listens
    """Where SIP is bound, `host:port`; port 0 takes a free one."""
    rtp_ports: tuple[Annotated[int, Field(ge=1024, le=65535)], Annotated[int, Field(ge=1024, le=65535)]] = (16384, 32767)
    """First and last UDP port for RTP and RTCP."""
    public_address: str = ""
    """The address to put into Contact and SDP when NAT stands in front."""
    tls_ca_file: str = ""
    """Certificates that TLS trunks are checked against; the system's by default."""

    media_root: Path = Path()
    """Files that `play` names by path are under this folder."""
    recordings_dir: Path = Path("recordings")
    """Where recordings are kept."""
    cache_dir: Path = Field(default_factory=lambda: user_cache_path("sipcore") / "audio")
    """Prepared audio; may be deleted at any time."""
    cache_max_mb: Annotated[int, Field(ge=1)] = 1024
    allow_private_urls: bool = True
    """Whether `play` may fetch from private, loopback and link-local addresses."""
    store: str = ":memory:"
    """The call records: a SQLite file, or `:memory:`."""

    max_legs: Annotated[int, Field(ge=1, le=10_000)] = 64
    """The most call legs of the whole switch, those included that a running call may still need."""
    min_workers: Annotated[int, Field(ge=0, le=1000)] = 1
    """PJSIP processes kept ready when nothing happens."""
    grace_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """How long closing waits for the far ends to confirm the end of their calls."""
    dial_timeout_s: Annotated[float, Field(gt=0, le=600)] = 60.0
    """How long a call may stay unanswered before it ends with `dialout`."""
    max_duration_s: Annotated[float, Field(gt=0)] = 14_400.0
    """How long a call may last after the answer before it ends with `timeout`."""
    hangup_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long we wait for the far end to confirm a BYE or CANCEL before the record is closed."""
    user_agent: str = "sipcore"
    """The User-Agent header."""

    http: HttpConfig = HttpConfig()
    """The HTTP interface of `sipcore serve`."""

    @field_validator("username", "user_agent")
    @classmethod
    def _is_header_safe(cls, value: str) -> str:
        try:
            return check_header_text(value, "")
        except InvalidRequest as error:
            raise ValueError(str(error)) from None

    @field_validator("from_domain", "public_address")
    @classmethod
    def _is_a_host(cls, value: str) -> str:
        try:
            is_host = not value or parse_sip_uri(f"sip:{value}").host == value
        except InvalidRequest:
            is_host = False
        if not is_host:
            raise ValueError(f"{value!r} is not a host name or IPv4 address")
        return value

    @field_validator("rtp_ports")
    @classmethod
    def _is_a_range(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[1] - value[0] < 15:
            raise ValueError(f"needs at least 16 ports, {value[0]} to {value[1]} are {value[1] - value[0] + 1}")
        return value


def make_config(settings: dict[str, Any], source: str = "") -> Config:
    """A checked configuration from keywords.

    Raises:
        ConfigError: naming every wrong key; `source` (a file name) stands in front of each path.
    """
    try:
        return Config(**settings)
    except ValidationError as error:
        raise ConfigError([_fault(detail["loc"], detail["msg"], source) for detail in error.errors()]) from None


def load_config(path: str | Path, **overrides: Any) -> Config:
    """The configuration in a TOML file; `overrides` stand in front of what the file says.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has wrong keys.
    """
    try:
        settings = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([Fault(str(path), f"is not TOML: {error}")]) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ConfigError([Fault(str(path), f"cannot be read: {getattr(error, 'strerror', None) or error}")]) from None
    return make_config(settings | overrides, str(path))


def _fault(location: tuple[int | str, ...], message: str, source: str) -> Fault:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    text = "unknown key" if message.startswith("Extra inputs") else message.removeprefix("Value error, ")
    return Fault(f"{source}: {key}" if source else key, text)
