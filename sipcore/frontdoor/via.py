"""One Via value (RFC 3261 §20.42, RFC 3581)."""

from __future__ import annotations

from typing import NamedTuple

from sipcore.frontdoor.grammar import Malformed, Params, find_param, join_params, remembered, split_params, with_param
from sipcore.frontdoor.uri import join_host_port, split_host_port


class Via(NamedTuple):
    """Who sent or passed a request, and by what. A named tuple, as other values here: made in half the time of a dataclass."""

    transport: str
    """In upper case."""
    host: str
    """Of sent-by, without brackets."""
    port: int | None
    params: Params = ()

    @staticmethod
    def parse(text: str) -> Via:
        """Raises: Malformed: it is none."""
        return _parse(text)

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{join_params(self.params)}"

    @property
    def sent_by(self) -> str:
        """`host:port` as it stands there."""
        return join_host_port(self.host, self.port)

    @property
    def branch(self) -> str:
        """Empty when there is none (RFC 2543)."""
        return find_param(self.params, "branch") or ""

    @property
    def received(self) -> str:
        """Source address as a proxy saw it; empty when there is none."""
        return find_param(self.params, "received") or ""

    @property
    def rport(self) -> str | None:
        """RFC 3581: `None` when it is not there, empty when it asks for the port, else the port."""
        return find_param(self.params, "rport")

    def with_param(self, name: str, value: str | None) -> Via:
        """The same with this parameter."""
        return Via(self.transport, self.host, self.port, with_param(self.params, name, value))


@remembered
def _parse(text: str) -> Via:
    protocol, semicolon, params = text.partition(";")
    parts = protocol.split("/", 2)
    if len(parts) != 3:
        raise Malformed("bad Via")
    name, version, rest = parts
    transport, _, sent_by = rest.strip(" \t").replace("\t", " ").partition(" ")
    if name.strip(" \t").upper() != "SIP" or version.strip(" \t") != "2.0" or not transport:
        raise Malformed("bad Via")
    host, port = split_host_port(sent_by.strip(" \t"))
    return Via(transport.upper(), host, port, split_params(semicolon + params))
