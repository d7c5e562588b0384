"""Every answer that is not a success, in one shape: `{"error": {"status", "reason", "message", "details"}}`.

`status` is the class of the error (one name per HTTP status code), `reason` says which error it is, `message` is for people,
`details` names each field that is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from starlette.responses import Response

from sipcore import errors
from sipcore.errors import Fault

STATUS_NAMES: Final[Mapping[int, str]] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "DEADLINE_EXCEEDED",
    409: "ALREADY_EXISTS",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    416: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    431: "PAYLOAD_TOO_LARGE",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}
RETRY_AFTER_S: Final = 1
"""What a refused client is told to wait: a leg is free again as soon as any call ends."""
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": ")).encode
_MAX_DETAILS: Final = 100
_MAX_CHARS: Final = 500


class ApiError(Exception):
    """An answer that is an error.

    Attributes:
        code: The HTTP status code.
        reason: Which error it is, in capitals.
        faults: The fields that are wrong.
        headers: Further headers of the answer.
    """

    def __init__(
        self, code: int, reason: str, message: str, faults: Iterable[Fault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        self.code, self.reason, self.message = code, reason, message
        self.faults = tuple(faults)
        self.headers = dict(headers or {})
        super().__init__(message)


def bad_request(reason: str, faults: Iterable[Fault]) -> ApiError:
    """A 400 that names fields."""
    listed = tuple(faults)
    return ApiError(400, reason, "; ".join(str(fault) for fault in listed[:5]), listed)


def api_error(error: errors.SipcoreError) -> ApiError:
    """The answer for what the switch raised."""
    match error:
        case errors.InvalidRequest():
            return bad_request("INVALID_REQUEST", error.faults)
        case errors.CallNotFound():
            return ApiError(404, "CALL_NOT_FOUND", f"no call has the id {error.call_id!r}")
        case errors.RecordingNotFound():
            return ApiError(404, "RECORDING_NOT_FOUND", f"no recording has the id {error.recording_id!r}")
        case errors.ConferenceNotFound():
            return ApiError(404, "CONFERENCE_NOT_FOUND", f"there is no conference {error.conference!r}")
        case errors.MemberNotFound():
            return ApiError(404, "MEMBER_NOT_FOUND", str(error))
        case errors.ConferenceRefused():
            return ApiError(409, "CONFERENCE_REFUSED", str(error))
        case errors.CapacityError():
            return ApiError(503, "NO_CAPACITY", str(error), headers={"retry-after": str(RETRY_AFTER_S)})
        case errors.SwitchDraining():
            return ApiError(503, "DRAINING", str(error), headers={"retry-after": str(RETRY_AFTER_S)})
        case errors.SwitchClosed():
            return ApiError(503, "CLOSED", "the switch is not open", headers={"retry-after": str(RETRY_AFTER_S)})
        case errors.ActionFailed():
            return ApiError(409, "ACTION_FAILED", str(error))
        case errors.InvalidState():
            return ApiError(409, "INVALID_STATE", str(error))
        case _:
            return ApiError(500, "INTERNAL", "an error of the server; its log has the details")


def error_body(error: ApiError) -> bytes:
    """The JSON of an error."""
    details = [{"field": _cut(fault.path), "message": _cut(fault.message)} for fault in error.faults[:_MAX_DETAILS]]
    shown = {"status": STATUS_NAMES[error.code], "reason": error.reason, "message": _cut(error.message), "details": details}
    return to_json({"error": shown})


def error_response(error: ApiError) -> Response:
    """The answer of an error."""
    return json_response(error_body(error), error.code, error.headers)


def json_response(body: bytes, code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON; nobody may keep it."""
    return Response(body, code, {"cache-control": "no-store", **(headers or {})}, "application/json")


def to_json(value: Any) -> bytes:
    """UTF-8 JSON of a value; a lone surrogate is escaped, so that this never fails on text."""
    text = _encode(value)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARS else text[: _MAX_CHARS - 3] + "..."
