"""What the front door changes in messages of workers before the outside gets them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sipcore.frontdoor.face import Face, put_list
from sipcore.frontdoor.grammar import Malformed
from sipcore.frontdoor.hops import decode_flow, decode_hop, reply_fallback, target_of
from sipcore.frontdoor.message import Message
from sipcore.frontdoor.steps import Flow, Target
from sipcore.frontdoor.uri import NameAddr, Uri
from sipcore.frontdoor.via import Via


@dataclass(frozen=True, slots=True)
class Way:
    """Where a worker's request goes."""

    target: Target
    flow: Flow | None = None


def take_way(request: Message, face: Face) -> Way:
    """Take our Route off a worker's request and read from it, the next Route or the request URI where to send it (RFC 3261 §16.6).

    Raises:
        Malformed: it leads nowhere.
    """
    hop: Target | None = None
    flow: Flow | None = None
    routes = request.get_all("Route")
    if routes and face.is_inner_route(routes[0]):
        hop, flow = _read_route(routes.pop(0))
        put_list(request, "Route", routes)
    if hop is not None:
        return Way(hop, flow)
    if not routes:
        return Way(target_of(Uri.parse(request.request_uri)), flow)
    uri = NameAddr.parse(routes[0]).uri
    if not isinstance(uri, Uri):
        raise Malformed("Route of another scheme", 416)
    if uri.param("lr") is None:
        _route_strictly(request, routes, uri)
    return Way(target_of(uri), flow)


class Departure:
    """A worker's request but for what depends on the way that it leaves by."""

    __slots__ = ("_branch", "_contacts", "_face", "_note", "_request")

    def __init__(
        self, request: Message, face: Face, branch: str, worker_port: int, contact_user: str, note: Callable[[str, str], None]
    ) -> None:
        self._request = request
        self._note = note
        self._face = face
        self._branch = branch
        self._contacts = OwnContacts(request, worker_port, contact_user)

    def finish(self, local: str, transport: str) -> bytes:
        """The bytes; can be asked again for another way, of which the last one counts."""
        self._note(self._branch, transport)
        self._request.set("Via", self._face.via(transport, local, self._branch))
        self._contacts.write(self._request, self._face, transport, local)
        return self._request.to_bytes()


class OwnContacts:
    """The Contacts of a worker's message, with its own address to be replaced by ours."""

    __slots__ = ("_own", "_user", "_values")

    def __init__(self, message: Message, worker_port: int, contact_user: str) -> None:
        self._user = contact_user
        self._values = message.get_all("Contact")
        self._own = [_own_contact(value, worker_port) for value in self._values]

    def write(self, message: Message, face: Face, transport: str, local: str) -> None:
        """Put them into the message; without `contact_user` each keeps its own user (REGISTER)."""
        if not any(self._own):
            return
        values = []
        for value, own in zip(self._values, self._own, strict=True):
            if own is not None and isinstance(own.uri, Uri):
                uri = face.contact(transport, local, self._user or own.uri.user)
                value = str(NameAddr(own.name, Uri.parse(uri), own.params))
            values.append(value)
        put_list(message, "Contact", values)


def take_reply_way(response: Message, face: Face) -> tuple[Flow, Target | None, str] | None:
    """Take our Via off a worker's response: the flow it goes back by, what to try without it, and the key of the transaction."""
    vias = response.get_all("Via")
    if len(vias) < 2:
        return None
    inner = Via.parse(vias[0])
    flow = decode_flow(next((value or "" for name, value in inner.params if name == "flow"), ""))
    if inner.sent_by != face.inner_address or flow is None:
        return None
    put_list(response, "Via", vias[1:])
    return flow, reply_fallback(flow, Via.parse(vias[1])), inner.branch.removeprefix("z9hG4bK")


def _read_route(route: str) -> tuple[Target | None, Flow | None]:
    uri = NameAddr.parse(route).uri
    if not isinstance(uri, Uri):
        return None, None
    hop, flow = uri.param("hop"), uri.param("flow")
    found = decode_hop(hop, uri.param("sni") or "") if hop else None
    if hop and found is None:
        raise Malformed("bad hop", 500)
    return found, decode_flow(flow) if flow else None


def _route_strictly(request: Message, routes: list[str], uri: Uri) -> None:
    """The next hop is a strict router: it wants to find itself in the request URI (RFC 3261 §16.6 step 6)."""
    put_list(request, "Route", [*routes[1:], f"<{request.request_uri}>"])
    request.request_uri = str(uri)


def _own_contact(value: str, worker_port: int) -> NameAddr | None:
    addr = NameAddr.parse(value)
    is_own = isinstance(addr.uri, Uri) and addr.uri.host == "127.0.0.1" and addr.uri.port == worker_port
    return addr if is_own else None
