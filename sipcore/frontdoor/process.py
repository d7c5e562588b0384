"""The front door: every SIP message between the outside and the workers passes here, and no call is lost with it.

    python -m sipcore.frontdoor.process --fd N --control-pid PID

`N` is a connected stream socket to the control process, which sends settings and bound sockets first: now or, to a spare, when the process
that serves is lost. What is done with a message decides `sipcore.frontdoor.router`; here are the sockets. The process ends at end of
file, and when the control process is gone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable
from typing import Final, ParamSpec

from sipcore import wire

from .accepting import Acceptor
from .connection import Connection
from .control import ControlLink, Start, StartError, has_come, receive_start
from .counting import Counting, Told
from .router import Router
from .sending import Sender
from .shedding import Shedding
from .sources import Sources
from .steps import Ask, Drop, Flow, Received, Step, Tag, ToFlow, ToTarget, ToWorker
from .streams import ConnectionLimits, Connections
from .tls import TlsContexts, TlsFilesError, load
from .trace import Trace
from .udp import UdpSocket, address_of

log = logging.getLogger(__name__)
P = ParamSpec("P")

_GC_THRESHOLD: Final = 20_000
"""Objects between two collections. Messages are freed by their counts; with the usual 700 the collector would run with every third one."""
_OUTER_BUDGET: Final = 8
"""Datagrams of one outer socket per turn of the event loop: a flood holds up workers and control by two or three milliseconds."""
_INNER_BUDGET: Final = 64
_TICK_S: Final = 1.0
_ORPHAN_S: Final = 1.8
"""The front door outlives the control process for so long: a worker takes about 0.5 s to notice, and gives its BYEs a second."""
_WORKER_HOST: Final = "127.0.0.1"


class Door:
    """Sockets around a router, on one event loop.

    Attributes:
        ended: Set when it is time to go.
    """

    def __init__(self, settings: wire.DoorSettings, sockets: list[socket.socket], workers: wire.DoorWorkers, contexts: TlsContexts) -> None:
        self.ended = asyncio.Event()
        self.control: ControlLink | None = None
        self._settings = settings
        self._contexts = contexts
        self._loop = asyncio.get_running_loop()
        self._counts = Counting()
        self._told = Told(log)
        self._shedding = Shedding(Sources(settings.trunks, ()))
        limits = settings.limits
        self._trace = Trace(limits.trace_calls, limits.trace_call_bytes)
        self._router = Router(settings)
        self._router.set_workers(dict(workers.workers))
        self._connections = Connections(
            ConnectionLimits(limits.connections, limits.connections_per_source, limits.message_bytes), self._from_connection, self._cut_off
        )
        self._open_sockets(settings, sockets)
        self._loop.call_later(_TICK_S, self._tick)

    def _open_sockets(self, settings: wire.DoorSettings, sockets: list[socket.socket]) -> None:
        inner, *outer = sockets
        self._inner = UdpSocket(inner, self._from_worker, _INNER_BUDGET)
        kinds = [transport for transport, _ in settings.listeners]
        udp = [
            UdpSocket(sock, self._from_udp, _OUTER_BUDGET, self._shedding.drops)
            for kind, sock in zip(kinds, outer, strict=True)
            if kind == "udp"
        ]
        self._sender = Sender(udp, self._connections, lambda: self._contexts, self, has_tcp="tcp" in kinds)
        for kind, sock in zip(kinds, outer, strict=True):
            if kind == "tcp":
                Acceptor(sock, kind, self._connections, lambda: None)
            elif kind == "tls":
                Acceptor(sock, kind, self._connections, lambda: self._contexts.server)

    # ------------------------------------------------------------------------------------------------ messages in

    def _from_udp(self, data: bytes, local: str, peer: tuple[str, int]) -> None:
        self._from_outside(data, Flow("udp", local, peer))

    def _from_connection(self, connection: Connection, data: bytes) -> None:
        self._from_outside(data, Flow(connection.transport_name, address_of(connection.local), connection.peer, connection.number))

    def _from_outside(self, data: bytes, flow: Flow) -> None:
        self._counts.received += 1
        steps = self._route(self._router.from_outside, data, flow, self._loop.time())
        for step in steps:
            if isinstance(step, Received):
                self._record(step.tag, data, flow.transport, flow.local, address_of(flow.peer), is_sent=False)
        self._carry_out(steps, is_of_worker=False)

    def _from_worker(self, data: bytes, _local: str, peer: tuple[str, int]) -> None:
        if peer[0] == _WORKER_HOST:
            self._carry_out(self._route(self._router.from_worker, data, peer[1], self._loop.time()), is_of_worker=True)

    def _route(self, decide: Callable[P, list[Step]], *args: P.args, **kwargs: P.kwargs) -> list[Step]:
        """What the router decides. An error of ours in there costs one message: nobody else would be served otherwise."""
        try:
            return decide(*args, **kwargs)
        except Exception:  # noqa: BLE001 - logged with its traceback
            self._told.bug(decide.__name__)
            return []

    # ----------------------------------------------------------------------------------------------------- steps

    def _carry_out(self, steps: Iterable[Step], *, is_of_worker: bool) -> None:
        for step in steps:
            match step:
                case ToWorker(port, data):
                    self._to_worker(port, data)
                case ToFlow():
                    if not is_of_worker:
                        self._counts.answered(step.data)
                    self._sender.to_flow(step, is_of_worker=is_of_worker)
                case ToTarget():
                    self._sender.to_target(step)
                case Ask(key, offer):
                    self._tell(wire.InviteOffered(key, offer))
                case Drop(reason, told):
                    self._counts.dropped += 1
                    if told:
                        self._told.line(reason)
                    else:
                        log.debug("dropped: %s", reason)
                case Received():
                    pass

    def _to_worker(self, port: int, data: bytes) -> None:
        try:
            self._inner.send(data, (_WORKER_HOST, port))
        except OSError as error:  # it has ended, or the message is too long for a datagram
            self.lost(f"worker at port {port}: {error}")

    def _tell(self, message: wire.Message) -> None:
        if self.control is not None:
            self.control.send(message)

    def _record(self, tag: Tag, data: bytes, transport: str, local: str, remote: str, *, is_sent: bool) -> None:
        text = data.decode("utf-8", "replace")
        self._trace.add(tag.sip_call_id, tag.call_id, wire.TracedMessage(time.time(), is_sent, transport, local, remote, text))

    # ------------------------------------------------------------------------------------- what the sender tells

    def sent(self, transport: str, local: str, remote: str, data: bytes, tag: Tag | None) -> None:
        """See `Outlet`."""
        self._counts.sent += 1
        if tag is not None:
            self._record(tag, data, transport, local, remote, is_sent=True)

    def unsendable(self, step: ToTarget, reason: str) -> None:
        """See `Outlet`."""
        log.debug("not sent: %s", reason)
        self._counts.dropped += 1
        self._carry_out(self._route(self._router.unsendable, step, reason, self._loop.time()), is_of_worker=True)

    def lost(self, reason: str) -> None:
        """See `Outlet`."""
        log.debug("lost: %s", reason)
        self._counts.dropped += 1

    def _cut_off(self, connection: Connection, reason: str) -> None:
        log.debug("%s connection of %s closed: %s", connection.transport_name, address_of(connection.peer), reason)

    # --------------------------------------------------------------------------------------------------- control

    def receive(self, message: wire.Message) -> None:
        """An order of the control process; one that fails costs no other."""
        try:
            self._obey(message)
        except Exception:  # noqa: BLE001 - logged with its traceback
            self._told.bug(type(message).__name__)

    def _obey(self, message: wire.Message) -> None:
        now = self._loop.time()
        match message:
            case wire.DoorWorkers(workers):
                self._carry_out(self._route(self._router.set_workers, dict(workers)), is_of_worker=False)
            case wire.DoorTrunks(trunks):
                self._router.set_trunks(trunks)
                self._shedding.sources = Sources(trunks, ())
            case wire.InvitePlaced(key, call_id, worker_id):
                self._carry_out(self._route(self._router.placed, key, call_id, worker_id, now), is_of_worker=True)
            case wire.InviteRefused(key, code, phrase, headers):
                self._carry_out(self._route(self._router.refused, key, code, phrase, headers, now), is_of_worker=False)
            case wire.TraceWanted(request_id, call_id):
                self._tell(wire.TraceFound(request_id, self._trace.find(call_id)))
            case wire.DoorReload():
                self._reload()
            case wire.DoorShutdown():
                self.ended.set()
            case _:
                log.error("control sent %s", type(message).__name__)

    def outlive_control(self) -> None:
        """The control process is gone, without an order to end: its workers say BYE now, and that goes through here."""
        self.control = None
        self._loop.call_later(_ORPHAN_S, self.ended.set)

    def _reload(self) -> None:
        try:
            self._contexts = load(self._settings.tls)
        except TlsFilesError as error:
            self._tell(wire.DoorFailed(f"TLS stays as it was: {error}"))

    def _tick(self) -> None:
        """Once a second, whatever goes wrong."""
        self._loop.call_later(_TICK_S, self._tick)
        self._told.tick()
        if self._shedding.count:
            self._told.line(f"more than can be looked at: {self._shedding.count} requests were dropped unread")
            self._counts.received += self._shedding.count
            self._counts.dropped += self._shedding.count
            self._shedding.count = 0
        self._tell(self._counts.message(len(self._connections)))
        self._connections.sweep()
        self._sender.keep_alive()
        self._carry_out(self._route(self._router.expire, self._loop.time()), is_of_worker=False)


def _watch(pid: int, on_exit: Callable[[], None]) -> None:
    """Once, when the process has ended; a fork of it may hold our socket open."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):  # gone already: the socket tells; or a kernel before 5.3
        pidfd = os.pidfd_open(pid) if pid else -1

        def exited() -> None:
            loop.remove_reader(pidfd)
            on_exit()

        if pidfd >= 0:
            loop.add_reader(pidfd, exited)


