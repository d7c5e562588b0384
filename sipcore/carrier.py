"""The engine that a switch has by default: the pool of PJSIP workers behind its front door, as the configuration wants it."""

from __future__ import annotations

import ssl
from typing import Final

from sipcore.config import Config
from sipcore.config_trunks import TrunkConfig
from sipcore.engine import Engine
from sipcore.pool import PjsipPool, PoolSettings
from sipcore.trunk import Trunks, door_phones

DEBIAN_CA_FILE: Final = "/etc/ssl/certs/ca-certificates.crt"  # Debian's OpenSSL knows a folder only, and PJSIP wants a file
_CODECS: Final = ("PCMU/8000", "PCMA/8000")


def default_engine(config: Config) -> Engine:
    """The pool of PJSIP workers; nothing is started yet."""
    host, port = config.sip_address
    tls = config.tls_address
    return PjsipPool(
        PoolSettings(
            sip_host=host,
            sip_port=port,
            tcp=config.tcp,
            tls_address="" if tls is None else (f"[{tls[0]}]:{tls[1]}" if ":" in tls[0] else f"{tls[0]}:{tls[1]}"),
            tls_certificate_file=config.tls_certificate,
            tls_key_file=config.tls_key,
            tls_ca_file=config.tls_ca_file or ssl.get_default_verify_paths().cafile or DEBIAN_CA_FILE,
            tls_verifies_clients=config.tls_verify_clients,
            public_address=config.public_address,
            trunks=Trunks.of(config, host).door_trunks({}),
            phones=door_phones(config),
            open_networks=config.accept_from,
            rtp_ports=config.rtp_ports,
            max_legs=config.max_legs,
            stranger_share=config.stranger_share if config.trunks or config.phones else 1.0,
            unanswered_share=config.unanswered_share,
            min_workers=config.min_workers,
            user_agent=config.user_agent,
            codecs=_codecs(config.trunks),
            srtp=any(trunk.srtp != "off" for trunk in config.trunks),
            session_expires_s=config.session_expires_s,
            session_min_se_s=config.session_min_se_s,
            reliable_provisional=config.reliable_provisional,
            rtp_timeout_s=config.rtp_timeout_s,
            allows_refer=any(trunk.allows_refer for trunk in config.trunks),
        )
    )


def _codecs(trunks: tuple[TrunkConfig, ...]) -> tuple[str, ...]:
    """What workers speak: G.711, and what trunks ask for beside it."""
    return tuple(dict.fromkeys((*_CODECS, *(codec for trunk in trunks for codec in trunk.codecs))))
