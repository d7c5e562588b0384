"""A front door in reserve: a process that has imported everything and waits for settings and sockets."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from sipcore import wire

from .door_process import DoorProcess

log = logging.getLogger(__name__)

_DELAY_S: Final = 2.0
"""After the front door is ready: a script that makes one call does not pay for a spare."""
_MAX_DELAY_S: Final = 60.0
_SETTLED_S: Final = 30.0
"""One that has waited for so long can be started: what it died of is no reason to wait before the next."""


class DoorSpare:
    """At most one process that waits. Its callbacks are those of the process that it becomes."""

    def __init__(self, on_message: Callable[[DoorProcess, wire.Message], None], on_lost: Callable[[DoorProcess, str], None]) -> None:
        self._on_message = on_message
        self._on_lost = on_lost
        self._process: DoorProcess | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._delay_s = _DELAY_S
        self._begun = 0.0

    @property
    def pid(self) -> int:
        """The process that waits, 0 when there is none."""
        return self._process.pid if self._process else 0

    def prepare(self) -> None:
        """Start one in a moment, unless there is one."""
        if self._process is None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay_s, self._start)

    def take(self) -> DoorProcess | None:
        """The process, from now on the caller's; `None` when there is none that lives. `prepare` brings the next one."""
        self._cancel()
        process = self._process
        if process is None or process.has_ended:
            return None
        self._process = None
        self._delay_s = _DELAY_S
        log.info("front door: spare process %d takes over", process.pid)
        return process

    async def close(self) -> None:
        """End it. Idempotent."""
        self._cancel()
        process, self._process = self._process, None
        if process is not None:
            await process.close()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self) -> None:
        self._timer = None
        self._begun = time.monotonic()
        try:
            self._process = DoorProcess(self._on_message, self._lost)
        except OSError as error:
            self._again(str(error))

    def _lost(self, process: DoorProcess, reason: str) -> None:
        if process is not self._process:
            self._on_lost(process, reason)
            return
        self._process = None
        self._again(reason)

    def _again(self, reason: str) -> None:
        log.warning("front door: no spare process: %s", reason)
        has_settled = time.monotonic() - self._begun > _SETTLED_S
        self._delay_s = _DELAY_S if has_settled else min(2 * self._delay_s, _MAX_DELAY_S)
        self.prepare()
