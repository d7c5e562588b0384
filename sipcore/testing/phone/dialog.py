"""One call from its answer to its end: ACK, re-INVITE, BYE both ways (RFC 3261 §13 to §15)."""

from __future__ import annotations

import time

from . import sdp
from .audio import Source
from .call import CallRecord, CallState
from .loop import Action, Timer
from .media_session import MediaSession
from .peer import Peer
from .responses import ALLOW
from .script import Script
from .sip_message import Message
from .transactions import ServerTransaction, Wire


class Dialog:
    """What a call is after its INVITE was let in. Only on the loop's thread, or under its lock."""

    def __init__(self, wire: Wire, record: CallRecord, script: Script, peer: Peer) -> None:
        self.wire, self.record, self.script, self.peer = wire, record, script, peer
        self._media: MediaSession | None = None
        self._digits = ""
        self._sdp_version = 0
        self._unacknowledged: dict[int, ServerTransaction] = {}
        self._awaiting_answer: set[int] = set()
        self._timers: list[Timer] = []
        self._pending_bye: tuple[str | None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether the end has been decided, by whomever."""
        return self.record.state in (CallState.CANCELLED, CallState.ENDED)

    # ------------------------------------------------------------------------------------------------- answering

    def session_description(self, request: Message) -> str:
        """Agree on media with an INVITE and return our SDP: an answer, or an offer when it had none.

        Raises:
            NotAcceptable: nothing in common; nothing was changed.
        """
        plan = sdp.agree(request.body, self.wire.codecs) if request.body else None
        media = self._media or self._open_media()
        if plan is None:
            self._awaiting_answer.add(request.cseq)
            return self.offer()
        self._sdp_version += 1
        media.apply(plan)
        return sdp.answer(request.body, plan, self.wire.host, media.port, self._sdp_version)

    def offer(self) -> str:
        """Open the RTP port and return an offer of ours."""
        media = self._media or self._open_media()
        self._sdp_version += 1
        return sdp.offer(self.wire.codecs[0], self.wire.host, media.port, self._sdp_version)

    def _open_media(self) -> MediaSession:
        script, loop = self.script, self.wire.loop
        self._media = MediaSession(loop, self.wire.host, self.record.listener, script.impairs_sent, script.impairs_received)
        return self._media

    def play(self, source: Source) -> None:
        """Send `source` from now on."""
        if self._media is not None and not self.script.faults.one_way:
            self._media.play(source)

    def accept(self, invite: ServerTransaction, body: str) -> None:
        """Send the first 200, until it is acknowledged; the script's audio, presses and end count from here."""
        self._note_answer()
        self._respond_ok(invite, body)
        self._begin()

    def accepted(self, answer: str) -> None:
        """Take the 200 that answers our INVITE, with its SDP unless that came before; as after `accept` the script goes on from here.

        Raises:
            NotAcceptable: there is no audio in it that was offered; the call is answered all the same.
        """
        self._note_answer()
        self.take_answer(answer)
        self._begin()

    def take_answer(self, answer: str) -> None:
        """Use the answer to an offer of ours.

        Raises:
            NotAcceptable: there is no audio in it that was offered.
        """
        if answer and self._media is not None:
            self._media.apply(sdp.agree(answer, self.wire.codecs))

    def _note_answer(self) -> None:
        self.record.state, self.record.sip_code, self.record.answered_at = CallState.ANSWERED, 200, time.monotonic()

    def _begin(self) -> None:
        script = self.script
        self.play(script.audio)
        if self._digits:
            self._press(self._digits)
        if script.digits:
            self.later(script.digits_after_s, lambda: self._press(script.digits))
        if script.hang_up_after_s is not None:
            self.later(script.hang_up_after_s, lambda: self.say_bye(script.hang_up_reason))

    def _respond_ok(self, invite: ServerTransaction, body: str) -> None:
        invite.respond(200, to_tag=self.peer.local_tag, headers=[self.peer.contact, ("Allow", ALLOW)], body=body)
        self.expect_ack(invite)

    def expect_ack(self, invite: ServerTransaction) -> None:
        """Repeat a final response until its ACK comes."""
        self._unacknowledged[invite.request.cseq] = invite
        invite.repeat_until_acknowledged(self._on_no_ack)

    def forget_unacknowledged(self) -> None:
        """Repeat no response any more."""
        for invite in self._unacknowledged.values():
            invite.acknowledge()
        self._unacknowledged.clear()

    # ------------------------------------------------------------------------------------------- what the peer sends

    def on_ack(self, ack: Message) -> None:
        """Take an ACK, of a 200 or of a refusal."""
        invite = self._unacknowledged.pop(ack.cseq, None)
        if invite is None:
            return  # a copy
        invite.acknowledge()
        if ack.cseq in self._awaiting_answer and ack.body and self._media is not None:
            try:
                self._media.apply(sdp.agree(ack.body, self.wire.codecs))
            except sdp.NotAcceptable:
                self._pending_bye = (None,)
        self._awaiting_answer.discard(ack.cseq)
        if self.is_over:
            self.settle()
        elif self.record.state is CallState.ANSWERED:
            self.acknowledged()

    def acknowledged(self) -> None:
        """The answer has its ACK: now a BYE may go out."""
        self.record.acknowledged_at = self.record.acknowledged_at or time.monotonic()
        if self._pending_bye is not None:
            self._send_bye(*self._pending_bye)

    def is_in_order(self, request: ServerTransaction) -> bool:
        """Note the number of a request in the dialog; one that comes too late is refused here (RFC 3261 §12.2.2)."""
        cseq = request.request.cseq
        if cseq < self.peer.remote_cseq:
            request.respond(500)
            return False
        self.peer.remote_cseq = cseq
        return True

    def on_request(self, request: ServerTransaction) -> None:
        """Take a request in the dialog, whoever has called."""
        match request.request.method:
            case "BYE":
                self.on_bye(request)
            case "INVITE" if self.record.state is CallState.ANSWERED:
                self.on_reinvite(request)
            case "INVITE":
                request.respond(481 if self.is_over else 491)
                self.expect_ack(request)
            case _:
                request.respond(200)

    def on_reinvite(self, request: ServerTransaction) -> None:
        """Answer a changed offer, a hold for example (RFC 3264 §8.4)."""
        self.peer.refresh(request.request)
        try:
            body = self.session_description(request.request)
        except sdp.NotAcceptable:
            request.respond(488)
            self.expect_ack(request)
            return
        self._respond_ok(request, body)

    def on_bye(self, request: ServerTransaction) -> None:
        """End the call; a phone that ignores BYE only notes it."""
        if self.script.answers_bye:
            request.respond(200)
        if not self.is_over:
            self.end(CallState.ENDED, "remote")
            self.settle()

    # ------------------------------------------------------------------------------------------------ what we do

    def say_bye(self, reason: str | None) -> None:
        """Send BYE, not before the ACK (RFC 3261 §15)."""
        if self.record.state is not CallState.ANSWERED:
            return
        if self.record.acknowledged_at is None:
            self._pending_bye = (reason,)
        else:
            self._send_bye(reason)

    def send_digits(self, digits: str) -> None:
        """Press keys now, or right after the answer.

        Raises:
            RuntimeError: the call is over, or the other side did not offer telephone-event.
        """
        if self.is_over:
            raise RuntimeError(f"call {self.record.call_id} is over")
        if self.record.state is CallState.ANSWERED:
            self._press(digits)
        else:
            self._digits += digits

    def shut_down(self) -> None:
        """Send BYE even without an ACK: the phone closes."""
        if self.record.state is CallState.ANSWERED:
            self._send_bye(None)

    def later(self, delay_s: float, action: Action) -> None:
        """Run `action` after `delay_s` unless the call is over by then."""
        self._timers.append(self.wire.loop.call_later(delay_s, action))

    def end(self, state: CallState, ended_by: str) -> None:
        """Note the end, stop the timers and the voice."""
        self.record.state, self.record.ended_by, self.record.ended_at = state, ended_by, time.monotonic()
        for timer in self._timers:
            timer.cancel()
        if self._media is not None:
            self._media.stop_sending()

    def release(self) -> None:
        """Close the ports and stop everything that would be sent again."""
        self.forget_unacknowledged()
        if self._media is not None:
            self._media.close()
            self._media = None

    def _press(self, digits: str) -> None:
        if self._media is not None:
            self._media.send_digits(digits)

    def _send_bye(self, reason: str | None) -> None:
        self.forget_unacknowledged()
        self.end(CallState.ENDED, "local")
        headers = [("Reason", reason)] if reason else []
        if self.script.faults.double_bye:
            self.peer.request("BYE", headers, lambda _: None)
        self.peer.request("BYE", headers, lambda _: self.settle())

    def _on_no_ack(self) -> None:
        if self.record.state is CallState.ANSWERED:
            self._send_bye(None)  # RFC 3261 §13.3.1.4
        else:
            self.settle()

    def settle(self) -> None:
        """Nothing of the call is due on the wire any more."""
        self.record.is_settled = True
        self.release()
