"""What the OpenAPI document says of conferences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sipcore.conferences.record import MAX_DETAIL_CHARS, MAX_NAME_CHARS, ConferenceStatus
from sipcore.conferences.request import request_schema

Operation = Callable[..., dict[str, Any]]
"""Name, summary, schema of the answer, codes of errors -> an operation."""
_REFUSALS = (401, 403, 404, 503)


def conference_schemas(id_schema: dict[str, Any], time_schema: dict[str, Any]) -> dict[str, Any]:
    """The schemas, by name."""
    flag, ids = {"type": "boolean"}, {"type": "array", "items": id_schema}
    member = _closed({"call_id": id_schema, "is_moderator": flag, "is_muted": flag, "tm_join": time_schema})
    conference = {
        "id": id_schema,
        "user_id": {"type": "integer", "minimum": 1},
        "type": {"const": "conference"},
        "status": {"type": "string", "enum": [str(status) for status in ConferenceStatus]},
        "name": {"type": "string", "maxLength": MAX_NAME_CHARS},
        "detail": {"type": "string", "maxLength": MAX_DETAIL_CHARS},
        "call_ids": ids,
        "recording_id": id_schema,
        "recording_ids": ids,
        **dict.fromkeys(("tm_create", "tm_update", "tm_delete"), time_schema),
        "members": {"type": "array", "items": {"$ref": "#/components/schemas/ConferenceMember"}},
        "end_when_moderator_leaves": flag,
        "entry_tone": flag,
        "exit_tone": flag,
        "max_members": {"type": "integer", "minimum": 1},
    }
    page = {"result": {"type": "array", "items": {"$ref": "#/components/schemas/Conference"}}, "next_page_token": time_schema}
    return {
        "ConferenceRequest": request_schema(),
        "Conference": _closed(conference),
        "ConferenceMember": member,
        "ConferencePage": _closed(page),
    }


def conference_paths(page: list[Any], one: list[Any], operation: Operation) -> dict[str, Any]:
    """The paths; `page` and `one` are the parameters of listings and of the id."""
    conference, recording = {"$ref": "#/components/schemas/Conference"}, {"$ref": "#/components/schemas/Recording"}
    create = operation("createConference", "Make a conference", conference, (400, 401, 403, 408, 413, 415, 503))
    create["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ConferenceRequest"}}},
    }
    listed = {"$ref": "#/components/schemas/ConferencePage"}
    list_all = operation("listConferences", "Conferences, newest first", listed, (400, 401, 403, 503)) | {"parameters": page}
    base = "/v1.0/conferences/{id}"
    member = [*one, {"name": "call_id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}]
    paths: dict[str, Any] = {
        "/v1.0/conferences": {"post": create, "get": list_all},
        base: {
            "parameters": one,
            "get": operation("getConference", "One conference, by id, or by name while it is not over", conference, _REFUSALS),
            "delete": operation("endConference", "End it: all are let out", conference, _REFUSALS),
        },
    }
    for name, summary in (("start", "Record all that is said in it"), ("stop", "End its recording")):
        work = operation(f"{name}ConferenceRecording", summary, recording, (401, 403, 404, 409, 503))
        paths[f"{base}/recording_{name}"] = {"parameters": one, "post": work}
    for name, summary in (("mute", "Nobody hears it"), ("unmute", "It is heard again"), ("kick", "Let it out; its call goes on")):
        paths[f"{base}/members/{{call_id}}/{name}"] = {
            "parameters": member,
            "post": operation(f"{name}Member", summary, conference, _REFUSALS),
        }
    return paths


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
