"""The configuration: the keywords of `Switch`, and the keys of the TOML file, are the same names.

Every key is described in `config/sipcore.toml`. Unknown keys are errors, and all faults are reported at once with their paths.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from platformdirs import user_cache_path
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator

from sipcore.addresses import SipUri
from sipcore.config_flow import FlowConfig
from sipcore.config_http import HttpConfig, HttpUser
from sipcore.config_inbound import InboundRule
from sipcore.config_trunks import Caller, HeaderText, HostName, Network, PhoneConfig, TrunkConfig, conflicts, trunk_address
from sipcore.errors import ConfigError, Fault


def _trunk(value: object) -> SipUri | None:
    if value is None or value == "":
        return None
    if isinstance(value, str) and not value.lower().startswith("sip:"):
        raise ValueError(f"{value!r} must begin with sip:")
    return trunk_address(value)


def _host_port(value: object) -> tuple[str, int]:
    if isinstance(value, tuple | list) and len(value) == 2:
        value = f"[{value[0]}]:{value[1]}" if ":" in str(value[0]) else f"{value[0]}:{value[1]}"
    if not isinstance(value, str):
        raise ValueError(f"must be a string like 192.0.2.1:5060, not {type(value).__name__}")  # noqa: TRY004
    host, _, port = value.rpartition(":") if re.search(r":[0-9]*$", value) and not value.endswith("]") else (value, "", "0")
    is_ipv6 = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_ipv6 else host
    if not host or (":" in host) != is_ipv6 or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"{value!r} is not host:port, an IPv6 address in brackets")
    return host, int(port)


def _optional_host_port(value: object) -> tuple[str, int] | None:
    return None if value is None or value == "" else _host_port(value)


HostPort = Annotated[tuple[str, int], BeforeValidator(_host_port)]
OptionalHostPort = Annotated[tuple[str, int] | None, BeforeValidator(_optional_host_port)]


class Config(BaseModel):
    """All settings of a switch, checked. Units are in the names."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    trunk: Annotated[SipUri | None, BeforeValidator(_trunk)] = None
    """Where `tel:` numbers are sent: `sip:host[:port][;transport=udp|tcp|tls]`. Without one only `sip:` targets can be dialled."""
    caller_id: Caller = None
    """The caller id of calls that name no source."""
    username: HeaderText = ""
    """Digest account at the trunk; empty when the trunk knows us by our address."""
    password: SecretStr = SecretStr("")
    from_domain: HostName = ""
    """Host part of the From header; the trunk's host by default."""
    p_asserted_identity: bool = False
    """Also send the caller id as P-Asserted-Identity (RFC 3325)."""
    trunks: tuple[TrunkConfig, ...] = ()
    """Any number of trunks; the keys above, if used, make one more, named "default"."""
    phones: tuple[PhoneConfig, ...] = ()
    """Accounts that may call in."""
    accept_from: tuple[Network, ...] = ("127.0.0.0/8", "::1/128")
    """Sources of no trunk that may call in, when an inbound rule matches."""
    stranger_share: Annotated[float, Field(ge=0, le=1)] = 0.25
    """The part of `max_legs` that calls of `accept_from` may have, for room for trunks and phones; all of it where there are none."""
    unanswered_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The part of `max_legs` that incoming calls may have before they are answered."""
    inbound: tuple[InboundRule, ...] = ()
    """Which calls from outside are taken; the first rule that matches decides, and without one a call is refused with 404."""

    sip_address: HostPort = ("0.0.0.0", 0)  # noqa: S104 - a phone line listens
    """Where SIP is bound, `host:port`; port 0 takes a free one."""
    tcp: bool = True
    """Whether SIP over TCP is listened for, on the same port."""
    tls_address: OptionalHostPort = None
    """Where SIP over TLS is listened for, `host:port`, port 0 takes a free one; needs a certificate."""
    tls_certificate: str = ""
    """Our certificate with its chain, a PEM file."""
    tls_key: str = ""
    """Its key, a PEM file without a password; in the certificate's file by default."""
    tls_ca_file: str = ""
    """Certificates that TLS trunks are checked against; the system's by default."""
    tls_verify_clients: bool = False
    """Whether who connects by TLS has to show a certificate of `tls_ca_file`."""
    public_address: HostName = ""
    """The address to put into Contact and SDP when NAT stands in front."""
    user_agent: HeaderText = "sipcore"
    """The User-Agent header."""

    rtp_ports: tuple[Annotated[int, Field(ge=1024, le=65535)], Annotated[int, Field(ge=1024, le=65535)]] = (16384, 32767)
    """First and last UDP port for RTP and RTCP."""
    rtp_timeout_s: Annotated[float, Field(ge=0, le=3600)] = 60.0
    """An answered call that hears nothing for so long ends as `failed`; 0: never."""
    rtp_source_change: Literal["report", "end"] = "report"
    """What happens when audio starts to come from another address than was negotiated."""
    session_expires_s: Annotated[int, Field(ge=0, le=86_400)] = 1800
    """How often a call is refreshed, so that one whose far end is gone ends (RFC 4028); 0: never."""
    session_min_se_s: Annotated[int, Field(ge=90, le=86_400)] = 90
    """The shortest interval we accept."""
    reliable_provisional: Literal["off", "supported", "required"] = "supported"
    """Provisional answers that are acknowledged: 100rel and PRACK (RFC 3262)."""

    media_root: Path = Path()
    """Files that `play` names by path are under this folder."""
    recordings_dir: Path = Path("recordings")
    """Where recordings are kept."""
    recording_max_s: Annotated[float, Field(gt=0, le=86_400)] = 14_400.0
    """How long one recording may be; it ends then."""
    recording_max_mb: Annotated[int, Field(ge=1, le=1_000_000)] = 2048
    """What one recording may write while it runs, in MiB: about 2 a minute; it ends then."""
    max_conferences: Annotated[int, Field(ge=0, le=10_000)] = 100
    """The most conferences at once."""
    max_conference_members: Annotated[int, Field(ge=1, le=10_000)] = 100
    """The most calls in one conference."""
    conference_entry_tone: bool = True
    """Whether the others hear a tone when somebody joins, where nothing else is said."""
    conference_exit_tone: bool = True
    """The same when somebody leaves."""
    cache_dir: Path = Field(default_factory=lambda: user_cache_path("sipcore") / "audio")
    """Prepared audio; may be deleted at any time."""
    cache_max_mb: Annotated[int, Field(ge=1)] = 1024
    voice: str = ""
    """A voice for Piper, the file `name.onnx` with `name.onnx.json` beside it; speaks its language. Empty: espeak-ng speaks all."""
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
    kept_digits: Annotated[int, Field(ge=1, le=1000)] = 100
    """Keys pressed that wait for a `digits_receive`; more are told as events only."""
    flight_calls: Annotated[int, Field(ge=0, le=100_000)] = 1000
    """How many calls the flight recorder remembers; 0: none."""
    flight_mb: Annotated[int, Field(ge=1, le=4096)] = 32
    """What it may take for them, in MiB."""
    max_queued_audio_s: Annotated[float, Field(gt=0, le=86_400)] = 900.0
    """How much audio that was written to a call may wait to be played."""
    max_unread_audio_s: Annotated[float, Field(ge=0.02, le=600)] = 5.0
    """How much audio of a call waits for a reader that does not read; then the oldest is lost."""
    hangup_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    """How long we wait for the far end to confirm a BYE or CANCEL before the record is closed."""

    flow: FlowConfig = FlowConfig()
    """Limits on action lists."""
    http: HttpConfig = HttpConfig()
    """The HTTP interface of `sipcore serve`."""

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
        config = Config(**settings)
    except ValidationError as error:
        raise ConfigError([_fault(detail["loc"], detail["msg"], source) for detail in error.errors()]) from None
    if faults := [*conflicts(config.trunks, config.phones, has_default=config.trunk is not None), *_contradictions(config)]:
        raise ConfigError([Fault(f"{source}: {fault.path}" if source else fault.path, fault.message) for fault in faults])
    return config


