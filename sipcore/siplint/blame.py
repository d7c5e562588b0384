"""Makes findings."""

from __future__ import annotations

from dataclasses import dataclass

from sipcore.siplint.finding import RULES, Finding
from sipcore.siplint.reading import Seen


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things may take, in seconds."""

    patience_s: float = 32.0
    """For an answer or an ACK: 64 T1, timers B, F and H of RFC 3261."""
    ringback_s: float | None = None
    """For the first 180 or 183, or the answer, to an INVITE; `None`: any time."""


def about(rule: str, seen: Seen, text: str, *, is_ours: bool | None = None) -> Finding:
    """A finding about a message; its sender is to blame unless something else is said."""
    return Finding(rule, RULES[rule].section, seen.index, seen.time, text, seen.is_sent if is_ours is None else is_ours)


def about_call(rule: str, at: float, text: str) -> Finding:
    """A finding about a call of ours."""
    return Finding(rule, RULES[rule].section, -1, at, text, is_ours=True)
