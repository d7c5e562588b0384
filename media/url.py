"""Reading a stream's name: URL or path, and what may be shown of it."""

from __future__ import annotations

import httpx

from .address import is_private_name
from .errors import UrlRefused

MAX_CHARS = 4096
SCHEMES = ("http", "https")


def is_url(name: str) -> bool:
    """Whether ``name`` has a scheme; otherwise it is the path of a local file."""
    scheme, separator, _rest = name.partition(":")
    return (bool(separator) and scheme.lower() in {*SCHEMES, "file", "data", "ftp"}) or "://" in name


def shown(name: str) -> str:
    """Return ``name`` for messages and logs: no user, password or query (tokens live there), no control characters, not long."""
    if is_url(name):
        scheme, separator, rest = name.partition("://")
        authority, slash, path = rest.partition("/")
        authority = "***@" + authority.rpartition("@")[2] if "@" in authority else authority
        head, question, _query = f"{scheme}{separator}{authority}{slash}{path}".partition("?")
        name = f"{head}?..." if question else head
    visible = "".join(character if character.isprintable() else "?" for character in name)
    return visible if len(visible) <= 200 else visible[:197] + "..."


def parse_url(text: str, *, allow_private: bool) -> httpx.URL:
    """Return ``text`` as a URL with everything checked that can be without the network.

    Raises:
        UrlRefused: another scheme than http and https, no host, control characters, or an address (in any spelling) or
            local name that is not public although it has to be.
    """
    name = shown(text)
    if len(text) > MAX_CHARS or not text.isprintable() or " " in text.strip():
        raise UrlRefused(name, f"not a URL: control characters, spaces or more than {MAX_CHARS} characters")
    scheme = text.partition(":")[0].lower()
    if scheme == "file":
        raise UrlRefused(name, "file URLs are refused; give the path, inside the media root, instead")
    if scheme not in SCHEMES:
        raise UrlRefused(name, f"scheme {scheme!r} is refused; http and https are allowed")
    try:
        url = httpx.URL(text.strip())
        host, port = url.host, url.port
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise UrlRefused(name, f"not a URL: {error}") from error
    if not host or (port is not None and not 0 < port < 65536):
        raise UrlRefused(name, "the URL has no valid host and port")
    if not allow_private and is_private_name(host):
        raise UrlRefused(name, f"{host} is not a public address")
    return url
