"""The front door's decisions: a datagram in, steps out. No sockets, no clock (docs/adr/0005-front-door.md).

What it must know of a dialog stands in the messages; what it remembers is where each INVITE that opens a call went, as long as
its transaction lives. One router is used from one thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sipcore.frontdoor import inward
from sipcore.frontdoor.face import ALLOWED, Face
from sipcore.frontdoor.gate import Gate, Refused
from sipcore.frontdoor.grammar import Malformed
from sipcore.frontdoor.incoming import Incoming
from sipcore.frontdoor.limits import Verdict
from sipcore.frontdoor.message import Message, NameAddr, is_tagged, parse
from sipcore.frontdoor.offers import offer_of
from sipcore.frontdoor.replies import Replies
from sipcore.frontdoor.seal import Seal, is_perhaps_ours
from sipcore.frontdoor.session_timer import too_short
from sipcore.frontdoor.steps import Ask, Drop, Flow, Received, Step, Tag, Target, ToFlow, ToTarget, ToWorker
from sipcore.frontdoor.transactions import Entry, Phase, Transactions, merged_key
from sipcore.frontdoor.uri import Uri
from sipcore.frontdoor.via import Via
from sipcore.frontdoor.wellformed import check
from sipcore.frontdoor.workerside import WorkerSide
from sipcore.wire import DoorSettings, DoorTrunk

__all__ = ["Ask", "Drop", "Flow", "Received", "Router", "Step", "Tag", "Target", "ToFlow", "ToTarget", "ToWorker"]

_IN_DIALOG: Final = frozenset({"INVITE", "BYE", "UPDATE", "PRACK", "INFO", "REFER", "NOTIFY", "OPTIONS"})
_NOT_ALLOWED: Final = {"REGISTER": 405, "MESSAGE": 405, "PUBLISH": 405, "REFER": 405, "SUBSCRIBE": 489}
"""Answers to methods that we know and do not take outside of dialogs; what belongs into a dialog gets 481, what we do not know 501."""
_RETRY_AFTER: Final = (("Retry-After", "2"),)


class Router:
    """See the module docstring. Every method returns what is to be done, in order; none raises for what the network sends."""

    def __init__(self, settings: DoorSettings) -> None:
        self._offers = settings.limits.offers
        self._min_se_s = settings.session_min_se_s
        self._seal = Seal(settings.secret)
        self._face = Face(settings)
        self._gate = Gate(settings, self._seal)
        self._table = Transactions()
        self._replies = Replies(settings.secret)
        self._workers: dict[int, int] = {}
        self._worker_side = WorkerSide(self._face, self._seal, self._table, settings.secret)

    # ------------------------------------------------------------------------------------------ control

    def set_workers(self, workers: Mapping[int, int]) -> list[Step]:
        """The workers that can be reached, `{worker_id: port}`; callers whose INVITE rings at one that is gone are told 500."""
        gone = set(self._workers) - set(workers)
        self._workers = dict(workers)
        self._worker_side.set_workers(self._workers)
        steps: list[Step] = []
        for entry in self._table.ringing_at(gone) if gone else ():
            steps += self._end(entry, 500, "", (), entry.used_at)
        return steps

    def set_trunks(self, trunks: Sequence[DoorTrunk]) -> None:
        """The trunks and their sources from now on."""
        self._gate.set_trunks(tuple(trunks))

    def placed(self, key: str, call_id: str, worker_id: int, now: float) -> list[Step]:
        """The control process has a place for the call. A key that is unknown is learned: a front door that was started again gets the
        placements of its predecessor this way, so that CANCEL and the ACK of a refusal find their worker.
        """
        entry = self._table.find(key)
        if entry is None:
            self._table.add(Entry(key, "", Phase.RINGING, now, None, None, worker_id, call_id))
            return []
        if entry.phase is not Phase.ASKED:
            return []
        entry.worker_id, entry.call_id = worker_id, call_id
        if worker_id not in self._workers:
            return self._end(entry, 503, "", _RETRY_AFTER, now)
        cancel = entry.cancel
        self._table.move(entry, Phase.RINGING, now)
        try:
            steps = self._prepared_to_worker(entry.invite, worker_id, call_id) if entry.invite is not None else []
            return steps + (self._to_worker(cancel, worker_id) if cancel is not None else [])
        except Malformed as fault:
            return self._end(entry, fault.sip_code, "", (), now)

    def refused(self, key: str, code: int, phrase: str, headers: tuple[tuple[str, str], ...], now: float) -> list[Step]:
        """The control process refuses the call; also one that it has placed, when the worker does not answer it any more."""
        entry = self._table.find(key)
        return [] if entry is None or entry.invite is None else self._end(entry, code, phrase, headers, now)

    def expire(self, now: float) -> list[Step]:
        """Forget what is over; to be called about once a second."""
        self._gate.expire(now)
        self._worker_side.expire(now)
        steps: list[Step] = []
        for entry in self._table.expire(now):
            if entry.invite is not None:
                steps += self._replies.to(entry.invite, 503, headers=_RETRY_AFTER, is_traced=True)
        return steps

    def unsendable(self, step: ToTarget, reason: str, now: float) -> list[Step]:  # noqa: ARG002 - as all of them
        """A worker's request could not be sent: the worker gets 503, as RFC 3261 §8.1.3.1 has it, and PJSIP need not wait for a timer."""
        return self._worker_side.unsendable(step.original, step.worker_port, 503, reason)

    def from_worker(self, data: bytes, port: int, now: float) -> list[Step]:
        """A datagram that a worker has sent from 127.0.0.1:`port` to the inner socket."""
        return self._worker_side.send(data, port, now)

    # ------------------------------------------------------------------------------------------ from outside

    def from_outside(self, data: bytes, flow: Flow, now: float) -> list[Step]:
        """A datagram, or a message cut from a stream, that came by `flow`."""
        if self._gate.is_drained(data, flow.peer[0], now):
            return [Drop("too many requests")]
        message: Message | None = None
        try:
            message = parse(data)
            if message.is_request:
                check(message)
                return self._request(Incoming.read(message, flow, len(data)), now)
            return self._response(message, flow)
        except Malformed as fault:
            return self._malformed(message or fault.message, fault, flow, now)

    def _malformed(self, message: Message | None, fault: Malformed, flow: Flow, now: float) -> list[Step]:
        verdict = self._gate.verdict(message, flow.peer[0], now)
        if verdict is not Verdict.PASS:
            return _silence(verdict, flow.peer[0])
        if message is None or not fault.sip_code:
            return [Drop(fault.reason)]
        return self._replies.to_malformed(message, fault, flow)

    def _request(self, incoming: Incoming, now: float) -> list[Step]:
        match incoming.method:
            case "ACK":
                return self._ack(incoming)
            case "CANCEL":
                return self._cancel(incoming, now)
        if incoming.has_to_tag:
            return self._in_dialog(incoming, now)
        if incoming.method == "INVITE" and (entry := self._table.find(incoming.key)) is not None:
            return self._again(entry, incoming, now)
        verdict = self._gate.verdict(incoming.request, incoming.host, now)
        if verdict is not Verdict.PASS:
            return _silence(verdict, incoming.host)
        if incoming.method == "OPTIONS":
            return self._replies.to(incoming, 200, headers=self._face.abilities)
        if (code := self._stop_code(incoming)) != 0:
            return self._replies.to(incoming, code)
        return self._invite(incoming, now) if incoming.method == "INVITE" else self._replies.to(incoming, *_outside_dialog(incoming.method))

    def _stop_code(self, incoming: Incoming) -> int:
        """483 or 482 for a request that has gone far enough (RFC 3261 §16.3)."""
        if (incoming.request.get("Max-Forwards") or "70").lstrip("0") == "":
            return 483
        request = incoming.request
        if not [name for name, value in request.headers if name == "Via" and is_perhaps_ours(value)]:
            return 0
        vias = request.get_all("Via")
        return 482 if any(self._seal.has_looped(Via.parse(via).branch, request.request_uri) for via in vias) else 0

    def _ack(self, ack: Incoming) -> list[Step]:
        """To the 200: by its request URI. To a refusal: where the INVITE went, unless the refusal was ours."""
        entry = self._table.find(ack.key)
        worker_id = self._seal.worker_of_contact(ack.user, ack.sip_call_id)
        if worker_id is None and entry is not None and entry.phase in (Phase.RINGING, Phase.ANSWERED):
            worker_id = entry.worker_id
        if worker_id not in self._workers or not ack.has_to_tag:
            return [Drop("ACK of nothing that a worker has")]
        return [Received(ack.tag), *self._to_worker(ack, worker_id)]

    def _cancel(self, cancel: Incoming, now: float) -> list[Step]:
        entry = self._table.find(cancel.key)
        worker_id = self._seal.worker_of_contact(cancel.user, cancel.sip_call_id) if entry is None else entry.worker_id
        if entry is not None and entry.phase is Phase.ASKED:
            entry.cancel = cancel  # both go to the worker when it is known: the control process learns of it as of any other CANCEL
            return [Received(cancel.tag)]
        if entry is not None and entry.phase is Phase.REFUSED:
            return self._replies.to(cancel, 200)
        if worker_id not in self._workers:
            return self._stranger(cancel, now)
        return [Received(cancel.tag), *self._to_worker(cancel, worker_id)]

    def _in_dialog(self, incoming: Incoming, now: float) -> list[Step]:
        worker_id = self._seal.worker_of_contact(incoming.user, incoming.sip_call_id)
        if worker_id not in self._workers:
            return self._stranger(incoming, now)
        if (code := self._stop_code(incoming)) != 0:
            return self._replies.to(incoming, code)
        if incoming.method not in _IN_DIALOG:
            return self._replies.to(incoming, *_outside_dialog(incoming.method))
        return [Received(incoming.tag), *self._to_worker(incoming, worker_id)]

    def _stranger(self, incoming: Incoming, now: float) -> list[Step]:
        """481: it belongs to nothing here."""
        verdict = self._gate.verdict(incoming.request, incoming.host, now)
        if verdict is not Verdict.PASS:
            return _silence(verdict, incoming.host)
        return self._replies.to(incoming, 481)

    # ------------------------------------------------------------------------------------------ new calls

    def _invite(self, invite: Incoming, now: float) -> list[Step]:
        caller = NameAddr.parse(invite.request.get("From") or "")
        judged = self._gate.judge(invite, caller.uri.user if isinstance(caller.uri, Uri) else "", now)
        if isinstance(judged, Refused):
            return self._replies.to(invite, judged.code, headers=judged.headers)
        if not self._face.has_100rel and is_tagged(invite.request, ("Require",), "100rel"):
            return self._replies.to(invite, 420, headers=(("Unsupported", "100rel"),))
        if min_se := too_short(invite.request, self._min_se_s):
            return self._replies.to(invite, 422, headers=min_se)
        merged = merged_key(invite.sip_call_id, caller.tag, invite.cseq)
        if self._table.is_merged(invite.key, merged):
            return self._replies.to(invite, 482, "Merged Request")
        if self._table.asked >= self._offers:
            return self._replies.to(invite, 503, headers=_RETRY_AFTER)
        inward.prepare_request(invite.request)
        offer = offer_of(invite, caller, judged.trunk, judged.username)
        inward.check_room(invite.request, invite.size_bytes)
        self._table.add(Entry(invite.key, merged, Phase.ASKED, now, invite))
        return [Received(invite.tag), Ask(invite.key, offer)]

    def _again(self, entry: Entry, invite: Incoming, now: float) -> list[Step]:
        """A retransmission."""
        match entry.phase:
            case Phase.ASKED:
                return self._replies.to(invite, 100, is_traced=True)
            case Phase.RINGING if entry.worker_id in self._workers:
                self._table.move(entry, Phase.RINGING, now)
                return [Received(invite.tag), *self._to_worker(invite, entry.worker_id, entry.call_id)]
            case Phase.REFUSED:
                code, phrase, headers = entry.refusal
                return self._replies.to(invite, code, phrase, headers, is_traced=True)
            case _:
                return [Drop("INVITE again after its answer")]  # the worker repeats the answer by itself

    def _end(self, entry: Entry, code: int, phrase: str, headers: tuple[tuple[str, str], ...], now: float) -> list[Step]:
        """Answer an INVITE ourselves, and its CANCEL."""
        invite, cancel = entry.invite, entry.cancel
        entry.refusal = (code, phrase, headers)
        self._table.move(entry, Phase.REFUSED, now)
        steps = self._replies.to(cancel, 200, is_traced=True) if cancel is not None else []
        return steps + (self._replies.to(invite, code, phrase, headers, is_traced=True) if invite is not None else [])

    def _to_worker(self, incoming: Incoming, worker_id: int | None, call_id: str = "") -> list[Step]:
        inward.prepare_request(incoming.request)
        return self._prepared_to_worker(incoming, worker_id, call_id)

    def _prepared_to_worker(self, incoming: Incoming, worker_id: int | None, call_id: str) -> list[Step]:
        port = self._workers[worker_id] if worker_id is not None else 0
        data = inward.request_for(incoming.request, port, self._face, incoming.key, incoming.flow, incoming.top, call_id)
        return [ToWorker(port, data)]

    # ------------------------------------------------------------------------------------------ responses

    def _response(self, response: Message, flow: Flow) -> list[Step]:
        """Only to requests of ours: the branch tells the worker (RFC 3261 §16.11, §18.1.2)."""
        vias = response.get_all("Via")
        named = self._seal.worker_of_branch(Via.parse(vias[0]).branch) if len(vias) == 1 else None
        if named is None or named[0] not in self._workers:
            return [Drop("response to no request of ours")]
        inward.check_response(response)
        port = self._workers[named[0]]
        tag = Tag(response.get("Call-ID") or "")
        return [Received(tag), ToWorker(port, inward.response_for(response, port, named[1], self._face, flow))]


def _silence(verdict: Verdict, host: str) -> list[Step]:
    return [Drop(f"{host} scans or sends too much: it gets no answer", told=verdict is Verdict.DROP_AND_TELL)]


def _outside_dialog(method: str) -> tuple[int, str, tuple[tuple[str, str], ...]]:
    code = _NOT_ALLOWED.get(method) or (481 if method in _IN_DIALOG else 501)
    return code, "", (("Allow", ALLOWED),) if code in (405, 501) else ()
