"""A flight record as JSON, there and back: the answer of `GET /v1.0/calls/{id}/trace`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sipcore.flight.record import FlightCall, FlightNote, FlightRecord, RtpSample
from sipcore.record import format_time, parse_time
from sipcore.wire import TracedMessage


def to_json(record: FlightRecord) -> dict[str, Any]:
    """Its messages are `result`."""
    return {
        "result": [_message_json(message) for message in record.messages],
        "notes": [
            {"at": _time(note.at), "call_id": note.call_id, "name": note.name, "text": note.text, "missing": note.missing}
            for note in record.notes
        ],
        "calls": [asdict(call) | {"rtp": [sample._asdict() | {"at": _time(sample.at)} for sample in call.rtp]} for call in record.calls],
        "taken_at": _time(record.taken_at),
    }


def from_json(value: Mapping[str, Any]) -> FlightRecord:
    """What `to_json` has made.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    messages = tuple(_message(shown) for shown in value["result"])
    notes = tuple(
        FlightNote(_at(note["at"]), _text(note["call_id"]), _text(note["name"]), _text(note["text"]), int(note["missing"]))
        for note in value["notes"]
    )
    return FlightRecord(_at(value["taken_at"]), tuple(_call(call) for call in value["calls"]), messages, notes)


def _call(shown: dict[str, Any]) -> FlightCall:
    texts = ("id", "direction", "source", "destination", "status", "hangup_by", "hangup_reason", "sip_phrase", "codec")
    return FlightCall(
        **{name: _text(shown[name]) for name in texts},
        sip_code=int(shown["sip_code"]),
        rtp=tuple(_sample(sample) for sample in shown["rtp"]),
    )


def _sample(shown: dict[str, Any]) -> RtpSample:
    rx, lost, late, tx = (int(shown[name]) for name in ("rx_packets", "rx_lost", "rx_discarded", "tx_packets"))
    return RtpSample(_at(shown["at"]), rx, lost, late, tx, float(shown["jitter_ms"]), float(shown["rtt_ms"]))


def _message_json(message: TracedMessage) -> dict[str, Any]:
    return {
        "at": _time(message.time),
        "is_sent": message.is_sent,
        "transport": message.transport,
        "local": message.local,
        "remote": message.remote,
        "text": message.text,
        "missing": message.missing,
    }


def _message(shown: dict[str, Any]) -> TracedMessage:
    transport, local, remote, text = (_text(shown[name]) for name in ("transport", "local", "remote", "text"))
    return TracedMessage(_at(shown["at"]), bool(shown["is_sent"]), transport, local, remote, text, int(shown["missing"]))


def _time(at: float) -> str:
    return format_time(datetime.fromtimestamp(at, UTC))


def _at(text: str) -> float:
    at = parse_time(text)
    if at is None:
        raise ValueError("no time")
    return at.timestamp()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text is no text")
    return value
