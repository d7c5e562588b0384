"""What a pool is told, and what it tells of its workers."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from sipcore.wire import WorkerSettings

from .placement import Limits, NewWorker


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Everything the pool of PJSIP workers can be told."""

    sip_host: str = "0.0.0.0"  # noqa: S104 - a softswitch serves its network
    """Address that signalling and media bind to. `0.0.0.0`: all of them, and each call names the one that its route leaves by."""
    sip_port: int = 0
    """UDP port of the first worker, the next ones follow it; 0 gives each a free one."""
    public_address: str = ""
    """Written into Via, Contact and SDP instead of the bound address, behind a static NAT."""
    rtp_ports: tuple[int, int] = (16384, 32767)
    """First and last UDP port of media; each worker gets a block of it."""
    max_legs: int = 64
    min_workers: int = 1
    """Workers that stay when idle."""
    idle_s: float = 30.0
    """After this long without a leg a worker above `min_workers` ends."""
    user_agent: str = "sipcore"
    heartbeat_timeout_s: float = 5.0
    """A worker that is silent for longer is killed; it speaks every second."""
    tls_ca_file: str = ""
    """PEM file of the authorities trusted for `;transport=tls`; empty refuses such calls."""
    log_dir: str = ""
    """Where each worker writes PJSIP's own log, `pjsip-<index>.log`; empty: nowhere."""
    log_level: int = 3
    """PJSIP's, 1 to 5; 5 has every SIP message, credentials included."""

    def limits(self, capacity: int) -> Limits:
        """For `Placement`; `capacity` is what the endpoint was compiled for."""
        return Limits(capacity, self.max_legs, self.min_workers, self.idle_s, self.rtp_ports, rtp_rotation=secrets.randbelow(1 << 16))

    def worker(self, new: NewWorker, control_pid: int) -> WorkerSettings:
        """What one worker is told."""
        return WorkerSettings(
            sip_host=self.sip_host,
            sip_port=self.sip_port + new.index if self.sip_port else 0,
            rtp_port_first=new.rtp_port_first,
            rtp_port_last=new.rtp_port_last,
            public_address=self.public_address,
            user_agent=self.user_agent,
            tls_ca_file=self.tls_ca_file,
            log_file=f"{self.log_dir}/pjsip-{new.index}.log" if self.log_dir else "",
            log_level=self.log_level,
            control_pid=control_pid,
        )


@dataclass(frozen=True, slots=True)
class WorkerView:
    """One worker as operators and tests see it; `sip_port` is 0 while it starts."""

    pid: int
    legs: int
    sip_port: int
