"""The routes of calls: parse, ask the switch, render."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from sipcore.config_http import HttpConfig
from sipcore.errors import Fault
from sipcore.http.bodies import read_idempotency_key, read_json, read_page_size
from sipcore.http.errors import bad_request, json_response, to_json
from sipcore.http.idempotency import IdempotencyKeys
from sipcore.http.outside import ascii_url
from sipcore.http.tokens import Authenticator
from sipcore.http.trace import read_format, read_legs, trace_response
from sipcore.store import DEFAULT_PAGE_SIZE
from sipcore.switch import AsyncSwitch


class CallRoutes:
    """`/v1.0/calls` and below."""

    def __init__(self, switch: AsyncSwitch, authenticator: Authenticator, keys: IdempotencyKeys, config: HttpConfig) -> None:
        self._switch, self._authenticator, self._keys, self._config = switch, authenticator, keys, config
        self._signs_webhooks = bool(config.webhook_secret.get_secret_value())

    async def create(self, request: Request) -> Response:
        """Place a call, or with `destinations` one call to each."""
        user = self._authenticator.authenticate(request)
        key = read_idempotency_key(request)
        body = await read_json(request, self._config)
        if isinstance(body, dict) and body.get("event_url") and not self._signs_webhooks:
            raise bad_request("INVALID_REQUEST", [Fault("event_url", "this server sends no webhooks: it has no webhook_secret")])
        if isinstance(body, dict) and isinstance(url := body.get("event_url"), str):
            body["event_url"] = ascii_url(url, "event_url")
        # Nothing waits between here and `keep`, so two requests with one key cannot both be new.
        call_ids = self._keys.find(user.id, key, body)
        if not call_ids:
            calls = self._switch.calls.create_all(body, user_id=user.id, at_once=False)
            call_ids = tuple(call.id for call in calls)
            self._keys.keep(user.id, key, body, call_ids)
            shown = [call.record.to_json() for call in calls]
        else:
            shown = [(await self._switch.calls.get(call_id)).to_json() for call_id in call_ids]
        is_group = body.get("destinations") is not None
        return json_response(to_json({"calls": shown, "groupcalls": []} if is_group else shown[0]))

    async def list(self, request: Request) -> Response:
        """One page of calls, newest first."""
        user = self._authenticator.authenticate(request)
        size = read_page_size(request, DEFAULT_PAGE_SIZE)
        page = await self._switch.calls.list(size, request.query_params.get("page_token"), user_id=user.sees)
        return json_response(to_json(page.to_json()))

    async def get(self, request: Request) -> Response:
        """One call."""
        user = self._authenticator.authenticate(request)
        record = await self._switch.calls.get(_call_id(request), user_id=user.sees)
        return json_response(to_json(record.to_json()))

    async def hangup(self, request: Request) -> Response:
        """End a call; one that is over stays as it is."""
        user = self._authenticator.authenticate(request)
        record = await self._switch.calls.hangup(_call_id(request), user_id=user.sees)
        return json_response(to_json(record.to_json()))

    async def quality(self, request: Request) -> Response:
        """How good a call is to hear, or was; `null` without audio."""
        user = self._authenticator.authenticate(request)
        found = await self._switch.calls.quality(_call_id(request), user_id=user.sees)
        return json_response(to_json({"quality": None if found is None else found.to_json()}))

    async def trace(self, request: Request) -> Response:
        """What happened to a call; little when most of it has been dropped meanwhile."""
        user = self._authenticator.authenticate(request)
        form, legs = read_format(request), read_legs(request)
        return trace_response(await self._switch.calls.flight(_call_id(request), legs=legs, user_id=user.sees), form)


def _call_id(request: Request) -> str:
    value: Any = request.path_params["id"]
    return str(value)[:100]
