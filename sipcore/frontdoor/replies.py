"""Answers of the front door's own, as steps."""

from __future__ import annotations

from sipcore.frontdoor.grammar import Malformed
from sipcore.frontdoor.hops import reply_fallback, reply_flow
from sipcore.frontdoor.incoming import Incoming
from sipcore.frontdoor.inward import note_source
from sipcore.frontdoor.message import Message
from sipcore.frontdoor.reply import reply_to
from sipcore.frontdoor.steps import Drop, Flow, Step, Tag, ToFlow
from sipcore.frontdoor.via import Via


class Replies:
    """Makes stateless answers whose To tags nobody can guess."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def to(
        self, incoming: Incoming, code: int, phrase: str = "", headers: tuple[tuple[str, str], ...] = (), *, is_traced: bool = False
    ) -> list[Step]:
        """Answer a request."""
        data = reply_to(incoming.request, code, phrase, headers, secret=self._secret)
        tag = incoming.tag if is_traced else None
        return [_back(data, incoming.flow, incoming.top, tag)] if data else [Drop("not to be answered")]

    def to_malformed(self, message: Message, fault: Malformed, flow: Flow) -> list[Step]:
        """Answer what breaks a rule, when its top Via at least can be read."""
        vias = message.get_all("Via")
        if not message.is_request or not vias:
            return [Drop(fault.reason)]
        try:
            top = note_source(message, Via.parse(vias[0]), flow)
        except Malformed:
            return [Drop(fault.reason)]
        data = reply_to(message, fault.sip_code, fault.reason if fault.sip_code == 400 else "", fault.headers, secret=self._secret)
        return [_back(data, flow, top, None)] if data else [Drop(fault.reason)]


def _back(data: bytes, flow: Flow, top: Via, tag: Tag | None) -> ToFlow:
    return ToFlow(reply_flow(flow, top), data, reply_fallback(flow, top), tag)
