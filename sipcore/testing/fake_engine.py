"""An engine without a network: the far end is a script, time may be virtual, and what each leg hears is written down.

The same contract tests run on it and on the pool of PJSIP workers; that is what makes it trustworthy.
"""

from __future__ import annotations

import asyncio
import re
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sipcore import engine as wire
from sipcore.errors import CapacityError
from sipcore.testing.fake_audio import FakeTap, Voice

_HEADER_BYTES = 44
_USER = re.compile(r"sips?:(?:([^@]+)@)?")
_KEY_GAP_S = 0.2
"""Between two keys that a far end presses."""


@dataclass(frozen=True, slots=True)
class FarEnd:
    """How one far end behaves. Times are seconds after the INVITE, or after the answer for `hang_up_after_s`."""

    ring_after_s: float | None = 0.0
    """`None`: no provisional answer."""
    ring_code: int = 180
    answer_after_s: float | None = 0.0
    """`None`: never answers."""
    reject_code: int = 0
    """Refuses with this code instead of answering, at the same time."""
    reject_phrase: str = ""
    hang_up_after_s: float | None = None
    digits: str = ""
    """Keys that it presses, from `digits_after_s` after the answer."""
    digits_after_s: float = 0.0
    is_silent: bool = False
    """Answers nothing at all, the end of the call included."""
    has_late_answer: bool = False
    """A 200 crosses our CANCEL: the leg is confirmed, and ended by BYE."""
    codec: str = "PCMU/8000"
    transfer_codes: tuple[int, ...] = (202, 180, 200)
    """What it tells of our REFER: the answer to it, then what its NOTIFYs say of the other call."""
    redirect_uri: str = ""
    """The Contact of a 3xx refusal."""
    audio_after_s: float | None = 0.0
    """When its first RTP packet comes, after the audio is open; `None`: none does."""
    statistics: wire.RtpStatistics | None = None
    """What the end of an answered call tells of its RTP."""


@dataclass(frozen=True, slots=True)
class Caller:
    """How one caller behaves. Times are seconds after its INVITE, or after the answer for `hang_up_after_s`."""

    cancel_after_s: float | None = None
    """Gives up, when it is not answered before."""
    hang_up_after_s: float | None = None
    digits: str = ""
    digits_after_s: float = 0.0
    acknowledges: bool = True
    """Sends ACK to our 200."""
    has_late_offer: bool = False
    """No SDP in the INVITE: there is no early media, and the audio starts with the ACK."""
    codec: str = "PCMU/8000"
    transfer_codes: tuple[int, ...] = (202, 180, 200)


@dataclass(slots=True)
class Heard:
    """What a leg heard from `start_s` to `end_s` (loop time; `None` while it lasts): a file, or another leg."""

    start_s: float
    path: str = ""
    peer_id: str = ""
    end_s: float | None = None


