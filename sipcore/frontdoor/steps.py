"""What the router wants done: values that it returns and the process with the sockets carries out, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sipcore.engine import Offer


class Flow(NamedTuple):
    """A way to one far end: a listener and an address for UDP, a connection for TCP and TLS."""

    transport: str
    """`udp`, `tcp` or `tls`"""
    local: str
    """`host:port` of our end, IPv6 in brackets."""
    peer: tuple[str, int]
    """Address without brackets, and port."""
    connection: int = 0
    """Id of a stream connection, never used twice by one process; 0 for UDP."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to send something that has no flow: what RFC 3263 §4 starts from.

    The process resolves the name when `host` is one, chooses what is None here, and opens or reuses a connection.
    """

    host: str
    """Name, IPv4 or IPv6 address without brackets."""
    port: int | None = None
    transport: str | None = None
    """None: UDP, but TCP for what is larger than 1,300 bytes (RFC 3261 §18.1.1), when a resolver has nothing better."""
    server_name: str = ""
    """Name that the certificate must have with TLS (RFC 5922); empty: `host`."""


class Tag(NamedTuple):
    """What the trace files a message under."""

    sip_call_id: str
    call_id: str | None = None
    """Our call, where this message tells; the SIP Call-ID leads the rest to it."""


class Received(NamedTuple):
    """The datagram just given to `Router.from_outside` is for the trace (never more than one per call, and first)."""

    tag: Tag


class ToWorker(NamedTuple):
    """Send `data` from the inner socket to 127.0.0.1:`port`."""

    port: int
    data: bytes


class ToFlow(NamedTuple):
    """Send a response back where its request came from (RFC 3261 §18.2.2).

    UDP: from the listener `flow.local` to `flow.peer`. Streams: on the connection, found by its id or, when `connection` is of a front door
    that is gone, by its peer; when there is none, the same bytes go to `fallback`. A response that cannot be sent is lost.
    """

    flow: Flow
    data: bytes
    fallback: Target | None = None
    tag: Tag | None = None


class ToTarget(NamedTuple):
    """Send a request of a worker.

    With `flow`: on that connection, or for UDP from that listener to that peer; when the connection is gone, to `target` as without.
    The process finds transport and local end and calls `finish(local, transport)` for the bytes, `local` being `host:port` of the socket
    that they leave by (the own end of a connection: the router puts in the listener's port). When it cannot be sent, the process
    gives the step to `Router.unsendable`.
    """

    target: Target
    finish: Callable[[str, str], bytes]
    worker_port: int
    original: bytes
    """As the worker sent it."""
    flow: Flow | None = None
    tag: Tag | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """Tell the control process of a new call; `Router.placed` or `Router.refused` with the same key follows."""

    key: str
    offer: Offer


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing is sent; for the counters and, when it is `told`, one line in the log."""

    reason: str
    told: bool = False


Step = Received | ToWorker | ToFlow | ToTarget | Ask | Drop
