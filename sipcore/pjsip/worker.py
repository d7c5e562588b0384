"""One worker: a process with one PJSIP endpoint, all of it on one thread, which sleeps until SIP, a command or a timer wakes it."""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
import traceback
from collections import deque
from typing import Any, Final

import pjsua2 as pj

from sipcore import engine, wire

from .accounts import AccountBook
from .endpoint import ExtraTransports, start_endpoint
from .idle import BridgeClock
from .leg import Leg
from .link import ControlLink
from .patch import PatchPanel
from .playback import PlayerPool
from .siptext import readable, uri_parameter
from .slots import slot_counter

HEARTBEAT_S: Final = 1.0
ORPHAN_GRACE_S: Final = 1.0
"""For the BYEs when the control process is gone: detection and this together stay under two seconds."""

SLOT_WAIT_S: Final = 40.0
"""For a slot of PJSIP to become free: more than the 32 s that the slowest transaction lasts (RFC 3261 timers B and F)."""

_IDLE_POLL_MS: Final = 1000
_BUSY_POLL_MS: Final = 100
"""With live legs: PJSIP queues a DTMF digit for this thread without waking it, so this is the longest it waits."""

_COLLECT_S: Final = 30.0


class Worker:
    """Carries out commands, reports events.

    Attributes:
        refused: Incoming calls on their way out.
        to_refuse: Those of them that have no answer yet.
    """

    def __init__(self, link: ControlLink, settings: wire.WorkerSettings) -> None:
        self.refused: set[Any] = set()
        self.to_refuse: deque[Any] = deque()
        self._link = link
        self._legs: dict[str, Leg] = {}
        self._endpoint, local = start_endpoint(settings)
        port = int(local.rpartition(":")[2])
        wake_host = "127.0.0.1" if settings.sip_host == "0.0.0.0" else settings.sip_host  # noqa: S104 - compared
        self._wake_address = (wake_host, port)
        self._wake_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._clock = BridgeClock(self._endpoint)
        self._transports = ExtraTransports(self._endpoint, settings)
        self._accounts = AccountBook(self, settings)
        self._patch = PatchPanel(self._legs, PlayerPool(self._wake), self.emit)
        self._end_at: float | None = None
        self._slots = slot_counter()
        self._lingering = 0
        self._waiting: deque[tuple[float, Leg]] = deque()
        link.send(wire.WorkerReady(os.getpid(), local, wake_host, port))

    # --------------------------------------------------------------------------------------------- for the legs

    def emit(self, event: engine.Event) -> None:
        """Send an event to the control process."""
        self._link.send(event)

    def report_fault(self, where: str, details: str) -> None:
        """For the guard: an `EngineFault` of no particular call."""
        self.emit(engine.EngineFault("", f"{where}: {details}"))

    def media_changed(self, leg: Leg) -> None:
        """See `LegOwner`."""
        self._patch.connect(leg)

    def leg_over(self, leg: Leg) -> None:
        """See `LegOwner`."""
        self._legs.pop(leg.dial.call_id, None)
        if self._waiting:
            self._waiting = deque(entry for entry in self._waiting if entry[1] is not leg)
        self._patch.remove(leg)

    def _wake(self) -> None:  # from any thread
        self._wake_socket.sendto(b"\r\n", self._wake_address)

    # -------------------------------------------------------------------------------------------------- the loop

    def run(self) -> None:
        """Until told to end, or until the control process is gone; then BYE for every leg, as long as the grace lasts."""
        next_beat = next_collect = time.monotonic()
        while not self._is_finished():
            self._endpoint.libHandleEvents(self._poll_ms(next_beat))
            while self.to_refuse:
                self.to_refuse.popleft().refuse()  # no name for it here: it must not outlive the answer
            for message in self._link.receive():
                self._obey(message)
            self._patch.tend()
            self._start_waiting()
            self._report_lingering()
            if self._legs:
                self._clock.run()
            else:
                self._clock.rest()
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + HEARTBEAT_S
                self._link.send(wire.Heartbeat(len(self._legs)))
            if now >= next_collect:  # automatic collection is off: it would run on PJSIP's threads too
                next_collect = now + _COLLECT_S
                gc.collect()
            self._link.flush()

    def _poll_ms(self, next_beat: float) -> int:
        longest_ms = _BUSY_POLL_MS if self._legs or self._lingering or self._end_at else _IDLE_POLL_MS
        due = min(next_beat, self._patch.next_burial or next_beat)
        return max(0, min(longest_ms, int((due - time.monotonic()) * 1000) + 1))

    def _is_finished(self) -> bool:
        if self._link.is_closed and self._end_at is None:
            self._hang_up_all(ORPHAN_GRACE_S)
        return self._end_at is not None and (self._busy_slots() == 0 or time.monotonic() >= self._end_at)

    def _busy_slots(self) -> int:
        return self._slots() if self._slots else len(self._legs)

    def _report_lingering(self) -> None:
        started = len(self._legs) - len(self._waiting)
        lingering = max(0, self._busy_slots() - started)
        if lingering != self._lingering:
            self._lingering = lingering
            self._link.send(wire.SlotsLingering(lingering))

    def _hang_up_all(self, grace_s: float) -> None:
        self._end_at = time.monotonic() + grace_s
        for leg in list(self._legs.values()):
            leg.hang_up()

    # ---------------------------------------------------------------------------------------------- the commands

    def _obey(self, message: wire.Message) -> None:
        try:
            match message:
                case engine.Dial():
                    self._dial(message)
                case engine.Hangup(call_id):
                    if leg := self._legs.get(call_id):
                        leg.hang_up()
                case engine.Play() | engine.StopPlay() | engine.Bridge() | engine.Unbridge():
                    self._patch.obey(message)
                case wire.Shutdown(grace_s):
                    self._hang_up_all(grace_s)
                case _:
                    self.report_fault("worker", f"not for a worker: {type(message).__name__}")
        except Exception:  # noqa: BLE001 - one command's failure never ends the others' calls
            self.emit(engine.EngineFault(getattr(message, "call_id", ""), traceback.format_exc(limit=8)))

    def _dial(self, dial: engine.Dial) -> None:
        if self._end_at is not None or dial.call_id in self._legs:
            self._refuse(dial, "the worker is shutting down" if self._end_at is not None else "dialled twice")
            return
        try:
            self._transports.need(uri_parameter(dial.account.route_uri or dial.request_uri, "transport"))
            account = self._accounts.account_for(dial.account, {leg.dial.account for leg in self._legs.values()})
        except (pj.Error, ValueError) as error:
            self._refuse(dial, readable(error.reason) if isinstance(error, pj.Error) else str(error))
            return
        self._clock.run()
        leg = self._legs[dial.call_id] = Leg(dial, account, self)
        if self._waiting or not leg.start():
            self._waiting.append((time.monotonic() + SLOT_WAIT_S, leg))

    def _start_waiting(self) -> None:
        """Dial those for whom PJSIP had no slot, in order, as slots become free."""
        while self._waiting:
            deadline, leg = self._waiting.popleft()
            if leg.start():
                continue
            if time.monotonic() < deadline:
                self._waiting.appendleft((deadline, leg))
                return
            leg.fail("PJSIP has no free call")

    def _refuse(self, dial: engine.Dial, reason: str) -> None:
        self.emit(engine.CallDisconnected(dial.call_id, 0, "", remote=True, error=reason))

    # --------------------------------------------------------------------------------------------------- the end

    def close(self) -> None:
        """Destroy the endpoint when no leg is left; PJSIP aborts otherwise, and then the process just ends."""
        self._link.flush()
        if self._busy_slots() or self._legs or self.refused:
            return
        self._patch.close()
        self._accounts.close()
        gc.collect()
        self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)


def main(sock: socket.socket, settings: wire.WorkerSettings) -> None:
    """Be a worker; never returns. Called in a freshly forked process that holds nothing but `sock`."""
    exit_code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the end comes through the socket, with BYE
            signal.signal(number, signal.SIG_IGN)
        gc.disable()
        link = ControlLink(sock, settings.control_pid)
        try:
            worker = Worker(link, settings)
        except pj.Error as error:
            link.send(wire.WorkerFailed(readable(f"{error.title}: {error.reason}")))
        else:
            worker.run()
            worker.close()
            exit_code = 0
    except BaseException:  # noqa: BLE001 - nothing may run on in the copy of the server
        traceback.print_exc()
    finally:
        os._exit(exit_code)
