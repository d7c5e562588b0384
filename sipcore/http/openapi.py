"""The OpenAPI 3.1 document, made from the action models and the same limits that the switch checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sipcore import __version__
from sipcore.actions import MAX_DESTINATIONS, Action, json_schema
from sipcore.call import HangupReason, Status
from sipcore.http.conference_document import conference_paths, conference_schemas
from sipcore.http.control import CONTROLS
from sipcore.http.errors import STATUS_NAMES
from sipcore.http.recordings import MEDIA_TYPES
from sipcore.http.trace import FORMATS
from sipcore.http.trace_document import trace_content, trace_schema
from sipcore.recordings.recording import RecordingStatus
from sipcore.store import DEFAULT_PAGE_SIZE
from sipcore.tables import MAX_PAGE_SIZE

_ID: Final = {"type": "string", "format": "uuid"}
_TIME: Final = {
    "type": "string",
    "pattern": r"^([0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6})?$",
    "description": "UTC, `YYYY-MM-DD HH:MM:SS.ffffff`; empty when it has not happened.",
}
_SHOWN_ADDRESS: Final = {
    "type": "object",
    "properties": {"type": {"type": "string", "enum": ["tel", "sip"]}, "target": {"type": "string"}, "name": {"type": "string"}},
    "required": ["type", "target", "name"],
    "additionalProperties": False,
}
_CALL: Final[Mapping[str, Any]] = {
    "id": _ID,
    "user_id": {"type": "integer", "minimum": 1},
    "flow_id": _ID,
    "conf_id": _ID,
    "type": {"type": "string", "enum": ["flow", "conference", "sip-service"]},
    "master_call_id": _ID | {"description": "On a leg that a `connect` made: the call it was made for."},
    "chained_call_ids": {"type": "array", "items": _ID},
    "recording_id": _ID,
    "recording_ids": {"type": "array", "items": _ID},
    "source": _SHOWN_ADDRESS,
    "destination": _SHOWN_ADDRESS,
    "status": {"type": "string", "enum": [str(status) for status in Status]},
    "direction": {"type": "string", "enum": ["incoming", "outgoing"]},
    "hangup_by": {"type": "string", "enum": ["", "remote", "local"]},
    "hangup_reason": {"type": "string", "enum": ["", *(str(reason) for reason in HangupReason)]},
    **dict.fromkeys(("tm_create", "tm_update", "tm_progressing", "tm_ringing", "tm_hangup"), _TIME),
}


def document() -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "sipcore", "version": __version__, "description": "Place phone calls and follow them to their end."},
        "paths": _paths(),
        "components": {"schemas": _schemas(), "securitySchemes": _SECURITY},
        "security": [{name: []} for name in _SECURITY],
    }


_SECURITY: Final = {
    "query": {"type": "apiKey", "in": "query", "name": "token"},
    "cookie": {"type": "apiKey", "in": "cookie", "name": "token"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def _schemas() -> dict[str, Any]:
    actions = json_schema()
    definitions = actions.pop("$defs")
    actions.pop("$schema")
    schemas = {"Actions": actions, **_option_schemas(actions), **definitions}
    _point_to_components(schemas)
    call = {"type": "object", "properties": dict(_CALL), "required": list(_CALL), "additionalProperties": False}
    calls = {"type": "array", "items": _ref("Call")}
    fault = _closed({"field": {"type": "string"}, "message": {"type": "string"}})
    error = _closed(
        {
            "status": {"type": "string", "enum": list(STATUS_NAMES.values())},
            "reason": {"type": "string"},
            "message": {"type": "string"},
            "details": {"type": "array", "items": fault},
        }
    )
    return schemas | {
        "Party": {"anyOf": [_ref("Address"), {"type": "string", "description": '"tel:+E164", "+E164" or "sip:user@host[:port]"'}]},
        "CallRequest": _call_request(),
        "Call": call,
        "Calls": _closed({"calls": calls, "groupcalls": {"type": "array", "maxItems": 0}}),
        "CallPage": _closed({"result": calls, "next_page_token": _TIME}),
        **_recording_schemas(),
        **conference_schemas(_ID, _TIME),
        "CallQuality": _closed({"quality": {"anyOf": [_quality(), {"type": "null"}]}}),
        "Trace": trace_schema(_TIME),
        "Error": _closed({"error": error}),
    }


def _quality() -> dict[str, Any]:
    count = {"type": "integer", "minimum": 0}
    number: dict[str, Any] = {"type": "number", "minimum": 0}
    rating = {"type": ["number", "null"], "description": "By the E-model (ITU-T G.107); null when it cannot be told."}
    return _closed(
        {
            "codec": {"type": "string", "description": "RTP name."},
            "received": count | {"description": "RTP packets."},
            "lost": count,
            "discarded": count | {"description": "Came too late to be played."},
            "loss_percent": number | {"maximum": 100, "description": "Lost and discarded."},
            "jitter_ms": number,
            "round_trip_ms": {"type": ["number", "null"], "description": "By RTCP; null when the far end sends none."},
            "r_factor": rating,
            "mos": rating,
        }
    )


def _call_request() -> dict[str, Any]:
    properties = {
        "source": _ref("Party"),
        "destination": _ref("Party"),
        "destinations": {"type": "array", "items": _ref("Party"), "minItems": 1, "maxItems": MAX_DESTINATIONS},
        "actions": {"anyOf": [_ref("Actions"), {"type": "null"}]},
        "event_url": {"type": ["string", "null"], "description": "Where the events of the call and of its legs are sent."},
        "variables": {
            "anyOf": [{"type": "object", "additionalProperties": {"type": "string"}}, {"type": "null"}],
            "description": "What `${name}` stands for in the actions.",
        },
        "trunk": {"type": ["string", "null"], "description": "The trunk to call over, by name; chosen by destination by default."},
    }
    one_of = [{"required": ["destination"]}, {"required": ["destinations"]}]
    return {"type": "object", "properties": properties, "required": ["source"], "oneOf": one_of, "additionalProperties": False}


def _paths() -> dict[str, Any]:
    page = [
        _query(
            "page_size", {"type": "integer", "minimum": 1, "default": DEFAULT_PAGE_SIZE}, f"More than {MAX_PAGE_SIZE} is {MAX_PAGE_SIZE}."
        ),
        _query("page_token", {"type": "string"}, "`next_page_token` of the page before."),
    ]
    key = _header("Idempotency-Key", r"^[!-~]{1,255}$", "The same key and body make one call.")
    one = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}]
    body = {"required": True, "content": {"application/json": {"schema": _ref("CallRequest")}}}
    placed = {"anyOf": [_ref("Call"), _ref("Calls")]}
    create = _operation("createCall", "Place a call, or with `destinations` several", placed, (400, 401, 403, 408, 409, 413, 415, 503))
    stream = _operation("followEvents", "Server-sent events", None, (401, 403, 429), {"text/event-stream": {}})
    follow = [_query("call_id", {"type": "string"}, "Only this call."), _query("last_event_id", {"type": "string"}, "As Last-Event-ID.")]
    form = _query("format", {"type": "string", "enum": list(FORMATS), "default": FORMATS[0]}, "`text` is a ladder diagram.")
    legs = _query("legs", {"type": "boolean", "default": False}, "With the calls that were made for it.")
    traced = trace_content(_ref("Trace"))
    return {
        "/v1.0/calls": {
            "post": create | {"parameters": [key], "requestBody": body},
            "get": _operation("listCalls", "Calls, newest first", _ref("CallPage"), (400, 401, 403, 503)) | {"parameters": page},
        },
        "/v1.0/calls/{id}": {
            "parameters": one,
            "get": _operation("getCall", "One call", _ref("Call"), (401, 403, 404, 503)),
            "delete": _operation("deleteCall", "End a call", _ref("Call"), (401, 403, 404, 503)),
        },
        "/v1.0/calls/{id}/hangup": {
            "parameters": one,
            "post": _operation("hangUpCall", "End a call", _ref("Call"), (401, 403, 404, 503)),
        },
        **_control_paths(one),
        "/v1.0/calls/{id}/quality": {
            "parameters": one,
            "get": _operation("getCallQuality", "How good a call is to hear", _ref("CallQuality"), (401, 403, 404, 503)),
        },
        "/v1.0/calls/{id}/trace": {
            "parameters": one,
            "get": _operation("traceCall", "What happened to a call", None, (400, 401, 403, 404, 503), traced)
            | {"parameters": [form, legs]},
        },
        **_recording_paths(page, one),
        **conference_paths(page, one, _operation),
        "/v1.0/events": {"get": stream | {"parameters": follow}},
        "/v1.0/schema/actions": {"get": _operation("actionSchema", "JSON Schema of an action list", {"type": "object"}, (), is_open=True)},
        "/healthz": {"get": _operation("health", "Whether calls are taken", {"type": "object"}, (), is_open=True) | _health()},
        "/metrics": {"get": _operation("metrics", "For Prometheus; admins only", None, (401, 403), {"text/plain": {}})},
    }


def _control_paths(one: list[Any]) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for control in CONTROLS:
        body = {"content": {"application/json": {"schema": _ref(_option_name(control.action))}}}
        failures = (400, 401, 403, 404, 408, 409, 413, 415, 503)
        operation = _operation(control.name, control.summary, _ref("Call"), failures) | {"requestBody": body}
        paths.setdefault(control.path, {"parameters": one})[control.method.lower()] = operation
    return paths


def _option_name(action: type[Action]) -> str:
    return f"{action.__name__}Option"


def _option_schemas(actions: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the actions that can be ordered of a live call."""
    options = {variant["properties"]["type"]["const"]: variant["properties"]["option"] for variant in actions["items"]["oneOf"]}
    return {_option_name(control.action): options[control.action.type] for control in CONTROLS}


