"""Which worker keeps which registration alive. Pure.

Registrations live in workers of their own: a worker full of calls may die of one of them, and PJSIP's table of accounts is small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sipcore.engine import Register

LINES_PER_WORKER: Final = 6
"""PJSIP's table holds 8 accounts; one is the worker's own, one is spare."""


@dataclass(slots=True)
class _Line:
    register: Register
    worker_id: int | None = None
    is_registered: bool = False


class LineBook:
    """Registrations by the name of their trunk, and the workers that hold them."""

    def __init__(self, lines_per_worker: int = LINES_PER_WORKER) -> None:
        self._lines_per_worker = lines_per_worker
        self._lines: dict[str, _Line] = {}
        self._taken: dict[int, set[str]] = {}  # worker -> trunks, those that are being taken back included

    def put(self, register: Register) -> int | None:
        """Keep a registration, or replace what it asks for. Returns its worker; `None` when it has none yet."""
        line = self._lines.setdefault(register.trunk, _Line(register))
        line.register = register
        return line.worker_id

    def unplaced(self) -> list[Register]:
        """Those without a worker."""
        return [line.register for line in self._lines.values() if line.worker_id is None]

    def open(self, worker_id: int) -> None:
        """A worker for lines is being started."""
        self._taken[worker_id] = set()

    def worker_with_room(self) -> int | None:
        """The fullest worker that can take one more."""
        fitting = [worker_id for worker_id, trunks in self._taken.items() if len(trunks) < self._lines_per_worker]
        return max(fitting, key=lambda worker_id: len(self._taken[worker_id]), default=None)

    def assign(self, trunk: str, worker_id: int) -> None:
        """Put a line that has no worker into this one, which has room."""
        self._lines[trunk].worker_id = worker_id
        self._taken[worker_id].add(trunk)

    def change(self, trunk: str, worker_id: int, *, is_registered: bool) -> bool:
        """A worker told how a registration stands. False: it is not this worker's, and nobody shall hear of it."""
        if trunk not in self._taken.get(worker_id, ()):
            return False
        line = self._lines.get(trunk)
        if line is not None and line.worker_id == worker_id:
            line.is_registered = is_registered
        elif not is_registered:
            self._taken[worker_id].discard(trunk)  # taken back
        return True

    def remove(self, trunk: str) -> int | None:
        """Forget a registration. Returns the worker that is to take it back, which is not free until it has; `None`: there is none."""
        line = self._lines.pop(trunk, None)
        return line.worker_id if line else None

    def lose(self, worker_id: int) -> list[str]:
        """A worker is gone: its lines have none now. Returns those that were registered."""
        self._taken.pop(worker_id, None)
        lost = {trunk: line for trunk, line in self._lines.items() if line.worker_id == worker_id}
        registered = [trunk for trunk, line in lost.items() if line.is_registered]
        for line in lost.values():
            line.worker_id, line.is_registered = None, False
        return registered

    def empty(self) -> list[int]:
        """Workers that hold no line any more: they may end. Follow with `lose`."""
        return [worker_id for worker_id, trunks in self._taken.items() if not trunks]