async def _serve(control_sock: socket.socket, contexts: TlsContexts, start: Start) -> None:
    settings, sockets, workers, decoder, rest = start
    door = Door(settings, sockets, workers, contexts)
    door.control = ControlLink(control_sock, decoder, door.receive, door.outlive_control)
    for message in rest:  # what its predecessor's calls are, before the first datagram
        door.receive(message)
    _watch(settings.control_pid, door.outlive_control)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)
    door.control.send(wire.DoorReady(os.getpid()))
    asyncio.get_running_loop().run_in_executor(None, importlib.import_module, "sipcore.locate")  # before a call waits for it
    await door.ended.wait()
    sys.stderr.flush()
    os._exit(0)  # a thread that looks up a name would hold up an orderly end; the kernel closes the sockets


def _raise_descriptor_limit() -> None:
    """A connection is a descriptor; many systems give 1,024 unless asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _warm_up() -> None:
    """What a spare has the time for. What is there already is left out of every collection to come."""
    importlib.import_module("sipcore.locate")
    gc.collect()
    gc.freeze()


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the program."""
    parser = argparse.ArgumentParser(prog="sipcore.frontdoor.process", description="The SIP front door of a sipcore pool.")
    parser.add_argument("--fd", type=int, required=True, help="number of the inherited socket to the control process")
    parser.add_argument("--control-pid", type=int, required=True, help="the control process, which has started this one")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    _raise_descriptor_limit()
    given = parser.parse_args(arguments)
    sock = socket.socket(fileno=given.fd)
    sock.set_inheritable(False)
    if not has_come(sock):
        _warm_up()
    try:
        start = receive_start(sock, given.control_pid)
        contexts = load(start[0].tls)
    except (StartError, TlsFilesError) as error:
        with contextlib.suppress(OSError):
            sock.sendall(wire.encode(wire.DoorFailed(str(error))))
        return 1
    asyncio.run(_serve(sock, contexts, start))
    return 0


if __name__ == "__main__":
    sys.exit(main())
