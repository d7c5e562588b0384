"""One call in PJSIP, whoever opened it: its end, and what happens within its dialog."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

import pjsua2 as pj

from sipcore import engine

from .accounts import LocalAccount
from .guard import guarded
from .media import MediaCall, MediaOwner
from .refer import target_of
from .siptext import is_supported, q850_cause_of, readable, status_of

_NOT_KNOWN: Final = 420
_NO_SUCH_CALL: Final = 481
_GLARE: Final = 491
_REFUSED: Final = 300
_RETRY_GLARE_S: Final = {True: 2.1, False: 1.0}
"""By who opened the dialog: 2.1 to 4 s for the one who chose the Call-ID, 0 to 2 s for the other (RFC 3261 §14.1)."""

_PJSIP_ACCEPTED: Final = (100, "Accepted")
"""How PJSIP tells that the REFER was answered with 2xx."""


class LegOwner(MediaOwner, Protocol):
    """What a leg needs of its worker."""

    def leg_over(self, leg: Leg) -> None:
        """Forget the leg now: the caller is inside `onCallState(DISCONNECTED)`, where the last reference must go."""

    def digits_refused(self, leg: Leg, error: str) -> None:
        """The far end does not take a digit that was sent as INFO."""

    def transfer_asked(self, leg: Leg) -> Any:
        """The call that PJSIP shall dial when it accepts a REFER; `None`: it is refused."""


class Leg(MediaCall):
    """What calls that we dialled and calls from outside have in common. Every method runs on the owner thread.

    Attributes:
        local: The PJSIP account it goes by.
        takes_replaces: Whether the far end knows the Replaces header (RFC 3891).
    """

    _is_dialled = True

    def __init__(self, owner: LegOwner, call_id: str, codecs: Sequence[str], local: LocalAccount, *number: int) -> None:
        super().__init__(owner, call_id, codecs, local, *number)
        self.local = local
        self.takes_replaces = False
        self._reason = ""
        self._owner = owner
        self._wants_hold: bool | None = None
        self._asked_hold: bool | None = None
        self._hold_again_at_s = 0.0

    # ------------------------------------------------------------------------------------------------ commands

    def obey(self, command: engine.Command, now_s: float) -> None:
        """Carry out a command of the dialog; one that does not fit its state is ignored."""
        match command:
            case engine.Hangup(_, reason):
                self.hang_up(reason)
            case engine.Hold(_, is_held) if self._is_live:
                self._wants_hold = is_held
                self._hold(now_s)
            case engine.Transfer(_, target_uri) if self._is_live:
                self._transfer(target_uri)

    def tend(self, now_s: float) -> None:
        """About once a second."""
        self.look_at_rtp(now_s)
        if self._wants_hold is not None and now_s >= self._hold_again_at_s and self._is_live:
            self._hold(now_s)

    def hang_up(self, reason: str = "") -> None:
        """End it in the way its state asks for; `CallDisconnected` comes at once, from within. `reason`: of the Reason header."""
        if self._is_hung_up or self._is_over:
            return
        self._is_hung_up = True
        self._reason = reason
        self._end()

    def _end(self, code: int = 0) -> None:
        """Hang up; `code` is for an INVITE that has no final answer yet, 0 for what PJSIP thinks fits."""
        options = pj.CallOpParam()
        options.statusCode = code
        if self._reason:
            header = pj.SipHeader()
            header.hName, header.hValue = "Reason", self._reason
            options.txOption.headers.append(header)
        try:
            self.hangup(options)
        except pj.Error as error:
            self.report_fault("hangup", readable(error.info()))

    @property
    def _is_live(self) -> bool:
        """Whether the dialog can carry requests."""
        return self._is_answered and not self._is_hung_up and not self._is_over

    def _hold(self, now_s: float) -> None:
        options = pj.CallOpParam(True)  # noqa: FBT003 - with the account's settings
        options.opt.audioCount, options.opt.videoCount = 1, 0
        self._hold_again_at_s = now_s + _RETRY_GLARE_S[self._is_dialled]
        try:
            if self._wants_hold:
                self.setHold(options)
            else:
                options.opt.flag = pj.PJSUA_CALL_UNHOLD
                self.reinvite(options)
        except pj.Error:  # another re-INVITE is on its way
            return
        self._asked_hold, self._wants_hold = self._wants_hold, None

    def _transfer(self, target_uri: str) -> None:
        try:
            self.xfer(f"<{target_uri}>", pj.CallOpParam(True))  # noqa: FBT003
        except pj.Error as error:
            self._transfer_failed(500, readable(error.reason))

    def transfer_to(self, replaced: Leg) -> None:
        """Ask the far end to take our place in this other call; not without both far ends knowing Replaces (RFC 5589 §7.3)."""
        if not (self._is_live and replaced._is_live):
            self._transfer_failed(_NO_SUCH_CALL, "the call to be replaced is not up")
        elif not (self.takes_replaces and replaced.takes_replaces):
            self._transfer_failed(_NOT_KNOWN, "Replaces is not supported by both far ends")
        else:
            try:
                self.xferReplaces(replaced, pj.CallOpParam())
            except pj.Error as error:
                self._transfer_failed(500, readable(error.reason))

    def _transfer_failed(self, code: int, phrase: str) -> None:
        self._owner.emit(engine.TransferProgressed(self.call_id, code, phrase, is_final=True))

    # ----------------------------------------------------------------------------------------------- callbacks

    @guarded
    def onCallState(self, prm: Any) -> None:
        """RFC 3261 §13 and §15, as PJSIP's states."""
        if self._is_over:
            return
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self._is_answered = True
            self._owner.emit(engine.CallConfirmed(self.call_id, info.lastStatusCode, readable(info.lastReason)))
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._disconnect(info, _received_text(prm.e))

    @guarded
    def onCallTsxState(self, prm: Any) -> None:
        """Answers to what we send."""
        tsx = prm.e.body.tsxState.tsx
        if self._is_over or tsx.role != pj.PJSIP_ROLE_UAC or tsx.method not in {"INVITE", "INFO"}:
            return
        text = _received_text(prm.e)
        status = status_of(text)
        if status and 200 <= status[0] < _REFUSED and tsx.method == "INVITE":
            self.takes_replaces = self.takes_replaces or is_supported(text, "replaces")
        if status and tsx.method == "INVITE":
            self._answered(status)
        elif status and status[0] >= _REFUSED:
            self._owner.digits_refused(self, f"{status[0]} {status[1]}".strip())

    def _answered(self, status: tuple[int, str]) -> None:
        if self._is_answered and status[0] == _GLARE and self._wants_hold is None:  # ours and theirs crossed: once more, later
            self._wants_hold = self._asked_hold

    @guarded
    def onCallTransferRequest(self, prm: Any) -> None:
        """REFER: by default PJSIP dials whatever the far end names, on our account."""
        prm.statusCode = pj.PJSIP_SC_DECLINE
        target_uri = target_of(readable(prm.dstUri))
        if self._is_live and target_uri and (dummy := self._owner.transfer_asked(self)) is not None:
            prm.newCall = dummy
            prm.statusCode = pj.PJSIP_SC_ACCEPTED
            self._owner.emit(engine.TransferAsked(self.call_id, target_uri))

    @guarded
    def onCallTransferStatus(self, prm: Any) -> None:
        """What the far end says of our REFER."""
        if self._is_over:
            return
        status = (prm.statusCode, readable(prm.reason))
        if status == _PJSIP_ACCEPTED:
            status = (202, "Accepted")
        self._owner.emit(engine.TransferProgressed(self.call_id, *status, is_final=bool(prm.finalNotify)))

    @guarded
    def onCallReplaceRequest(self, prm: Any) -> None:
        """Refuse Replaces (RFC 3891)."""
        prm.statusCode = pj.PJSIP_SC_DECLINE

    @guarded
    def onInstantMessage(self, prm: Any) -> None:
        """Not ours."""

    # -------------------------------------------------------------------------------------------------- the end

    def fail(self, error: str) -> None:
        """End a leg that never came to life."""
        self._finish(0, "", error=error)

    def _disconnect(self, info: Any, text: str) -> None:
        raise NotImplementedError

    def _disconnect_answered(self, info: Any, text: str) -> None:
        local = f"{info.lastStatusCode} {readable(info.lastReason)}"
        self._finish(200, "OK", q850_cause_of(text), error="" if info.lastStatusCode < 300 else f"BYE: {local}")

    def _finish(self, code: int, phrase: str, cause: int | None = None, error: str = "", redirect_uri: str = "") -> None:
        if self._is_over:
            return
        self._is_over = True
        self.audio = None
        self._owner.leg_over(self)
        remote = not self._is_hung_up
        over = engine.CallDisconnected(self.call_id, code, phrase, remote, cause, error, self._statistics, redirect_uri)
        self._owner.emit(over)


def _received_text(event: Any) -> str:
    """The SIP message an event is about; empty when it is about a timer, the transport, or something we sent."""
    if event.type == pj.PJSIP_EVENT_TSX_STATE:
        state = event.body.tsxState
        return readable(state.src.rdata.wholeMsg) if state.type == pj.PJSIP_EVENT_RX_MSG else ""
    if event.type == pj.PJSIP_EVENT_RX_MSG:
        return readable(event.body.rxMsg.rdata.wholeMsg)
    return ""
