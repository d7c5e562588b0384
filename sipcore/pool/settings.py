"""What a pool is told, and what it tells of its workers."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field
from typing import Final

from sipcore.wire import DoorLimits, DoorPhone, DoorTls, DoorTrunk, WorkerSettings

from .door import DoorOptions
from .placement import Limits, NewWorker

LOOPBACK: Final = "127.0.0.1"
"""Where workers speak SIP: only the front door is seen outside."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Everything the pool of PJSIP workers and its front door can be told."""

    sip_host: str = "0.0.0.0"  # noqa: S104 - a softswitch serves its network
    """Address that signalling binds to, and media unless `media_host` says otherwise. `0.0.0.0`: all of them."""
    sip_port: int = 0
    """UDP and TCP port of the front door; 0 is a free one."""
    more_hosts: tuple[str, ...] = ()
    """Further addresses for signalling, with the same port: `::` for IPv6."""
    tcp: bool = True
    tls_address: str = ""
    """`host:port` for TLS; empty: it is only called out with."""
    tls_certificate_file: str = ""
    tls_key_file: str = ""
    tls_ca_file: str = ""
    """PEM file of the authorities that servers are checked against, and clients with `tls_verifies_clients`."""
    tls_verifies_clients: bool = False
    public_address: str = ""
    """Written into Via, Contact and SDP instead of the bound address, behind a static NAT."""
    trunks: tuple[DoorTrunk, ...] = ()
    phones: tuple[DoorPhone, ...] = ()
    open_networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Sources that may call in without belonging to a trunk."""
    door_limits: DoorLimits = field(default_factory=DoorLimits)
    media_host: str = ""
    """Address that media binds to; empty: `sip_host`, or every IPv4 interface when that is an IPv6 one, which PJSIP's media cannot use."""
    rtp_ports: tuple[int, int] = (16384, 32767)
    """First and last UDP port of media; each worker gets a block of it."""
    max_legs: int = 64
    stranger_share: float = 0.25
    """The part of `max_legs` that calls from no trunk and no phone may have: the rest is kept for those who are known."""
    unanswered_share: float = 0.5
    """The part of `max_legs` that incoming calls may have which are not answered."""
    min_workers: int = 1
    """Workers that stay when idle."""
    idle_s: float = 30.0
    """After this long without a leg a worker above `min_workers` ends."""
    user_agent: str = "sipcore"
    heartbeat_timeout_s: float = 5.0
    """A worker that is silent for longer is killed; it speaks every second."""
    codecs: tuple[str, ...] = ("PCMU/8000", "PCMA/8000")
    """RTP names that workers speak, in the order of preference."""
    srtp: bool = False
    """SDES keys may be offered and taken; each call says whether."""
    session_expires_s: int = 1800
    """Session timer (RFC 4028); 0: none is asked for."""
    session_min_se_s: int = 90
    reliable_provisional: str = "supported"
    """100rel (RFC 3262): `off`, `supported` or `required`."""
    rtp_timeout_s: float = 60.0
    """An answered leg without RTP for so long is reported; 0: none is."""
    allows_refer: bool = False
    """A REFER is reported; otherwise it is refused."""
    log_dir: str = ""
    """Where each worker writes PJSIP's own log, `pjsip-<index>.log`; empty: nowhere."""
    log_level: int = 3
    """PJSIP's, 1 to 5; 5 has every SIP message, credentials included."""

    def limits(self, capacity: int) -> Limits:
        """For `Placement`; `capacity` is what the endpoint was compiled for."""
        return Limits(
            capacity,
            self.max_legs,
            self.min_workers,
            self.idle_s,
            self.rtp_ports,
            rtp_rotation=secrets.randbelow(1 << 16),
            stranger_legs=math.ceil(self.stranger_share * self.max_legs),
            unanswered_legs=math.ceil(self.unanswered_share * self.max_legs),
        )

    def door(self) -> DoorOptions:
        """What the front door is told."""
        return DoorOptions(
            sip_host=self.sip_host,
            sip_port=self.sip_port,
            more_hosts=self.more_hosts,
            tcp=self.tcp,
            tls_address=self.tls_address,
            tls=DoorTls(self.tls_certificate_file, self.tls_key_file, self.tls_ca_file, self.tls_verifies_clients),
            public_address=self.public_address,
            trunks=self.trunks,
            phones=self.phones,
            open_networks=self.open_networks,
            limits=self.door_limits,
            user_agent=self.user_agent,
            session_min_se_s=self.session_min_se_s if self.session_expires_s else 0,
            has_100rel=self.reliable_provisional != "off",
        )

    def worker(self, new: NewWorker, control_pid: int, door_port: int) -> WorkerSettings:
        """What one worker is told."""
        return WorkerSettings(
            sip_host=LOOPBACK,
            sip_port=0,
            rtp_port_first=new.rtp_port_first,
            rtp_port_last=new.rtp_port_last,
            public_address=self.public_address,
            user_agent=self.user_agent,
            log_file=f"{self.log_dir}/pjsip-{new.name}.log" if self.log_dir else "",
            log_level=self.log_level,
            control_pid=control_pid,
            media_host=self.media_host or ("0.0.0.0" if ":" in self.sip_host else self.sip_host),  # noqa: S104 - as `sip_host`
            door_port=door_port,
            codecs=self.codecs,
            session_expires_s=self.session_expires_s,
            session_min_se_s=self.session_min_se_s,
            reliable_provisional=self.reliable_provisional,
            rtp_timeout_s=self.rtp_timeout_s,
            srtp=self.srtp,
            allows_refer=self.allows_refer,
        )


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker as operators and tests see it; `sip_port` is 0 while it starts."""

    pid: int
    legs: int
    sip_port: int
    """On 127.0.0.1: the front door's way to it."""
