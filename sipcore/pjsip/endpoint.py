"""Start and stop of the one PJSIP endpoint of a process. Every setting has its reason here."""

from __future__ import annotations

from typing import Any, Final

import pjsua2 as pj

from sipcore.wire import WorkerSettings

CODECS: Final = {"PCMU/8000": 255, "PCMA/8000": 254}
"""The codecs that are on, with their priority. iLBC must stay off: an odd `mode` in an offer aborts PJSIP 2.15.1."""


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
    media.clockRate = media.sndClockRate = 8000  # both codecs are 8 kHz; a 16 kHz bridge costs four times as much
    media.audioFramePtime = 20
    media.noVad = True
    media.ecTailLen = 0
    media.sndAutoCloseTime = -1  # otherwise the clock stops when idle, and bridge operations queue for ever
    media.jbInit = 0  # prefetch: keeps the delay through the bridge at one packet
    return config


def start_endpoint(settings: WorkerSettings) -> tuple[Any, str]:
    """Create, configure and start the endpoint on the calling thread, which owns it from now on.

    Returns:
        The endpoint and the `host:port` its UDP transport has.

    Raises:
        pj.Error: an address or a port cannot be had.
    """
    endpoint = pj.Endpoint()
    endpoint.libCreate()
    endpoint.libInit(_endpoint_config(settings))
    transport = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport_config(settings, settings.sip_port))
    endpoint.libStart()
    for codec in endpoint.codecEnum2():
        priority = next((value for name, value in CODECS.items() if codec.codecId.startswith(name)), 0)
        endpoint.codecSetPriority(codec.codecId, priority)
    info = endpoint.transportGetInfo(transport)
    return endpoint, str(info.localName)


def transport_config(settings: WorkerSettings, port: int) -> Any:
    """Where a SIP transport binds and what it calls itself."""
    config = pj.TransportConfig()
    config.port = port
    config.boundAddress = "" if settings.sip_host == "0.0.0.0" else settings.sip_host  # noqa: S104 - compared, not bound
    config.publicAddress = settings.public_address
    return config


class ExtraTransports:
    """TCP and TLS, each created at the first dial that needs it: an idle worker keeps no listener open."""

    def __init__(self, endpoint: Any, settings: WorkerSettings) -> None:
        self._endpoint = endpoint
        self._settings = settings
        self._created: set[str] = set()

    def need(self, transport: str) -> None:
        """Make sure that `tcp` or `tls` works; anything else is UDP, which is there.

        Raises:
            pj.Error: PJSIP cannot open it.
            ValueError: the transport is not one we have, or TLS has no file of trusted certificates.
        """
        if transport in ("", "udp") or transport in self._created:
            return
        if transport == "tcp":
            self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_TCP, transport_config(self._settings, 0))
        elif transport == "tls":
            self._endpoint.transportCreate(pj.PJSIP_TRANSPORT_TLS, self._tls_config())
        else:
            raise ValueError(f"no SIP transport {transport!r}")
        self._created.add(transport)

    def _tls_config(self) -> Any:
        if not self._settings.tls_ca_file:
            raise ValueError("TLS needs a file of trusted certificates")
        config = transport_config(self._settings, 0)
        config.tlsConfig.CaListFile = self._settings.tls_ca_file
        config.tlsConfig.verifyServer = True
        config.tlsConfig.proto = pj.PJ_SSL_SOCK_PROTO_TLS1_2
        return config
