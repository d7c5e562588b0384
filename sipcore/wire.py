"""How values cross a pipe between two processes of ours: the messages, the codec, the frames.

A worker talks to the network, so it is not trusted with our process: what comes from it is decoded strictly into the types listed
here and nothing else. No pickle, no objects by name, a bound on every frame.

A frame is `size | name_size | name | body`: the size of all that follows it as 4 bytes, the size of the type name as 1 byte (both big
endian), the name in ASCII, and the fields as one MessagePack map.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import msgspec

from sipcore import engine

MAX_FRAME_BYTES: Final = 1 << 20
"""No honest message comes near it: the largest are a `Dial` with headers and a fault with a traceback."""

_SIZE = struct.Struct("!I")


class WireError(ValueError):
    """What was read is not a message of ours; the stream cannot be trusted any more."""


# ---------------------------------------------------------------------------------------- pool <-> server and worker


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What one worker is told at its start. Ports are inclusive; an empty string means "not set"."""

    sip_host: str
    """Address to bind signalling and media to; `0.0.0.0` is every interface, and each call then names the one it leaves by."""
    sip_port: int
    """UDP port for SIP, 0 for a free one."""
    rtp_port_first: int
    rtp_port_last: int
    public_address: str = ""
    """Address to write into Via, Contact and SDP when it is not the bound one (static NAT)."""
    user_agent: str = "sipcore"
    log_file: str = ""
    log_level: int = 3
    """PJSIP's: 1 errors, 3 information, 5 everything with packets. Used only with a log file."""
    control_pid: int = 0
    """The user's process. The worker also ends when this one is gone, since a fork of it can keep the socket open. 0: not watched."""
    media_host: str = ""
    """Address to bind media to when it is not `sip_host`: behind a front door SIP is on loopback only, RTP is not."""
    door_port: int = 0
    """The front door's inner UDP port on 127.0.0.1: first hop of every request, and the only source of new calls. 0: there is none."""
    codecs: tuple[str, ...] = ("PCMU/8000", "PCMA/8000")
    """RTP names in the order of preference."""
    session_expires_s: int = 1800
    """Session timer (RFC 4028); 0: none is asked for."""
    session_min_se_s: int = 90
    reliable_provisional: str = "supported"
    """100rel (RFC 3262): `off`, `supported` or `required`."""
    rtp_timeout_s: float = 60.0
    """An answered leg without RTP for so long is reported as `RtpSilent`; 0: none is."""
    srtp: bool = False
    """SDES keys (RFC 4568) may be offered and taken; the account of a call says how."""
    allows_refer: bool = False
    """A REFER is told as `TransferAsked`; otherwise it is refused with 603."""


@dataclass(frozen=True, slots=True)
class ForkWorker:
    """Pool to server: fork a worker. Two file descriptors ride on the frame: the worker's socket, then its standard error."""

    worker_id: int
    settings: WorkerSettings


@dataclass(frozen=True, slots=True)
class ServerReady:
    """Server to pool: pjsua2 is imported. `capacity` is how many legs one worker holds (PJSIP's compiled limit)."""

    version: str
    capacity: int


@dataclass(frozen=True, slots=True)
class WorkerForked:
    """Server to pool."""

    worker_id: int
    pid: int


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """Server to pool: a worker was reaped. `exit_code` is negative for a signal, as in `subprocess`."""

    worker_id: int
    pid: int
    exit_code: int


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """Worker to pool: the endpoint runs. A datagram of CRLF to `wake_host:sip_port` wakes it."""

    pid: int
    sip_address: str
    wake_host: str
    sip_port: int


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """Worker to pool: the endpoint could not be started; the worker ends."""

    message: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Worker to pool, about once a second: its owner thread still turns."""

    legs: int


@dataclass(frozen=True, slots=True)
class SlotsLingering:
    """Worker to pool, when it changes: how many legs are over, but still hold their place in PJSIP (see `sipcore.pjsip.slots`)."""

    count: int


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Pool to worker: BYE or CANCEL for every leg, then end, at the latest after `grace_s`."""

    grace_s: float


@dataclass(frozen=True, slots=True)
class ExpectCall:
    """Pool to worker, before the front door sends it the INVITE of an accepted `Offer`.

    The INVITE carries `call_id` in the header `CALL_HEADER`. Commands for the call that come before it wait for it. A worker that does not
    see it within `timeout_s` reports `CallDisconnected`, as it does when PJSIP refuses the INVITE by itself.
    """

    call_id: str
    group_id: str
    codecs: tuple[str, ...] = ()
    srtp: str = "off"
    timeout_s: float = 5.0


