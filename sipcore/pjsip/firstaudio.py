"""Tells when the first RTP packet of a leg has come, for those who have asked: PJSIP has no callback for it, so it is looked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from sipcore import engine

_LOOK_EVERY_S: Final = 0.01


class Listener(Protocol):
    """What is needed of a leg."""

    @property
    def has_media(self) -> bool:
        """Whether there is a stream."""

    @property
    def received_packets(self) -> int:
        """RTP packets of the stream that runs now."""


class FirstAudioDesk:
    """Of the legs of one worker.

    Attributes:
        next_due_s: When `tend` has something to do (monotonic seconds); `None`: nothing.
    """

    def __init__(self, legs: Mapping[str, Listener], emit: Callable[[engine.Event], None]) -> None:
        self.next_due_s: float | None = None
        self._legs = legs
        self._emit = emit
        self._awaited: set[str] = set()

    def await_audio(self, call_id: str, now_s: float) -> None:
        """See `engine.AwaitAudio`."""
        if call_id in self._legs:
            self._awaited.add(call_id)
            self._plan(now_s)

    def remove(self, call_id: str) -> None:
        """The leg is over."""
        self._awaited.discard(call_id)

    def tend(self, now_s: float) -> None:
        """Look, when it is time."""
        for call_id in [call_id for call_id in self._awaited if self._has_come(call_id)]:
            self._awaited.remove(call_id)
            self._emit(engine.AudioArrived(call_id))
        self._plan(now_s)

    def _has_come(self, call_id: str) -> bool:
        leg = self._legs[call_id]
        return leg.has_media and leg.received_packets > 0

    def _plan(self, now_s: float) -> None:
        is_open = any(self._legs[call_id].has_media for call_id in self._awaited)
        self.next_due_s = now_s + _LOOK_EVERY_S if is_open else None
