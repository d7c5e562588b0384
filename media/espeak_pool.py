"""A few speaking children: started when needed, one request at a time each, replaced when they fail."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from .cancel import SLICE_S, Cancellation
from .errors import Cancelled
from .espeak_process import Answer, ChildDied, EspeakProcess

START_TIMEOUT_S = 10.0
"""A start takes 0.1 s; this is for a machine that swaps."""


class EspeakPool:
    """At most ``size`` children running ``command``, each replaced after ``recycle_after`` requests."""

    def __init__(
        self, command: Sequence[str], *, size: int, timeout_s: float, recycle_after: int, on_greeting: Callable[[Answer], None]
    ) -> None:
        self._command = tuple(command)
        self._size = size
        self._timeout_s = timeout_s
        self._recycle_after = recycle_after
        self._on_greeting = on_greeting
        self._changed = threading.Condition()
        self._idle: list[EspeakProcess] = []
        self._busy: set[EspeakProcess] = set()
        self._reserved = 0
        self._is_closed = False

    def pids(self) -> list[int]:
        """Return the process ids of the children now running."""
        with self._changed:
            return [child.pid for child in (*self._idle, *self._busy)]

    def start_one(self, cancellation: Cancellation) -> None:
        """Make sure that a child was up at least once, so that its greeting has been seen."""
        with self._child(cancellation):
            pass

    def ask(self, message: dict[str, Any], cancellation: Cancellation) -> Answer:
        """Have one child answer. A child that died is replaced and asked once more; one that hangs is replaced, not asked again.

        Raises:
            SynthesisFailed: no answer in time, nonsense, or dead twice.
            Cancelled: ``cancellation`` was set or the pool closed.
        """
        request = {**message, "timeout_s": self._timeout_s}
        try:
            return self._ask_once(request, cancellation)
        except ChildDied:
            return self._ask_once(request, cancellation)

    def close(self) -> None:
        """Kill what works, stop what idles, and wait until all are gone. Later requests are :class:`Cancelled`."""
        with self._changed:
            self._is_closed = True
            for child in self._busy:
                child.signal_end()
            idle, self._idle = self._idle, []
            self._changed.notify_all()
        for child in idle:
            child.stop()
        with self._changed:
            while self._reserved:
                self._changed.wait()

    def _ask_once(self, message: dict[str, Any], cancellation: Cancellation) -> Answer:
        with self._child(cancellation) as child:
            return child.ask(message, self._timeout_s, cancellation)

    @contextmanager
    def _child(self, cancellation: Cancellation) -> Iterator[EspeakProcess]:
        """Lend a child. Whatever goes wrong meanwhile, its state is unknown then, so it is killed."""
        child = self._take(cancellation)
        try:
            if child is None:
                child = self._start(cancellation)
            yield child
        except BaseException as error:
            self._give_back(child, is_sound=False)
            if self._is_closed and isinstance(error, ChildDied):
                raise Cancelled from error
            raise
        self._give_back(child, is_sound=True)

    def _take(self, cancellation: Cancellation) -> EspeakProcess | None:
        """Reserve a place; None means: start a child for it."""
        with self._changed:
            while True:
                cancellation.check()
                if self._is_closed:
                    raise Cancelled
                if self._reserved < self._size:
                    break
                self._changed.wait(SLICE_S)
            self._reserved += 1
            child = self._idle.pop() if self._idle else None
            if child is not None:
                self._busy.add(child)
            return child

    def _start(self, cancellation: Cancellation) -> EspeakProcess:
        child = EspeakProcess(self._command)
        try:
            with self._changed:
                self._busy.add(child)
                if self._is_closed:  # close() did not see this child
                    child.signal_end()
            self._on_greeting(child.receive(START_TIMEOUT_S, cancellation))
        except BaseException:
            with self._changed:
                self._busy.discard(child)
            child.kill()
            raise
        return child

    def _give_back(self, child: EspeakProcess | None, *, is_sound: bool) -> None:
        with self._changed:
            keep = child is not None and is_sound and not self._is_closed and child.requests < self._recycle_after
            if child is not None:
                self._busy.discard(child)
                if keep:
                    self._idle.append(child)
        if child is not None and not keep:
            child.stop() if is_sound else child.kill()
        with self._changed:
            self._reserved -= 1
            self._changed.notify_all()
