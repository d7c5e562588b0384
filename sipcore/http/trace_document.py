"""The part of the OpenAPI document that describes the flight record of a call."""

from __future__ import annotations

from typing import Any, Final

from sipcore.http.trace import MEDIA_TYPES

_COUNT: Final = {"type": "integer", "minimum": 0}
_NUMBER: Final = {"type": "number"}
_STRING: Final = {"type": "string"}


def trace_schema(time: dict[str, Any]) -> dict[str, Any]:
    """Of `Trace`; `time` is the schema of a time."""
    lists = {"result": _message(time), "notes": _note(time), "calls": _call(time)}
    return _closed({name: {"type": "array", "items": items} for name, items in lists.items()} | {"taken_at": time})


def trace_content(schema: dict[str, Any]) -> dict[str, Any]:
    """Every form of the answer; `schema` is that of the JSON."""
    return {"application/json": {"schema": schema}} | {media_type: {} for media_type in MEDIA_TYPES}


def _message(time: dict[str, Any]) -> dict[str, Any]:
    address = _STRING | {"description": "`host:port`"}
    return _closed(
        {
            "at": time,
            "is_sent": {"type": "boolean", "description": "By us; otherwise it was received."},
            "transport": {"type": "string", "enum": ["udp", "tcp", "tls"]},
            "local": address,
            "remote": address,
            "text": _STRING | {"description": "The message, secrets blanked."},
            "missing": _COUNT | {"description": "How many messages just before this one were not kept."},
        }
    )


def _note(time: dict[str, Any]) -> dict[str, Any]:
    name = _STRING | {"description": "Of the event: `CallAnswered`, `ActionStarted`."}
    return _closed({"at": time, "call_id": _STRING, "name": name, "text": _STRING, "missing": _COUNT})


def _call(time: dict[str, Any]) -> dict[str, Any]:
    counters = {name: {"type": "integer"} for name in ("rx_packets", "rx_lost", "rx_discarded", "tx_packets")}
    sample = _closed({"at": time, **counters, "jitter_ms": _NUMBER, "rtt_ms": _NUMBER})
    texts = dict.fromkeys(("id", "direction", "source", "destination", "status", "hangup_by", "hangup_reason"), _STRING)
    rtp = {"type": "array", "items": sample, "description": "Counters from the begin of the call, second by second."}
    return _closed(texts | {"sip_code": _COUNT, "sip_phrase": _STRING, "codec": _STRING, "rtp": rtp})


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
