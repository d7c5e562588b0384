"""Calls from outside until they have a leg: who is expected, and what was ordered for them meanwhile. No PJSIP in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sipcore import engine
from sipcore.wire import ExpectCall


@dataclass(slots=True)
class _Expected:
    order: ExpectCall
    until_s: float
    commands: list[engine.CallCommand] = field(default_factory=list)


class Arrivals:
    """Times are monotonic seconds."""

    def __init__(self) -> None:
        self._expected: dict[str, _Expected] = {}

    def expect(self, order: ExpectCall, now_s: float) -> None:
        """An INVITE is on its way."""
        self._expected[order.call_id] = _Expected(order, now_s + order.timeout_s)

    def keep(self, command: engine.CallCommand) -> bool:
        """Keep a command for a call that is expected.

        Returns:
            Whether there is one.
        """
        expected = self._expected.get(command.call_id)
        if expected is not None:
            expected.commands.append(command)
        return expected is not None

    def srtp_of(self, call_id: str) -> str:
        """How a call that is expected wants its keys; `off` for a stranger."""
        expected = self._expected.get(call_id)
        return expected.order.srtp if expected else "off"

    def take(self, call_id: str) -> tuple[ExpectCall, list[engine.CallCommand]] | None:
        """The call is here: what was expected, and the commands for it in their order. `None` for a stranger, or a second INVITE."""
        expected = self._expected.pop(call_id, None)
        return (expected.order, expected.commands) if expected else None

    def overdue(self, now_s: float) -> list[str]:
        """The calls whose INVITE did not come in time; they are forgotten."""
        late = [call_id for call_id, expected in self._expected.items() if expected.until_s <= now_s]
        for call_id in late:
            del self._expected[call_id]
        return late

    @property
    def next_due_s(self) -> float | None:
        """When `overdue` has something to say; `None`: nobody is expected."""
        return min((expected.until_s for expected in self._expected.values()), default=None)

    def clear(self) -> list[str]:
        """Forget everybody, at the end of the worker; who was expected."""
        call_ids = list(self._expected)
        self._expected.clear()
        return call_ids
