"""Messages of workers on their way out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from sipcore.frontdoor import outward
from sipcore.frontdoor.face import Face
from sipcore.frontdoor.grammar import Malformed
from sipcore.frontdoor.message import Message, parse
from sipcore.frontdoor.reply import reply_to
from sipcore.frontdoor.seal import Seal
from sipcore.frontdoor.steps import Drop, Step, Tag, ToFlow, ToTarget, ToWorker
from sipcore.frontdoor.transactions import RINGING_S, Entry, Phase, Transactions
from sipcore.frontdoor.via import Via
from sipcore.wire import CALL_HEADER

_MAX_NOTED: Final = 10_000


class WorkerSide:
    """Sends what workers send: requests to their next hop, responses back by the flow of the request."""

    def __init__(self, face: Face, seal: Seal, table: Transactions, secret: bytes) -> None:
        self._face = face
        self._seal = seal
        self._table = table
        self._secret = secret
        self._id_by_port: dict[int, int] = {}
        self._by_stream: OrderedDict[str, tuple[str, float]] = OrderedDict()
        """Branches of INVITEs that went by a stream: CANCEL and the ACK of a refusal must follow (RFC 3261 §9.1, §17.1.1.3)."""

    def set_workers(self, workers: Mapping[int, int]) -> None:
        """Ports that are listened to."""
        self._id_by_port = {port: worker_id for worker_id, port in workers.items()}

    def expire(self, now: float) -> None:
        """Forget what is over."""
        while self._by_stream and next(iter(self._by_stream.values()))[1] < now - RINGING_S:
            self._by_stream.popitem(last=False)

    def send(self, data: bytes, port: int, now: float) -> list[Step]:
        """A datagram of the worker at `port`."""
        worker_id = self._id_by_port.get(port)
        if worker_id is None:
            return [Drop("not from a worker")]
        try:
            message = parse(data)
            if message.version != "SIP/2.0" or not (message.method or message.status):
                return [Drop("a worker talks nonsense", told=True)]
            call_id = message.get(CALL_HEADER)
            self._face.hide(message)
            if message.is_request:
                return self._request(message, worker_id, port, data, call_id, now)
            return self._response(message, worker_id, port, call_id, now)
        except Malformed as fault:
            return self.unsendable(data, port, fault.sip_code or 400, fault.reason) or [Drop(fault.reason, told=True)]

    def unsendable(self, original: bytes, port: int, code: int, reason: str) -> list[Step]:
        """Answer a worker's request ourselves; nothing for an ACK or what is no request."""
        try:
            data = reply_to(parse(original), code, reason, secret=self._secret)
        except Malformed:
            return []
        return [ToWorker(port, data)] if data else []

    def _request(self, request: Message, worker_id: int, port: int, data: bytes, call_id: str | None, now: float) -> list[Step]:
        way = outward.take_way(request, self._face)
        branch = self._seal.branch(worker_id, Via.parse(request.get("Via") or "").branch, request.request_uri)
        sip_call_id = request.get("Call-ID") or ""
        # a registrar sends calls to the user part, and they are new ones; in a dialog the user part leads back to the worker
        user = "" if request.method == "REGISTER" else self._seal.contact_user(worker_id, sip_call_id)
        target, note = way.target, _note_nothing
        if request.method == "INVITE":
            note = partial(self._note_way, now)
        elif request.method in ("CANCEL", "ACK") and branch in self._by_stream:
            target = replace(target, transport=self._by_stream[branch][0])
        departure = outward.Departure(request, self._face, branch, port, user, note)
        return [ToTarget(target, departure.finish, port, data, way.flow, Tag(sip_call_id, call_id))]

    def _note_way(self, now: float, branch: str, transport: str) -> None:
        if transport == "udp":
            self._by_stream.pop(branch, None)
            return
        self._by_stream[branch] = (transport, now)
        if len(self._by_stream) > _MAX_NOTED:
            self._by_stream.popitem(last=False)

    def _response(self, response: Message, worker_id: int, port: int, call_id: str | None, now: float) -> list[Step]:
        back = outward.take_reply_way(response, self._face)
        if back is None:
            return [Drop("response of a worker to no request of ours", told=True)]
        flow, fallback, key = back
        sip_call_id = response.get("Call-ID") or ""
        contacts = outward.OwnContacts(response, port, self._seal.contact_user(worker_id, sip_call_id))
        contacts.write(response, self._face, flow.transport, flow.local)
        entry = self._table.find(key)
        if entry is not None and entry.phase is Phase.REFUSED and is_of_invite(response):
            return [Drop("answer of a worker to an INVITE that has one")]
        if entry is not None and is_of_invite(response):
            self._note_progress(entry, response, now)
        found = entry.call_id or None if entry is not None else None
        return [ToFlow(flow, response.to_bytes(), fallback, Tag(sip_call_id, call_id or found))]

    def _note_progress(self, entry: Entry, response: Message, now: float) -> None:
        """Keep the INVITE's entry while it rings, let it go soon after its final answer."""
        is_final = response.status >= 200 or entry.phase is Phase.ANSWERED
        self._table.move(entry, Phase.ANSWERED if is_final else Phase.RINGING, now)


def is_of_invite(response: Message) -> bool:
    """True for an answer to an INVITE."""
    return (response.get("CSeq") or "").endswith("INVITE")


def _note_nothing(_branch: str, _transport: str) -> None:
    """For requests that nothing has to follow."""
