"""One thread that waits for sockets and deadlines, and one lock that everything it runs is under."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

Action = Callable[[], None]


class Timer:
    """A deadline that can be called off."""

    __slots__ = ("_action", "at_s")

    def __init__(self, at_s: float, action: Action) -> None:
        self.at_s = at_s
        self._action: Action | None = action

    def cancel(self) -> None:
        """Do nothing when the deadline comes; safe at any time."""
        self._action = None

    def fire(self) -> None:
        """Run the action, once."""
        action, self._action = self._action, None
        if action is not None:
            action()


class Loop:
    """Runs actions one at a time on its own thread, each under `changed`, and notifies the waiters after them.

    Other threads hold `changed` while they look at or touch what the actions touch.
    Times are `time.monotonic()` seconds.
    """

    def __init__(self, name: str) -> None:
        self.changed = threading.Condition()
        self.failures: list[Exception] = []
        """What an action raised: always a bug of ours."""
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.settimeout(0)
        self._wake_out.settimeout(0)
        self._is_stopping = False
        self._watched: set[socket.socket] = set()
        self.watch(self._wake_in, self._drain)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, before_closing: Action = lambda: None) -> None:
        """End the thread, run `before_closing`, close what is the loop's own. Not for the loop's thread."""
        with self.changed:
            self._is_stopping = True
        self._wake()
        self._thread.join()
        before_closing()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def call_at(self, at_s: float, action: Action) -> Timer:
        """Run `action` at the monotonic time `at_s`, at once when that is past."""
        timer = Timer(at_s, action)
        with self.changed:
            heapq.heappush(self._timers, (at_s, next(self._order), timer))
        if threading.current_thread() is not self._thread:
            self._wake()
        return timer

    def call_later(self, delay_s: float, action: Action) -> Timer:
        """Run `action` after `delay_s` seconds."""
        return self.call_at(time.monotonic() + delay_s, action)

    def watch(self, sock: socket.socket, action: Action) -> None:
        """Run `action` whenever `sock` can be read."""
        self._watched.add(sock)
        self._selector.register(sock, selectors.EVENT_READ, action)

    def unwatch(self, sock: socket.socket) -> None:
        """Watch `sock` no longer."""
        self._watched.discard(sock)
        self._selector.unregister(sock)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # a full pipe wakes as well
            self._wake_out.send(b"\0")

    def _drain(self) -> None:
        self._wake_in.recv(4096)

    def _run(self) -> None:
        while not self._is_stopping:
            ready = self._selector.select(self._until_next_timer_s())
            with self.changed:
                for key, _ in ready:
                    if key.fileobj in self._watched:  # an earlier action may have closed it
                        self._guarded(key.data)
                self._fire_due()
                self.changed.notify_all()

    def _until_next_timer_s(self) -> float | None:
        with self.changed:
            return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _fire_due(self) -> None:
        now_s = time.monotonic()
        while self._timers and self._timers[0][0] <= now_s:
            self._guarded(heapq.heappop(self._timers)[2].fire)

    def _guarded(self, action: Action) -> None:
        try:
            action()
        except Exception as failure:
            logger.exception("an action of the phone failed")
            self.failures.append(failure)
