"""What the front door changes in messages from outside before a worker gets them."""

from __future__ import annotations

from typing import Final

from sipcore.frontdoor import dtmf
from sipcore.frontdoor.face import Face, public, put_list
from sipcore.frontdoor.grammar import Malformed, with_param
from sipcore.frontdoor.hops import encode_flow, is_pinned, reply_flow
from sipcore.frontdoor.message import Message
from sipcore.frontdoor.sources import plain_address
from sipcore.frontdoor.steps import Flow
from sipcore.frontdoor.uri import NameAddr, Uri, split_host_port
from sipcore.frontdoor.via import Via
from sipcore.frontdoor.wellformed import check, good_challenges
from sipcore.wire import CALL_HEADER

MAX_WORKER_BYTES: Final = 3_900
"""PJSIP cuts what is longer than 4,000 (`PJSIP_MAX_PKT_LEN`), and reads on."""
_LONGEST_ADDITION: Final = 500
"""Bytes that a new INVITE may grow by on its way to a worker."""

_NOT_FOR_WORKERS: Final = frozenset({"Route", "Authorization", "Proxy-Authorization", "Replaces"})
"""Replaces (RFC 3891): PJSIP would let whoever knows the tags take a call over; who does not know the header goes on without."""
_CHALLENGING: Final = frozenset({401, 407})
_NEEDED: Final = frozenset({
    "Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Contact", "Record-Route", "Require", "Supported", "Allow", "Content-Type",
    "Content-Disposition", "Content-Encoding", "Session-Expires", "Min-SE", "RSeq", "RAck", "Event", "Subscription-State", "Refer-To",
    "Referred-By", "Reason", "Retry-After", "WWW-Authenticate", "Proxy-Authenticate", "Unsupported", "Expires", "Min-Expires", CALL_HEADER,
})  # fmt: skip
"""What PJSIP acts on; the rest of a message that is too long for it can go."""


def note_source(request: Message, top: Via, flow: Flow) -> Via:
    """Write into the top Via where the request really came from (RFC 3261 §18.2.1, RFC 3581 §4); returns that Via."""
    host = flow.peer[0]
    is_asking = top.rport is not None
    if not is_asking and plain_address(top.host) == plain_address(host) and top.received == "":
        return top
    # a peer that claims to be "received" from elsewhere is not believed: the parameter is ours to write
    noted = top.with_param("received", host)
    if is_asking:
        noted = noted.with_param("rport", str(flow.peer[1]))
    request.replace_first("Via", str(noted))
    return noted


def prepare_request(request: Message) -> None:
    """Take out what was for us: routes that led here, credentials, and headers that nobody outside may set."""
    request.headers[:] = [header for header in public(request.headers) if header[0] not in _NOT_FOR_WORKERS]
    if request.get("Max-Forwards") is None:
        request.append("Max-Forwards", "70")
    if request.method == "INFO":
        dtmf.write_plainly(request)


def request_for(request: Message, port: int, face: Face, key: str, flow: Flow, top: Via, call_id: str = "") -> bytes:
    """A prepared request as the worker at `port` gets it; `call_id` is set for one that opens a call.

    Raises:
        Malformed: 513, it does not fit.
    """
    inward = request.copy()
    user = ""
    if call_id:
        user = _user_of(request.request_uri)
        _add_record_route(inward, face, flow, top)
        inward.append(CALL_HEADER, call_id)
    _put_plain_contacts(inward)
    inward.request_uri = f"sip:{user}127.0.0.1:{port}"
    inward.prepend("Via", face.inner_via(key, encode_flow(reply_flow(flow, top))))
    return _fitting(inward)


def response_for(response: Message, port: int, own_branch: str, face: Face, flow: Flow) -> bytes:
    """A response to a request of the worker at `port`, with the worker's own Via again.

    PJSIP compares sent-by with the name of its transport and drops what differs.

    Raises:
        Malformed: it does not fit.
    """
    inner_host, inner_port = split_host_port(face.inner_address)
    us = Via.parse(response.get("Via") or "").sent_by
    response.set("Via", f"SIP/2.0/UDP 127.0.0.1:{port};rport={inner_port};received={inner_host};branch={own_branch}")
    response.headers[:] = public(response.headers)
    method = (response.get("CSeq") or "").rpartition(" ")[2]
    if method == "INVITE" and 100 < response.status < 300:
        _append_record_route(response, face, flow)
    if method == "REGISTER":
        _restore_contacts(response, us, port)
    else:
        _put_plain_contacts(response)
    return _fitting(response)


