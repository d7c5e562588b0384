"""A call that the phone makes: INVITE, what rings, ACK, CANCEL, credentials (RFC 3261 §9.1, §13.2, §17.1.1)."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from . import sdp
from .call import CallRecord, CallState
from .dialog import Dialog
from .digest import digest_response, parse_credentials
from .peer import Peer, new_branch
from .responses import ALLOW, Address
from .script import Script
from .sip_message import Header, Headers, Message, uri_target
from .transactions import ClientTransaction, Retransmission, ServerTransaction, Wire


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a call is made with when the other side asks who it is."""

    username: str
    password: str = field(repr=False)

    def answer(self, challenge: Message, method: str, uri: str) -> list[Header]:
        """Return the header for a 401 or 407 (RFC 2617 §3.2.2); empty when it asks for something that is not known here."""
        asked, answers = ("www-authenticate", "Authorization") if challenge.code == 401 else ("proxy-authenticate", "Proxy-Authorization")
        wanted = parse_credentials(challenge.headers.get(asked))
        if not wanted.get("nonce") or wanted.get("algorithm", "MD5").upper() != "MD5":
            return []
        realm, nonce, has_qop = wanted.get("realm", ""), wanted["nonce"], "auth" in wanted.get("qop", "").split(",")
        client_nonce = secrets.token_hex(8)
        response = digest_response(
            username=self.username, password=self.password, realm=realm, method=method, uri=uri, nonce=nonce,
            qop="auth" if has_qop else "", nonce_count="00000001", client_nonce=client_nonce,
        )  # fmt: skip
        value = f'Digest username="{self.username}", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{response}", algorithm=MD5'
        if has_qop:
            value += f', qop=auth, nc=00000001, cnonce="{client_nonce}"'
        if opaque := wanted.get("opaque"):
            value += f', opaque="{opaque}"'
        return [(answers, value)]


