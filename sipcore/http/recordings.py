"""The routes of recordings, and of their files."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from sipcore.http.bodies import read_page_size
from sipcore.http.errors import ApiError, json_response, to_json
from sipcore.http.tokens import Authenticator
from sipcore.recordings.recording import RecordingStatus
from sipcore.store import DEFAULT_PAGE_SIZE
from sipcore.switch import AsyncSwitch

MEDIA_TYPES: Final = {"wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "mp3": "audio/mpeg"}
_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))", re.ASCII)
RETRY_AFTER_S: Final = 1


class RecordingRoutes:
    """`/v1.0/recordings` and `/v1.0/recordingfiles`."""

    def __init__(self, switch: AsyncSwitch, authenticator: Authenticator) -> None:
        self._switch, self._authenticator = switch, authenticator

    async def list(self, request: Request) -> Response:
        """One page of recordings, newest first."""
        user = self._authenticator.authenticate(request)
        size = read_page_size(request, DEFAULT_PAGE_SIZE)
        page = await self._switch.recordings.list(size, request.query_params.get("page_token"), user_id=user.sees)
        return json_response(to_json(page.to_json()))

    async def get(self, request: Request) -> Response:
        """One recording."""
        user = self._authenticator.authenticate(request)
        recording = await self._switch.recordings.get(_recording_id(request), user_id=user.sees)
        return json_response(to_json(recording.to_json()))

    async def delete(self, request: Request) -> Response:
        """Delete a recording that is over, and its file; what it was."""
        user = self._authenticator.authenticate(request)
        recording = await self._switch.recordings.delete(_recording_id(request), user_id=user.sees)
        return json_response(to_json(recording.to_json()))

    async def file(self, request: Request) -> Response:
        """The file, or a part of it (RFC 9110 §14)."""
        user = self._authenticator.authenticate(request)
        recording = await self._switch.recordings.get(_recording_id(request), user_id=user.sees)
        if not recording.is_over:
            raise ApiError(409, "RECORDING_NOT_OVER", "the recording has no file yet", headers={"retry-after": str(RETRY_AFTER_S)})
        path = self._switch.recordings.path(recording)
        if recording.status != RecordingStatus.ENDED or not recording.filename or not path.is_file():
            raise ApiError(404, "NO_RECORDING_FILE", recording.error or "the recording has no file")
        _check_range(request, path.stat().st_size)
        headers = {"cache-control": "private, no-store", "x-content-type-options": "nosniff"}
        return FileResponse(path, headers=headers, media_type=MEDIA_TYPES[recording.format], filename=recording.filename)


def _check_range(request: Request, size_bytes: int) -> None:
    """One range is answered; what is none, or several, is as if it were not there."""
    text = request.headers.get("range")
    if text is None:
        return
    found = _RANGE.fullmatch(text.strip())
    if found is None or (found[1] and found[2] and int(found[2]) < int(found[1])):
        request.scope["headers"] = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
    elif int(found[1] or 0) >= size_bytes or found[3] == "0":
        raise ApiError(416, "RANGE_BEYOND_END", f"the file has {size_bytes} bytes", headers={"content-range": f"bytes */{size_bytes}"})


def _recording_id(request: Request) -> str:
    value: Any = request.path_params["id"]
    return str(value)[:100]