def _add_record_route(request: Message, face: Face, flow: Flow, top: Via) -> None:
    """The worker answers, so its route set is the Record-Routes in order: ours is the first."""
    next_hop = _first_uri(request.get_all("Record-Route")[:1] or request.get_all("Contact")[:1])
    request.prepend("Record-Route", face.record_route(encode_flow(flow) if is_pinned(flow, next_hop, top) else ""))


def _append_record_route(response: Message, face: Face, flow: Flow) -> None:
    """The worker has asked, so its route set is the Record-Routes in reverse: ours is the last (RFC 3261 §12.1.2)."""
    next_hop = _first_uri(response.get_all("Record-Route")[-1:] or response.get_all("Contact")[:1])
    has_contact = next_hop is not None
    response.append("Record-Route", face.record_route(encode_flow(flow) if has_contact and is_pinned(flow, next_hop, None) else ""))


def _first_uri(values: list[str]) -> Uri | str | None:
    return NameAddr.parse(values[0]).uri if values else None


def _put_plain_contacts(message: Message) -> None:
    """Write `sips:` as `sip:` with `transport=tls`: a worker sends to such a one, since it takes it for one that it can reach."""
    contacts = message.get_all("Contact")
    if "sips:" in "".join(contacts).lower():
        put_list(message, "Contact", [_plain_contact(contact) for contact in contacts])


def _plain_contact(contact: str) -> str:
    addr = NameAddr.parse(contact)
    if not isinstance(addr.uri, Uri) or addr.uri.scheme != "sips":
        return contact
    uri = addr.uri._replace(scheme="sip", params=with_param(addr.uri.params, "transport", "tls"))
    return str(addr._replace(uri=uri))


def _restore_contacts(response: Message, us: str, port: int) -> None:
    """Give a worker the binding back as it asked for it: PJSIP takes its expiry from the Contact that equals its own (RFC 3261 §10.2.4).

    `us` is the sent-by of the request. A registrar that has put the address it saw into the binding shows another one: when that is
    the only one it has, it is ours, too.
    """
    addrs = [NameAddr.parse(contact) for contact in response.get_all("Contact")]
    if addrs:
        put_list(response, "Contact", [str(_restored(addr, port) if len(addrs) == 1 or _is_at(addr, us) else addr) for addr in addrs])


def _is_at(addr: NameAddr, host_port: str) -> bool:
    return isinstance(addr.uri, Uri) and addr.uri.host_port == host_port


def _restored(addr: NameAddr, port: int) -> NameAddr:
    if not isinstance(addr.uri, Uri):
        return addr
    params = tuple([pair for pair in addr.uri.params if pair[0].lower() != "transport"])
    return NameAddr(addr.name, Uri("sip", addr.uri.user, "", "127.0.0.1", port, params), addr.params)


def _user_of(request_uri: str) -> str:
    uri = Uri.parse(request_uri)
    return f"{uri.user}@" if uri.user else ""


def _fitting(message: Message) -> bytes:
    data = message.to_bytes()
    if len(data) > MAX_WORKER_BYTES:
        message.headers[:] = [header for header in message.headers if header.name in _NEEDED]
        data = message.to_bytes()
    if len(data) > MAX_WORKER_BYTES:
        raise Malformed("message too large", 513 if message.is_request else 0)
    return data


def check_room(request: Message, size_bytes: int) -> None:
    """Look whether a new INVITE of this size will fit a worker.

    Raises:
        Malformed: 513, it will not.
    """
    if size_bytes + _LONGEST_ADDITION > MAX_WORKER_BYTES:
        slim = Message(request.start, [header for header in request.headers if header.name in _NEEDED], request.body)
        if len(slim.to_bytes()) + _LONGEST_ADDITION > MAX_WORKER_BYTES:
            raise Malformed("message too large", 513)


def check_response(response: Message) -> None:
    """Challenges and a body that break a rule are taken out, and PJSIP ends the call by itself; any other fault raises.

    Raises:
        Malformed: it must not reach a worker.
    """
    if response.status in _CHALLENGING:
        response.headers[:] = good_challenges(response.headers)
    try:
        check(response)
    except Malformed as fault:
        if not fault.in_body:
            raise
        response.body = b""
        response.remove("Content-Type")