def _contradictions(config: Config) -> list[Fault]:
    faults: list[Fault] = []
    if config.tls_address and not config.tls_certificate:
        faults.append(Fault("tls_certificate", "is missing: tls_address needs a certificate"))
    if 0 < config.session_expires_s < config.session_min_se_s:
        faults.append(Fault("session_expires_s", f"must be 0, or at least session_min_se_s ({config.session_min_se_s})"))
    return faults


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


_TABLES: Final[Mapping[tuple[str, ...], type[BaseModel]]] = {
    (): Config,
    ("flow",): FlowConfig,
    ("http",): HttpConfig,
    ("http", "users"): HttpUser,
    ("trunks",): TrunkConfig,
    ("phones",): PhoneConfig,
    ("inbound",): InboundRule,
}


def _fault(location: tuple[int | str, ...], message: str, source: str) -> Fault:
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(".")
    text = _unknown(location) if message.startswith("Extra inputs") else message.removeprefix("Value error, ")
    return Fault(f"{source}: {key}" if source else key, text)


def _unknown(location: tuple[int | str, ...]) -> str:
    *table, key = (part for part in location if isinstance(part, str))
    model = _TABLES.get(tuple(table))
    known = [field.alias or name for name, field in model.model_fields.items()] if model else []
    near = get_close_matches(key, known, 1)
    return f"unknown key; did you mean {near[0]}?" if near else "unknown key"
