"""Digits: what of a key press is one press, the digits that wait for a reader, and the reader. Pure: time is an argument, in seconds."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

DIGITS: Final = "0123456789*#ABCD"
"""The keys of a telephone, in the order of their event codes (RFC 4733 table 3)."""
ANY: Final = "any"
"""For `is_among`: every key."""
KEPT_DIGITS: Final = 100
"""Digits of one call that wait for a reader; further presses are told to listeners only."""

_SAME_PRESS_S: Final = 1.5
"""INFO is sent when the key comes up, RFC 4733 when it goes down: so far apart may one press arrive."""
_REMEMBERED: Final = 64


def is_among(digit: str, keys: str) -> bool:
    """Whether a key is one of `keys`: digits, `any`, or nothing."""
    return keys == ANY or digit in keys


@dataclass(slots=True)
class _Press:
    digit: str
    at_s: float
    ways: set[str]


class Presses:
    """Of one call: tells a new press from the same press that came by another way too (RFC 4733 events, SIP INFO, tones).

    The presses of one way are all different ones. So the third `5` of one way is the third `5` of the other, and a press is
    counted when its first way brings it.
    """

    def __init__(self) -> None:
        self._recent: deque[_Press] = deque(maxlen=_REMEMBERED)

    def is_new(self, digit: str, way: str, now_s: float) -> bool:
        """Take one press that came by this way."""
        while self._recent and self._recent[0].at_s < now_s - _SAME_PRESS_S:
            self._recent.popleft()
        for press in self._recent:
            if press.digit == digit and way not in press.ways:
                press.ways.add(way)
                return False
        self._recent.append(_Press(digit, now_s, {way}))
        return True


class DigitBuffer:
    """The digits of a call that nobody has read yet, the oldest first. Bounded: when it is full, further ones are lost."""

    __slots__ = ("_digits", "_size")

    def __init__(self, size: int = KEPT_DIGITS) -> None:
        self._digits: deque[str] = deque()
        self._size = size

    def __str__(self) -> str:
        return "".join(self._digits)

    def __len__(self) -> int:
        return len(self._digits)

    def press(self, digit: str) -> bool:
        """Keep a digit; False when there is no room."""
        if len(self._digits) >= self._size:
            return False
        self._digits.append(digit)
        return True

    def take(self) -> str:
        """The oldest digit, which is gone then; empty when there is none."""
        return self._digits.popleft() if self._digits else ""

    def clear(self) -> None:
        """Forget all."""
        self._digits.clear()

    def has_one_of(self, keys: str) -> bool:
        """Whether one of these keys waits."""
        return any(is_among(digit, keys) for digit in self._digits)


class Ended(StrEnum):
    """What ended the reading."""

    LENGTH = "length"
    KEY = "key"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class Rules:
    """When a reading is over. Times of 0 do not count."""

    length: int
    """So many digits are read at most; 0: any number."""
    finish_keys: str = ""
    """Keys that end it, or `any`."""
    keeps_key: bool = False
    """Whether the finish key is one of the digits."""
    whole_s: float = 0.0
    first_s: float = 0.0
    between_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """Digits as they are read, from `begin` to the moment that `ended` is set. The same machine for action lists and handlers."""

    rules: Rules
    begun_s: float
    waits_since_s: float
    digits: str = ""
    ended: Ended | None = None

    @classmethod
    def begin(cls, rules: Rules, now_s: float) -> Reading:
        """Nothing is read yet."""
        return cls(rules, now_s, now_s)

    @property
    def deadline_s(self) -> float | None:
        """When `expire` ends it unless a digit comes before; `None`: never."""
        rules = self.rules
        pause_s = rules.between_s if self.digits else rules.first_s
        ends = [begun_s + limit_s for begun_s, limit_s in ((self.begun_s, rules.whole_s), (self.waits_since_s, pause_s)) if limit_s > 0]
        return min(ends, default=None)

    def press(self, digit: str, now_s: float) -> Reading:
        """A digit is read."""
        if self.ended:
            return self
        rules = self.rules
        if is_among(digit, rules.finish_keys):
            return replace(self, digits=self.digits + (digit if rules.keeps_key else ""), ended=Ended.KEY)
        digits = self.digits + digit
        return replace(self, digits=digits, waits_since_s=now_s, ended=Ended.LENGTH if len(digits) == rules.length else None)

    def expire(self, now_s: float) -> Reading:
        """Time has passed."""
        deadline_s = self.deadline_s
        is_late = not self.ended and deadline_s is not None and now_s >= deadline_s
        return replace(self, ended=Ended.TIMEOUT) if is_late else self
