"""Registrations at providers: each in a worker for lines, moved to another when that one dies."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from sipcore import engine

from .lines import LineBook

log = logging.getLogger(__name__)


class Staff(Protocol):
    """Where workers come from: the crew."""

    @property
    def may_start_worker(self) -> bool:
        """False while a start would fail as the last one did."""

    def start_line_worker(self) -> int:
        """Start a worker for registrations, or raise OSError."""

    def retire(self, worker_id: int) -> None:
        """End a worker that holds nothing."""


class Registrar:
    """Carries out `Register` and `Unregister`, and passes on what becomes of them."""

    def __init__(
        self, staff: Staff, send: Callable[[int, engine.Register | engine.Unregister], None], tell: Callable[[engine.Event], None]
    ) -> None:
        """`send(worker_id, command)` brings a command to a worker, `tell(event)` an event upwards."""
        self._staff = staff
        self._send = send
        self._tell = tell
        self._book = LineBook()

    def submit(self, command: engine.Register | engine.Unregister) -> None:
        """Carry out one of the two. A registration that has no worker yet gets one, now or at the next `tend`."""
        worker_id = self._book.put(command) if isinstance(command, engine.Register) else self._book.remove(command.trunk)
        if worker_id is not None:
            self._send(worker_id, command)
        self.tend()

    def is_news(self, worker_id: int, event: engine.RegistrationChanged) -> bool:
        """A worker tells how a registration stands. False: it is not this worker's, and nobody shall hear of it."""
        return self._book.change(event.trunk, worker_id, is_registered=event.is_registered)

    def lost(self, worker_id: int) -> None:
        """A worker is gone. `tend` finds another for its registrations."""
        for trunk in self._book.lose(worker_id):
            self._tell(engine.RegistrationChanged(trunk, is_registered=False, sip_code=0, sip_phrase="worker lost"))

    def tend(self) -> None:
        """Give a worker to the registrations that have none, and end the workers that have no registration."""
        for register in self._book.unplaced():
            if (worker_id := self._room()) is None:
                return
            self._book.assign(register.trunk, worker_id)
            self._send(worker_id, register)
        for worker_id in self._book.empty():
            self._book.lose(worker_id)
            self._staff.retire(worker_id)

    def _room(self) -> int | None:
        worker_id = self._book.worker_with_room()
        if worker_id is None and self._staff.may_start_worker:
            try:
                worker_id = self._staff.start_line_worker()
            except OSError as error:
                log.error("no worker for registrations: %s", error)  # noqa: TRY400 - the text says it all
                return None
            self._book.open(worker_id)
        return worker_id