def _recording_schemas() -> dict[str, Any]:
    times = dict.fromkeys(("tm_start", "tm_end", "tm_create", "tm_update", "tm_delete"), _TIME)
    recording = {
        "id": _ID,
        "user_id": {"type": "integer", "minimum": 1},
        "type": {"type": "string", "enum": ["call", "conference"]},
        "reference_id": _ID | {"description": "The call, or the conference."},
        "status": {"type": "string", "enum": [str(status) for status in RecordingStatus]},
        "format": {"type": "string", "enum": list(MEDIA_TYPES)},
        "filename": {"type": "string", "description": "Empty while there is none."},
        **times,
        "channels": {"type": "string", "enum": ["mono", "stereo"]},
        "duration_s": {"type": "number", "minimum": 0},
        "size_bytes": {"type": "integer", "minimum": 0},
        "end_reason": {"type": "string", "enum": ["", "stopped", "hangup", "silence", "key", "duration", "size", "error"]},
        "error": {"type": "string"},
    }
    page = _closed({"result": {"type": "array", "items": _ref("Recording")}, "next_page_token": _TIME})
    return {"Recording": _closed(recording), "RecordingPage": page}


def _recording_paths(page: list[Any], one: list[Any]) -> dict[str, Any]:
    sound = {kind: {"schema": {"type": "string", "contentMediaType": kind}} for kind in MEDIA_TYPES.values()}
    file = _operation("getRecordingFile", "The file of a recording", None, (401, 403, 404, 409, 416, 503), sound)
    file["responses"]["206"] = {"description": "A part of it", "content": sound}
    part = _header("Range", r"^bytes=([0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})$", "One range of bytes.")
    listed = _operation("listRecordings", "Recordings, newest first", _ref("RecordingPage"), (400, 401, 403, 503))
    return {
        "/v1.0/recordings": {"get": listed | {"parameters": page}},
        "/v1.0/recordings/{id}": {
            "parameters": one,
            "get": _operation("getRecording", "One recording", _ref("Recording"), (401, 403, 404, 503)),
            "delete": _operation("deleteRecording", "Delete it and its file", _ref("Recording"), (401, 403, 404, 409, 503)),
        },
        "/v1.0/recordingfiles/{id}": {"parameters": one, "get": file | {"parameters": [part]}},
    }


def _health() -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    return {"responses": {"200": {"description": "Yes", "content": content}, "503": {"description": "No more", "content": content}}}


def _operation(
    name: str, summary: str, schema: Any, errors: tuple[int, ...], content: dict[str, Any] | None = None, *, is_open: bool = False
) -> dict[str, Any]:
    good = {"description": "Done", "content": content or {"application/json": {"schema": schema}}}
    failed = {"application/json": {"schema": _ref("Error")}}
    responses = {"200": good} | {str(code): {"description": STATUS_NAMES[code], "content": failed} for code in errors}
    operation: dict[str, Any] = {"operationId": name, "summary": summary, "responses": responses}
    return operation | ({"security": []} if is_open else {})


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}


def _header(name: str, pattern: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "schema": {"type": "string", "pattern": pattern}, "description": description}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _point_to_components(value: Any) -> None:
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            value["$ref"] = reference.replace("#/$defs/", "#/components/schemas/")
        for inner in value.values():
            _point_to_components(inner)
    elif isinstance(value, list):
        for inner in value:
            _point_to_components(inner)
