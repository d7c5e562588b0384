"""The other side of a dialog: tags, route set, remote target, and requests to it (RFC 3261 §12)."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Sequence

from .media_session import may_send
from .responses import Address
from .sip_message import Header, MalformedMessage, Message, address_uri, format_message, parameters, uri_target
from .transactions import ClientTransaction, Wire


class Peer:
    """A caller, known by its INVITE."""

    def __init__(self, wire: Wire, invite: Message, source: Address) -> None:
        self._wire, self._invite, self._source = wire, invite, source
        self.local_tag = secrets.token_hex(8)
        self.target_uri = address_uri(invite.headers.get("contact") or invite.headers.get("from"))
        self._local_cseq = 0
        self.remote_cseq = invite.cseq

    @property
    def contact(self) -> Header:
        """Our own Contact."""
        return "Contact", f"<sip:{self._wire.name}@{self._wire.host}:{self._wire.sip_port}>"

    def refresh(self, request: Message) -> None:
        """Take the new remote target of a re-INVITE (RFC 3261 §12.2.2)."""
        if contact := request.headers.get("contact"):
            self.target_uri = address_uri(contact)

    def request(self, method: str, headers: Sequence[Header], done: Callable[[int], None]) -> ClientTransaction:
        """Send a request in the dialog; `done` gets the final code."""
        wire, invite = self._wire, self._invite
        self._local_cseq += 1
        uri, routes = self._uri_and_routes()
        branch = "z9hG4bK" + secrets.token_hex(8)
        lines = [
            ("Via", f"SIP/2.0/UDP {wire.host}:{wire.sip_port};rport;branch={branch}"),
            *(("Route", route) for route in routes),
            ("Max-Forwards", "70"),
            ("From", f"{invite.headers.get('to')};tag={self.local_tag}"),
            ("To", invite.headers.get("from")),
            ("Call-ID", invite.call_id),
            ("CSeq", f"{self._local_cseq} {method}"),
            *headers,
        ]
        text = format_message(f"{method} {uri} SIP/2.0", lines)
        hop = address_uri(routes[0]) if routes and uri == self.target_uri else uri
        return ClientTransaction(wire, text, self._address_of(hop), invite.call_id, branch, done)

    def _uri_and_routes(self) -> tuple[str, list[str]]:
        """Return request URI and Route values; a first hop without `lr` is a strict router (RFC 3261 §12.2.1.1)."""
        routes = self._invite.headers.get_all("record-route")
        if not routes or "lr" in parameters(";" + address_uri(routes[0]).partition(";")[2]):
            return self.target_uri, routes
        return address_uri(routes[0]), [*routes[1:], f"<{self.target_uri}>"]

    def _address_of(self, uri: str) -> Address:
        """Return where a URI is; a name, or an address out of bounds, is where the INVITE came from."""
        try:
            host, port = uri_target(uri)
            is_reachable = isinstance(ipaddress.ip_address(host), ipaddress.IPv4Address) and may_send(self._wire.host, host)
        except (MalformedMessage, ValueError):
            return self._source
        return (host, port) if is_reachable and 0 < port < 65536 else self._source
