"""The routes of conferences, and of their members."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sipcore.conferences.record import Conference
from sipcore.http.bodies import read_json, read_page_size
from sipcore.http.errors import json_response, to_json
from sipcore.http.tokens import Authenticator
from sipcore.recordings.recording import Recording
from sipcore.store import DEFAULT_PAGE_SIZE
from sipcore.switch import AsyncSwitch

ConferenceWork = Callable[..., Awaitable[Conference | Recording]]
"""A method of `AsyncConferences`."""


class ConferenceRoutes:
    """`/v1.0/conferences` and below. Each answers with the conference, or the recording, as it is then."""

    def __init__(self, switch: AsyncSwitch, authenticator: Authenticator) -> None:
        self._switch, self._authenticator = switch, authenticator

    def routes(self) -> list[Route]:
        """All of them."""
        conferences, one = self._switch.conferences, "/v1.0/conferences/{id}"
        of_it = {"recording_start": conferences.start_recording, "recording_stop": conferences.stop_recording}
        of_member = {"mute": conferences.mute, "unmute": conferences.unmute, "kick": conferences.kick}
        return [
            Route("/v1.0/conferences", self._all, methods=["GET", "POST"]),
            Route(one, self._one, methods=["GET", "DELETE"]),
            *(Route(f"{one}/{name}", self._doing(work), methods=["POST"]) for name, work in of_it.items()),
            *(Route(f"{one}/members/{{call_id}}/{name}", self._doing(work), methods=["POST"]) for name, work in of_member.items()),
        ]

    async def _all(self, request: Request) -> Response:
        """Make one, or one page of all, newest first."""
        user = self._authenticator.authenticate(request)
        if request.method == "POST":
            body = await read_json(request, self._switch.config.http)
            return _shown(self._switch.conferences.create_from(body, user_id=user.id))
        size = read_page_size(request, DEFAULT_PAGE_SIZE)
        page = await self._switch.conferences.list(size, request.query_params.get("page_token"), user_id=user.sees)
        return json_response(to_json(page.to_json()))

    async def _one(self, request: Request) -> Response:
        """What it is; or end it: one that is over stays as it is."""
        conferences = self._switch.conferences
        return await self._do(request, conferences.end if request.method == "DELETE" else conferences.get)

    def _doing(self, work: ConferenceWork) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await self._do(request, work)

        return endpoint

    async def _do(self, request: Request, work: ConferenceWork) -> Response:
        user = self._authenticator.authenticate(request)
        names: dict[str, Any] = request.path_params
        return _shown(await work(*(str(names[key])[:100] for key in ("id", "call_id") if key in names), user_id=user.sees))


def _shown(what: Conference | Recording) -> Response:
    return json_response(to_json(what.to_json()))
