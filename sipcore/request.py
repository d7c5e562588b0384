"""What `create` is asked for, checked as a whole before anything of it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from media import AudioLibrary, MediaError
from media.errors import UrlRefused
from media.url import is_url
from sipcore.actions import (
    MAX_DESTINATIONS,
    Action,
    ConditionDatetime,
    Connect,
    Fetch,
    Goto,
    Hold,
    Play,
    Talk,
    Transfer,
    WebhookSend,
    legs_needed,
    parse_actions,
)
from sipcore.actions.calling import Confirm
from sipcore.actions.templates import is_fixed
from sipcore.addresses import Address, parse_address
from sipcore.config_flow import FlowConfig
from sipcore.errors import Fault, InvalidRequest
from sipcore.time_zones import time_zone
from sipcore.variables import check_variables

_FLOW = FlowConfig()
_KEYS = ("source", "destination", "actions", "event_url", "trunk", "variables")
_GROUP_KEYS = (*_KEYS, "destinations")

Route: TypeAlias = Callable[[Address, str], object]
"""Finds the way to an address, over the trunk of a name when there is one; raises `InvalidRequest` when there is no way."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call to place. `source` `None` takes the caller id of the switch."""

    destination: Address
    source: Address | None
    actions: tuple[Action, ...]
    user_id: int = 1
    event_url: str = ""
    """Where the events of the call and of its legs are sent; empty: nowhere."""
    trunk: str = ""
    """The trunk to call over; empty: by destination."""
    place: str = "destination"
    """Where in the request the destination stood, for messages."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """What `${name}` stands for in the actions, from the start on."""
    is_handled: bool = False
    """Whether somebody else says what the call does: it is not hung up after its actions, which it has none of."""
    legs: int = 1
    """Room is kept for so many at least, itself included."""
    ring_timeout_s: float | None = None
    """How long it may take to be answered; `None`: as long as any call."""

    @property
    def legs_needed(self) -> int:
        """The most legs the call can have up at once, itself included."""
        return max(self.legs, legs_needed(self.actions))


def parse_request(body: Mapping[str, Any], user_id: int = 1) -> CallRequest:
    """A request from the keywords of `create`, or from a body with one destination.

    Raises:
        InvalidRequest: with every fault found.
    """
    faults = _unknown_keys(body, _KEYS)
    destination = _address(body, "destination", "destination", faults)
    actions, source = _common(body, faults, needs_source=False)
    event_url, trunk, variables = _text(body, "event_url", faults), _text(body, "trunk", faults), _variables(body, faults)
    if faults or destination is None:
        raise InvalidRequest(faults)
    return CallRequest(destination, source, actions, user_id, event_url, trunk, variables=variables)


def parse_requests(body: Mapping[str, Any], user_id: int = 1) -> tuple[CallRequest, ...]:
    """The requests in the body of `POST /v1.0/calls`: `source` is required, and `destinations` may stand for `destination`.

    Raises:
        InvalidRequest: with every fault found.
    """
    faults = _unknown_keys(body, _GROUP_KEYS)
    found = [(_address(value, key, place, faults), place) for value, key, place in _destinations(body, faults)]
    actions, source = _common(body, faults, needs_source=True)
    event_url, trunk, variables = _text(body, "event_url", faults), _text(body, "trunk", faults), _variables(body, faults)
    if faults:
        raise InvalidRequest(faults)
    return tuple(
        CallRequest(address, source, actions, user_id, event_url, trunk, place, variables)
        for address, place in found
        if address is not None
    )


def check_request(request: CallRequest, library: AudioLibrary, route: Route, flow: FlowConfig = _FLOW) -> list[Fault]:
    """What of a well-formed request this switch cannot do: texts, files and URLs, numbers without a trunk."""
    faults: list[Fault] = []
    faults += _unroutable(request.place, "trunk", [request.destination], request.trunk, route)
    if request.event_url:
        faults += _checked("event_url", lambda: _check_event_url(request.event_url, library))
    faults += check_variables(request.variables, flow.variable_limits)
    return faults + check_actions(request.actions, library, route, "actions", flow)


def check_actions(
    actions: Sequence[Action], library: AudioLibrary, route: Route, place: str = "actions", flow: FlowConfig = _FLOW
) -> list[Fault]:
    """What of a well-formed action list this switch cannot do. What has variables is checked when it starts."""
    faults: list[Fault] = []
    if len(actions) > flow.max_actions:
        faults.append(Fault(place, f"at most {flow.max_actions} actions, this list has {len(actions)}"))
    for index, action in enumerate(actions):
        faults += _impossible(action, f"{place}[{index}].option", library, route, flow)
    return faults


def _impossible(action: Action, path: str, library: AudioLibrary, route: Route, flow: FlowConfig) -> list[Fault]:
    """What of one action this switch cannot do."""
    faults: list[Fault] = []
    match action:
        case Talk():
            faults += _unspeakable(path, action, library)
        case Play():
            for number, url in enumerate(action.stream_urls):
                faults += _unplayable(f"{path}.stream_urls[{number}]", url, library)
        case Hold(music=music) if music:
            faults += _unplayable(f"{path}.music", music, library)
        case Goto() if action.loop_count > flow.max_loop_count:
            faults.append(Fault(f"{path}.loop_count", f"must be at most {flow.max_loop_count}"))
        case ConditionDatetime() if is_fixed(action.time_zone):
            faults += _unknown_zone(f"{path}.time_zone", action.time_zone)
        case Fetch():
            faults += _unaskable(f"{path}.event_url", action.event_url, library)
        case WebhookSend():
            faults += _unaskable(f"{path}.uri", action.uri, library)
        case Connect() | Transfer():
            faults += _unreachable(action, path, library, route)
    return faults


def _unreachable(action: Connect | Transfer, path: str, library: AudioLibrary, route: Route) -> list[Fault]:
    """What of an action that calls somebody cannot be done: the way to him, and what is heard meanwhile."""
    faults: list[Fault] = []
    if isinstance(action, Connect):
        addresses = [parse_address(destination) for destination in action.destinations if is_fixed(destination)]
        if is_fixed(action.trunk):
            faults += _unroutable(f"{path}.destinations", f"{path}.trunk", addresses, action.trunk, route)
        if action.ringback:
            faults += _unplayable(f"{path}.ringback", action.ringback, library)
    elif is_fixed(action.target):
        faults += _unroutable(f"{path}.target", "", [action.address], "", route)
    if action.confirm is not None:
        faults += _unspeakable(f"{path}.confirm", action.confirm, library)
    return faults


def _unspeakable(path: str, spoken: Talk | Confirm, library: AudioLibrary) -> Iterable[Fault]:
    text, language, gender = spoken.text, spoken.language, spoken.gender
    if not is_fixed(language):
        return []
    return _checked(path, lambda: library.check_speech(text if is_fixed(text) else "variable", language, gender))


def _unaskable(path: str, url: str, library: AudioLibrary) -> Iterable[Fault]:
    return _checked(path, lambda: _check_event_url(url, library)) if is_fixed(url) else []


def _unplayable(path: str, url: str, library: AudioLibrary) -> Iterable[Fault]:
    return _checked(path, lambda: library.check_stream(url)) if is_fixed(url) else []


def _unknown_zone(path: str, name: str) -> list[Fault]:
    try:
        time_zone(name)
    except InvalidRequest as error:
        return [Fault(path, fault.message) for fault in error.faults]
    return []


def _unknown_keys(body: Mapping[str, Any], known: tuple[str, ...]) -> list[Fault]:
    return [Fault(str(key), f"unknown key; known are {', '.join(known)}") for key in body if key not in known]


def _destinations(body: Mapping[str, Any], faults: list[Fault]) -> list[tuple[Mapping[str, Any], str, str]]:
    """Each destination as (where it is, its key there, its place in the request)."""
    if body.get("destinations") is None:
        return [(body, "destination", "destination")]
    listed = body["destinations"]
    if body.get("destination") is not None:
        faults.append(Fault("destinations", "is given beside destination"))
    elif not isinstance(listed, list | tuple) or not 1 <= len(listed) <= MAX_DESTINATIONS:
        faults.append(Fault("destinations", f"must be a list of 1 to {MAX_DESTINATIONS} addresses"))
    else:
        return [({"it": value}, "it", f"destinations[{index}]") for index, value in enumerate(listed)]
    return []


def _common(body: Mapping[str, Any], faults: list[Fault], *, needs_source: bool) -> tuple[tuple[Action, ...], Address | None]:
    source = _address(body, "source", "source", faults) if needs_source or body.get("source") is not None else None
    actions: tuple[Action, ...] = ()
    try:
        actions = parse_actions(body.get("actions"))
    except InvalidRequest as error:
        faults += error.faults
    return actions, source


def _variables(body: Mapping[str, Any], faults: list[Fault]) -> Mapping[str, str]:
    given = body.get("variables")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        faults.append(Fault("variables", f"must be an object, not {type(given).__name__}"))
        return {}
    return dict(given)


def _text(body: Mapping[str, Any], key: str, faults: list[Fault]) -> str:
    value = body.get(key) or ""
    if not isinstance(value, str):
        faults.append(Fault(key, f"must be a string, not {type(value).__name__}"))
        return ""
    return value


def _address(body: Mapping[str, Any], key: str, place: str, faults: list[Fault]) -> Address | None:
    if body.get(key) is None:
        faults.append(Fault(place, "is missing"))
        return None
    try:
        return parse_address(body[key], place)
    except InvalidRequest as error:
        faults += error.faults
        return None


def _check_event_url(url: str, library: AudioLibrary) -> None:
    if not is_url(url):
        raise UrlRefused(url, "not an http or https URL")
    library.check_stream(url)


def _checked(path: str, check: Any) -> Iterable[Fault]:
    try:
        check()
    except MediaError as error:
        field = getattr(error, "field", "")
        return [Fault(f"{path}.{field}" if field else path, str(error))]
    return []


def _unroutable(path: str, trunk_path: str, addresses: Iterable[Address], trunk: str, route: Route) -> list[Fault]:
    """Which of these addresses no trunk takes, or that there is no trunk of this name."""
    faults: list[Fault] = []
    for address in addresses:
        try:
            route(address, trunk)
        except InvalidRequest as error:
            faults += [Fault(trunk_path if fault.path == "trunk" else path, fault.message) for fault in error.faults]
    return list(dict.fromkeys(faults))
