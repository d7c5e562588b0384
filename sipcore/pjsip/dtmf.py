"""Digits that legs send, one at a time and by our own clock: PJSIP's queue holds 32, and knows no silence between two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import pjsua2 as pj

from sipcore import engine

from .siptext import readable

_METHODS: Final = {"rfc4733": pj.PJSUA_DTMF_METHOD_RFC2833, "info": pj.PJSUA_DTMF_METHOD_SIP_INFO}
_EVENT_PERIOD_MS: Final = 240
"""The least that PJSIP takes for one event, measured."""
_EVENT_END_MS: Final = 40
"""For the end of an event, which is sent three times (RFC 4733 §2.5.1.4)."""
_NOT_NEGOTIATED: Final = "PJMEDIA_RTP_EREMNORFC2833"
WAYS: Final = {method: way for way, method in _METHODS.items()}
"""What PJSIP says of a digit that came, as `Presses` has it."""


class Sender(Protocol):
    """What is needed of a leg."""

    has_media: bool

    def sendDtmf(self, prm: Any) -> None:
        """PJSIP's."""


@dataclass(slots=True)
class _Sending:
    order: engine.SendDigits
    sent: int
    due_s: float
    """When the next digit is due, or the end of the last."""


class DigitDesk:
    """What is sent to the far ends of one worker, and for which of them somebody waits.

    Attributes:
        next_due_s: When `tend` has something to do (monotonic seconds); `None`: nothing.
    """

    def __init__(self, legs: Mapping[str, Sender], emit: Callable[[engine.Event], None]) -> None:
        self.next_due_s: float | None = None
        self._legs = legs
        self._emit = emit
        self._sending: dict[str, _Sending] = {}
        self._free_at_s: dict[str, float] = {}
        """When PJSIP is done with the last digit of a leg."""
        self._awaited: set[str] = set()

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a digit."""
        return bool(self._awaited)

    def obey(self, command: engine.SendDigits | engine.StopDigits | engine.AwaitDigits, now_s: float) -> None:
        """Carry out a command; one for a leg that is not there is ignored."""
        if command.call_id not in self._legs:
            return
        match command:
            case engine.SendDigits():
                self._end(command.call_id, error="replaced")
                self._sending[command.call_id] = _Sending(command, 0, max(now_s, self._free_at_s.get(command.call_id, 0.0)))
                self.tend(now_s)
            case engine.StopDigits(call_id, send_id):
                if (sending := self._sending.get(call_id)) and sending.order.send_id == send_id:
                    del self._sending[call_id]
            case engine.AwaitDigits(call_id, is_awaited):
                (self._awaited.add if is_awaited else self._awaited.discard)(call_id)

    def remove(self, call_id: str) -> None:
        """The leg is over."""
        self._sending.pop(call_id, None)
        self._free_at_s.pop(call_id, None)
        self._awaited.discard(call_id)

    def refuse(self, call_id: str, error: str) -> None:
        """The far end refused a digit that was sent as INFO: no further ones are sent."""
        if (sending := self._sending.get(call_id)) and sending.order.mode == "info":
            self._end(call_id, error)

    def tend(self, now_s: float) -> None:
        """Send what is due."""
        for call_id, sending in list(self._sending.items()):
            if sending.due_s <= now_s:
                self._go_on(call_id, sending, now_s)
        self.next_due_s = min((sending.due_s for sending in self._sending.values()), default=None)

    def _go_on(self, call_id: str, sending: _Sending, now_s: float) -> None:
        order = sending.order
        if sending.sent == len(order.digits):
            self._end(call_id)
            return
        if error := _press(self._legs[call_id], order.digits[sending.sent], order):
            self._end(call_id, error)
            return
        sending.sent += 1
        # Late is late: the distance to the next is kept, so that no two presses run into each other.
        sending.due_s = self._free_at_s[call_id] = now_s + _period_ms(order) / 1000

    def _end(self, call_id: str, error: str = "") -> None:
        if sending := self._sending.pop(call_id, None):
            self._emit(engine.DigitsSent(call_id, sending.order.send_id, error))


def _period_ms(order: engine.SendDigits) -> int:
    """From one press to the next: no shorter than PJSIP takes for one, or its queue would fill."""
    asked_ms = order.duration_ms + order.interval_ms
    return max(asked_ms, order.duration_ms + _EVENT_END_MS, _EVENT_PERIOD_MS) if order.mode == "rfc4733" else asked_ms


def _press(leg: Sender, digit: str, order: engine.SendDigits) -> str:
    """Send one digit; why it could not be."""
    if not leg.has_media:
        return "the call has no audio"
    press = pj.CallSendDtmfParam()
    press.method, press.digits, press.duration = _METHODS[order.mode], digit, order.duration_ms
    try:
        leg.sendDtmf(press)
    except pj.Error as error:
        return engine.NO_TELEPHONE_EVENT if _NOT_NEGOTIATED in error.reason else readable(error.reason)
    return ""
