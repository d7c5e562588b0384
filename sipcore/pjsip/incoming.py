"""A call from outside."""

from __future__ import annotations

from typing import Any, Final

import pjsua2 as pj

from sipcore import engine
from sipcore.wire import ExpectCall

from . import sdp
from .accounts import LocalAccount
from .leg import Leg, LegOwner
from .localaddress import caller_host, local_address_towards
from .siptext import body_of, is_supported, q850_cause_of, readable

_DECLINE: Final = 603
_NOT_ACCEPTABLE: Final = 488
_SERVER_ERROR: Final = 500


class IncomingLeg(Leg):
    """The callee's side of an INVITE that was expected.

    It comes to be inside `onIncomingCall`, where answering aborts PJSIP when there is no SDP: everything else is for the owner loop.
    """

    _is_dialled = False

    def __init__(self, expected: ExpectCall, invite: str, local: LocalAccount, pjsip_id: int, owner: LegOwner) -> None:
        super().__init__(owner, expected.call_id, expected.codecs, local, pjsip_id)
        self._srtp = expected.srtp
        self._offer = body_of(invite)
        self.takes_replaces = is_supported(invite, "replaces")
        self._is_accepted = False
        self._failure = ""
        self._refusal: tuple[int, str] | None = None
        if self.needs_address:
            host = sdp.connection_host(self._offer) or caller_host(invite)
            self._local_address = local_address_towards(host)

    @property
    def is_acceptable(self) -> bool:
        """Whether the offer has a codec of this call, and keys as it wants them (RFC 4568 §7)."""
        keys = sdp.keys_of(self._offer)
        refused = {("off", "required"), ("required", "off"), ("required", "optional")}
        return sdp.has_common_codec(self._offer, self._codecs) and (not self._offer or (self._srtp, keys) not in refused)

    def refuse_unacceptable(self) -> None:
        """488 (RFC 3261 §21.4.26)."""
        if not self._is_over:
            self._refuse(_NOT_ACCEPTABLE, "", ())

    def obey(self, command: engine.Command, now_s: float) -> None:
        """Carry out a command; those that come too late for an answer are ignored."""
        match command:
            case engine.Ring(_, sip_code) if self._is_waiting and 100 < sip_code < 200:
                self._send_answer(sip_code)
            case engine.Answer() if self._is_waiting:
                self._is_accepted = True
                self._send_answer(200)
            case engine.Reject(_, sip_code, sip_phrase, headers) if self._is_waiting and 300 <= sip_code < 700:
                self._is_hung_up = True
                self._refuse(sip_code, sip_phrase, headers)
            case engine.Ring() | engine.Answer() | engine.Reject():
                pass
            case _:
                super().obey(command, now_s)

    @property
    def _is_waiting(self) -> bool:
        """Whether the INVITE has no final answer yet."""
        return not (self._is_accepted or self._is_hung_up or self._is_over)

    def _end(self, code: int = 0) -> None:
        if self._is_accepted:
            super()._end(code)
        else:
            self._refuse(_DECLINE, "", ())

    def _refuse(self, code: int, phrase: str, headers: tuple[tuple[str, str], ...]) -> None:
        self._refusal = (code, phrase)
        self._send_answer(code, phrase, headers)

    def _send_answer(self, code: int, phrase: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        options = pj.CallOpParam(True)  # noqa: FBT003 - with the account's settings
        options.opt.audioCount, options.opt.videoCount = 1, 0
        options.statusCode, options.reason = code, phrase
        for name, value in headers:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            options.txOption.headers.append(header)
        try:
            self.answer(options)
        except pj.Error as error:
            self._answer_failed(code, f"{readable(error.reason)} ({error.status})")

    def _answer_failed(self, code: int, reason: str) -> None:
        """PJSIP has not sent it: media that cannot be had, or an end that came first."""
        if self._is_over:
            return
        if code < 200:
            self.report_fault("answer", f"{code}: {reason}")
            return
        self._failure = f"{code} could not be sent: {reason}"
        super()._end(_SERVER_ERROR)

    def _disconnect(self, info: Any, text: str) -> None:
        if self._is_answered:
            self._disconnect_answered(info, text)
            return
        code, phrase = info.lastStatusCode, readable(info.lastReason)
        if self._failure:
            self._finish(code, phrase, error=self._failure)
            return
        if self._refusal is not None:
            code, phrase = self._refusal[0], self._refusal[1] or phrase
        if self._is_accepted and not self._is_hung_up:
            self._finish(0, "", q850_cause_of(text), f"no ACK for our answer: {code} {phrase}")
            return
        self._finish(code, phrase, q850_cause_of(text))
