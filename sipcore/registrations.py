"""Our registrations at trunks: asked for while the switch is open, and how each is."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from sipcore.clock import Clock
from sipcore.engine import Command, Register, RegistrationChanged, Unregister
from sipcore.events import Registration

log = logging.getLogger(__name__)

Listener = Callable[[Registration], None]


class Registrations:
    """The registrations of one switch."""

    def __init__(self, wanted: Iterable[Register], submit: Callable[[Command], None], clock: Clock) -> None:
        self.states: dict[str, Registration] = {}
        """By trunk, how it is now."""
        self._wanted = {register.trunk: register for register in wanted}
        self._submit = submit
        self._clock = clock
        self._listeners: list[Listener] = []

    def open(self) -> None:
        """Ask for every one."""
        for name, register in self._wanted.items():
            self.states[name] = Registration(name, self._clock.now(), is_registered=False, sip_code=0, sip_phrase="", expires_s=0)
            self._submit(register)

    def close(self) -> None:
        """Take every one back."""
        while self._wanted:
            self._submit(Unregister(self._wanted.popitem()[0]))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every change; returns the function that stops it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def take(self, event: RegistrationChanged) -> None:
        """Take news of the engine, and tell it."""
        expires_s = event.expires_s if event.is_registered else 0
        state = Registration(event.trunk, self._clock.now(), event.is_registered, event.sip_code, event.sip_phrase, expires_s)
        self.states[event.trunk] = state
        is_lost = not event.is_registered and event.trunk in self._wanted
        said = "registered" if event.is_registered else "not registered"
        log.log(logging.WARNING if is_lost else logging.INFO, "trunk %s: %s: %s %s", event.trunk, said, event.sip_code, event.sip_phrase)
        for listener in tuple(self._listeners):
            try:
                listener(state)
            except Exception:
                log.exception("trunk %s: a listener failed on its registration", event.trunk)
