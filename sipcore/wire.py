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
    tls_ca_file: str = ""
    log_file: str = ""
    log_level: int = 3
    """PJSIP's: 1 errors, 3 information, 5 everything with packets. Used only with a log file."""
    control_pid: int = 0
    """The user's process. The worker also ends when this one is gone, since a fork of it can keep the socket open. 0: not watched."""


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


Message = (
    engine.Command
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
