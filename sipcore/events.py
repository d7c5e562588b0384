"""What happens to a call, as the user sees it: frozen values, in the order they happened.

Every call begins with `CallCreated` and ends with exactly one `CallHangup`, after which nothing more comes, but for `RecordingFinished` to
who listens to the whole switch: the file of a recording may take longer than its call. `at` is UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sipcore.conferences.record import Conference
from sipcore.record import CallRecord
from sipcore.recordings.recording import Recording


@dataclass(frozen=True, slots=True)
class Registration:
    """How our registration at a trunk is, since `at`; no event of a call."""

    trunk: str
    at: datetime
    is_registered: bool
    sip_code: int
    """The registrar's last answer; 0 while there is none."""
    sip_phrase: str
    expires_s: int


@dataclass(frozen=True, slots=True)
class CallEvent:
    """Base of all events of a call."""

    call_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class CallCreated(CallEvent):
    """The call was accepted and has its record."""

    record: CallRecord


@dataclass(frozen=True, slots=True)
class CallDialing(CallEvent):
    """The INVITE goes out now."""

    record: CallRecord


@dataclass(frozen=True, slots=True)
class CallRinging(CallEvent):
    """The far end rings, or sends early media; of an incoming call: we told the caller so."""

    record: CallRecord
    sip_code: int


@dataclass(frozen=True, slots=True)
class CallAnswered(CallEvent):
    """The far end answered, or we did; the action list of an outgoing call starts. The status is `progressing`."""

    record: CallRecord


@dataclass(frozen=True, slots=True)
class CallHeld(CallEvent):
    """The far end put us on hold."""


@dataclass(frozen=True, slots=True)
class CallResumed(CallEvent):
    """The far end took us back from hold."""


@dataclass(frozen=True, slots=True)
class RtpSourceMoved(CallEvent):
    """Audio comes from another address than before (`host:port`): NAT, a moved gateway, or somebody who should not be heard."""

    expected: str
    actual: str


@dataclass(frozen=True, slots=True)
class RtpStopped(CallEvent):
    """No audio came for `silent_s` seconds; the call is ended for it."""

    silent_s: float


@dataclass(frozen=True, slots=True)
class TransferRequested(CallEvent):
    """The far end asked us to call `target` in its place (REFER); `is_accepted` says whether we do."""

    target: str
    is_accepted: bool


@dataclass(frozen=True, slots=True)
class TransferUpdated(CallEvent):
    """How far the transfer is that we asked for: the SIP code of the other call, as the far end tells it."""

    sip_code: int
    sip_phrase: str
    is_final: bool


@dataclass(frozen=True, slots=True)
class CallUpdated(CallEvent):
    """The record changed and the status did not: a leg was chained to the call."""

    record: CallRecord


@dataclass(frozen=True, slots=True)
class CallMediaStarted(CallEvent):
    """The audio stream is up, with this codec (RTP name, `PCMU/8000`)."""

    codec: str


@dataclass(frozen=True, slots=True)
class ActionStarted(CallEvent):
    """Action number `index` of the list begins."""

    index: int
    type: str
    action_id: str


@dataclass(frozen=True, slots=True)
class LegResult:
    """How one leg of a `connect` ended, or that it was the one that was bridged."""

    call_id: str
    destination: str
    answered: bool
    hangup_reason: str
    sip_code: int


@dataclass(frozen=True, slots=True)
class ActionFinished(CallEvent):
    """Action number `index` is over: `done`, `failed` (then `detail` says why) or `interrupted` by the end of the call.

    A failed action does not end the call: it goes on with the next one. `legs` is filled by `connect`.
    """

    index: int
    type: str
    action_id: str
    outcome: str
    detail: str = ""
    legs: tuple[LegResult, ...] = ()


@dataclass(frozen=True, slots=True)
class DigitReceived(CallEvent):
    """The far end pressed a key: 0-9, *, #, A-D."""

    digit: str
    duration_ms: int


@dataclass(frozen=True, slots=True)
class DigitsGathered(CallEvent):
    """What a `digits_receive` or `gather` has read, and what ended it: `length`, `key` or `timeout`."""

    digits: str
    ended_by: str


@dataclass(frozen=True, slots=True)
class AnswererDetected(CallEvent):
    """An `amd` has found out who answered: `human`, `machine` or `notsure`, why, and what it has measured.

    `reason` is `pause` (a short greeting, then silence), `long_greeting`, `many_words`, `beep`, `initial_silence` or `too_long`.
    """

    answerer: str
    reason: str
    took_ms: int
    """From the begin of the action."""
    initial_silence_ms: int
    greeting_ms: int
    silence_ms: int
    """After the greeting."""
    words: int
    noise_dbfs: float
    speech_dbfs: float
    beep_hz: float


@dataclass(frozen=True, slots=True)
class RecordingStarted(CallEvent):
    """The call is being recorded."""

    recording: Recording


@dataclass(frozen=True, slots=True)
class RecordingFinished(CallEvent):
    """A recording is over, and its file is there: or there is none, then `recording.error` says why."""

    record: CallRecord
    recording: Recording


@dataclass(frozen=True, slots=True)
class ConferenceEvent(CallEvent):
    """Base of all events of a conference; `conference` is as it is after that.

    `call_id` is the call that it is about, empty when it is about none. Those of a call that joins, leaves or is muted are among its own
    events; the others are told to who listens to the whole switch.
    """

    conference: Conference


@dataclass(frozen=True, slots=True)
class ConferenceCreated(ConferenceEvent):
    """There is a new conference; `call_id` is the call that made it by joining."""


@dataclass(frozen=True, slots=True)
class ConferenceJoined(ConferenceEvent):
    """A call has joined."""


@dataclass(frozen=True, slots=True)
class ConferenceUpdated(ConferenceEvent):
    """A member was muted, or is heard again."""


@dataclass(frozen=True, slots=True)
class ConferenceLeft(ConferenceEvent):
    """A call has left.

    `reason` is `key`, `duration`, `kicked`, `ended` (the conference), `hangup` (the call), `left` (given up) or `audio` (it has none).
    """

    reason: str


@dataclass(frozen=True, slots=True)
class ConferenceTerminated(ConferenceEvent):
    """A conference is over; `call_id` is the call whose leaving ended it."""


@dataclass(frozen=True, slots=True)
class ConferenceRecordingStarted(ConferenceEvent):
    """A conference is being recorded."""

    recording: Recording


@dataclass(frozen=True, slots=True)
class ConferenceRecordingFinished(ConferenceEvent):
    """A recording of a conference is over, and its file is there: or there is none, then `recording.error` says why."""

    recording: Recording


@dataclass(frozen=True, slots=True)
class CallHangingUp(CallEvent):
    """We asked for the end of the call: the status is `canceling` or `terminating`."""

    record: CallRecord


@dataclass(frozen=True, slots=True)
class CallHangup(CallEvent):
    """The call is over; `record` is final."""

    record: CallRecord