# ------------------------------------------------------------------------------------------------ pool <-> front door


@dataclass(frozen=True, slots=True)
class DoorTrunk:
    """What the front door must know of one trunk."""

    name: str
    networks: tuple[str, ...]
    """Sources its calls come from, `192.0.2.0/24`; empty: none, it is known by its registration only."""
    contact_user: str = ""
    """User part of the Contact it is registered with; empty: it is not registered."""
    realm: str = ""


@dataclass(frozen=True, slots=True)
class DoorPhone:
    """An account that may call in by digest (RFC 3261 §22), wherever from."""

    username: str
    realm: str
    ha1_md5: str
    """MD5 of `username:realm:password`, hex (RFC 7616 §3.4.2)."""
    ha1_sha256: str
    algorithms: tuple[str, ...] = ("SHA-256", "MD5")
    """What it may prove itself with, in the order they are offered in: the best first (RFC 8760 §2.3)."""


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What one source, and all of them together, may do."""

    source_rate: float = 100.0
    """Requests a second outside of dialogs from one address of no trunk; beyond it they are dropped without an answer."""
    source_burst: int = 200
    connections: int = 2000
    connections_per_source: int = 200
    message_bytes: int = 65_535
    offers: int = 500
    """INVITEs that may wait for a place at once; beyond it 503."""
    trace_calls: int = 1000
    trace_call_bytes: int = 65_536


@dataclass(frozen=True, slots=True)
class DoorTls:
    """TLS of the front door; file names, PEM."""

    certificate_file: str = ""
    """Empty: no TLS is listened for; outbound TLS works."""
    key_file: str = ""
    ca_file: str = ""
    """Authorities that servers we call are checked against, and clients with `verifies_clients`."""
    verifies_clients: bool = False


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Pool to front door, first. Sockets ride on the frame, bound by the pool so that a front door that is started again has the same ones,
    with what was queued in them: the inner UDP socket, then for each entry of `listeners` its socket.
    """

    inner_address: str
    """`127.0.0.1:port`, where workers send to."""
    listeners: tuple[tuple[str, str], ...]
    """`(transport, "host:port")` of each outer socket, bound and (tcp, tls) listening."""
    public_address: str
    """Host written into Via and Contact instead of the bound one (static NAT); empty: the local address that the message leaves by."""
    secret: bytes
    """Key of the tokens in Contacts and nonces: the same for the life of the pool."""
    user_agent: str
    trunks: tuple[DoorTrunk, ...] = ()
    phones: tuple[DoorPhone, ...] = ()
    open_networks: tuple[str, ...] = ()
    """Sources that may call without belonging to a trunk."""
    limits: DoorLimits = DoorLimits()
    tls: DoorTls = DoorTls()
    control_pid: int = 0
    session_min_se_s: int = 0
    """An INVITE that asks for a shorter session timer is refused with 422 (RFC 4028); 0: there are none, and none is too short."""
    has_100rel: bool = True
    """Whether we say that we acknowledge provisional answers (RFC 3262); without it who requires that is refused with 420."""


@dataclass(frozen=True, slots=True)
class DoorReady:
    """Front door to pool: it serves."""

    pid: int


@dataclass(frozen=True, slots=True)
class DoorFailed:
    """Front door to pool: it cannot serve (a certificate that cannot be read), and ends; or, after `DoorReload`, it goes on as it was."""

    message: str


@dataclass(frozen=True, slots=True)
class DoorWorkers:
    """Pool to front door: the workers that can be reached, `(worker_id, SIP port on 127.0.0.1)`. Replaces the table before."""

    workers: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class DoorTrunks:
    """Pool to front door: the trunks and their sources have changed. Replaces the ones before."""

    trunks: tuple[DoorTrunk, ...]


@dataclass(frozen=True, slots=True)
class DoorReload:
    """Pool to front door: read the certificate files again (SIGHUP)."""


@dataclass(frozen=True, slots=True)
class DoorShutdown:
    """Pool to front door: end. End of file does the same."""


@dataclass(frozen=True, slots=True)
class InviteOffered:
    """Front door to pool: may this call come in, and where? `key` names the INVITE's transaction: asked again (retransmission after a
    restart of the front door), the answer is the same."""

    key: str
    offer: engine.Offer


