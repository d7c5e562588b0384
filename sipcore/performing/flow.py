"""The actions that decide what comes next, and those that talk to web servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from media.url import shown
from media.web import WebAnswer
from sipcore.actions import (
    Action,
    Branch,
    ConditionDatetime,
    ConditionVariable,
    Fetch,
    Goto,
    Hangup,
    Sleep,
    Stop,
    VariableSet,
    WebhookSend,
    legs_needed,
    parse_actions,
)
from sipcore.call import HangupReason
from sipcore.errors import InvalidRequest
from sipcore.flow import Flow
from sipcore.performing.datetimes import COMPARISONS, is_at
from sipcore.performing.refused import Refused
from sipcore.time_zones import time_zone
from sipcore.variables import call_values
from sipcore.web import WebRequest, is_success

if TYPE_CHECKING:
    from sipcore.performer import Performer

FETCHED = "fetched"
"""How faults of a fetched list are named."""


async def sleep(_performer: Performer, action: Sleep, *_: object) -> None:
    """`sleep`."""
    await asyncio.sleep(action.duration_ms / 1000)


async def hangup(performer: Performer, action: Hangup, *_: object) -> None:
    """`hangup`; the end of the call ends the task that runs this."""
    performer.session.finish_action("done")
    performer.session.hang_up(HangupReason(action.reason))


async def stop(performer: Performer, _action: Stop, *_: object) -> None:
    """`stop`."""
    _flow(performer).stop()


async def goto(performer: Performer, action: Goto, *_: object) -> None:
    """`goto`."""
    _flow(performer).go_to(action)


async def branch(performer: Performer, action: Branch, *_: object) -> None:
    """`branch`."""
    target_id = action.target_ids.get(_value(performer, action.variable), action.default_target_id)
    if target_id:
        _flow(performer).jump(target_id)


async def condition_variable(performer: Performer, action: ConditionVariable, *_: object) -> None:
    """`condition_variable`."""
    if not is_so(action, _value(performer, action.variable)):
        _flow(performer).jump(action.false_target_id)


def is_so(action: ConditionVariable, value: str) -> bool:
    """Whether the condition holds for this value of its variable."""
    compare = COMPARISONS[action.condition]
    match action.value_type:
        case "string":
            return compare(value, action.value_string)
        case "length":
            return compare(len(value), action.value_length)
        case "number":
            try:
                number = float(value)
            except ValueError:
                return False
            return compare(number, action.value_number)


async def condition_datetime(performer: Performer, action: ConditionDatetime, *_: object) -> None:
    """`condition_datetime`."""
    if not is_at(action, performer.host.clock.now().astimezone(time_zone(action.time_zone))):
        _flow(performer).jump(action.false_target_id)


async def variable_set(performer: Performer, action: VariableSet, *_: object) -> None:
    """`variable_set`."""
    performer.session.variables.set(action.key, action.value)


async def fetch(performer: Performer, action: Fetch, *_: object) -> None:
    """`fetch`."""
    flow = _flow(performer)
    body = json.dumps(_told(performer)).encode() if action.event_method == "POST" else b""
    host = performer.host
    request = WebRequest(action.event_method, action.event_url, body, "application/json" if body else "", host.max_fetch_bytes)
    source = shown(action.event_url)
    answer = await host.web.ask(request)
    try:
        actions = _actions_in(answer)
        host.check_actions(actions, FETCHED)
        if (needed := legs_needed(actions)) > performer.session.legs:
            raise InvalidRequest(f"needs {needed} legs at once, the call has room for {performer.session.legs}; the option legs keeps more")
        flow.insert(actions, FETCHED)
    except InvalidRequest as error:
        raise Refused(f"{source}: {error}") from None


async def webhook_send(performer: Performer, action: WebhookSend, *_: object) -> None:
    """`webhook_send`."""
    body = action.data.encode(errors="replace")
    request = WebRequest(action.method, action.uri, body, action.data_type if body else "")
    if not action.sync:
        if not performer.host.web.send(request, performer.session.id):
            raise Refused("too many requests are waiting to be sent")
        return
    answer = await performer.host.web.ask(request)
    if not is_success(answer):
        raise Refused(f"{shown(action.uri)} answered {answer.status}")


def _flow(performer: Performer) -> Flow:
    if performer.flow is None:
        raise Refused("only a list of actions has a next action")
    return performer.flow


def _value(performer: Performer, name: str) -> str:
    return performer.session.variables.get(name) or ""


def _told(performer: Performer) -> dict[str, Any]:
    """What a server is told that is asked what to do."""
    record = performer.session.record
    call = {
        "id": record.id,
        "direction": record.direction,
        "status": str(record.status),
        "source": record.source.to_json(),
        "destination": record.destination.to_json(),
    }
    return {"call_id": record.id, "call": call, "variables": call_values(record) | performer.session.variables.to_dict()}


def _actions_in(answer: WebAnswer) -> tuple[Action, ...]:
    if answer.status != 200:
        raise InvalidRequest(f"answered {answer.status}")
    if answer.content_type != "application/json":
        raise InvalidRequest(f"answered {answer.content_type[:100] or 'nothing that it names'}, not application/json")
    try:
        value = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"did not answer JSON: {error}") from None
    listed = value.get("actions") if isinstance(value, dict) else value
    if not isinstance(listed, list):
        raise InvalidRequest('did not answer a list of actions, nor an object with one as "actions"')
    return parse_actions(listed, FETCHED)


PERFORMERS: Mapping[type[Action], Callable[[Any, Any, Any, Any], Awaitable[None]]] = {
    Branch: branch,
    ConditionDatetime: condition_datetime,
    ConditionVariable: condition_variable,
    Fetch: fetch,
    Goto: goto,
    Hangup: hangup,
    Sleep: sleep,
    Stop: stop,
    VariableSet: variable_set,
    WebhookSend: webhook_send,
}
"""As `table.PERFORMERS`."""
