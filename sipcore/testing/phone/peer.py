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
    """The other side of one call. `local` and `remote` are the values of From and To in our requests."""

    def __init__(self, wire: Wire, call_id: str, source: Address, *, local: str, remote: str, local_tag: str, target_uri: str) -> None:
        self._wire, self._call_id, self._source = wire, call_id, source
        self._local, self._remote, self.local_tag = local, remote, local_tag
        self.target_uri = target_uri
        self._routes: list[str] = []
        self.local_cseq = 0
        self.remote_cseq = 0

    @classmethod
    def of_caller(cls, wire: Wire, invite: Message, source: Address) -> Peer:
        """A caller, known by its INVITE."""
        tag, headers = secrets.token_hex(8), invite.headers
        local, target_uri = f"{headers.get('to')};tag={tag}", address_uri(headers.get("contact") or headers.get("from"))
        peer = cls(wire, invite.call_id, source, local=local, remote=headers.get("from"), local_tag=tag, target_uri=target_uri)
        peer._routes, peer.remote_cseq = headers.get_all("record-route"), invite.cseq
        return peer

    @classmethod
    def of_callee(cls, wire: Wire, call_id: str, uri: str, address: Address) -> Peer:
        """Somebody that we call at `uri`; who that is we learn from a response."""
        tag = secrets.token_hex(8)
        local = f"<sip:{wire.name}@{wire.host}:{wire.sip_port}>;tag={tag}"
        return cls(wire, call_id, address, local=local, remote=f"<{uri}>", local_tag=tag, target_uri=uri)

    def learn(self, response: Message) -> None:
        """Take tag, remote target and route set of a response to our INVITE (RFC 3261 §12.1.2)."""
        self._remote = response.headers.get("to")
        self._routes = response.headers.get_all("record-route")[::-1]
        self.refresh(response)

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
        self.local_cseq += 1
        branch = new_branch()
        text, address = self.write(method, self.local_cseq, branch, headers)
        return ClientTransaction(self._wire, text, address, self._call_id, branch, done)

    def write(self, method: str, cseq: int, branch: str, headers: Sequence[Header] = (), body: str = "") -> tuple[str, Address]:
        """Write a request; return it and where it goes."""
        wire = self._wire
        uri, routes = self._uri_and_routes()
        lines = [
            ("Via", f"SIP/2.0/UDP {wire.host}:{wire.sip_port};rport;branch={branch}"),
            *(("Route", route) for route in routes),
            ("Max-Forwards", "70"),
            ("From", self._local),
            ("To", self._remote),
            ("Call-ID", self._call_id),
            ("CSeq", f"{cseq} {method}"),
            *headers,
        ]
        text = format_message(f"{method} {uri} SIP/2.0", lines, body)
        hop = address_uri(routes[0]) if routes and uri == self.target_uri else uri
        return text, self._address_of(hop)

    def _uri_and_routes(self) -> tuple[str, list[str]]:
        """Return request URI and Route values; a first hop without `lr` is a strict router (RFC 3261 §12.2.1.1)."""
        routes = self._routes
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


def new_branch() -> str:
    """Return a new transaction's branch."""
    return "z9hG4bK" + secrets.token_hex(8)
