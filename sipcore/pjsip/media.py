"""The media side of one call in PJSIP: SDP, streams, keys pressed, who holds whom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

import pjsua2 as pj

from sipcore import engine
from sipcore.digits import DIGITS, Presses
from sipcore.wire import WorkerSettings

from . import sdp
from .audioport import Tap
from .dtmf import WAYS
from .guard import guarded
from .playback import FilePlayer
from .recording import LegRecorder
from .rtpwatch import RtpWatch
from .siptext import readable
from .statistics import add_stream

_NO_SLOT: Final = -1  # PJSUA_INVALID_ID
_MAX_DTMF_MS: Final = 60_000  # beyond it PJSIP means "unknown"
_USABLE: Final = (pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD, pj.PJSUA_CALL_MEDIA_LOCAL_HOLD)
_RTP_NAMES: Final = {"G722/16000": "G722/8000"}
"""Where PJSIP tells the sampling rate and RTP another clock (RFC 3551 §4.5.2)."""


class MediaOwner(Protocol):
    """What the media of a leg needs of its worker."""

    settings: WorkerSettings

    def emit(self, event: engine.Event) -> None:
        """Send an event to the control process."""

    def media_changed(self, leg: Any) -> None:
        """`leg.audio` is new: connect again what belongs to it."""


class MediaCall(pj.Call):  # type: ignore[misc]
    """What every leg does about media. Every method runs on the owner thread.

    Attributes:
        call_id: Of the events.
        audio: Its place on the bridge; `None` while it has no media.
        waiting_play: A `Play` that came before the media.
        player: The file that is playing.
        recorder: What writes the leg down.
        taps: Its live audio.
    """

    def __init__(self, owner: MediaOwner, call_id: str, codecs: Sequence[str], *where: Any) -> None:
        super().__init__(*where)
        self.call_id = call_id
        self.audio: Any = None
        self.waiting_play: engine.Play | None = None
        self.player: FilePlayer | None = None
        self.recorder: LegRecorder | None = None
        self.taps: list[Tap] = []
        self._media_owner = owner
        self._codecs = tuple(codecs)
        self._offer = ""
        self._local_address = ""
        self._is_over = self._is_answered = self._is_hung_up = False
        self._is_held = False
        self._muted: set[str] = set()
        self._direction = pj.PJMEDIA_DIR_NONE
        self._codec = ""
        self._stream_index = 0
        self._presses = Presses()
        self._watch = RtpWatch(call_id, owner.settings.rtp_timeout_s)
        self._statistics: engine.RtpStatistics | None = None

    def report_fault(self, where: str, details: str) -> None:
        """For the guard: an `EngineFault` of this call."""
        self._media_owner.emit(engine.EngineFault(self.call_id, f"{where}: {details}"))

    @property
    def needs_address(self) -> bool:
        """Whether PJSIP would have to guess our address: media is bound to every interface, and no public address is set."""
        settings = self._media_owner.settings
        return (settings.media_host or settings.sip_host) == "0.0.0.0" and not settings.public_address  # noqa: S104 - compared

    def mute(self, direction: str, *, is_muted: bool) -> None:
        """See `engine.Mute`."""
        ways = {"in", "out"} if direction == "both" else {direction}
        self._muted = self._muted | ways if is_muted else self._muted - ways
        self.apply_mute()
        self.mute_ears()

    def apply_mute(self) -> None:
        """On linear samples; again after a re-INVITE has made the leg's place anew. `Rx` is what that place gets from the bridge."""
        if self.audio is not None:
            self.audio.adjustRxLevel(0.0 if "out" in self._muted else 1.0)
            self.audio.adjustTxLevel(0.0 if "in" in self._muted else 1.0)

    @property
    def ears(self) -> list[Any]:
        """What on the bridge hears all that the far end hears: its recorder, and live audio that wants it."""
        ears = [] if self.recorder is None else [self.recorder.heard]
        return ears + [tap.near for tap in self.taps if tap.near is not None]

    def mute_ears(self) -> None:
        """What the far end does not hear, nobody hears who hears it; its own side is silent by itself."""
        for ear in self.ears:
            ear.adjustRxLevel(0.0 if "out" in self._muted else 1.0)

    def look_at_rtp(self, now_s: float) -> None:
        """About once a second: is there RTP, and where from?"""
        if self._is_over or self._is_hung_up or self.audio is None:
            return
        try:
            stat = self.getStreamStat(self._stream_index)
            source = self.getMedTransportInfo(self._stream_index).srcRtpName
        except pj.Error:  # a re-INVITE is making the stream anew
            return
        is_expected = self._is_answered and self._direction == pj.PJMEDIA_DIR_ENCODING_DECODING
        for event in self._watch.look(stat.rtcp.rxStat.pkt, source, now_s, is_expected=is_expected):
            self._media_owner.emit(event)
        total = add_stream(self._statistics or engine.RtpStatistics(), self._codec, stat)
        self._media_owner.emit(engine.MediaStatistics(self.call_id, total, stat.rtcp.rxStat.jitterUsec.last / 1000))

    @property
    def received_packets(self) -> int:
        """RTP packets of the stream that runs now; 0 while there is none."""
        try:
            return int(self.getStreamStat(self._stream_index).rtcp.rxStat.pkt) if self.has_media else 0
        except pj.Error:  # a re-INVITE is making the stream anew
            return 0

    # ----------------------------------------------------------------------------------------------- callbacks

    @guarded
    def onCallSdpCreated(self, prm: Any) -> None:
        """Choose this call's codecs and address. PJSIP shows an SDP of at most 1,024 bytes, and ours is shorter."""
        ours = readable(prm.sdp.wholeSdp)
        offer = readable(prm.remSdp.wholeSdp) or self._offer
        if ours and (text := sdp.edited(ours, self._codecs, offer, self._local_address)) != ours:
            prm.sdp.wholeSdp = text

    @guarded
    def onCallMediaState(self, prm: Any) -> None:  # noqa: ARG002
        """Media came up, or a re-INVITE made it anew."""
        if self._is_over or self._is_hung_up:
            return
        self.audio = None
        if self.player is not None:
            self.player.forget_sink()
        info = self.getInfo()  # its list dies with it
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO:
                self._direction = media.dir
                if media.status in _USABLE and media.audioConfSlot != _NO_SLOT:
                    self._take_stream(media.index)
                self._tell_hold()
                return

    def _take_stream(self, index: int) -> None:
        stream = self.getStreamInfo(index)
        name = f"{stream.codecName}/{stream.codecClockRate}"
        self._codec = _RTP_NAMES.get(name, name)
        self._stream_index = index
        self._watch.negotiated(stream.remoteRtpAddress)
        self.audio = self.getAudioMedia(index)
        self._media_owner.media_changed(self)
        self._media_owner.emit(engine.MediaStarted(self.call_id, self._codec))

    def _tell_hold(self) -> None:
        is_held = not self._direction & pj.PJMEDIA_DIR_ENCODING
        if is_held != self._is_held:
            self._is_held = is_held
            self._media_owner.emit(engine.HoldChanged(self.call_id, is_held))

    @guarded
    def onStreamDestroyed(self, prm: Any) -> None:
        """The last moment at which PJSIP still has the counters."""
        total = self._statistics or engine.RtpStatistics()
        self._statistics = add_stream(total, self._codec, self.getStreamStat(prm.streamIdx))

    @property
    def has_media(self) -> bool:
        """Whether PJSIP can send something to the far end."""
        return self.audio is not None and not self._is_over and not self._is_hung_up

    @guarded
    def onDtmfDigit(self, prm: Any) -> None:
        """A key (RFC 4733, or INFO), or a flash."""
        digit = readable(prm.digit)
        if not self._is_over and digit in DIGITS and self._presses.is_new(digit, WAYS.get(prm.method, ""), time.monotonic()):
            duration_ms = prm.duration if prm.duration < _MAX_DTMF_MS else 0
            self._media_owner.emit(engine.DtmfReceived(self.call_id, digit, duration_ms))
