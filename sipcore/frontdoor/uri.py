"""SIP and tel URIs, and the name-addr of From, To, Contact, Route (RFC 3261 §19.1, §20.10, RFC 3966)."""

from __future__ import annotations

import re
from typing import NamedTuple

from sipcore.frontdoor.grammar import Malformed, Params, find_param, join_params, number, quote, remembered, split_params, unquote

MAX_PORT = 65_535

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class Uri(NamedTuple):
    """A `sip:`, `sips:` or `tel:` URI. Nothing is unescaped; of a `tel:` the number is the user and there is no host."""

    scheme: str
    """In lower case."""
    user: str
    password: str
    host: str
    """As written; an IPv6 address without its brackets."""
    port: int | None
    params: Params = ()
    headers: str = ""
    """What stands behind `?`, raw."""

    def param(self, name: str) -> str | None:
        """Value of a URI parameter, `""` when it has none (`lr`), `None` when it is not there."""
        return find_param(self.params, name)

    @property
    def host_port(self) -> str:
        """`host`, `host:5070`, `[2001:db8::1]:5070`."""
        return join_host_port(self.host, self.port)

    @staticmethod
    def parse(text: str) -> Uri:
        """Raises: Malformed: it is no such URI (416 when it is of another scheme)."""
        return _parse(text)

    def __str__(self) -> str:
        if self.scheme == "tel":
            return f"tel:{self.user}{join_params(self.params)}"
        user = f"{self.user}:{self.password}@" if self.password else f"{self.user}@" if self.user else ""
        headers = f"?{self.headers}" if self.headers else ""
        return f"{self.scheme}:{user}{self.host_port}{join_params(self.params)}{headers}"


class NameAddr(NamedTuple):
    """`"Name" <uri>;params`, and the form without brackets, where every parameter belongs to the header (RFC 3261 §20.10)."""

    name: str
    """Without quotes."""
    uri: Uri | str
    """Raw when it is of another scheme, or `*` of a Contact."""
    params: Params = ()

    @property
    def tag(self) -> str:
        """Empty when there is none."""
        return find_param(self.params, "tag") or ""

    def param(self, name: str) -> str | None:
        """Value of a header parameter, `""` when it has none, `None` when it is not there."""
        return find_param(self.params, name)

    @staticmethod
    def parse(text: str) -> NameAddr:
        """Raises: Malformed: brackets or quotes are left open, or the URI in them is no good."""
        return _parse_name_addr(text)

    def __str__(self) -> str:
        name = f"{quote(self.name)} " if self.name else ""
        return f"{name}<{self.uri}>{join_params(self.params)}"


@remembered
def _parse(text: str) -> Uri:
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if scheme in ("sip", "sips") and colon:
        return _parse_sip(scheme, rest)
    if scheme == "tel" and colon:
        subscriber, semicolon, params = rest.partition(";")
        return Uri(scheme, subscriber, "", "", None, split_params(semicolon + params))
    raise Malformed("unsupported URI scheme" if colon else "no URI", 416)


def _parse_sip(scheme: str, rest: str) -> Uri:
    userinfo, at, after = rest.rpartition("@")
    if "@" in userinfo:
        raise Malformed("two @ in a URI")
    user, _, password = userinfo.partition(":")
    if at and not user:
        raise Malformed("empty user in a URI")
    after, _, headers = after.partition("?")
    host_port, semicolon, params = after.partition(";")
    host, port = split_host_port(host_port)
    return Uri(scheme, user, password, host, port, split_params(semicolon + params), headers)


@remembered
def _parse_name_addr(text: str) -> NameAddr:
    name, uri, params = _split_name_addr(text)
    return NameAddr(unquote(name), _uri_or_raw(uri), split_params(params))


def split_host_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[IPv6]:port`; blanks around the colon are allowed (RFC 3261 §25.1 COLON).

    Raises:
        Malformed: the host is empty, the port is not 1 to 65535.
    """
    if text[:1] == "[":
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and rest[0] not in " \t:"):
            raise Malformed("bad IPv6 reference")
        colon, port = rest.strip(" \t")[:1], rest.strip(" \t")[1:]
    else:
        host, colon, port = text.partition(":")
    host = host.strip(" \t")
    if not host:
        raise Malformed("no host")
    if not colon:
        return host, None
    value = number(port.strip(" \t"), MAX_PORT)
    if value == 0:
        raise Malformed("port 0")
    return host, value


def join_host_port(host: str, port: int | None) -> str:
    """The opposite of `split_host_port`."""
    if ":" in host:
        host = f"[{host}]"
    return host if port is None else f"{host}:{port}"


def _split_name_addr(text: str) -> tuple[str, str, str]:
    """Display name as written, URI, and parameters with their first `;`."""
    if text[:1] == '"':
        name_end = _quote_end(text)
    elif "<" not in text:
        uri, semicolon, params = text.partition(";")
        return "", uri.strip(" \t"), semicolon + params
    else:
        name_end = text.index("<")
    name, rest = text[:name_end].strip(" \t"), text[name_end:].lstrip(" \t")
    uri, closed, behind = rest[1:].partition(">")
    if rest[:1] != "<" or not closed:
        raise Malformed("bad name-addr")
    behind = behind.lstrip(" \t")
    if behind and behind[0] != ";":
        raise Malformed("text behind a name-addr")
    return name, uri, behind


def _quote_end(text: str) -> int:
    """Index behind the closing quote of the quoted string that `text` begins with."""
    quoted = _QUOTED.match(text)
    if quoted is None:
        raise Malformed("open quote")
    return quoted.end()


def _uri_or_raw(text: str) -> Uri | str:
    scheme = text.partition(":")[0].lower()
    return Uri.parse(text) if scheme in ("sip", "sips", "tel") else text
