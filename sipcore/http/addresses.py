"""Where the server listens, and whether that is this machine only."""

from __future__ import annotations

import ipaddress
import logging
import socket
from typing import Final

from sipcore.config import Config
from sipcore.errors import ConfigError, Fault

log = logging.getLogger(__name__)

_BACKLOG: Final = 128


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host: a loopback address, or the name localhost."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


def parse_listen(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port`; port 0 takes a free one.

    Raises:
        ConfigError: it is not of this form.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdecimal() and int(port) < 65536):
        raise ConfigError([Fault("http", f"{text!r} is not host:port, like 127.0.0.1:8080")])
    return host, int(port)


def guarded(config: Config, host: str) -> Config:
    """The configuration as it may be served at `host`.

    Beyond loopback `allow_private_urls` is false unless the configuration says otherwise.

    Raises:
        ConfigError: everybody could place calls: beyond loopback a token is needed.
    """
    if is_loopback(host):
        return config
    if not config.http.has_tokens:
        message = f"{host} can be reached from elsewhere, and no token is configured: set tokens, hashed_tokens or jwt_secret in [http]"
        raise ConfigError([Fault("http", message)])
    if "allow_private_urls" in config.model_fields_set:
        return config
    return config.model_copy(update={"allow_private_urls": False})


def bind(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        ConfigError: the address cannot be bound.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise ConfigError([Fault("http", f"{host}:{port} cannot be bound: {getattr(error, 'strerror', None) or error}")]) from None


def url_of(sock: socket.socket) -> str:
    """`http://host:port` of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
