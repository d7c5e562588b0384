"""The ASGI application: routes, and one place where every error becomes an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sipcore.actions import json_schema
from sipcore.errors import SipcoreError
from sipcore.http import docs_page, openapi
from sipcore.http.conferences import ConferenceRoutes
from sipcore.http.control import CONTROLS, ControlRoutes
from sipcore.http.errors import ApiError, api_error, error_response, json_response, to_json
from sipcore.http.metrics import Metrics
from sipcore.http.recordings import RecordingRoutes
from sipcore.http.routes import CallRoutes
from sipcore.http.sse import EventStreams
from sipcore.http.tokens import Authenticator
from sipcore.switch import AsyncSwitch

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(switch: AsyncSwitch, authenticator: Authenticator, calls: CallRoutes, streams: EventStreams, metrics: Metrics) -> ASGIApp:
    """The application of one switch."""
    recordings = RecordingRoutes(switch, authenticator)
    document = openapi.document()
    document_body, schema_body = to_json(document), to_json(json_schema())

    async def health(_: Request) -> Response:
        is_good = switch.takes_calls
        told = {"status": "ok" if is_good else "draining", "legs_in_use": switch.legs_in_use, "legs_capacity": switch.config.max_legs}
        return json_response(to_json(told), 200 if is_good else 503)

    async def show_metrics(request: Request) -> Response:
        if not authenticator.authenticate(request).is_admin:
            raise ApiError(403, "ADMINS_ONLY", "only admins may read the metrics")
        return Response(metrics.render(), 200, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def show_document(_: Request) -> Response:
        return json_response(document_body)

    async def show_schema(_: Request) -> Response:
        return json_response(schema_body)

    async def show_docs(request: Request) -> Response:
        policy = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'", "x-content-type-options": "nosniff"}
        return HTMLResponse(docs_page.page(document, str(request.base_url).rstrip("/")), headers=policy)

    routes = [
        Route("/v1.0/calls", _by_method({"POST": calls.create, "GET": calls.list}), methods=["GET", "POST"]),
        Route("/v1.0/calls/{id}", _by_method({"GET": calls.get, "DELETE": calls.hangup}), methods=["GET", "DELETE"]),
        Route("/v1.0/calls/{id}/hangup", calls.hangup, methods=["POST"]),
        *_control_routes(ControlRoutes(switch, authenticator)),
        Route("/v1.0/calls/{id}/quality", calls.quality, methods=["GET"]),
        Route("/v1.0/calls/{id}/trace", calls.trace, methods=["GET"]),
        Route("/v1.0/recordings", recordings.list, methods=["GET"]),
        Route("/v1.0/recordings/{id}", _by_method({"GET": recordings.get, "DELETE": recordings.delete}), methods=["GET", "DELETE"]),
        Route("/v1.0/recordingfiles/{id}", recordings.file, methods=["GET"]),
        *ConferenceRoutes(switch, authenticator).routes(),
        Route("/v1.0/events", streams.events, methods=["GET"]),
        Route("/v1.0/schema/actions", show_schema, methods=["GET"]),
        Route("/healthz", health, methods=["GET"]),
        Route("/metrics", show_metrics, methods=["GET"]),
        Route("/openapi.json", show_document, methods=["GET"]),
        Route("/docs", show_docs, methods=["GET"]),
    ]

    async def refuse(_: Request, error: Exception) -> Response:
        refusal = _as_api_error(error)
        metrics.refused(refusal.code, refusal.reason)
        return error_response(refusal)

    handlers = dict.fromkeys((ApiError, SipcoreError, HTTPException), refuse)
    app = Starlette(routes=routes, middleware=[Middleware(_LastResort, metrics)], exception_handlers=handlers)
    app.router.redirect_slashes = False
    return app


def _control_routes(routes: ControlRoutes) -> list[Route]:
    by_path: dict[str, dict[str, Endpoint]] = {}
    for control in CONTROLS:
        by_path.setdefault(control.path, {})[control.method] = routes.endpoint(control)
    return [Route(path, _by_method(endpoints), methods=list(endpoints)) for path, endpoints in by_path.items()]


def _by_method(endpoints: dict[str, Endpoint]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await endpoints["GET" if request.method == "HEAD" else request.method](request)

    return endpoint


def _as_api_error(error: Exception) -> ApiError:
    match error:
        case ApiError():
            return error
        case SipcoreError():
            return api_error(error)
        case HTTPException(status_code=404):
            return ApiError(404, "NO_SUCH_PATH", "nothing is served at this path; see /docs")
        case HTTPException(status_code=405, headers=headers):
            return ApiError(405, "METHOD_NOT_ALLOWED", "this path does not take this method", headers=dict(headers or {}))
        case _:
            raise error


class _LastResort:
    """What nobody expected becomes a 500 in our shape, and a traceback in the log."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_started = False

        async def noting_send(message: Message) -> None:
            nonlocal has_started
            has_started = True
            await send(message)

        try:
            await self._app(scope, receive, noting_send)
        except Exception:
            log.exception("internal error at %s %s", scope.get("method"), scope.get("path"))
            if has_started:
                raise
            self._metrics.refused(500, "INTERNAL")
            await error_response(ApiError(500, "INTERNAL", "an error of the server; its log has the details"))(scope, receive, send)