@dataclass(slots=True)
class _Leg:
    group_id: str
    script: FarEnd | Caller
    latency_s: float = 0.0
    is_known: bool = True
    """Of a caller: its INVITE has come to the place of the call; commands wait for that."""
    early: list[wire.CallCommand] = field(default_factory=list)
    is_answered: bool = False
    is_ending: bool = False
    has_media: bool = False
    is_audio_awaited: bool = False
    waiting: list[wire.Play | wire.Bridge] = field(default_factory=list)
    """What takes effect once the media is up."""
    play_id: str = ""
    send_id: str = ""
    sending: asyncio.TimerHandle | None = None
    recording: tuple[wire.StartRecording, float] | None = None
    """With the loop time of its begin."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    playback: asyncio.TimerHandle | None = None
    taps: list[FakeTap] = field(default_factory=list)


def _write_silence(path: str, duration_s: float) -> None:
    with open(path, "wb") as raw, wave.open(raw) as file:  # noqa: PTH123 - a path that cannot be had is told before `wave` has begun
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2 * round(8000 * duration_s)))


def _host(uri: str) -> str:
    """Of `sip:user@host:port;parameters`."""
    return uri.partition(":")[2].rpartition("@")[2].partition(";")[0].partition(":")[0]


def _joins(bridge: wire.Bridge, one: str, other: str) -> bool:
    return {bridge.call_id, bridge.peer_id} == {one, other}


FarScript = Callable[[str, wire.Dial], None]
"""Takes a leg that was dialled in hand: its call id and the order."""


class FakeEngine:
    """An `Engine` in memory.

    Args:
        leg_capacity: What one imaginary worker holds.
        max_legs: The most legs of the whole engine.
        latency_s: One way to the far end; a function is asked once for each leg.
    """

    def __init__(self, *, leg_capacity: int = 4, max_legs: int = 64, latency_s: float | Callable[[], float] = 0.001) -> None:
        self.commands: list[wire.Command] = []
        """Everything that was submitted, in order."""
        self.heard: dict[str, list[Heard]] = {}
        """By call id."""
        self.keys: dict[str, str] = {}
        """By call id: the digits that its far end got."""
        self.voices: dict[str, Voice] = {}
        """By call id: what its far end says and hears over live audio; see `voice`."""
        self._capacity, self._max_legs = leg_capacity, max_legs
        self._new_latency: Callable[[], float] = latency_s if callable(latency_s) else lambda: latency_s
        self._scripts: dict[str, FarEnd | FarScript] = {}
        self._legs: dict[str, _Leg] = {}
        self._reserved: dict[str, int] = {}
        self._is_closed = False
        self._on_event: Callable[[wire.Event], None] | None = None
        self._on_offer: wire.OnOffer | None = None
        self.refusals: list[int] = []
        """The final codes that callers were refused with, in order."""
        self.registrations: dict[str, wire.Register] = {}
        """By trunk: the registrations that are kept."""
        self.refused_registrations: dict[str, int] = {}
        """By trunk: the code that the registrar answers instead of 200."""

    def far_end(self, user: str, script: FarEnd | FarScript) -> None:
        """Script the far end whose URI has this user part, or this `user@host`; others ring and answer at once."""
        self._scripts[user] = script

    # ------------------------------------------------------------------------------------------- the contract

    @property
    def leg_capacity(self) -> int:
        """The most legs one group can have."""
        return self._capacity

    @property
    def legs_in_use(self) -> int:
        """Legs reserved or alive."""
        groups = set(self._reserved) | {leg.group_id for leg in self._legs.values()}
        return sum(max(self._reserved.get(group, 0), self._living(group)) for group in groups)

    @property
    def sip_address(self) -> str:
        """A made-up address."""
        return "192.0.2.1:5060"

    @property
    def tls_address(self) -> str:
        """There is none."""
        return ""

    async def start(self, on_event: Callable[[wire.Event], None], on_offer: wire.OnOffer | None = None) -> None:
        """Be ready."""
        self._is_closed = False
        self._on_event = on_event
        self._on_offer = on_offer
        self._loop = asyncio.get_running_loop()

    def reserve(self, group_id: str, legs: int) -> None:
        """Keep room for a group."""
        if self._is_closed or legs > self._capacity or self.legs_in_use + legs > self._max_legs:
            raise CapacityError(legs, self.legs_in_use, self._max_legs)
        self._reserved[group_id] = legs

    def release(self, group_id: str) -> None:
        """Give the room back."""
        self._reserved.pop(group_id, None)

    def submit(self, command: wire.Command) -> None:
        """Carry out a command."""
        self.commands.append(command)
        match command:
            case wire.Dial():
                self._dial(command)
            case wire.Register():
                self._register(command)
            case wire.Unregister():
                self._unregister(command)
            case _:
                leg = self._legs.get(command.call_id)
                if leg is not None and not leg.is_known:
                    leg.early.append(command)
                else:
                    self._order(command)

    def _order(self, command: wire.CallCommand) -> None:
        """Carry out a command for a call that is there."""
        match command:
            case wire.Ring():
                self._ring_back(command)
            case wire.Answer():
                self._answer_caller(command.call_id)
            case wire.Reject():
                self._reject(command)
            case wire.Transfer():
                self._transfer(command)
            case wire.Hangup():
                self._hang_up(command.call_id)
            case wire.Play():
                self._play(command)
            case wire.StopPlay():
                self._stop_play(command)
            case wire.SendDigits() | wire.StopDigits():
                self._send_digits(command)
            case wire.StartRecording() | wire.StopRecording():
                self._record(command)
            case wire.AwaitAudio() | wire.OpenAudio():
                self._listen(command)
            case wire.Bridge() | wire.Unbridge():
                self._bridge(command)

    async def close(self, grace_s: float) -> None:
        """End everything, at once."""
        del grace_s
        self._is_closed = True
        for call_id, leg in tuple(self._legs.items()):
            refusal = (603, "Decline") if isinstance(leg.script, Caller) else (487, "Request Terminated")
            code, phrase = (200, "OK") if leg.is_answered else refusal
            self._end(call_id, code, phrase, remote=False)
        self._reserved.clear()
        await asyncio.sleep(0)  # so that the last events are told

    # ----------------------------------------------------------------------------------------- tools for tests

    def offer(
        self,
        to: str,
        source: str = "+821021656521",
        *,
        caller: Caller = Caller(),
        trunk: str = "",
        username: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        from_name: str = "",
    ) -> wire.Acceptance | wire.Refusal:
        """An INVITE comes in, `to` and `source` are user parts or whole URIs; what the switch decided on it."""
        assert self._on_event is not None, "start was not awaited"
        to_uri = to if ":" in to else f"sip:{to}@192.0.2.1"
        from_uri = source if ":" in source else f"sip:{source}@192.0.2.9"
        invite = wire.Offer(
            f"fake-{len(self.heard)}", to_uri, from_uri, from_name, to_uri, "192.0.2.9:5060", "udp", trunk, username, headers
        )
        decision = wire.Refusal(404) if self._on_offer is None else self._on_offer(invite)
        if isinstance(decision, wire.Acceptance):
            self._take(decision, caller)
        else:
            self.refusals.append(decision.sip_code)
        return decision

    def tell(self, event: wire.Event) -> None:
        """Anything else that can happen."""
        self._tell(event)

    def lose_worker(self, group_id: str) -> None:
        """What the death of the worker that holds this group looks like."""
        for call_id in [call_id for call_id, leg in self._legs.items() if leg.group_id == group_id]:
            self._end(call_id, 0, "", remote=True, error="worker lost")

    def press(self, call_id: str, digit: str) -> None:
        """The far end presses a key."""
        self._tell(wire.DtmfReceived(call_id, digit, 160))

    def voice(self, call_id: str) -> Voice:
        """What the far end of this call says and hears, of live audio."""
        return self.voices.setdefault(call_id, Voice())

    def hang_up_remote(self, call_id: str) -> None:
        """The far end sends BYE."""
        self._end(call_id, 200, "OK", remote=True)

    def ring(self, call_id: str, sip_code: int = 180) -> None:
        """The far end of a scripted leg rings; with 183 its early media starts."""
        self._after_latency(call_id, lambda: self._ring(wire.CallProvisional(call_id, sip_code, "Ringing" if sip_code == 180 else "")))

    def answer(self, call_id: str) -> None:
        """The far end of a scripted leg answers."""
        self._after_latency(call_id, lambda: self._answer(call_id))

    def refuse(self, call_id: str, sip_code: int, sip_phrase: str = "Refused") -> None:
        """The far end of a scripted leg refuses."""
        self._after_latency(call_id, lambda: self._end(call_id, sip_code, sip_phrase, remote=True))

    def is_up(self, call_id: str) -> bool:
        """Whether the leg is there, answered or not."""
        return call_id in self._legs

    # ------------------------------------------------------------------------------------------------- private

    def _living(self, group_id: str) -> int:
        return sum(leg.group_id == group_id for leg in self._legs.values())

    def _dial(self, dial: wire.Dial) -> None:
        if self._reserved.get(dial.group_id, 0) <= self._living(dial.group_id):
            self._tell(wire.CallDisconnected(dial.call_id, 0, "", remote=True, error="no room reserved for this leg"))
            return
        found = _USER.match(dial.request_uri)
        user = (found and found.group(1)) or ""
        script = self._scripts.get(f"{user}@{_host(dial.request_uri)}") or self._scripts.get(user, FarEnd())
        if not isinstance(script, FarEnd):
            self._legs[dial.call_id] = _Leg(dial.group_id, FarEnd(answer_after_s=None), self._new_latency())
            self.heard.setdefault(dial.call_id, [])
            script(dial.call_id, dial)
            return
        leg = self._legs[dial.call_id] = _Leg(dial.group_id, script, self._new_latency())
        self.heard.setdefault(dial.call_id, [])
        if script.is_silent:
            self._later(leg, 32.0, lambda: self._end(dial.call_id, 408, "Request Timeout", remote=True))
            return
        if script.ring_after_s is not None:
            ring = wire.CallProvisional(dial.call_id, script.ring_code, "Ringing" if script.ring_code == 180 else "Session Progress")
            self._later(leg, script.ring_after_s, lambda: self._ring(ring))
        if script.answer_after_s is None:
            return
        if script.reject_code:
            refuse = script.reject_phrase or "Refused"
            contact = script.redirect_uri
            self._later(
                leg, script.answer_after_s, lambda: self._end(dial.call_id, script.reject_code, refuse, remote=True, redirect_uri=contact)
            )
        else:
            self._later(leg, script.answer_after_s, lambda: self._answer(dial.call_id))

    def _ring(self, ring: wire.CallProvisional) -> None:
        self._tell(ring)
        if ring.sip_code == 183:
            self._start_media(ring.call_id)

    def _start_media(self, call_id: str) -> None:
        leg = self._legs[call_id]
        if leg.has_media:
            return
        leg.has_media = True
        self._tell(wire.MediaStarted(call_id, leg.script.codec))
        if leg.is_audio_awaited:
            self._await_audio(call_id)
        waiting, leg.waiting = leg.waiting, []
        leg.play_id = ""
        for command in waiting:
            if isinstance(command, wire.Play):
                self._play(command)
            else:
                self._bridge(command)

    def _answer(self, call_id: str) -> None:
        leg = self._legs[call_id]
        leg.is_answered = True
        self._start_media(call_id)
        self._tell(wire.CallConfirmed(call_id, 200, "OK"))
        self._press_keys(call_id, leg)
        if leg.script.hang_up_after_s is not None:
            self._later(leg, leg.script.hang_up_after_s, lambda: self.hang_up_remote(call_id))

    # The life of a caller's leg.

    def _take(self, accepted: wire.Acceptance, caller: Caller) -> None:
        self.heard.setdefault(accepted.call_id, [])
        try:
            self.reserve(accepted.group_id, accepted.legs)
        except CapacityError:
            self.refusals.append(503)
            self._tell(wire.CallDisconnected(accepted.call_id, 503, "Service Unavailable", remote=False, error="no room"))
            return
        leg = self._legs[accepted.call_id] = _Leg(accepted.group_id, caller, self._new_latency(), is_known=False)
        self._later(leg, 0.0, lambda: self._arrive(accepted.call_id))

    def _arrive(self, call_id: str) -> None:
        leg = self._legs[call_id]
        leg.is_known = True
        assert isinstance(leg.script, Caller)
        if leg.script.cancel_after_s is not None:
            self._later(leg, leg.script.cancel_after_s, lambda: self._end(call_id, 487, "Request Terminated", remote=True))
        early, leg.early = leg.early, []
        for command in early:
            self._order(command)

    def _ring_back(self, ring: wire.Ring) -> None:
        leg = self._legs.get(ring.call_id)
        if leg is not None and ring.sip_code == 183 and isinstance(leg.script, Caller) and not leg.script.has_late_offer:
            self._start_media(ring.call_id)

    def _answer_caller(self, call_id: str) -> None:
        leg = self._legs.get(call_id)
        if leg is None or leg.is_ending or leg.is_answered or not isinstance(leg.script, Caller):
            return
        leg.is_answered = True
        for timer in leg.timers:
            timer.cancel()
        if leg.script.acknowledges:
            self._later(leg, 0.0, lambda: self._acknowledge(call_id))
        else:
            self._later(leg, 32.0, lambda: self._end(call_id, 408, "Request Timeout", remote=True, error="no ACK"))

    def _acknowledge(self, call_id: str) -> None:
        leg = self._legs[call_id]
        self._start_media(call_id)
        self._tell(wire.CallConfirmed(call_id, 200, "OK"))
        self._press_keys(call_id, leg)
        if leg.script.hang_up_after_s is not None:
            self._later(leg, leg.script.hang_up_after_s, lambda: self.hang_up_remote(call_id))

    def _reject(self, reject: wire.Reject) -> None:
        leg = self._legs.get(reject.call_id)
        if leg is None or leg.is_ending or leg.is_answered or not isinstance(leg.script, Caller):
            return
        leg.is_ending = True
        self.refusals.append(reject.sip_code)
        self._end(reject.call_id, reject.sip_code, reject.sip_phrase or "Refused", remote=False)

    def _transfer(self, transfer: wire.Transfer) -> None:
        leg = self._legs.get(transfer.call_id)
        if leg is None or leg.is_ending or not leg.is_answered:
            return
        codes = leg.script.transfer_codes
        for index, code in enumerate(codes):
            told = wire.TransferProgressed(transfer.call_id, code, "", is_final=index == len(codes) - 1)
            self._later(leg, float(index), lambda told=told: self._tell(told))  # type: ignore[misc]
            if transfer.replaced_id and told.is_final and 200 <= code < 300:
                self._later(leg, float(index), lambda: self.hang_up_remote(transfer.replaced_id))

    def _register(self, register: wire.Register) -> None:
        code = self.refused_registrations.get(register.trunk, 200)
        self.registrations[register.trunk] = register
        is_good = code == 200
        phrase, expires_s = ("OK", register.expires_s) if is_good else ("Refused", 0)
        self._tell(wire.RegistrationChanged(register.trunk, is_good, code, phrase, expires_s))

    def _unregister(self, unregister: wire.Unregister) -> None:
        if self.registrations.pop(unregister.trunk, None) is not None:
            self._tell(wire.RegistrationChanged(unregister.trunk, is_registered=False, sip_code=200, sip_phrase="OK"))

    # The life of every leg.

    def _hang_up(self, call_id: str) -> None:
        leg = self._legs.get(call_id)
        if leg is None or leg.is_ending:
            return
        leg.is_ending = True
        for timer in leg.timers:
            timer.cancel()
        if isinstance(leg.script, Caller):
            code, phrase = (200, "OK") if leg.is_answered else (603, "Decline")
            self._later(leg, 0.0, lambda: self._end(call_id, code, phrase, remote=False))
        elif leg.script.is_silent:
            self._later(leg, 32.0, lambda: self._end(call_id, 408, "Request Timeout", remote=False))
        elif leg.is_answered:
            self._later(leg, 0.0, lambda: self._end(call_id, 200, "OK", remote=False))
        elif leg.script.has_late_answer:
            self._later(leg, 0.0, lambda: self._tell(wire.CallConfirmed(call_id, 200, "OK")))
            self._later(leg, leg.latency_s, lambda: self._end(call_id, 200, "OK", remote=False))
        else:
            self._later(leg, 0.0, lambda: self._end(call_id, 487, "Request Terminated", remote=False))

    def _end(self, call_id: str, code: int, phrase: str, *, remote: bool, error: str = "", redirect_uri: str = "") -> None:
        leg = self._legs.get(call_id)
        if leg is None:
            return
        for timer in leg.timers:
            timer.cancel()
        self._end_playback(call_id)
        self._stop_sending(leg)
        for tap in leg.taps:
            tap.close()
        if leg.recording is not None:
            self._loop.call_soon(self._finish_recording, leg.recording)
        for heard in self.heard[call_id]:
            if heard.end_s is None and heard.peer_id:
                self._unbridge(call_id, heard.peer_id)
        del self._legs[call_id]
        is_ours = leg.is_ending or not remote
        statistics = leg.script.statistics if isinstance(leg.script, FarEnd) and leg.is_answered else None
        over = wire.CallDisconnected(
            call_id, code, phrase, remote=not is_ours, error=error, statistics=statistics, redirect_uri=redirect_uri
        )
        self._tell(over)

    def _play(self, play: wire.Play) -> None:
        leg = self._legs.get(play.call_id)
        if leg is None or leg.is_ending:
            return
        if leg.play_id:
            self._tell(wire.PlaybackFinished(play.call_id, leg.play_id, "replaced"))
        self._end_playback(play.call_id)
        if not leg.has_media:
            leg.play_id = play.play_id
            leg.waiting.append(play)
            return
        try:
            with wave.open(play.path, "rb") as file:
                duration_s = file.getnframes() / file.getframerate()
        except (OSError, wave.Error, EOFError) as error:
            self._tell(wire.PlaybackFinished(play.call_id, play.play_id, str(error) or "cannot be read"))
            return
        leg.play_id = play.play_id
        self.heard[play.call_id].append(Heard(self._loop.time(), path=play.path))
        if not play.loop:
            leg.playback = self._loop.call_later(duration_s, self._playback_over, play)

    def _playback_over(self, play: wire.Play) -> None:
        self._end_playback(play.call_id)
        self._tell(wire.PlaybackFinished(play.call_id, play.play_id))

    def _stop_play(self, stop: wire.StopPlay) -> None:
        leg = self._legs.get(stop.call_id)
        if leg is not None and leg.play_id == stop.play_id:
            self._end_playback(stop.call_id)

    def _end_playback(self, call_id: str) -> None:
        leg = self._legs[call_id]
        leg.play_id = ""
        leg.waiting = [command for command in leg.waiting if isinstance(command, wire.Bridge)]
        if leg.playback is not None:
            leg.playback.cancel()
            leg.playback = None
        for heard in self.heard[call_id]:
            if heard.path and heard.end_s is None:
                heard.end_s = self._loop.time()

    def _record(self, order: wire.StartRecording | wire.StopRecording) -> None:
        leg = self._legs.get(order.call_id)
        if leg is None or leg.is_ending:
            return
        if isinstance(order, wire.StopRecording):
            self._stop_recording(leg, order.recording_id)
            return
        if leg.recording is not None:
            self._tell(wire.RecordingFinished(order.call_id, order.recording_id, 0.0, "the leg is being recorded already"))
            return
        try:
            for name in wire.recording_files(order.path):
                _write_silence(name, 0.0)
        except OSError as error:
            self._tell(wire.RecordingFinished(order.call_id, order.recording_id, 0.0, str(error)))
            return
        leg.recording = (order, self._loop.time())

    def _stop_recording(self, leg: _Leg, recording_id: str) -> None:
        if leg.recording is not None and leg.recording[0].recording_id == recording_id:
            self._finish_recording(leg.recording)
            leg.recording = None

    def _finish_recording(self, recording: tuple[wire.StartRecording, float]) -> None:
        """Silence, unless somebody has written something better."""
        order, start_s = recording
        duration_s = self._loop.time() - start_s
        for name in wire.recording_files(order.path):
            if Path(name).stat().st_size <= _HEADER_BYTES:
                _write_silence(name, duration_s)
        self._tell(wire.RecordingFinished(order.call_id, order.recording_id, duration_s))

    def _listen(self, order: wire.AwaitAudio | wire.OpenAudio) -> None:
        if isinstance(order, wire.AwaitAudio):
            self._await_audio(order.call_id)
        else:
            self._open_audio(order)

    def _await_audio(self, call_id: str) -> None:
        leg = self._legs.get(call_id)
        if leg is None:
            return
        leg.is_audio_awaited = True
        after_s = leg.script.audio_after_s if isinstance(leg.script, FarEnd) else 0.0
        if leg.has_media and after_s is not None:
            self._later(leg, after_s, lambda: self._tell(wire.AudioArrived(call_id)))

    def _open_audio(self, order: wire.OpenAudio) -> None:
        leg = self._legs.get(order.call_id)
        if leg is None:
            return
        try:
            leg.taps.append(FakeTap(order.address, self.voice(order.call_id), lambda: leg.has_media, hears_near=order.hears_near))
        except (OSError, ValueError) as error:
            self._tell(wire.AudioRefused(order.call_id, order.audio_id, str(error)))

    def _send_digits(self, order: wire.SendDigits | wire.StopDigits) -> None:
        leg = self._legs.get(order.call_id)
        if leg is None or leg.is_ending:
            return
        if isinstance(order, wire.StopDigits):
            if leg.send_id == order.send_id:
                self._stop_sending(leg)
            return
        if replaced := self._stop_sending(leg):
            self._tell(wire.DigitsSent(order.call_id, replaced, "replaced"))
        if not leg.has_media:
            self._tell(wire.DigitsSent(order.call_id, order.send_id, "the call has no audio"))
            return
        leg.send_id = order.send_id
        self._next_digit(leg, order, 0)

    def _next_digit(self, leg: _Leg, order: wire.SendDigits, sent: int) -> None:
        if sent == len(order.digits):
            self._stop_sending(leg)
            self._tell(wire.DigitsSent(order.call_id, order.send_id))
            return
        self.keys[order.call_id] = self.keys.get(order.call_id, "") + order.digits[sent]
        delay_s = (order.duration_ms + order.interval_ms) / 1000
        leg.sending = self._loop.call_later(delay_s, self._next_digit, leg, order, sent + 1)

    @staticmethod
    def _stop_sending(leg: _Leg) -> str:
        """The id of what was being sent, if anything."""
        send_id, leg.send_id = leg.send_id, ""
        if leg.sending is not None:
            leg.sending.cancel()
            leg.sending = None
        return send_id

    def _bridge(self, bridge: wire.Bridge | wire.Unbridge) -> None:
        if isinstance(bridge, wire.Unbridge):
            self._unbridge(bridge.call_id, bridge.peer_id)
            return
        legs = [self._legs.get(call_id) for call_id in (bridge.call_id, bridge.peer_id)]
        if None in legs:
            return
        for leg in legs:
            if leg is not None and not leg.has_media:
                leg.waiting.append(bridge)
                return
        now = self._loop.time()
        for one, other in ((bridge.call_id, bridge.peer_id), (bridge.peer_id, bridge.call_id)):
            if not any(heard.peer_id == other and heard.end_s is None for heard in self.heard[one]):
                self.heard[one].append(Heard(now, peer_id=other))

    def _unbridge(self, call_id: str, peer_id: str) -> None:
        for one, other in ((call_id, peer_id), (peer_id, call_id)):
            if leg := self._legs.get(one):
                leg.waiting = [command for command in leg.waiting if isinstance(command, wire.Play) or not _joins(command, one, other)]
            for heard in self.heard.get(one, []):
                if heard.peer_id == other and heard.end_s is None:
                    heard.end_s = self._loop.time()

    def _press_keys(self, call_id: str, leg: _Leg) -> None:
        """What the script of the far end wants pressed after the answer."""
        for number, digit in enumerate(leg.script.digits):
            self._later(leg, leg.script.digits_after_s + number * _KEY_GAP_S, lambda digit=digit: self.press(call_id, digit))  # type: ignore[misc]

    def _after_latency(self, call_id: str, action: Callable[[], None]) -> None:
        """What a far end does arrives here later, unless the leg is over by then."""
        if (leg := self._legs.get(call_id)) is not None and not leg.is_ending:
            self._later(leg, 0.0, action)

    def _later(self, leg: _Leg, delay_s: float, action: Callable[[], None]) -> None:
        leg.timers.append(self._loop.call_later(delay_s + 2 * leg.latency_s, action))

    def _tell(self, event: wire.Event) -> None:
        assert self._on_event is not None, "start was not awaited"
        self._loop.call_soon(self._on_event, event)
