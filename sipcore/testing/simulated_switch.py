"""The `Switch` of a simulation: the same methods, on virtual time."""

from __future__ import annotations

import inspect
import queue
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sipcore.actions import ListItem
from sipcore.errors import SwitchClosed
from sipcore.inbound import HANDLER_LEGS
from sipcore.sync import Switch

if TYPE_CHECKING:
    from sipcore.testing.simulation import Simulation

Result = TypeVar("Result")
Item = TypeVar("Item")


class SimulatedSwitch(Switch):
    """A switch of which each method that waits lets virtual time pass.

    `on_call` takes an `async def` handler as `AsyncSwitch` does, which gets an `AsyncCall`, and a plain function as `Switch` does. Of plain
    functions only one runs at a time; one that calls `time.sleep` stops the simulation for so long: `Simulation.sleep` is meant.
    """

    def __init__(self, simulation: Simulation, **settings: Any) -> None:
        super().__init__(**settings)
        self.asynchronous = self._switch
        """The same as an `AsyncSwitch`, for stories that are coroutines."""
        self._simulation = simulation
        self._is_open = False

    def open(self) -> None:
        """Open the store; done by the simulation."""
        if not self._is_open:
            self._simulation.run(self._switch.open())
            self._is_open = True

    def close(self) -> None:
        """Hang up what is still up. Idempotent."""
        if self._is_open:
            self._simulation.run(self._switch.close())
            self._is_open = False

    def on_call(
        self,
        *,
        to: str = "*",
        source: str = "*",
        trunk: str = "*",
        phone: str = "*",
        actions: Sequence[ListItem] | None = None,
        legs: int = HANDLER_LEGS,
    ) -> Any:
        """Take calls from outside; see `Switch.on_call`."""
        if actions is not None:
            return super().on_call(to=to, source=source, trunk=trunk, phone=phone, actions=actions)
        given = {"to": to, "source": source, "trunk": trunk, "phone": phone}

        def decorate(handler: Callable[..., Any]) -> Callable[..., Any]:
            if inspect.iscoroutinefunction(handler):
                self._on_loop(lambda: self._switch.on_call(**given, legs=legs)(handler))
            else:
                super(SimulatedSwitch, self).on_call(**given, legs=legs)(handler)
            return handler

        return decorate

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end; time passes meanwhile."""
        loop = self._simulation.loop
        if threading.current_thread() is not self._simulation.thread:
            return loop.ask(work)
        if loop.is_running():
            work.close()
            raise SwitchClosed("a listener cannot wait for the switch")
        return self._simulation.run(work)

    def next_of(self, waiting: queue.SimpleQueue[Item]) -> Item:
        """What comes there next; time passes meanwhile."""
        if waiting.empty():
            self.run(self._simulation.until(lambda: not waiting.empty()))
        return waiting.get_nowait()
