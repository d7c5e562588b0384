"""A router without sockets, with two workers and a far end made of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import md5, sha256
from typing import TypeVar

from sipcore.frontdoor.message import Message, parse
from sipcore.frontdoor.router import Ask, Flow, Received, Router, Step, ToFlow, ToTarget, ToWorker
from sipcore.wire import DoorPhone, DoorSettings, DoorTrunk

INNER = 5999
PORTS = {1: 40001, 2: 40002}
US = "198.51.100.1:5060"
TRUNK = Flow("udp", US, ("192.0.2.10", 5060))
STRANGER = Flow("udp", US, ("203.0.113.66", 5060))
S = TypeVar("S")

PHONE = DoorPhone("alice", "sipcore", md5(b"alice:sipcore:wonder").hexdigest(), sha256(b"alice:sipcore:wonder").hexdigest())

SETTINGS = DoorSettings(
    inner_address=f"127.0.0.1:{INNER}",
    listeners=(("udp", US), ("tcp", US), ("tls", "198.51.100.1:5061")),
    public_address="",
    secret=b"s" * 32,
    user_agent="sipcore",
    trunks=(DoorTrunk("provider", ("192.0.2.0/24",)),),
)

SDP = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


def router_with(**changes) -> Router:
    router = Router(replace(SETTINGS, **changes))
    router.set_workers(PORTS)
    return router


def text(start: str, headers: Sequence[str], body: str = "") -> bytes:
    kind = ["Content-Type: application/sdp"] if body else []
    lines = [start, *headers, *kind, f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(lines).encode()


def request(
    method: str = "INVITE",
    *,
    uri: str = "sip:1000@198.51.100.1",
    call_id: str = "far-1",
    branch: str = "z9hG4bKfar1",
    cseq: int = 1,
    to_tag: str = "",
    from_user: str = "caller",
    via: str = "SIP/2.0/UDP 192.0.2.10:5060;rport",
    contact: str = "sip:caller@192.0.2.10:5060",
    extra: Sequence[str] = (),
    body: str = "",
) -> bytes:
    """A request of the far end."""
    to = f"<sip:1000@198.51.100.1>{';tag=' + to_tag if to_tag else ''}"
    headers = [f"Via: {via};branch={branch}", f"From: <sip:{from_user}@192.0.2.10>;tag=far", f"To: {to}", f"Call-ID: {call_id}"]
    headers += [
        f"CSeq: {cseq} {method}",
        f"Contact: <{contact}>",
        *([] if any("Max-Forwards" in line for line in extra) else ["Max-Forwards: 70"]),
        *extra,
    ]
    return text(f"{method} {uri} SIP/2.0", headers, body)


def of_worker(
    method: str = "INVITE",
    *,
    port: int = PORTS[1],
    uri: str = "sip:+8210@192.0.2.10",
    call_id: str = "own-1",
    branch: str = "z9hG4bKPjown1",
    cseq: int = 10,
    to_tag: str = "",
    routes: Sequence[str] = (f"<sip:127.0.0.1:{INNER};lr;hop=udp-192.0.2.10-5060>",),
    extra: Sequence[str] = (),
    body: str = "",
) -> bytes:
    """A request as PJSIP writes it."""
    headers = [f"Via: SIP/2.0/UDP 127.0.0.1:{port};rport;branch={branch}", "Max-Forwards: 70", "From: <sip:us@198.51.100.1>;tag=us"]
    headers += [f"To: <sip:+8210@192.0.2.10>{';tag=' + to_tag if to_tag else ''}", f"Call-ID: {call_id}", f"CSeq: {cseq} {method}"]
    headers += [f"Contact: <sip:us@127.0.0.1:{port};ob>", *[f"Route: {route}" for route in routes], *extra]
    return text(f"{method} {uri} SIP/2.0", headers, body)


def answer(asked: bytes, code: int, *, tag: str = "theirs", extra: Sequence[str] = (), body: str = "", drop_routes: bool = False) -> bytes:
    """A response of a user agent server to `asked` (RFC 3261 §8.2.6.2): Vias and Record-Routes as they came."""
    message = parse(asked)
    to = message.get("To") or ""
    kept = [f"Via: {via}" for via in message.get_all("Via")]
    if not drop_routes:
        kept += [f"Record-Route: {route}" for route in message.get_all("Record-Route")]
    kept += [f"From: {message.get('From')}", f"To: {to if ';tag=' in to or code == 100 else f'{to};tag={tag}'}"]
    kept += [f"Call-ID: {message.get('Call-ID')}", f"CSeq: {message.get('CSeq')}"]
    return text(f"SIP/2.0 {code} Something", [*kept, *extra], body)


def only(steps: list[Step], kind: type[S]) -> S:
    """The one step that does something."""
    acting = [step for step in steps if not isinstance(step, Received)]
    assert len(acting) == 1, steps
    assert isinstance(acting[0], kind), steps
    return acting[0]


def to_worker(steps: list[Step], port: int = PORTS[1]) -> Message:
    step = only(steps, ToWorker)
    assert step.port == port
    return parse(step.data)


def to_flow(steps: list[Step], flow: Flow | None = None) -> Message:
    step = only(steps, ToFlow)
    assert flow is None or step.flow == flow
    return parse(step.data)


def sent(steps: list[Step], local: str = US, transport: str = "udp") -> Message:
    """A worker's request as it leaves."""
    return parse(only(steps, ToTarget).finish(local, transport))


def ask(router: Router, data: bytes, flow: Flow = TRUNK, now: float = 0.0) -> Ask:
    return only(router.from_outside(data, flow, now), Ask)


def place(router: Router, data: bytes, flow: Flow = TRUNK, now: float = 0.0, worker_id: int = 1, call_id: str = "call-1") -> Message:
    """The INVITE as the worker gets it."""
    key = ask(router, data, flow, now).key
    return to_worker(router.placed(key, call_id, worker_id, now), PORTS[worker_id])


def status(steps: list[Step]) -> int:
    """Code of the one answer to the far end, 0 when nothing is sent."""
    answers = [step for step in steps if isinstance(step, ToFlow)]
    assert len(answers) <= 1
    return parse(answers[0].data).status if answers else 0
