"""One call while it lives: its record, its timers, its listeners, and the commands it sends to the engine.

The session carries out what `sipcore.call` decides. All of it runs on the event loop of the switch, and every change of the
record goes through `_take`, so that store and listeners see the same things in the same order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Protocol

from media.amd import Verdict
from sipcore import call, engine, events
from sipcore.call import HangupReason, Status
from sipcore.clock import Clock
from sipcore.digits import KEPT_DIGITS, DigitBuffer, Presses
from sipcore.ids import new_id
from sipcore.inband import InbandKeys
from sipcore.listeners import Listener, Listeners
from sipcore.liveaudio.call_audio import DEFAULT_MAX_QUEUED_S, DEFAULT_MAX_UNREAD_S, CallAudio
from sipcore.liveaudio.line import AudioFrame, AudioLine
from sipcore.reason_header import reason_of_bye
from sipcore.record import NIL_ID, CallRecord
from sipcore.recordings.recording import Recording
from sipcore.trunk import Extras
from sipcore.variables import VariableLimits, Variables, call_values

log = logging.getLogger(__name__)

MAX_HISTORY = 10_000
"""Events of a call that are kept for late listeners; beyond it digits and media changes are only told."""

DECLINE = 603
SERVER_ERROR = 500
SERVICE_UNAVAILABLE = 503
RETRY_AFTER_S = 5
NO_MEDIA = "no media"
_REFUSALS = {HangupReason.NOANSWER: 480, HangupReason.TIMEOUT: 480, HangupReason.BUSY: 486, HangupReason.FAILED: SERVER_ERROR}
"""What a caller who waits is told; any other reason declines the call."""


class PlaybackFailed(Exception):
    """The engine could not play a prepared file."""


class DigitsRefused(Exception):
    """The engine could not send digits."""

    @property
    def is_unsupported(self) -> bool:
        """Whether the far end takes them in no such way."""
        return str(self) == engine.NO_TELEPHONE_EVENT


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each part of a call may take, in seconds."""

    dial_s: float
    duration_s: float
    hangup_s: float
    silence_s: float = 60.0
    """An answered call without any RTP for so long is ended; 0: never."""
    kept_digits: int = KEPT_DIGITS
    """How many digits wait for a reader."""
    max_queued_audio_s: float = DEFAULT_MAX_QUEUED_S
    """How much audio may wait to be played."""
    max_unread_audio_s: float = DEFAULT_MAX_UNREAD_S
    """How much audio waits for a reader that does not read."""
    is_moved_audio_refused: bool = False
    """Whether RTP that starts to come from another address ends the call."""


class SessionHost(Protocol):
    """What a session needs of the switch it lives in."""

    clock: Clock

    def submit(self, command: engine.Command) -> None:
        """Give a command to the engine."""

    def keep(self, record: CallRecord) -> None:
        """Write the record to the store."""

    def stop_work(self, session: Session) -> None:
        """The session is ending: cancel what still runs for it, before anything else of it can run."""

    def forget(self, session: Session) -> None:
        """The session is over."""


@dataclass(slots=True)
class _CurrentAction:
    index: int
    type: str
    action_id: str