class OutgoingCall:
    """Plays the script's part as the caller. Only on the loop's thread, or under its lock.

    `on_dialog` is told the other side's tag when there is one.
    """

    def __init__(
        self, wire: Wire, script: Script, uri: str, credentials: Credentials | None, on_dialog: Callable[[OutgoingCall, str], None]
    ) -> None:
        self._wire, self._uri, self._credentials, self._on_dialog = wire, uri, credentials, on_dialog
        self.script = script
        call_id = f"{secrets.token_hex(10)}@{wire.host}"
        self.peer = Peer.of_callee(wire, call_id, uri, uri_target(uri))
        own_uri = f"sip:{wire.name}@{wire.host}:{wire.sip_port}"
        self.record = CallRecord(
            call_id, own_uri, uri, Headers(), time.monotonic(), f"{wire.host}:{wire.sip_port}", state=CallState.CALLING
        )
        self.dialog = Dialog(wire, self.record, script, self.peer)
        self._offer = ""
        self._invite_cseq = 0
        self._branch = ""
        self._invite: tuple[str, Address] = ("", ("", 0))
        self._copies: Retransmission | None = None
        self._acks: dict[int, tuple[str, Address]] = {}
        self._has_rung = self._is_cancel_wanted = self._is_cancelled = False

    def start(self) -> None:
        """Send the INVITE."""
        self._offer = self.dialog.offer()
        self._send_invite([])

    def on_response(self, response: Message) -> None:
        """Take a response to an INVITE of ours."""
        if self._copies is not None:
            self._copies.stop()
        if response.code < 200:
            if response.cseq == self._invite_cseq:
                self._on_provisional(response)
        elif response.code < 300:
            self._on_ok(response)
        else:
            self._on_refusal(response)

    def on_request(self, request: ServerTransaction) -> None:
        """Take a request in the dialog."""
        if self.dialog.is_in_order(request):
            self.dialog.on_request(request)

    def on_cancel(self, cancel: ServerTransaction) -> None:
        """Nobody cancels a call of ours."""
        cancel.respond(481)

    def hang_up(self, reason: str | None) -> None:
        """BYE, or CANCEL before the answer; nothing when it is over."""
        if self.record.state is CallState.ANSWERED:
            self.dialog.say_bye(reason)
        elif not self.dialog.is_over:
            self._is_cancel_wanted = True
            if self._has_rung:
                self._send_cancel()

    def send_digits(self, digits: str) -> None:
        """Press keys now, or right after the answer."""
        self.dialog.send_digits(digits)

    def shut_down(self) -> None:
        """End the call because the phone closes."""
        if self.record.state is CallState.ANSWERED:
            self.dialog.shut_down()
        elif not self.dialog.is_over:
            self.hang_up(None)
            self.record.ended_by = "local"  # so that closing waits for the 487

    def _send_invite(self, credentials: list[Header]) -> None:
        peer = self.peer
        peer.local_cseq += 1
        self._invite_cseq, self._branch = peer.local_cseq, new_branch()
        headers = [peer.contact, ("Allow", ALLOW), *credentials]
        self._invite = peer.write("INVITE", self._invite_cseq, self._branch, headers, self._offer)
        self._wire.expect_responses(self._branch, "INVITE", self)
        self._copies = Retransmission(self._wire, self._transmit_invite, self._give_up)
        self._transmit_invite()

    def _transmit_invite(self) -> None:
        self._wire.transmit(*self._invite, self.record.call_id)

    def _on_provisional(self, response: Message) -> None:
        self._has_rung = True
        if response.to_tag:
            self._on_dialog(self, response.to_tag)
        if response.code > 100 and self.record.state in (CallState.CALLING, CallState.RINGING):
            self.record.state = CallState.EARLY if response.body else CallState.RINGING
            try:
                self.dialog.take_answer(response.body)
            except sdp.NotAcceptable:
                self._is_cancel_wanted = True
        if self._is_cancel_wanted:
            self._send_cancel()

    def _on_ok(self, response: Message) -> None:
        if response.cseq in self._acks:
            self._acknowledge(response.cseq)  # a copy
            return
        self.peer.learn(response)
        self._on_dialog(self, response.to_tag)
        self.record.headers = response.headers
        if self.dialog.is_over:
            return
        try:
            self.dialog.accepted(response.body)
        except sdp.NotAcceptable:
            self._is_cancel_wanted = True
        self._acks[response.cseq] = self.peer.write("ACK", response.cseq, new_branch())
        self._acknowledge(response.cseq)
        self.dialog.acknowledged()
        if self._is_cancel_wanted:  # the answer was quicker
            self.dialog.say_bye(None)

    def _acknowledge(self, cseq: int) -> None:
        if self.script.faults.no_ack:
            return
        self._wire.transmit(*self._acks[cseq], self.record.call_id)

    def _on_refusal(self, response: Message) -> None:
        """ACK in the same transaction (RFC 3261 §17.1.1.3), then credentials or the end."""
        if not self.script.faults.no_ack:
            ack, address = self.peer.write("ACK", response.cseq, self._branch)
            self._wire.transmit(ack.replace(f"To: <{self._uri}>", f"To: {response.headers.get('to')}", 1), address, self.record.call_id)
        if response.cseq != self._invite_cseq or self.dialog.is_over:
            return  # a copy
        is_challenge = response.code in (401, 407) and self._credentials is not None and self._invite_cseq == 1
        answer = self._credentials.answer(response, "INVITE", self._uri) if is_challenge and self._credentials is not None else []
        self.record.sip_code = response.code
        if answer:
            self._send_invite(answer)
        else:
            self._end(CallState.CANCELLED if response.code == 487 else CallState.ENDED, "local" if self._is_cancel_wanted else "remote")

    def _send_cancel(self) -> None:
        """CANCEL, once; it has the branch of its INVITE (RFC 3261 §9.1)."""
        if not self._is_cancelled:
            self._is_cancelled = True
            text, address = self.peer.write("CANCEL", self._invite_cseq, self._branch)
            ClientTransaction(self._wire, text, address, self.record.call_id, self._branch, lambda _: None)

    def _give_up(self) -> None:
        self.record.sip_code = 408
        self._end(CallState.ENDED, "local")

    def _end(self, state: CallState, ended_by: str) -> None:
        self.dialog.end(state, ended_by)
        self.dialog.settle()
