"""One worker: a process with one PJSIP endpoint, all of it on one thread, which sleeps until SIP, a command or a timer wakes it."""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
import traceback
from collections import deque
from typing import Final

import pjsua2 as pj

from sipcore import engine, wire

from .accounts import AccountPlaces
from .endpoint import WorkerEndpoint, start_endpoint
from .idle import BridgeClock
from .legs import Legs
from .link import ControlLink
from .registrations import Registrations
from .siptext import readable
from .slots import slot_counter

HEARTBEAT_S: Final = 1.0
ORPHAN_GRACE_S: Final = 1.0
"""For the BYEs when the control process is gone: detection and this together stay under two seconds."""

_IDLE_POLL_MS: Final = 1000
_BUSY_POLL_MS: Final = 100
"""With live legs: PJSIP queues a DTMF digit for this thread without waking it, so this is the longest it waits."""
_AWAITED_POLL_MS: Final = 10
"""While somebody waits for a digit."""

_COLLECT_S: Final = 30.0


class Worker:
    """Carries out commands, reports events.

    Attributes:
        settings: What it was told at its start.
    """

    def __init__(self, link: ControlLink, settings: wire.WorkerSettings) -> None:
        self.settings = settings
        self._link = link
        self._inbox: deque[wire.Message] = deque()
        self._endpoint = WorkerEndpoint(self)
        local = start_endpoint(self._endpoint, settings)
        port = int(local.rpartition(":")[2])
        wake_host = "127.0.0.1" if settings.sip_host == "0.0.0.0" else settings.sip_host  # noqa: S104 - compared
        self._wake_address = (wake_host, port)
        self._wake_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._clock = BridgeClock(self._endpoint)
        places = AccountPlaces()
        self._legs = Legs(self, places)
        self._registrations = Registrations(self, f"{wake_host}:{port}", places)
        self._end_at: float | None = None
        self._slots = slot_counter()
        self._lingering = 0
        link.send(wire.WorkerReady(os.getpid(), local, wake_host, port))

    # ------------------------------------------------------------------------------------ for legs and the endpoint

    def emit(self, event: engine.Event) -> None:
        """Send an event to the control process."""
        if isinstance(event, engine.CallDisconnected):  # first, or the next call would be sent to a slot that is not free yet
            self._lingering += 1
            self._link.send(wire.SlotsLingering(self._lingering))
        self._link.send(event)

    def report_fault(self, where: str, details: str) -> None:
        """For the guard: an `EngineFault` of no particular call."""
        self.emit(engine.EngineFault("", f"{where}: {details}"))

    def account_id_for(self, invite: str) -> int:
        """PJSIP's number of the account that a request from outside belongs to."""
        return self._legs.account_id_for(invite)

    def rejected(self, invite: str, code: int, phrase: str) -> None:
        """PJSIP has refused an INVITE by itself."""
        self._legs.rejected(invite, code, phrase)

    def wake(self) -> None:
        """From any thread."""
        self._wake_socket.sendto(b"\r\n", self._wake_address)

    def read_ahead(self) -> None:
        """See `legs.Host`: an `ExpectCall` was written before its INVITE, so it is here by now."""
        for message in self._link.receive():
            if isinstance(message, wire.ExpectCall):
                self._legs.expect(message)
            else:
                self._inbox.append(message)

    def obey_first(self, commands: list[engine.CallCommand]) -> None:
        """See `legs.Host`."""
        self._inbox.extendleft(reversed(commands))

    # -------------------------------------------------------------------------------------------------- the loop

    def run(self) -> None:
        """Until told to end, or until the control process is gone; then BYE for every leg, as long as the grace lasts."""
        next_beat = next_collect = time.monotonic()
        while not self._is_finished():
            self._endpoint.libHandleEvents(self._poll_ms(next_beat))
            if self._legs.count:
                self._clock.run()
            self._legs.clear_up()
            self.read_ahead()
            while self._inbox:
                self._obey(self._inbox.popleft())
            self._legs.tend()
            self._registrations.tend(time.monotonic())
            self._report_lingering()
            if not self._legs.count:
                self._clock.rest()
            now = time.monotonic()
            if now >= next_beat:
                next_beat = now + HEARTBEAT_S
                self._link.send(wire.Heartbeat(self._legs.count))
            if now >= next_collect:  # automatic collection is off: it would run on PJSIP's threads too
                next_collect = now + _COLLECT_S
                gc.collect()
            self._link.flush()

    def _poll_ms(self, next_beat: float) -> int:
        longest_ms = _BUSY_POLL_MS if self._legs.count or self._lingering or self._end_at else _IDLE_POLL_MS
        if self._legs.awaits_digits:
            longest_ms = _AWAITED_POLL_MS
        due = min(next_beat, self._legs.next_due_s or next_beat, self._registrations.next_due_s or next_beat)
        return max(0, min(longest_ms, int((due - time.monotonic()) * 1000) + 1))

    def _is_finished(self) -> bool:
        if self._link.is_closed and self._end_at is None:
            self._end(ORPHAN_GRACE_S)
        if self._end_at is None:
            return False
        return (self._busy_slots() == 0 and self._registrations.is_empty) or time.monotonic() >= self._end_at

    def _busy_slots(self) -> int:
        return self._slots() if self._slots else self._legs.count

    def _report_lingering(self) -> None:
        lingering = max(0, self._busy_slots() - self._legs.started)
        if lingering != self._lingering:
            self._lingering = lingering
            self._link.send(wire.SlotsLingering(lingering))

    def _end(self, grace_s: float) -> None:
        self._end_at = time.monotonic() + grace_s
        self._legs.hang_up_all()
        self._registrations.take_all_back()

    def _obey(self, message: wire.Message) -> None:
        try:
            match message:
                case engine.Register():
                    self._registrations.register(message)
                case engine.Unregister(trunk):
                    self._registrations.unregister(trunk)
                case engine.Dial():
                    self._clock.run()
                    self._legs.obey(message)
                case _ if isinstance(message, engine.CallCommand):
                    self._legs.obey(message)
                case wire.Shutdown(grace_s):
                    self._end(grace_s)
                case _:
                    self.report_fault("worker", f"not for a worker: {type(message).__name__}")
        except Exception:  # noqa: BLE001 - one command's failure never ends the others' calls
            self.emit(engine.EngineFault(getattr(message, "call_id", ""), traceback.format_exc(limit=8)))

    # --------------------------------------------------------------------------------------------------- the end

    def close(self) -> None:
        """Destroy the endpoint when no leg is left; PJSIP aborts otherwise, and then the process just ends."""
        self._link.flush()
        if self._busy_slots() or not self._legs.is_empty:
            return
        self._legs.close()
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
