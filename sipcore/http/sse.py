"""`GET /v1.0/events`: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sipcore.http.errors import RETRY_AFTER_S, ApiError
from sipcore.http.hub import EventHub, Told
from sipcore.http.tokens import Authenticator, User

_RECONNECT_MS = 2000


class EventStreams:
    """The clients that follow the events of their calls."""

    def __init__(self, hub: EventHub, authenticator: Authenticator, *, max_streams: int, heartbeat_s: float) -> None:
        self._hub, self._authenticator = hub, authenticator
        self._max_streams, self._heartbeat_s = max_streams, heartbeat_s
        self.open_streams = 0

    async def events(self, request: Request) -> Response:
        """Every event from now on, or from after `Last-Event-ID`; `?call_id=` keeps to one call."""
        user = self._authenticator.authenticate(request)
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        if self.open_streams >= self._max_streams:
            message = f"{self._max_streams} event streams are open already"
            raise ApiError(429, "TOO_MANY_STREAMS", message, headers={"retry-after": str(RETRY_AFTER_S)})
        last_id = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
        stream = self._stream(user, last_id, request.query_params.get("call_id"))
        return StreamingResponse(stream, 200, {"cache-control": "no-store", "x-accel-buffering": "no"}, "text/event-stream")

    async def _stream(self, user: User, last_id: str | None, call_id: str | None) -> AsyncIterator[bytes]:
        self.open_streams += 1
        clock = asyncio.get_running_loop().time
        due_s = clock() + self._heartbeat_s

        def left_s() -> float:
            return due_s - clock()

        try:
            start = self._hub.now if last_id is None else self._hub.number_after(last_id)
            yield f"retry: {_RECONNECT_MS}\n\n".encode()
            if start is None:
                start = self._hub.oldest
                yield _gap(f"{last_id!r:.80} is not here any more; this stream begins with the oldest event that is")
            async for batch in self._hub.follow(start, left_s):
                if batch is None:
                    yield _gap("this client was too slow; events are missing")
                elif lines := b"".join(_line(told) for told in batch if _is_for(told, user, call_id)):
                    yield lines
                elif not batch or clock() >= due_s:
                    yield b": still here\n\n"
                else:
                    continue
                due_s = clock() + self._heartbeat_s
        finally:
            self.open_streams -= 1


def _is_for(told: Told, user: User, call_id: str | None) -> bool:
    return (user.is_admin or told.user_id == user.id) and (call_id is None or told.event.call_id == call_id)


def _line(told: Told) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (told.id.encode(), told.type.encode(), told.body)


def _gap(message: str) -> bytes:
    told = {"type": "stream_gap", "message": message}
    return f"event: stream_gap\ndata: {json.dumps(told)}\n\n".encode()
