"""A request from outside with what the router needs of it, read once."""

from __future__ import annotations

from typing import NamedTuple

from sipcore.frontdoor.inward import note_source
from sipcore.frontdoor.message import CSeq, Message, NameAddr
from sipcore.frontdoor.steps import Flow, Tag
from sipcore.frontdoor.transactions import transaction_key
from sipcore.frontdoor.uri import Uri, join_host_port
from sipcore.frontdoor.via import Via


class Incoming(NamedTuple):
    """One request."""

    request: Message
    flow: Flow
    top: Via
    """With received and rport."""
    cseq: CSeq
    key: str
    """Of its transaction, see `transaction_key`."""
    has_to_tag: bool
    sip_call_id: str
    user: str
    """User part of the request URI."""
    size_bytes: int
    """As it was received."""

    @staticmethod
    def read(request: Message, flow: Flow, size_bytes: int) -> Incoming:
        """Raises: Malformed: Via, CSeq, To or the request URI is no good."""
        seen = Via.parse(request.get_all("Via")[0])
        cseq = CSeq.parse(request.get("CSeq") or "")
        key = transaction_key(request, seen, cseq)
        top = note_source(request, seen, flow)
        has_to_tag = bool(NameAddr.parse(request.get("To") or "").tag)
        sip_call_id = request.get("Call-ID") or ""
        return Incoming(request, flow, top, cseq, key, has_to_tag, sip_call_id, Uri.parse(request.request_uri).user, size_bytes)

    @property
    def method(self) -> str:
        """`INVITE`"""
        return self.request.method

    @property
    def host(self) -> str:
        """Source address."""
        return self.flow.peer[0]

    @property
    def source(self) -> str:
        """`host:port` of the source."""
        return join_host_port(*self.flow.peer)

    @property
    def tag(self) -> Tag:
        """For the trace."""
        return Tag(self.sip_call_id)
