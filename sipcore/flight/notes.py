"""What an event of a call looks like in its flight record: one line, without what is secret in it."""

from __future__ import annotations

import re
from typing import Final

from sipcore import events
from sipcore.flight.record import FlightNote
from sipcore.recordings.recording import Recording

_MAX_CHARS: Final = 300
_URL: Final = re.compile(r"\b([a-z][a-z0-9+.-]{1,15}://)([^\s\"'<>]*)", re.IGNORECASE)
_SECRET: Final = re.compile(r"\b((?:password|passwd|secret|api[_-]?key|(?:\w{0,20}_)?token)\s{0,3}[=:]\s{0,3})[^\s,;&\"']+", re.IGNORECASE)
_BEARER: Final = re.compile(r"\b((?:bearer|basic)\s{1,3})[A-Za-z0-9+/=._~-]{8,}", re.IGNORECASE)

_HINT: Final = re.compile(r"://|bearer|basic|password|passwd|secret|key|token", re.IGNORECASE)
"""One of these is in every text of which the others find something."""


def without_secrets(text: str) -> str:
    """The text without passwords and queries of URLs, tokens and passwords that are named so."""
    text = text[:_MAX_CHARS]
    if not _HINT.search(text):  # as in nearly every note
        return text
    text = _URL.sub(_blank_url, text)
    return _BEARER.sub(r"\1***", _SECRET.sub(r"\1***", text))


def _blank_url(found: re.Match[str]) -> str:
    place, question, _ = found[2].partition("?")
    authority, slash, path = place.partition("/")
    userinfo, at, host = authority.rpartition("@")
    return f"{found[1]}{'***@' if userinfo or at else ''}{host}{slash}{path}{'?***' if question else ''}"


def note_of(event: events.CallEvent) -> FlightNote:
    """The line of an event; of one that is not known here its name only."""
    name = type(event).__name__
    return FlightNote(event.at.timestamp(), event.call_id, name, without_secrets(_text(event) or _spelled(name)))


def _spelled(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _text(event: events.CallEvent) -> str:
    match event:
        case events.CallCreated(record=record):
            return f"{record.direction} call from {record.source} to {record.destination}"
        case events.CallRinging(sip_code=code):
            return f"ringing ({code})"
        case events.CallAnswered():
            return "answered"
        case events.CallHangup(record=record):
            answer = f", {record.sip_code} {record.sip_phrase}".rstrip() if record.sip_code else ""
            return f"over: {record.hangup_reason}, by {record.hangup_by}{answer}"
        case events.ActionStarted():
            return f"{event.type} begins"
        case events.ActionFinished():
            return f"{event.type} {event.outcome}" + (f": {event.detail}" if event.detail else "")
        case events.TransferUpdated():
            return f"transfer: {event.sip_code} {event.sip_phrase}"
        case events.TransferRequested():
            return f"transfer to {event.target} {'accepted' if event.is_accepted else 'refused'}"
        case _:
            return _media_text(event)


def _media_text(event: events.CallEvent) -> str:
    match event:
        case events.CallMediaStarted():
            return f"audio is {event.codec}"
        case events.RtpSourceMoved():
            return f"audio comes from {event.actual} instead of {event.expected}"
        case events.RtpStopped():
            return f"no audio for {event.silent_s:g} s"
        case events.DigitReceived():
            return f"a key was pressed ({event.duration_ms} ms)"  # which one may be a PIN
        case events.DigitsGathered():
            return f"{len(event.digits)} digits were read, ended by {event.ended_by}"
        case events.AnswererDetected():
            return f"answered by {event.answerer} ({event.reason})"
        case events.RecordingStarted(recording=recording):
            return f"recording {recording.id} begins"
        case events.RecordingFinished(recording=recording):
            return _recorded(recording)
        case _:
            return ""


def _recorded(recording: Recording) -> str:
    return f"recording {recording.id} failed: {recording.error}" if recording.error else f"recording {recording.id} is over"