class Session:
    """One live call; `record` is its state."""

    def __init__(
        self,
        record: CallRecord,
        group_id: str,
        host: SessionHost,
        timeouts: Timeouts,
        variable_limits: VariableLimits = VariableLimits(),  # noqa: B008 - frozen
    ) -> None:
        loop = asyncio.get_running_loop()
        self.record = record
        self.group_id = group_id
        self.trunk = ""
        """The trunk it goes over or came from; empty: none."""
        self.extras = Extras()
        """What its INVITE has beside the usual."""
        self.variables = Variables(lambda: call_values(self.record), variable_limits)
        """What `${name}` stands for in the options of its actions."""
        self.legs = 1
        """Legs of its group that there is room for at once, itself included."""
        self.event_url = ""
        """Where the events of the call are sent to, by whoever does that; empty: nowhere."""
        self.first_play_at: datetime | None = None
        """When the first sound after the answer was ordered."""
        self.first_audio_at: datetime | None = None
        """When the first RTP packet of the far end came, if `await_audio` was asked."""
        self.history: list[events.CallEvent] = []
        self.digits = DigitBuffer(timeouts.kept_digits)
        """Pressed, and read by nobody yet."""
        self.gathered = ""
        """What was read last."""
        self.answered: asyncio.Future[bool] = loop.create_future()
        """True at the answer, False when the call ends without one."""
        self.over: asyncio.Future[CallRecord] = loop.create_future()
        self._host = host
        self._timeouts = timeouts
        self._listeners = Listeners()
        self._untold: deque[events.CallEvent] = deque()
        self._is_telling = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._plays: dict[str, asyncio.Future[None]] = {}
        self._sendings: dict[str, asyncio.Future[None]] = {}
        self._lines: dict[str, AudioLine] = {}
        self.audio = CallAudio(self, timeouts.max_queued_audio_s, timeouts.max_unread_audio_s)
        """What its far end says, and what is written to it, as numpy."""
        self._presses: Presses | None = None
        """Of both ways, when keys are taken out of the audio too."""
        self._action: _CurrentAction | None = None
        self.statistics: engine.RtpStatistics | None = None
        """What its RTP has done by now, at most about a second old; `None` while there was none."""
        self._function: _CurrentAction | None = None
        """The function of the user's within which actions are carried out."""
        self._has_leg = record.direction == "incoming"
        """Whether the engine has been told of the call."""
        self._has_begun = False
        self._rang_with = 0
        self._has_answered = False
        self._failure = ""
        """Why we ended a call as `failed`; stands in the record as its phrase."""
        self._transfer: asyncio.Queue[engine.TransferProgressed] | None = None
        self._loop = loop

    @property
    def id(self) -> str:
        """The call id."""
        return self.record.id

    @property
    def status(self) -> str:
        """How far the call is."""
        return str(self.record.status)

    @property
    def awaits_answer(self) -> bool:
        """Whether a caller waits for our answer."""
        return self.record.direction == "incoming" and self.record.status == Status.RINGING and not self._has_answered

    @property
    def is_playing(self) -> bool:
        """Whether a prompt is being played, ringback and music on hold aside."""
        return bool(self._plays)

    @property
    def is_up(self) -> bool:
        """Whether actions can be carried out: the call is answered, or it is one from outside that nobody has ended."""
        return self.record.status == Status.PROGRESSING or (self.record.direction == "incoming" and self.record.status == Status.RINGING)

    # ------------------------------------------------------------------------------------------------ listeners

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event from now on; returns the function that stops it."""
        return self._listeners.add(listener)

    def publish(self, event: events.CallEvent) -> None:
        """Tell everybody who listens; what a listener causes is told to all after the event it was told."""
        self._untold.append(event)
        if self._is_telling:
            return
        self._is_telling = True
        try:
            while self._untold:
                told = self._untold.popleft()
                if len(self.history) < MAX_HISTORY or not isinstance(told, events.DigitReceived | events.CallMediaStarted):
                    self.history.append(told)
                self._listeners.tell(told)
                if isinstance(told, events.CallHangup):
                    self._leave(told.record)
        finally:
            self._is_telling = False

    # ------------------------------------------------------------------------------------------------- life

    def begin(self) -> None:
        """Announce the new call and start the timer of its answer. Idempotent."""
        if self._has_begun:
            return
        self._has_begun = True
        self._host.keep(self.record)
        log.info("call %s: %s, to %s from %s", self.id, self.record.direction, self.record.destination, self.record.source)
        late = HangupReason.DIALOUT if self.record.direction == "outgoing" else HangupReason.NOANSWER
        self._start_timer("dial", self._timeouts.dial_s, lambda: self.hang_up(late))
        self.publish(events.CallCreated(self.id, self._now(), self.record))

    def dial(self, command: engine.Dial) -> None:
        """Send the INVITE, unless the call was ended before."""
        if self.record.status != Status.DIALING:
            return
        self._has_leg = True
        self._host.submit(command)
        self.publish(events.CallDialing(self.id, self._now(), self.record))

    def redial(self, command: engine.Dial) -> None:
        """Try again somewhere else: the far end has redirected us, and the leg before is over."""
        self._host.submit(command)

    def ring(self, *, early_media: bool = False) -> None:
        """Tell a caller who waits that it rings, or open the audio to him before the answer; each once, nothing on other calls."""
        sip_code = 183 if early_media else 180
        if not self.awaits_answer or self._rang_with >= sip_code:
            return
        self._rang_with = sip_code
        self._host.submit(engine.Ring(self.id, sip_code))
        self.publish(events.CallRinging(self.id, self._now(), self.record, sip_code))

    def answer(self) -> None:
        """Answer a caller who waits; nothing on other calls."""
        if self.awaits_answer:
            self._has_answered = True
            self._host.submit(engine.Answer(self.id))

    def reject(self, sip_code: int, sip_phrase: str = "", reason: HangupReason | None = None) -> bool:
        """Refuse a caller who waits; False when none does."""
        if not self.awaits_answer:
            return False
        headers = (("Retry-After", str(RETRY_AFTER_S)),) if sip_code == SERVICE_UNAVAILABLE else ()
        return self._end_with(engine.Reject(self.id, sip_code, sip_phrase, headers), reason or call.reason_of_refusal(sip_code))

    def hang_up(self, reason: HangupReason = HangupReason.NORMAL, told: str = "") -> bool:
        """Ask for the end of the call; False when it was ending already. A caller who waits is refused.

        `told` goes into the Reason header, in place of what follows from the reason.
        """
        if self.awaits_answer:
            sip_code = _REFUSALS.get(reason, DECLINE)
            return self.reject(sip_code, reason=call.reason_of_refusal(sip_code))
        is_answered = self.record.status == Status.PROGRESSING
        return self._end_with(engine.Hangup(self.id, told or (reason_of_bye(reason) if is_answered else "")), reason)

    def _end_with(self, command: engine.Command, reason: HangupReason) -> bool:
        self.begin()
        if not call.can(Status(self.record.status), call.ending_for(self.record)):
            return False
        self._take(call.HangupAsked(reason))
        self._host.stop_work(self)
        self.publish(events.CallHangingUp(self.id, self._now(), self.record))
        if self._has_leg:
            self._host.submit(command)
            self._start_timer("hangup", self._timeouts.hangup_s, self._give_up)
        else:
            self.end(call.Ended())
        return True

    def end(self, ended: call.Ended) -> None:
        """The leg is over, now."""
        if self.record.is_over:
            return
        self.begin()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self.audio.end()
        for line in self._lines.values():
            line.end()
        self.record = replace(self.record, recording_id=NIL_ID)
        self._take(ended)
        self._host.stop_work(self)
        self.finish_action("interrupted")
        self.finish_function("interrupted")
        record = self.record
        if record.hangup_reason == HangupReason.FAILED:
            log.warning("call %s: failed: %s %s", self.id, record.sip_code or "", record.sip_phrase)
        log.info("call %s: ended by %s, %s, %.1f s", self.id, record.hangup_by, record.hangup_reason, record.duration_s)
        self.publish(events.CallHangup(self.id, self._now(), record))

    def handle(self, event: engine.Event) -> None:
        """Take one event of the engine."""
        self.begin()
        match event:
            case engine.CallProvisional():
                self._on_provisional(event)
            case engine.CallConfirmed():
                self._on_confirmed(event)
            case engine.MediaStarted() | engine.AudioArrived() | engine.MediaStatistics():
                self._on_media(event)
            case engine.PlaybackFinished() | engine.AudioRefused():
                self._on_audio(event)
            case engine.DigitsSent() | engine.DtmfReceived():
                self._on_digits(event)
            case engine.HoldChanged():
                happened = events.CallHeld if event.is_held else events.CallResumed
                self.publish(happened(self.id, self._now()))
            case engine.RtpSourceChanged():
                self._on_rtp_source(event)
            case engine.RtpSilent():
                self._on_silence(event)
            case engine.TransferProgressed():
                self._on_transfer(event)
            case engine.CallDisconnected():
                self._on_disconnected(event)
            case engine.EngineFault():
                log.error("call %s: engine: %s", self.id, event.message)

    async def transfer(self, target_uri: str, timeout_s: float, replaced_id: str = "") -> engine.TransferProgressed:
        """Send a REFER; what became of it, when the far end has said so.

        Raises:
            TimeoutError: it has not in time.
        """
        progress = self._transfer = asyncio.Queue()
        self._host.submit(engine.Transfer(self.id, target_uri, replaced_id))
        try:
            async with asyncio.timeout(timeout_s):
                while not (told := await progress.get()).is_final:
                    pass
        finally:
            self._transfer = None
        return told

    def chain(self, call_id: str) -> None:
        """Note a leg that this call rings."""
        self._change(replace(self.record, chained_call_ids=(*self.record.chained_call_ids, call_id), tm_update=self._now()))
        self.publish(events.CallUpdated(self.id, self._now(), self.record))

    # -------------------------------------------------------------------------------------------------- actions

    def start_action(self, index: int, kind: str, action_id: str) -> None:
        """Announce the next action."""
        self._action = _CurrentAction(index, kind, action_id)
        self.publish(events.ActionStarted(self.id, self._now(), index, kind, action_id))

    def finish_action(self, outcome: str, detail: str = "", legs: tuple[events.LegResult, ...] = ()) -> None:
        """Announce the end of the running action; nothing when none runs."""
        action, self._action = self._action, None
        if action is not None:
            self._tell_finished(action, outcome, detail, legs)

    def start_function(self, index: int, label: str, action_id: str) -> None:
        """Announce the next action, a function of the user's; actions may be carried out before its end."""
        self._function = _CurrentAction(index, label, action_id)
        self.publish(events.ActionStarted(self.id, self._now(), index, label, action_id))

    def finish_function(self, outcome: str, detail: str = "") -> None:
        """Announce the end of the running function; nothing when none runs."""
        function, self._function = self._function, None
        if function is not None:
            self._tell_finished(function, outcome, detail)

    def _tell_finished(self, action: _CurrentAction, outcome: str, detail: str, legs: tuple[events.LegResult, ...] = ()) -> None:
        if outcome == "failed":
            log.warning("call %s: action %d (%s) failed: %s", self.id, action.index, action.type, detail)
        finished = events.ActionFinished(self.id, self._now(), action.index, action.type, action.action_id, outcome, detail, legs)
        self.publish(finished)

    async def play(self, path: str) -> None:
        """Play one prepared file to its end.

        Raises:
            PlaybackFailed: the engine could not play it.
        """
        play_id = self.start_play(path)
        finished = self._plays[play_id] = self._loop.create_future()
        try:
            await finished
        except asyncio.CancelledError:
            self.stop_play(play_id)
            raise
        finally:
            self._plays.pop(play_id, None)

    def start_play(self, path: str, *, loop: bool = False) -> str:
        """Start a file; returns its play id."""
        play_id = new_id()
        self.first_play_at = self.first_play_at or self._now()
        self._host.submit(engine.Play(self.id, play_id, path, loop))
        return play_id

    def stop_play(self, play_id: str) -> None:
        """Stop a file."""
        self._host.submit(engine.StopPlay(self.id, play_id))

    async def send_digits(self, digits: str, duration_ms: int, interval_ms: int, mode: str) -> None:
        """Press keys for the far end; done when the last one is up again.

        Raises:
            DigitsRefused: the engine could not.
        """
        send_id = new_id()
        sent = self._sendings[send_id] = self._loop.create_future()
        self._host.submit(engine.SendDigits(self.id, send_id, digits, duration_ms, interval_ms, mode))
        try:
            await sent
        except asyncio.CancelledError:
            self._host.submit(engine.StopDigits(self.id, send_id))
            raise
        finally:
            self._sendings.pop(send_id, None)

    def await_digits(self, *, is_awaited: bool) -> None:
        """Have the engine tell digits without delay, or no longer."""
        self._host.submit(engine.AwaitDigits(self.id, is_awaited))

    def await_audio(self) -> None:
        """Have the engine tell when the first RTP packet comes; the leg must be there."""
        self._host.submit(engine.AwaitAudio(self.id))

    def gather(self, digits: str, ended_by: str) -> None:
        """Tell what was read."""
        self.gathered = digits
        self.publish(events.DigitsGathered(self.id, self._now(), digits, ended_by))

    def open_audio(
        self, on_frame: Callable[[AudioFrame], None], on_end: Callable[[], None] = lambda: None, *, hears_near: bool = False
    ) -> AudioLine:
        """Hear what the far end says, and speak to it; close the line when it is not needed any more."""
        self._lines = {audio_id: line for audio_id, line in self._lines.items() if not line.is_closed}
        line = AudioLine(on_frame, on_end, hears_near=hears_near)
        audio_id = new_id()
        self._lines[audio_id] = line
        self._host.submit(engine.OpenAudio(self.id, audio_id, line.address, hears_near))
        return line

    def hear_tones(self) -> None:
        """From now on, take keys out of the audio too; one that also comes as an event counts once. Idempotent."""
        if self._presses is None:
            self._presses = Presses()
            self.open_audio(InbandKeys(lambda digit: self._on_press(digit, "tones", 0)).take)

    def _on_press(self, digit: str, way: str, duration_ms: int) -> None:
        if self._presses is None or self._presses.is_new(digit, way, self._loop.time()):
            self.digits.press(digit)
            self.publish(events.DigitReceived(self.id, self._now(), digit, duration_ms))

    def tell_answerer(self, verdict: Verdict) -> None:
        """Tell who has answered."""
        self.variables.update({"amd.status": str(verdict.answerer), "amd.reason": verdict.reason})
        measured = {name: value for name, value in asdict(verdict).items() if name != "answerer"}
        self.publish(events.AnswererDetected(self.id, self._now(), str(verdict.answerer), **measured))

    def recording_begins(self, recording: Recording) -> None:
        """Note that the call is being recorded."""
        recording_ids = (*self.record.recording_ids, recording.id)
        self._change(replace(self.record, recording_id=recording.id, recording_ids=recording_ids, tm_update=self._now()))
        self.publish(events.RecordingStarted(self.id, self._now(), recording))

    def recording_ends(self) -> None:
        """Note that it is not any more."""
        if not self.record.is_over:
            self._change(replace(self.record, recording_id=NIL_ID, tm_update=self._now()))

    def enter_conference(self, conference_id: str) -> None:
        """Note that the call is in a conference."""
        self._change(replace(self.record, conf_id=conference_id, tm_update=self._now()))
        self.publish(events.CallUpdated(self.id, self._now(), self.record))

    def leave_conference(self) -> None:
        """Note that it is not any more."""
        if not self.record.is_over:
            self._change(replace(self.record, conf_id=NIL_ID, tm_update=self._now()))

    def mute(self, direction: str, *, is_muted: bool) -> None:
        """Silence a direction, or let it through."""
        self._host.submit(engine.Mute(self.id, direction, is_muted))

    def hold(self, *, is_held: bool) -> None:
        """Put the far end on hold, or take it back."""
        self._host.submit(engine.Hold(self.id, is_held))

    def bridge(self, peer_id: str) -> None:
        """Let this call and another hear each other."""
        self._host.submit(engine.Bridge(self.id, peer_id))

    def unbridge(self, peer_id: str) -> None:
        """Undo `bridge`."""
        self._host.submit(engine.Unbridge(self.id, peer_id))

    # ------------------------------------------------------------------------------------------------- private

    def _leave(self, record: CallRecord) -> None:
        """Everybody has been told of the end."""
        if not self.answered.done():
            self.answered.set_result(False)
        self.over.set_result(record)
        self._host.forget(self)

    def _on_rtp_source(self, event: engine.RtpSourceChanged) -> None:
        log.warning("call %s: audio comes from %s, not from %s", self.id, event.actual, event.expected)
        self.publish(events.RtpSourceMoved(self.id, self._now(), event.expected, event.actual))
        if self._timeouts.is_moved_audio_refused:
            self.fail(f"audio from {event.actual}")

    def _on_silence(self, event: engine.RtpSilent) -> None:
        if not 0 < self._timeouts.silence_s <= event.silent_s:
            return
        log.warning("call %s: no media for %g s", self.id, event.silent_s)
        self.publish(events.RtpStopped(self.id, self._now(), event.silent_s))
        self.fail(NO_MEDIA)

    def _on_transfer(self, event: engine.TransferProgressed) -> None:
        self.publish(events.TransferUpdated(self.id, self._now(), event.sip_code, event.sip_phrase, event.is_final))
        if self._transfer is not None:
            self._transfer.put_nowait(event)

    def fail(self, why: str) -> None:
        """End the call because something of it is broken; the record says what."""
        if self.hang_up(HangupReason.FAILED):
            self._failure = why

    def _on_provisional(self, event: engine.CallProvisional) -> None:
        if self._take(call.Rang()):
            self.publish(events.CallRinging(self.id, self._now(), self.record, event.sip_code))

    def _on_confirmed(self, event: engine.CallConfirmed) -> None:
        if not self._take(call.Answered(event.sip_code, event.sip_phrase)):
            return
        self._stop_timer("dial")
        self._start_timer("duration", self._timeouts.duration_s, lambda: self.hang_up(HangupReason.TIMEOUT))
        self.publish(events.CallAnswered(self.id, self._now(), self.record))
        self.answered.set_result(True)

    def _on_media(self, event: engine.MediaStarted | engine.AudioArrived | engine.MediaStatistics) -> None:
        match event:
            case engine.MediaStarted():
                self.publish(events.CallMediaStarted(self.id, self._now(), event.codec))
            case engine.AudioArrived():
                self.first_audio_at = self.first_audio_at or self._now()
            case engine.MediaStatistics():
                self.statistics = event.statistics

    def _on_playback_finished(self, event: engine.PlaybackFinished) -> None:
        finished = self._plays.get(event.play_id)
        if finished is None or finished.done():
            return
        if event.error:
            finished.set_exception(PlaybackFailed(event.error))
        else:
            finished.set_result(None)

    def _on_audio(self, event: engine.PlaybackFinished | engine.AudioRefused) -> None:
        if isinstance(event, engine.PlaybackFinished):
            self._on_playback_finished(event)
            return
        line = self._lines.pop(event.audio_id, None)
        if line is not None and not line.is_closed:  # we may have closed it before the engine came to it
            log.warning("call %s: no live audio: %s", self.id, event.error)
            line.end(event.error)

    def _on_digits(self, event: engine.DigitsSent | engine.DtmfReceived) -> None:
        if isinstance(event, engine.DtmfReceived):
            self._on_press(event.digit, "engine", event.duration_ms)
            return
        sent = self._sendings.get(event.send_id)
        if sent is None or sent.done():
            return
        if event.error:
            sent.set_exception(DigitsRefused(event.error))
        else:
            sent.set_result(None)

    def _on_disconnected(self, event: engine.CallDisconnected) -> None:
        if event.statistics is not None:
            self.statistics = event.statistics
            self.record = replace(self.record, statistics=event.statistics)
        if event.error:
            log.warning("call %s: %s", self.id, event.error)
        phrase = self._failure or event.sip_phrase or event.error
        self.end(call.Ended(event.sip_code, phrase, event.q850_cause, is_failure=bool(event.error)))

    def _give_up(self) -> None:
        log.warning("call %s: the far end did not confirm the hangup within %g s", self.id, self._timeouts.hangup_s)
        self.end(call.Ended(0, self._failure or "no answer to our hangup"))

    def _take(self, given: call.Input) -> bool:
        changed = call.advance(self.record, given, self._now())
        if changed is self.record:
            return False
        log.debug("call %s: %s -> %s on %r", self.id, self.record.status, changed.status, given)
        self._change(changed)
        return True

    def _change(self, record: CallRecord) -> None:
        self.record = record
        self._host.keep(record)

    def _now(self) -> datetime:
        return self._host.clock.now()

    def _start_timer(self, name: str, delay_s: float, action: Callable[[], object]) -> None:
        self._stop_timer(name)
        self._timers[name] = self._loop.call_later(delay_s, action)

    def _stop_timer(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()
