"""What `create` is asked for, checked as a whole before anything of it happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from media import AudioLibrary, MediaError
from media.errors import UrlRefused
from media.url import is_url
from sipcore.actions import MAX_DESTINATIONS, Action, Connect, Play, Talk, Transfer, legs_needed, parse_actions
from sipcore.addresses import Address, parse_address
from sipcore.errors import Fault, InvalidRequest

_KEYS = ("source", "destination", "actions", "event_url", "trunk")
_GROUP_KEYS = ("source", "destination", "destinations", "actions", "event_url", "trunk")

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

    @property
    def legs_needed(self) -> int:
        """The most legs the call can have up at once, itself included."""
        return legs_needed(self.actions)


def parse_request(body: Mapping[str, Any], user_id: int = 1) -> CallRequest:
    """A request from the keywords of `create`, or from a body with one destination.

    Raises:
        InvalidRequest: with every fault found.
    """
    faults = _unknown_keys(body, _KEYS)
    destination = _address(body, "destination", "destination", faults)
    actions, source = _common(body, faults, needs_source=False)
    event_url, trunk = _text(body, "event_url", faults), _text(body, "trunk", faults)
    if faults or destination is None:
        raise InvalidRequest(faults)
    return CallRequest(destination, source, actions, user_id, event_url, trunk)


def parse_requests(body: Mapping[str, Any], user_id: int = 1) -> tuple[CallRequest, ...]:
    """The requests in the body of `POST /v1.0/calls`: `source` is required, and `destinations` may stand for `destination`.

    Raises:
        InvalidRequest: with every fault found.
    """
    faults = _unknown_keys(body, _GROUP_KEYS)
    found = [(_address(value, key, place, faults), place) for value, key, place in _destinations(body, faults)]
    actions, source = _common(body, faults, needs_source=True)
    event_url, trunk = _text(body, "event_url", faults), _text(body, "trunk", faults)
    if faults:
        raise InvalidRequest(faults)
    return tuple(CallRequest(address, source, actions, user_id, event_url, trunk, place) for address, place in found if address is not None)


def check_request(request: CallRequest, library: AudioLibrary, route: Route) -> list[Fault]:
    """What of a well-formed request this switch cannot do: texts, files and URLs, numbers without a trunk."""
    faults: list[Fault] = []
    faults += _unroutable(request.place, "trunk", [request.destination], request.trunk, route)
    if request.event_url:
        faults += _checked("event_url", lambda: _check_event_url(request.event_url, library))
    return faults + check_actions(request.actions, library, route)


def check_actions(actions: Sequence[Action], library: AudioLibrary, route: Route, place: str = "actions") -> list[Fault]:
    """What of a well-formed action list this switch cannot do."""
    faults: list[Fault] = []
    for index, action in enumerate(actions):
        path = f"{place}[{index}].option"
        match action:
            case Talk():
                faults += _checked(path, lambda talk=action: library.check_speech(talk.text, talk.language, talk.gender))
            case Play():
                for number, url in enumerate(action.stream_urls):
                    faults += _checked(f"{path}.stream_urls[{number}]", lambda url=url: library.check_stream(url))
            case Connect():
                faults += _unroutable(f"{path}.destinations", f"{path}.trunk", action.addresses, action.trunk, route)
            case Transfer():
                faults += _unroutable(f"{path}.target", "", [action.address], "", route)
    return faults


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