@dataclass(frozen=True, slots=True)
class InvitePlaced:
    """Pool to front door: send it to this worker, with `call_id` in `CALL_HEADER`; its `ExpectCall` is on its way already."""

    key: str
    call_id: str
    worker_id: int


@dataclass(frozen=True, slots=True)
class InviteRefused:
    """Pool to front door: answer it with this."""

    key: str
    sip_code: int
    sip_phrase: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TraceWanted:
    """Pool to front door: the SIP messages of a call; `TraceFound` with the same `request_id` follows."""

    request_id: int
    call_id: str


@dataclass(frozen=True, slots=True)
class TracedMessage:
    """One SIP message that the front door passed, as it was outside, secrets blanked."""

    time: float
    """Seconds since 1970."""
    is_sent: bool
    transport: str
    local: str
    """`host:port`"""
    remote: str
    text: str
    missing: int = 0
    """How many messages just before this one were left out, because the call had more than is kept."""


@dataclass(frozen=True, slots=True)
class TraceFound:
    """Front door to pool: the oldest first; empty when the call is unknown or its messages have been dropped."""

    request_id: int
    messages: tuple[TracedMessage, ...]


@dataclass(frozen=True, slots=True)
class DoorCounters:
    """Front door to pool, once a second: it lives, and what it has done since its start."""

    received: int
    sent: int
    dropped: int
    refused: int
    connections: int


CALL_HEADER: Final = "X-Sipcore-Call"
"""Between a worker and the front door: the id of the call. Never seen outside, and dropped from what comes from there."""


Message = (
    engine.Command
    | ExpectCall
    | DoorSettings
    | DoorReady
    | DoorFailed
    | DoorWorkers
    | DoorTrunks
    | DoorReload
    | DoorShutdown
    | InviteOffered
    | InvitePlaced
    | InviteRefused
    | TraceWanted
    | TraceFound
    | DoorCounters
    | engine.Event
    | ForkWorker
    | ServerReady
    | WorkerForked
    | WorkerExited
    | WorkerReady
    | WorkerFailed
    | Heartbeat
    | SlotsLingering
    | Shutdown
)

_TYPES: Final[tuple[type[Message], ...]] = Message.__args__
_NAMES: Final[dict[type[Message], bytes]] = {kind: bytes([len(kind.__name__)]) + kind.__name__.encode("ascii") for kind in _TYPES}
_DECODERS: Final[dict[bytes, msgspec.msgpack.Decoder[Message]]] = {
    kind.__name__.encode("ascii"): msgspec.msgpack.Decoder(kind) for kind in _TYPES
}
_ENCODER: Final = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """One message as a frame, ready to be written.

    Raises:
        WireError: the message is of no known type or too large.
    """
    name = _NAMES.get(type(message))
    if name is None:
        raise WireError(f"{type(message).__name__} is not a message")
    try:
        body = _ENCODER.encode(message)
    except OverflowError as error:
        raise WireError(str(error)) from error
    size_bytes = len(name) + len(body)
    if size_bytes > MAX_FRAME_BYTES:
        raise WireError(f"a {type(message).__name__} of {size_bytes} bytes is too large")
    return b"".join((_SIZE.pack(size_bytes), name, body))


def _decode_payload(payload: bytes) -> Message:
    name_size = payload[0]
    name = payload[1 : 1 + name_size]
    decoder = _DECODERS.get(name)
    if decoder is None:
        raise WireError(f"unknown message {name[:40]!r}")
    try:
        return decoder.decode(payload[1 + name_size :])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"bad {name.decode('ascii')}: {error}") from error


class FrameDecoder:
    """Cuts what a socket delivers into messages, whatever the pieces are. Unusable after it has raised."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Messages that `data` completes, in order.

        Raises:
            WireError: a frame is empty, too large, of an unknown type or has wrong fields.
        """
        buffer = self._buffer
        buffer += data
        messages: list[Message] = []
        start = 0
        while len(buffer) - start >= _SIZE.size:
            (size_bytes,) = _SIZE.unpack_from(buffer, start)
            if not 0 < size_bytes <= MAX_FRAME_BYTES:
                raise WireError(f"a frame of {size_bytes} bytes")
            end = start + _SIZE.size + size_bytes
            if len(buffer) < end:
                break
            messages.append(_decode_payload(bytes(buffer[start + _SIZE.size : end])))
            start = end
        del buffer[:start]
        return messages

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._buffer)
