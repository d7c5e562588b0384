"""Start and stop of the one PJSIP endpoint of a process. Every setting has its reason here."""

from __future__ import annotations

from typing import Any, Final, Protocol

import pjsua2 as pj

from sipcore.wire import WorkerSettings

from .guard import ReportsFaults, guarded
from .sdp import rtp_name
from .siptext import readable

_NAMES: Final = {"g722/8000": "g722/16000"}
"""RTP's name to PJSIP's, where they differ (RFC 3551 §4.5.2)."""

_WIDEBAND: Final = ("g722/", "speex/16000", "speex/32000")
_TOP_PRIORITY: Final = 255


class Watcher(ReportsFaults, Protocol):
    """What the endpoint needs of its worker."""

    def account_id_for(self, invite: str) -> int:
        """PJSIP's number of the account that a request from outside belongs to."""

    def rejected(self, invite: str, code: int, phrase: str) -> None:
        """PJSIP has refused an INVITE by itself."""


class WorkerEndpoint(pj.Endpoint):  # type: ignore[misc]
    """PJSIP's endpoint, not started yet."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher

    def report_fault(self, where: str, details: str) -> None:
        """For the guard."""
        self._watcher.report_fault(where, details)

    @guarded
    def onSelectAccount(self, prm: Any) -> None:
        """Every INVITE is for an account of the worker's own: by itself PJSIP looks for one whose name the To header has."""
        prm.accountIndex = self._watcher.account_id_for(readable(prm.rdata.wholeMsg))

    @guarded
    def onRejectedIncomingCall(self, prm: Any) -> None:
        """No Call object was made for it."""
        self._watcher.rejected(readable(prm.rdata.wholeMsg), prm.statusCode, readable(prm.reason))


def bridge_rate_hz(settings: WorkerSettings) -> int:
    """The rate that everything is mixed at; 16 kHz costs four times as much as 8."""
    return 16000 if any(rtp_name(codec).startswith(_WIDEBAND) for codec in settings.codecs) else 8000


def _endpoint_config(settings: WorkerSettings) -> Any:
    config = pj.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.userAgent = settings.user_agent
    config.uaConfig.mwiUnsolicitedEnabled = False
    config.logConfig.consoleLevel = 0
    config.logConfig.level = settings.log_level if settings.log_file else 0
    config.logConfig.msgLogging = int(settings.log_level >= 5)
    config.logConfig.filename = settings.log_file
    media = config.medConfig
    media.clockRate = media.sndClockRate = bridge_rate_hz(settings)
    media.audioFramePtime = 20
    media.noVad = True
    media.ecTailLen = 0
    media.sndAutoCloseTime = -1  # otherwise the clock stops when idle, and bridge operations queue for ever
    media.jbInit = 0  # prefetch: keeps the delay through the bridge at one packet
    return config


def start_endpoint(endpoint: WorkerEndpoint, settings: WorkerSettings) -> str:
    """Configure and start the endpoint on the calling thread, which owns it from now on.

    Returns:
        The `host:port` its UDP transport has. There is no other one: TCP and TLS are the front door's, and without them PJSIP sends a
        request of any size by UDP.

    Raises:
        pj.Error: an address or a port cannot be had.
    """
    endpoint.libCreate()
    endpoint.libInit(_endpoint_config(settings))
    transport = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, _transport_config(settings))
    endpoint.libStart()
    wanted = [_NAMES.get(rtp_name(codec), rtp_name(codec)) for codec in settings.codecs]
    for codec in endpoint.codecEnum2():
        name = rtp_name(codec.codecId)
        endpoint.codecSetPriority(codec.codecId, _TOP_PRIORITY - wanted.index(name) if name in wanted else 0)
    return str(endpoint.transportGetInfo(transport).localName)


def _transport_config(settings: WorkerSettings) -> Any:
    """Where the SIP transport binds and what it calls itself. Behind a front door nobody else sees it."""
    config = pj.TransportConfig()
    config.port = settings.sip_port
    config.boundAddress = "" if settings.sip_host == "0.0.0.0" else settings.sip_host  # noqa: S104 - compared, not bound
    config.publicAddress = "" if settings.door_port else settings.public_address
    return config
