"""The pool's view of the front door: bind its sockets, start it, hand them over, watch it, start it again."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sipcore import engine, wire
from sipcore.errors import EngineError

from .door_process import DoorProcess
from .door_spare import DoorSpare
from .listening import AddressTaken, Listener, bind_inner, bind_outer, bind_tls, close_all, join_address

log = logging.getLogger(__name__)

_READY_TIMEOUT_S: Final = 15.0
_SILENCE_S: Final = 5.0
"""It counts every second; one that does not for so long hangs."""
_STALL_S: Final = 1.0
"""When our own event loop was late by this much, its silence says nothing."""
_WATCH_S: Final = 0.5
_TRACE_TIMEOUT_S: Final = 5.0
_TAKEN_PATIENCE_S: Final = 2.5
"""The front door of a control process that was killed goes on for two seconds, for the BYEs; who starts at once waits for its port."""
_TAKEN_POLL_S: Final = 0.1
_RESTART_DELAY_S: Final = 0.5
_MAX_RESTART_DELAY_S: Final = 15.0
_NO_TLS: Final = wire.DoorTls()
_LIMITS: Final = wire.DoorLimits()


@dataclass(frozen=True, slots=True)
class DoorOptions:
    """What the front door is told; see `sipcore.wire.DoorSettings`."""

    sip_host: str = "0.0.0.0"  # noqa: S104 - a softswitch serves its network
    sip_port: int = 0
    """UDP and TCP; 0: a free one, the same for both."""
    more_hosts: tuple[str, ...] = ()
    """Further addresses to listen at with the same port: `::` for IPv6."""
    tcp: bool = True
    tls_address: str = ""
    """`host:port` to listen at for TLS; needs `tls.certificate_file`. Empty: TLS is only called out with."""
    tls: wire.DoorTls = _NO_TLS
    public_address: str = ""
    trunks: tuple[wire.DoorTrunk, ...] = ()
    phones: tuple[wire.DoorPhone, ...] = ()
    open_networks: tuple[str, ...] = ()
    limits: wire.DoorLimits = _LIMITS
    user_agent: str = "sipcore"
    session_min_se_s: int = 0
    has_100rel: bool = True


class DoorHandle:
    """The front door, over as many processes as it takes. Used from one asyncio event loop.

    Attributes:
        sip_address: `host:port` of the first outer socket, `""` before `start`.
        inner_port: Where workers send to.
        addresses: `(transport, "host:port")` of every outer socket.
        counters: What it has done since `start`, all processes together; `connections` is now.
        restarts: How often it was started again.
    """

    def __init__(
        self,
        options: DoorOptions,
        on_offer: Callable[[str, engine.Offer], None],
        on_lost: Callable[[str], None] = lambda _reason: None,
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_offer(key, offer)` wants `place` or `refuse` of that key, now or later; `on_lost(reason)`: another process starts.

        `on_restart()`: it was started, and reads what is sent now when it begins to serve.
        """
        self._options = options
        self._on_offer = on_offer
        self._on_lost = on_lost
        self._on_restart = on_restart
        self._secret = secrets.token_bytes(32)
        self._workers: tuple[tuple[int, int], ...] = ()
        self._trunks = options.trunks
        self._inner: socket.socket | None = None
        self._listeners: list[Listener] = []
        self._process: DoorProcess | None = None
        self._spare = DoorSpare(self._receive, self._lost)
        self._traces: dict[int, asyncio.Future[tuple[wire.TracedMessage, ...]]] = {}
        self._trace_number = 0
        self._past = wire.DoorCounters(0, 0, 0, 0, 0)
        self._timer: asyncio.TimerHandle | None = None
        self._watch_timer: asyncio.TimerHandle | None = None
        self._delay_s = 0.0
        self._is_open = False
        self.sip_address = ""
        self.inner_port = 0
        self.addresses: tuple[tuple[str, str], ...] = ()
        self.restarts = 0

    @property
    def pid(self) -> int:
        """The process that serves, or is about to; 0 when there is none."""
        return self._process.pid if self._process else 0

    @property
    def spare_pid(self) -> int:
        """The process that waits to take over, 0 when there is none."""
        return self._spare.pid

    @property
    def is_serving(self) -> bool:
        """False while another process starts."""
        return self._process is not None and self._process.is_serving

    @property
    def counters(self) -> wire.DoorCounters:
        """See the attributes of the class."""
        return _sum(self._past, self._process.counters) if self._process else self._past

    # ------------------------------------------------------------------------------------------ start and close

    async def start(self) -> None:
        """Bind, start the process, and wait until it serves.

        Raises:
            EngineError: an address is taken (it is named), or the process cannot serve (it has said why).
        """
        self._loop = asyncio.get_running_loop()
        try:
            await self._bind()
            self._is_open = True
            process = self._process = DoorProcess(self._receive, self._lost)
            self._hand_over(process)
            process.send(wire.DoorWorkers(self._workers))
            await asyncio.wait_for(asyncio.shield(process.ready), _READY_TIMEOUT_S)
        except (OSError, ValueError, TimeoutError, wire.WireError) as error:
            await self.close()
            reason = "no answer in time" if isinstance(error, TimeoutError) and not error.args else _text(error)
            raise EngineError(f"the front door cannot run here: {reason}") from None
        except BaseException:
            await self.close()
            raise
        self._watch_due = self._loop.time() + _WATCH_S
        self._watch_timer = self._loop.call_at(self._watch_due, self._watch)
        log.info("front door ready: process %d, SIP at %s", self.pid, ", ".join(f"{kind} {where}" for kind, where in self.addresses))

    async def _bind(self) -> None:
        if self._options.tls_address and not self._options.tls.certificate_file:
            raise ValueError("a TLS address needs a certificate file")
        deadline = self._loop.time() + _TAKEN_PATIENCE_S
        while True:
            try:
                self._bind_now()
            except AddressTaken as error:
                self._close_sockets()
                if error.errno != errno.EADDRINUSE or self._loop.time() >= deadline:
                    raise
            else:
                return
            await asyncio.sleep(_TAKEN_POLL_S)

    def _bind_now(self) -> None:
        options = self._options
        self._inner = bind_inner()
        self._listeners = bind_outer((options.sip_host, *options.more_hosts), options.sip_port, tcp=options.tcp)
        if options.tls_address:
            self._listeners.append(bind_tls(options.tls_address))
        self.sip_address = self._listeners[0].address
        self.inner_port = self._inner.getsockname()[1]
        self.addresses = tuple((listener.transport, listener.address) for listener in self._listeners)

    async def close(self) -> None:
        """End the processes and close the sockets. Idempotent."""
        self._is_open = False
        for timer in (self._timer, self._watch_timer):
            if timer is not None:
                timer.cancel()
        process, self._process = self._process, None
        endings = [self._spare.close()]
        if process is not None:
            self._past = _sum(self._past, process.counters)
            endings.append(process.close())
        await asyncio.gather(*endings)
        self._forget_traces()
        self._close_sockets()

    def _close_sockets(self) -> None:
        close_all(self._listeners)
        self._listeners = []
        if self._inner is not None:
            self._inner.close()
            self._inner = None

    # ------------------------------------------------------------------------------------------------- messages

    def set_workers(self, workers: Mapping[int, int]) -> None:
        """The workers that can be reached: number to SIP port on 127.0.0.1."""
        self._workers = tuple(sorted(workers.items()))
        self._send(wire.DoorWorkers(self._workers))

    def set_trunks(self, trunks: tuple[wire.DoorTrunk, ...]) -> None:
        """Replace the trunks."""
        self._trunks = trunks
        self._send(wire.DoorTrunks(trunks))

    def reload_tls(self) -> None:
        """Read the certificate files again; open connections keep theirs. A file that cannot be read is logged and changes nothing."""
        self._send(wire.DoorReload())

    def place(self, key: str, call_id: str, worker_id: int) -> None:
        """Let the INVITE through to a worker."""
        self._send(wire.InvitePlaced(key, call_id, worker_id))

    def refuse(self, key: str, sip_code: int, sip_phrase: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Answer the INVITE with this."""
        self._send(wire.InviteRefused(key, sip_code, sip_phrase, headers))

    async def trace(self, call_id: str) -> tuple[wire.TracedMessage, ...]:
        """The SIP messages of a call, oldest first; empty when nothing is known of it."""
        if not self.is_serving:
            return ()
        self._trace_number += 1
        number = self._trace_number
        found = self._traces[number] = self._loop.create_future()
        self._send(wire.TraceWanted(number, call_id))
        try:
            return await asyncio.wait_for(found, _TRACE_TIMEOUT_S)
        except TimeoutError:
            return ()
        finally:
            self._traces.pop(number, None)

    def _send(self, message: wire.Message) -> None:
        """To the process that runs; the next one gets the tables with its start, and its offers are asked again."""
        if self._process is not None:
            self._process.send(message)

    def _receive(self, process: DoorProcess, message: wire.Message) -> None:
        if process is not self._process:
            return
        match message:
            case wire.DoorReady():
                self._delay_s = 0.0
                self._spare.prepare()
            case wire.InviteOffered(key, offer):
                self._on_offer(key, offer)
            case wire.TraceFound(number, messages):
                found = self._traces.get(number)
                if found is not None and not found.done():
                    found.set_result(messages)
            case wire.DoorFailed(text):
                log.error("front door: %s", text)
            case wire.DoorCounters():
                pass
            case _:
                log.error("front door sent %s", type(message).__name__)
                process.kill()

    def _forget_traces(self) -> None:
        for found in self._traces.values():
            if not found.done():
                found.set_result(())

    # -------------------------------------------------------------------------------------------------- process

    def _hand_over(self, process: DoorProcess) -> None:
        assert self._inner is not None
        options = self._options
        settings = wire.DoorSettings(
            inner_address=join_address(*self._inner.getsockname()),
            listeners=self.addresses,
            public_address=options.public_address,
            secret=self._secret,
            user_agent=options.user_agent,
            trunks=self._trunks,
            phones=options.phones,
            open_networks=options.open_networks,
            limits=options.limits,
            tls=options.tls,
            control_pid=os.getpid(),
            session_min_se_s=options.session_min_se_s,
            has_100rel=options.has_100rel,
        )
        process.hand_over(settings, [self._inner, *(listener.sock for listener in self._listeners)])

    def _lost(self, process: DoorProcess, reason: str) -> None:
        if process is not self._process or not self._is_open:
            return
        was_serving = process.is_serving
        self._past = _sum(self._past, process.counters)
        self._process = None
        self._forget_traces()
        if not was_serving and self._watch_timer is None:
            return  # it has never served: `start` tells
        log.error("front door (process %d) lost: %s", process.pid, reason)
        if not was_serving:
            self._lengthen_delay()
        self._on_lost(reason)
        self._timer = self._loop.call_later(0.0 if was_serving else self._delay_s, self._restart)

    def _restart(self) -> None:
        if not self._is_open or self._process is not None:
            return
        self.restarts += 1
        try:
            process = self._process = self._spare.take() or DoorProcess(self._receive, self._lost)
        except OSError as error:
            log.error("front door could not be started: %s", error)  # noqa: TRY400 - the text says it all
            self._lengthen_delay()
            self._timer = self._loop.call_later(self._delay_s, self._restart)
            return
        try:
            self._hand_over(process)
        except (OSError, wire.WireError) as error:
            log.error("front door (process %d) cannot be told what to do: %s", process.pid, error)  # noqa: TRY400 - the same
            process.kill()  # `_lost` follows
            return
        try:
            self._on_restart()
        finally:
            process.send(wire.DoorWorkers(self._workers))  # it begins with this

    def _lengthen_delay(self) -> None:
        self._delay_s = min(max(_RESTART_DELAY_S, 2 * self._delay_s), _MAX_RESTART_DELAY_S)

    def _watch(self) -> None:
        """Kill one that hangs, unless it was our own loop that did."""
        is_late = self._loop.time() - self._watch_due > _STALL_S
        process = self._process
        if process is not None:
            now = time.monotonic()
            if is_late:
                process.last_seen = now
            if now - process.last_seen > (_SILENCE_S if process.is_serving else _READY_TIMEOUT_S):
                log.error("front door (process %d) is silent", process.pid)
                process.kill()
        self._watch_due = self._loop.time() + _WATCH_S
        self._watch_timer = self._loop.call_at(self._watch_due, self._watch)


def _sum(one: wire.DoorCounters, other: wire.DoorCounters) -> wire.DoorCounters:
    return wire.DoorCounters(
        one.received + other.received,
        one.sent + other.sent,
        one.dropped + other.dropped,
        one.refused + other.refused,
        other.connections,
    )


def _text(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
