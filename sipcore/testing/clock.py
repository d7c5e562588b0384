"""Virtual time: an event loop on which an hour of calls takes milliseconds, and a deadlock is an error instead of a hang.

Nothing sleeps here: when every task waits for a timer, the loop's time jumps to it. While work runs on an executor thread (files, the call
store) time stands still, so that its result arrives "at once". When nothing is left that could ever happen, `Deadlock` is raised.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

Result = TypeVar("Result")

START = datetime(2030, 1, 1, tzinfo=UTC)


class Deadlock(RuntimeError):
    """Every task waits for something that cannot happen any more."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time jumps from timer to timer."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._threads_at_work = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now_s

    def run_in_executor(self, executor: Any, func: Callable[..., Result], *args: Any) -> asyncio.Future[Result]:  # type: ignore[override]
        """As asyncio's; time stands still until the work is done."""
        self._threads_at_work += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._thread_is_back)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's own name
        """As asyncio's, which waits for a thread that no executor knows of."""
        del timeout
        self._threads_at_work += 1
        await super().shutdown_default_executor()
        self._threads_at_work -= 1

    @property
    def has_threads_at_work(self) -> bool:
        """Whether an executor thread still works for us."""
        return self._threads_at_work > 0

    def jump(self, duration_s: float) -> None:
        """Let time pass."""
        self._now_s += duration_s

    def _thread_is_back(self, _: object) -> None:
        self._threads_at_work -= 1


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if self._loop.has_threads_at_work:
            return super().select(None)
        if timeout is None:
            raise Deadlock("every task waits, and no timer, thread or socket is left to wake one")
        self._loop.jump(timeout)
        return ready


class VirtualClock:
    """The time of day on a `VirtualLoop`: it starts at 2030-01-01 00:00:00 UTC."""

    def now(self) -> datetime:
        """The time now."""
        return START + timedelta(seconds=asyncio.get_running_loop().time())


def run_virtual(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end on virtual time.

    Raises:
        Deadlock: it waits for something that cannot happen.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
