"""A call from its INVITE to its final answer: challenge, ring, early media, refuse, cancel (RFC 3261 §8.2, §9.2, §13.3)."""

from __future__ import annotations

import secrets

from . import sdp
from .call import CallRecord, CallState
from .dialog import Dialog
from .digest import Verdict
from .peer import Peer
from .responses import Address
from .script import Rejection, Script
from .transactions import ServerTransaction, Wire

_DECLINED = Rejection(603)
_UNAVAILABLE = Rejection(480)


class IncomingCall:
    """Plays the script's part for one caller. Only on the loop's thread, or under its lock."""

    def __init__(self, wire: Wire, record: CallRecord, script: Script, invite: ServerTransaction, source: Address) -> None:
        self.record, self.script = record, script
        self.peer = Peer.of_caller(wire, invite.request, source)
        self.dialog = Dialog(wire, record, script, self.peer)
        self._invite = invite
        self._body = ""
        self._nonce = secrets.token_hex(8)

    @property
    def is_waiting_for_credentials(self) -> bool:
        """Whether the caller was challenged and may send its INVITE again."""
        return self.record.state is CallState.INCOMING and self.record.sip_code in (401, 407)

    def on_invite(self, invite: ServerTransaction) -> None:
        """Start, or start again with credentials."""
        self._invite, self.peer.remote_cseq = invite, invite.request.cseq
        self.record.headers = invite.request.headers
        self.dialog.forget_unacknowledged()  # credentials are as good as the ACK of their challenge
        if self.script.is_silent:
            return
        required = invite.request.headers.get_all("require")
        if required:
            self._refuse(Rejection(420, headers=(("Unsupported", ", ".join(required)),)))
        elif self.script.digest is not None and not self._is_let_in(invite):
            if self.record.sip_code == 403:
                self._end_refused()
        else:
            self.record.sip_code = 0
            self._ring_in_time()

    def on_cancel(self, cancel: ServerTransaction) -> None:
        """Take a CANCEL: 487 unless the final answer is out already."""
        if self.script.is_silent:
            return
        cancel.respond(200, to_tag=self.peer.local_tag)
        self._give_up_by_caller()

    def on_request(self, request: ServerTransaction) -> None:
        """Take a request in the dialog."""
        if not self.dialog.is_in_order(request):
            return
        message = request.request
        is_guarded = self.script.digest is not None and self.script.digest.is_in_dialog
        is_quiet = message.method == "BYE" and not self.script.answers_bye
        if message.method in ("BYE", "INVITE") and is_guarded and not is_quiet and not self._is_let_in(request):
            return
        if message.method == "BYE" and self.record.state is not CallState.ANSWERED and not self.dialog.is_over:
            request.respond(200)
            self._give_up_by_caller()
        else:
            self.dialog.on_request(request)

    def hang_up(self, reason: str | None) -> None:
        """BYE, or 603 before the answer; nothing when it is over."""
        if self.record.state is CallState.ANSWERED:
            self.dialog.say_bye(reason)
        elif not self.dialog.is_over and not self.script.is_silent:
            self._refuse(_DECLINED)

    def send_digits(self, digits: str) -> None:
        """Press keys now, or right after the answer."""
        self.dialog.send_digits(digits)

    def shut_down(self) -> None:
        """End the call because the phone closes."""
        if self.record.state is CallState.ANSWERED:
            self.dialog.shut_down()
        elif not self.dialog.is_over and not self.script.is_silent and not self.is_waiting_for_credentials:
            self._refuse(_UNAVAILABLE)

    def _is_let_in(self, request: ServerTransaction) -> bool:
        """Check credentials; challenge or refuse the request without right ones."""
        rule, message = self.script.digest, request.request
        verdict = Verdict.RIGHT if rule is None else rule.verify(message.method, message.headers, self._nonce)
        if rule is None or verdict is Verdict.RIGHT:
            return True
        if verdict is Verdict.WRONG:
            code, headers = 403, []
        else:
            code, headers = rule.code, [rule.challenge(self._nonce, is_stale=verdict is Verdict.STALE)]
        request.respond(code, to_tag=self.peer.local_tag, headers=headers)
        if message.method == "INVITE":
            self.dialog.expect_ack(request)
            if self.record.state is CallState.INCOMING:
                self.record.sip_code = code
        return False

    def _ring_in_time(self) -> None:
        if wait_s := self.script.faults.ringback_after_s:
            self._invite.respond(100)
            self.dialog.later(wait_s, self._ring)
        else:
            self._ring()

    def _ring(self) -> None:
        script = self.script
        if script.rejection is not None and script.ring_s == 0:
            self._refuse(script.rejection)
            return
        try:
            self._body = self.dialog.session_description(self._invite.request)
        except sdp.NotAcceptable:
            self._refuse(Rejection(488))
            return
        if script.early_media is not None:
            self.record.state = CallState.EARLY
            self._invite.respond(183, to_tag=self.peer.local_tag, headers=[self.peer.contact], body=self._body)
            self.dialog.play(script.early_media)
        else:
            self.record.state = CallState.RINGING
            self._invite.respond(180, to_tag=self.peer.local_tag, headers=[self.peer.contact])
        if script.ring_s == 0:
            self._decide()
        elif script.ring_s is not None:
            self.dialog.later(script.ring_s, self._decide)

    def _decide(self) -> None:
        if self.script.rejection is not None:
            self._refuse(self.script.rejection)
        else:
            self.dialog.accept(self._invite, self._body)
            if self.script.faults.late_ringback:
                self._invite.say(180, to_tag=self.peer.local_tag, headers=[self.peer.contact])

    def _refuse(self, rejection: Rejection) -> None:
        self.record.sip_code = rejection.code
        self._invite.respond(rejection.code, to_tag=self.peer.local_tag, reason=rejection.reason, headers=rejection.headers)
        self.dialog.expect_ack(self._invite)
        self._end_refused()

    def _end_refused(self) -> None:
        self.dialog.end(CallState.ENDED, "local")

    def _give_up_by_caller(self) -> None:
        if self.record.state is CallState.ANSWERED or self.dialog.is_over:
            return
        self._refuse(Rejection(487))
        self.record.state, self.record.ended_by = CallState.CANCELLED, "remote"
