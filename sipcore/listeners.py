"""Those who want to hear of events, and telling them so that one who fails hides nothing from the others."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sipcore.events import CallEvent

log = logging.getLogger(__name__)

Listener = Callable[[CallEvent], None]


class Listeners:
    """Listeners in the order in which they came."""

    def __init__(self) -> None:
        self._all: list[Listener] = []

    def add(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` every event from now on; returns the function that stops it, as often as it is called."""
        self._all.append(listener)
        return lambda: self._all.remove(listener) if listener in self._all else None

    def tell(self, event: CallEvent) -> None:
        """Tell everybody who listens now."""
        for listener in tuple(self._all):
            try:
                listener(event)
            except Exception:
                log.exception("call %s: a listener failed on %s", event.call_id, type(event).__name__)
