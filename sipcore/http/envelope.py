"""What of a call is told to the outside: `{"type": "call_ringing", "data": {the call}}`, and what else an event has to say."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from sipcore import events
from sipcore.record import NIL_ID, CallRecord, format_time

TYPES: Final[dict[type[events.CallEvent], str]] = {
    events.CallCreated: "call_created",
    events.CallDialing: "call_dialing",
    events.CallRinging: "call_ringing",
    events.CallAnswered: "call_progressing",
    events.CallUpdated: "call_updated",
    events.CallHangingUp: "call_updated",
    events.CallHangup: "call_hangup",
    events.DigitReceived: "dtmf_received",
    events.DigitsGathered: "digits_gathered",
    events.AnswererDetected: "answerer_detected",
    events.CallMediaStarted: "media_started",
    events.RecordingStarted: "recording_started",
    events.RecordingFinished: "recording_finished",
    events.ConferenceCreated: "conference_created",
    events.ConferenceJoined: "conference_joined",
    events.ConferenceUpdated: "conference_updated",
    events.ConferenceLeft: "conference_left",
    events.ConferenceTerminated: "conference_terminated",
    events.ConferenceRecordingStarted: "conference_recording_started",
    events.ConferenceRecordingFinished: "conference_recording_finished",
    events.ActionStarted: "action_started",
    events.ActionFinished: "action_finished",
    events.CallHeld: "call_held",
    events.CallResumed: "call_resumed",
    events.RtpSourceMoved: "rtp_source_moved",
    events.RtpStopped: "rtp_stopped",
    events.TransferRequested: "transfer_requested",
    events.TransferUpdated: "transfer_updated",
}
WEBHOOK_TYPES: Final = frozenset(
    {
        "call_created",
        "call_dialing",
        "call_ringing",
        "call_progressing",
        "call_updated",
        "call_hangup",
        "recording_started",
        "recording_finished",
        "dtmf_received",
        "conference_created",
        "conference_joined",
        "conference_updated",
        "conference_left",
        "conference_terminated",
    }
)
"""What an `event_url` gets; the event stream has all of them."""


def envelope(event: events.CallEvent, record: CallRecord | None) -> dict[str, Any]:
    """The JSON object of an event; `record` is the call as it was then, and may be missing for an event of a conference."""
    if isinstance(event, events.ConferenceEvent):
        return _of_conference(event)
    assert record is not None, "every other event is one of a call"
    return _of_call(event, record)


def _of_call(event: events.CallEvent, record: CallRecord) -> dict[str, Any]:
    told: dict[str, Any] = {"type": TYPES[type(event)], "at": format_time(event.at), "data": record.to_json()}
    match event:
        case events.CallRinging(sip_code=code):
            told["sip"] = {"code": code}
        case events.CallHangup():
            told["sip"] = {"code": record.sip_code, "phrase": record.sip_phrase, "q850_cause": record.q850_cause}
            told["statistics"] = None if record.statistics is None else asdict(record.statistics)
            told["quality"] = None if record.quality is None else record.quality.to_json()
        case events.DigitReceived():
            told["dtmf"] = {"digit": event.digit, "duration_ms": event.duration_ms}
        case events.DigitsGathered():
            told["digits"] = {"digits": event.digits, "ended_by": event.ended_by}
        case events.AnswererDetected():
            told["amd"] = {name: value for name, value in asdict(event).items() if name not in ("call_id", "at")}
        case events.RecordingStarted() | events.RecordingFinished():
            told["recording"] = event.recording.to_json()
        case events.CallMediaStarted() | events.RtpSourceMoved() | events.RtpStopped():
            told["media"] = _media(event)
        case events.TransferRequested():
            told["transfer"] = {"target": event.target, "is_accepted": event.is_accepted}
        case events.TransferUpdated():
            told["transfer"] = {"code": event.sip_code, "phrase": event.sip_phrase, "is_final": event.is_final}
        case events.ActionStarted():
            told["action"] = {"index": event.index, "type": event.type, "id": event.action_id}
        case events.ActionFinished():
            told["action"] = {
                "index": event.index,
                "type": event.type,
                "id": event.action_id,
                "outcome": event.outcome,
                "detail": event.detail,
                "legs": [asdict(leg) for leg in event.legs],
            }
    return told


def _of_conference(event: events.ConferenceEvent) -> dict[str, Any]:
    told: dict[str, Any] = {"type": TYPES[type(event)], "at": format_time(event.at), "data": event.conference.to_json()}
    told["call_id"] = event.call_id or NIL_ID
    match event:
        case events.ConferenceLeft():
            told["reason"] = event.reason
        case events.ConferenceRecordingStarted() | events.ConferenceRecordingFinished():
            told["recording"] = event.recording.to_json()
    return told


def _media(event: events.CallMediaStarted | events.RtpSourceMoved | events.RtpStopped) -> dict[str, Any]:
    match event:
        case events.CallMediaStarted():
            return {"codec": event.codec}
        case events.RtpSourceMoved():
            return {"expected": event.expected, "actual": event.actual}
        case events.RtpStopped():
            return {"silent_s": event.silent_s}
