"""What `create` is asked for, checked as a whole before anything of it happens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from media import AudioLibrary, MediaError
from sipcore.actions import Action, Connect, Play, Talk, legs_needed, parse_actions
from sipcore.addresses import Address, parse_address
from sipcore.errors import Fault, InvalidRequest

_KEYS = ("source", "destination", "actions", "event_url")


@dataclass(frozen=True, slots=True)
class CallRequest:
    """One call to place. `source` `None` takes the caller id of the switch."""

    destination: Address
    source: Address | None
    actions: tuple[Action, ...]
    user_id: int = 1

    @property
    def legs_needed(self) -> int:
        """The most legs the call can have up at once, itself included."""
        return legs_needed(self.actions)


def parse_request(body: Mapping[str, Any]) -> CallRequest:
    """A request from the body of `POST /v1.0/calls`, or from the keywords of `create`.

    Raises:
        InvalidRequest: with every fault found.
    """
    faults = [Fault(str(key), f"unknown key; known are {', '.join(_KEYS)}") for key in body if key not in _KEYS]
    destination = source = None
    actions: tuple[Action, ...] = ()
    try:
        if body.get("destination") is None:
            faults.append(Fault("destination", "is missing"))
        else:
            destination = parse_address(body["destination"], "destination")
    except InvalidRequest as error:
        faults += error.faults
    try:
        source = None if body.get("source") is None else parse_address(body["source"], "source")
    except InvalidRequest as error:
        faults += error.faults
    try:
        actions = parse_actions(body.get("actions"))
    except InvalidRequest as error:
        faults += error.faults
    if faults or destination is None:
        raise InvalidRequest(faults)
    return CallRequest(destination, source, actions)


def check_request(request: CallRequest, library: AudioLibrary, *, has_trunk: bool) -> list[Fault]:
    """What of a well-formed request this switch cannot do: texts, files and URLs, numbers without a trunk."""
    faults: list[Fault] = []
    if not has_trunk:
        faults += _numbers_without_trunk("destination", [request.destination])
    for index, action in enumerate(request.actions):
        path = f"actions[{index}].option"
        match action:
            case Talk():
                faults += _checked(path, lambda talk=action: library.check_speech(talk.text, talk.language, talk.gender))
            case Play():
                for number, url in enumerate(action.stream_urls):
                    faults += _checked(f"{path}.stream_urls[{number}]", lambda url=url: library.check_stream(url))
            case Connect() if not has_trunk:
                faults += _numbers_without_trunk(f"{path}.destinations", action.destinations)
    return faults


def _checked(path: str, check: Any) -> Iterable[Fault]:
    try:
        check()
    except MediaError as error:
        field = getattr(error, "field", "")
        return [Fault(f"{path}.{field}" if field else path, str(error))]
    return []


def _numbers_without_trunk(path: str, addresses: Iterable[Address]) -> list[Fault]:
    message = "a telephone number needs a trunk, and this switch has none; dial sip:user@host, or configure trunk"
    return [Fault(path, f"{address}: {message}") for address in addresses if address.type == "tel"]
