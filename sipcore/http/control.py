"""The routes that say what a live call is to do now: each is an action, its body the option of that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from sipcore.actions import Action, Hold, Mute, Play, RecordingStart, RecordingStop, Talk, Unhold, Unmute, parse_action
from sipcore.calls import AsyncCall
from sipcore.errors import Fault, InvalidRequest, InvalidState
from sipcore.http.bodies import read_json
from sipcore.http.errors import bad_request, json_response, to_json
from sipcore.http.tokens import Authenticator
from sipcore.switch import AsyncSwitch


@dataclass(frozen=True, slots=True)
class Control:
    """One route."""

    method: str
    path: str
    action: type[Action]
    name: str
    """Of the operation, in the OpenAPI document."""
    summary: str


def _control(method: str, what: str, action: type[Action], name: str, summary: str) -> Control:
    return Control(method, f"/v1.0/calls/{{id}}/{what}", action, name, summary)


CONTROLS: Final = (
    _control("POST", "mute", Mute, "muteCall", "Silence a direction of the call"),
    _control("DELETE", "mute", Unmute, "unmuteCall", "Let it through again"),
    _control("POST", "hold", Hold, "holdCall", "Put the far end on hold"),
    _control("DELETE", "hold", Unhold, "unholdCall", "Take it back"),
    _control("POST", "recording_start", RecordingStart, "startRecording", "Record the call from now on"),
    _control("POST", "recording_stop", RecordingStop, "stopRecording", "End the recording"),
    _control("POST", "talk", Talk, "talkToCall", "Say something into the call"),
    _control("POST", "play", Play, "playToCall", "Play something into the call"),
)


class ControlRoutes:
    """`/v1.0/calls/{id}/mute` and the like."""

    def __init__(self, switch: AsyncSwitch, authenticator: Authenticator) -> None:
        self._switch, self._authenticator = switch, authenticator

    def endpoint(self, control: Control) -> Callable[[Request], Awaitable[Response]]:
        """What answers one route."""

        async def carry_out(request: Request) -> Response:
            user = self._authenticator.authenticate(request)
            action = _action(control.action.type, await self._option(request))
            call = await self._live(str(request.path_params["id"])[:100], user.sees, action)
            try:
                await call.perform_now(action)
            except InvalidRequest as error:
                raise _of_body(error) from None
            return json_response(to_json(call.record.to_json()))

        return carry_out

    async def _option(self, request: Request) -> Any:
        """The body; none is as good as an empty one."""
        has_body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
        return await read_json(request, self._switch.config.http) if has_body else {}

    async def _live(self, call_id: str, user_id: int | None, action: Action) -> AsyncCall:
        """The call, which must not be over.

        Raises:
            CallNotFound: this user has no such call.
            InvalidState: it is over.
        """
        record = await self._switch.calls.get(call_id, user_id=user_id)
        call = self._switch.calls.live(call_id)
        if call is None:
            raise InvalidState(call_id, str(record.status), action.type)
        return call


def _action(kind: str, option: Any) -> Action:
    if not isinstance(option, dict):
        raise bad_request("INVALID_REQUEST", [Fault("", f"the body must be an object, not {type(option).__name__}")])
    try:
        return parse_action({"type": kind, "option": option})
    except InvalidRequest as error:
        raise _of_body(error) from None


def _of_body(error: InvalidRequest) -> InvalidRequest:
    """The same faults, named by their place in the body."""
    return InvalidRequest([Fault(fault.path.partition(".option.")[2], fault.message) for fault in error.faults])
