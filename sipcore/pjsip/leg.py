"""One call in PJSIP: its callbacks become events."""

from __future__ import annotations

from typing import Any, Final, Protocol

import pjsua2 as pj

from sipcore import engine

from .guard import guarded
from .playback import FilePlayer
from .siptext import q850_cause_of, readable, status_of
from .statistics import add_stream

_TOO_MANY: Final = 70010  # PJ_ETOOMANY
_NO_SLOT: Final = -1  # PJSUA_INVALID_ID
_MAX_DTMF_MS: Final = 60_000  # beyond it PJSIP means "unknown"


class LegOwner(Protocol):
    """What a leg needs of its worker."""

    def emit(self, event: engine.Event) -> None:
        """Send an event to the control process."""

    def media_changed(self, leg: Leg) -> None:
        """`leg.audio` is new: connect again what belongs to it."""

    def leg_over(self, leg: Leg) -> None:
        """Forget the leg now: the caller is inside `onCallState(DISCONNECTED)`, where the last reference must go."""


class Leg(pj.Call):  # type: ignore[misc]
    """A call that we dialled. Every method runs on the owner thread.

    Attributes:
        dial: What it was dialled with.
        audio: Its place on the bridge; `None` while it has no media.
        waiting_play: A `Play` that came before the media.
        player: The file that is playing.
    """

    def __init__(self, dial: engine.Dial, account: Any, owner: LegOwner) -> None:
        super().__init__(account)
        self.dial = dial
        self.audio: Any = None
        self.waiting_play: engine.Play | None = None
        self.player: FilePlayer | None = None
        self._owner = owner
        self._call_id = dial.call_id
        self._is_started = self._is_proceeding = self._is_over = self._is_answered = self._is_hung_up = False
        self._codec = ""
        self._statistics: engine.RtpStatistics | None = None

    def report_fault(self, where: str, details: str) -> None:
        """For the guard: an `EngineFault` of this call."""
        self._owner.emit(engine.EngineFault(self._call_id, f"{where}: {details}"))

    # ------------------------------------------------------------------------------------------------ commands

    def start(self) -> bool:
        """Send the INVITE; what goes wrong at once is reported as `CallDisconnected`.

        Returns:
            False when PJSIP has no free slot: try later.
        """
        options = pj.CallOpParam(useDefaultCallSetting=True)
        options.opt.audioCount, options.opt.videoCount = 1, 0
        options.txOption.localUri = self.dial.from_uri
        for name, value in self.dial.headers:
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            options.txOption.headers.append(header)
        try:
            self.makeCall(f"<{self.dial.request_uri}>", options)
        except pj.Error as error:
            if error.status == _TOO_MANY and not self._is_over:
                return False
            self.fail(f"{readable(error.reason)} ({error.status})")
        self._is_started = True
        return True

    def fail(self, error: str) -> None:
        """End a leg that never came to life."""
        self._finish(0, "", error=error)

    def hang_up(self) -> None:
        """CANCEL before the answer, BYE after it; `CallDisconnected` comes at once, from within.

        The rest is PJSIP's, unseen by us: the CANCEL waits for a first provisional answer (RFC 3261 §9.1), a 200 that crosses it gets its
        ACK and a BYE, and the slot is free when that is done, at the latest after timer B, 32 s.
        """
        if self._is_hung_up or self._is_over:
            return
        self._is_hung_up = True
        if not self._is_started:
            self.fail("hung up before the INVITE was sent")
            return
        try:
            self.hangup(pj.CallOpParam())
        except pj.Error as error:
            self.report_fault("hangup", readable(error.info()))

    # ----------------------------------------------------------------------------------------------- callbacks

    @guarded
    def onCallState(self, prm: Any) -> None:
        """RFC 3261 §13.2.2 and §15, as PJSIP's states."""
        if self._is_over:
            return
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self._confirm(info)
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._disconnect(info, _received_text(prm.e))

    @guarded
    def onCallTsxState(self, prm: Any) -> None:
        """Provisional answers, each of them."""
        tsx = prm.e.body.tsxState.tsx
        if self._is_over or self._is_answered or tsx.role != pj.PJSIP_ROLE_UAC or tsx.method != "INVITE":
            return
        status = status_of(_received_text(prm.e))
        if status is None or status[0] >= 200:
            return
        self._is_proceeding = True
        if status[0] > 100:
            self._owner.emit(engine.CallProvisional(self._call_id, *status))

    @guarded
    def onCallMediaState(self, prm: Any) -> None:  # noqa: ARG002
        """Media came up, or a re-INVITE made it anew."""
        if self._is_over or self._is_hung_up:
            return
        self.audio = None
        if self.player is not None:
            self.player.forget_sink()
        usable = (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD)
        info = self.getInfo()  # its list dies with it
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.status in usable and media.audioConfSlot != _NO_SLOT:
                stream = self.getStreamInfo(media.index)
                self._codec = f"{stream.codecName}/{stream.codecClockRate}"
                self.audio = self.getAudioMedia(media.index)
                self._owner.media_changed(self)
                self._owner.emit(engine.MediaStarted(self._call_id, self._codec))
                return

    @guarded
    def onStreamDestroyed(self, prm: Any) -> None:
        """The last moment at which PJSIP still has the counters."""
        total = self._statistics or engine.RtpStatistics()
        self._statistics = add_stream(total, self._codec, self.getStreamStat(prm.streamIdx))

    @guarded
    def onDtmfDigit(self, prm: Any) -> None:
        """A key (RFC 4733, or INFO)."""
        if not self._is_over:
            duration_ms = prm.duration if prm.duration < _MAX_DTMF_MS else 0
            self._owner.emit(engine.DtmfReceived(self._call_id, readable(prm.digit), duration_ms))

    @guarded
    def onCallTransferRequest(self, prm: Any) -> None:
        """Refuse REFER: by default PJSIP dials whatever the far end names, on our account."""
        prm.statusCode = pj.PJSIP_SC_DECLINE

    @guarded
    def onCallReplaceRequest(self, prm: Any) -> None:
        """Refuse Replaces (RFC 3891)."""
        prm.statusCode = pj.PJSIP_SC_DECLINE

    @guarded
    def onInstantMessage(self, prm: Any) -> None:
        """Not ours."""

    # -------------------------------------------------------------------------------------------------- the end

    def _confirm(self, info: Any) -> None:
        self._is_answered = True
        self._owner.emit(engine.CallConfirmed(self._call_id, info.lastStatusCode, readable(info.lastReason)))

    def _disconnect(self, info: Any, text: str) -> None:
        cause, last_reason = q850_cause_of(text), readable(info.lastReason)
        if self._is_answered:
            local = f"{info.lastStatusCode} {last_reason}"
            self._finish(200, "OK", cause, error="" if info.lastStatusCode < 300 else f"BYE: {local}")
            return
        if self._is_hung_up and not self._is_proceeding:  # no CANCEL went out, so no 487 can come (RFC 3261 §9.1)
            self._finish(0, "", error="hung up before any answer came")
            return
        if self._is_hung_up:  # 487 is what our CANCEL asks for (RFC 3261 §9.2); PJSIP does not tell what really came
            self._finish(info.lastStatusCode, last_reason)
            return
        code, phrase = status_of(text) or (0, "")
        error = "" if code else f"no final answer: {info.lastStatusCode} {last_reason}"
        self._finish(code, phrase, cause, error)

    def _finish(self, code: int, phrase: str, cause: int | None = None, error: str = "") -> None:
        if self._is_over:
            return
        self._is_over = True
        self.audio = None
        self._owner.leg_over(self)
        remote = not self._is_hung_up
        self._owner.emit(engine.CallDisconnected(self._call_id, code, phrase, remote, cause, error, self._statistics))


def _received_text(event: Any) -> str:
    """The SIP message an event is about; empty when it is about a timer, the transport, or something we sent."""
    if event.type == pj.PJSIP_EVENT_TSX_STATE:
        state = event.body.tsxState
        return readable(state.src.rdata.wholeMsg) if state.type == pj.PJSIP_EVENT_RX_MSG else ""
    if event.type == pj.PJSIP_EVENT_RX_MSG:
        return readable(event.body.rxMsg.rdata.wholeMsg)
    return ""
