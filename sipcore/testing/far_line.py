"""What a far end of a simulation does with one call, as a function that reads top to bottom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from sipcore.engine import Dial
from sipcore.testing.fake_engine import FakeEngine, Heard

KEY_GAP_S: Final = 0.2


class FarLine:
    """One call at a far end: `await asyncio.sleep(3)` lets time pass, and so on until the call is over, which cancels the script.

    Attributes:
        call_id: The call as the switch knows it.
        uri: Who was called.
        from_uri: The From header.
    """

    def __init__(self, engine: FakeEngine, call_id: str, dial: Dial) -> None:
        self._engine = engine
        self.call_id, self.uri, self.from_uri = call_id, dial.request_uri, dial.from_uri
        self._is_answered = False

    def ring(self, sip_code: int = 180) -> None:
        """Ring; with 183 early media starts."""
        self._engine.ring(self.call_id, sip_code)

    def answer(self) -> None:
        """Answer; again is nothing."""
        if not self._is_answered:
            self._is_answered = True
            self._engine.answer(self.call_id)

    def reject(self, sip_code: int = 486, sip_phrase: str = "Busy Here") -> None:
        """Refuse the call."""
        self._engine.refuse(self.call_id, sip_code, sip_phrase)

    def hang_up(self) -> None:
        """Send BYE."""
        self._engine.hang_up_remote(self.call_id)

    async def press(self, digits: str, gap_s: float = KEY_GAP_S) -> None:
        """Press keys one after the other."""
        for digit in digits:
            self._engine.press(self.call_id, digit)
            await asyncio.sleep(gap_s)

    @property
    def heard(self) -> list[Heard]:
        """What was played to it, and whom it was bridged with, so far."""
        return self._engine.heard[self.call_id]

    @property
    def digits(self) -> str:
        """What was pressed for it by the switch."""
        return self._engine.keys.get(self.call_id, "")


FarEndScript = Callable[[FarLine], Awaitable[None]]
