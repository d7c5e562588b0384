"""The event loop of a simulation: virtual time, work that would go to other threads done in its turn, and an end to waiting for ever."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from sipcore.testing.clock import Deadlock, VirtualLoop

Result = TypeVar("Result")

_PATIENCE_S: Final = 30.0
"""Of the real clock: a handler that has neither asked the switch for something nor ended by then waits for something else."""
_WAITING: Final = frozenset({threading.__file__, queue.__file__})
"""Where threads wait; who called that is the news."""


class _Turn:
    """Whose turn it is, of one thread of the user's and the loop."""

    def __init__(self) -> None:
        self.is_resting = threading.Semaphore(0)
        self.answers: queue.SimpleQueue[asyncio.Task[Any]] = queue.SimpleQueue()
        self.thread: threading.Thread | None = None


class SimulatedLoop(VirtualLoop):
    """A `VirtualLoop` on which nothing runs beside anything else, so that the same story always goes the same way.

    Attributes:
        end_s: When time may not go on: whoever waits longer waits for ever.
        stuck: A thread of the user's that did not come back; the loop has been stopped for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.end_s = float("inf")
        self.stuck: Deadlock | None = None
        self._turns: dict[int, _Turn] = {}

    def jump(self, duration_s: float) -> None:
        """Let time pass.

        Raises:
            Deadlock: it would go on after `end_s`.
        """
        if self.time() + duration_s > self.end_s:
            raise Deadlock(f"nothing has come to an end by {self.end_s:g} s")
        super().jump(duration_s)

    def run_in_executor(self, executor: Any, func: Callable[..., Result], *args: Any) -> asyncio.Future[Result]:  # type: ignore[override]
        """Do it now."""
        del executor
        done: asyncio.Future[Result] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - for whoever awaits it
            done.set_exception(error)
        return done

    # Functions of the user that may block: they and the loop take turns.

    def start_user_thread(self, run: Callable[[], None], name: str) -> None:
        """Run it on a thread, and go on when it has asked the switch for something, or ended."""
        turn = _Turn()

        def whole() -> None:
            self._turns[threading.get_ident()] = turn
            try:
                run()
            finally:
                del self._turns[threading.get_ident()]
                turn.is_resting.release()

        turn.thread = threading.Thread(target=whole, name=name, daemon=True)
        turn.thread.start()
        self._wait_for(turn)

    def ask(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Have a coroutine run, from a thread of `start_user_thread`, and wait for it."""
        turn = self._turns.get(threading.get_ident())
        if turn is None:
            work.close()
            raise RuntimeError("only the thread of the simulation and its handlers may ask the simulated switch for something")

        def begin() -> None:
            self.create_task(work).add_done_callback(lambda task: self._give(turn, task))

        self.call_soon_threadsafe(begin)
        turn.is_resting.release()
        return turn.answers.get().result()  # type: ignore[no-any-return]

    def _give(self, turn: _Turn, task: asyncio.Task[Any]) -> None:
        turn.answers.put(task)
        self._wait_for(turn)

    def _wait_for(self, turn: _Turn) -> None:
        if not turn.is_resting.acquire(timeout=_PATIENCE_S):
            assert turn.thread is not None
            frame = sys._current_frames().get(turn.thread.ident or 0)  # noqa: SLF001 - the only way to see another thread's stack
            while frame is not None and frame.f_code.co_filename in _WAITING:
                frame = frame.f_back
            where = "" if frame is None else "".join(traceback.format_stack(frame)[-1:])
            self.stuck = Deadlock(
                f"{turn.thread.name} waits outside of the simulation, {_PATIENCE_S:g} s of the real clock by now:\n{where}"
            )
            self.stop()
