"""Who hears whom while a call connects: one `connect` as a pure machine.

The A-leg rings every destination at once. The first answer wins and is bridged, the others are ended; a second answer that
crosses our CANCEL is ended too. When the bridged leg ends, when every leg has failed, or when time is up, the
machine finishes, exactly once.

    RINGING --answered--> BRIDGED --its leg ended--> FINISHED
       |------all ended, time is up, A is gone--------^

Inputs go in, steps come out; whoever runs it carries the steps out in order. No clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never


class Phase(StrEnum):
    """Where a connect is."""

    RINGING = "ringing"
    BRIDGED = "bridged"
    FINISHED = "finished"


class Outcome(StrEnum):
    """How a connect finished."""

    BRIDGED = "bridged"
    """Somebody answered, and the two were connected until the other side went."""
    NOBODY = "nobody"
    """Every leg was refused or failed."""
    TIMEOUT = "timeout"
    """Nobody answered in time."""
    ABANDONED = "abandoned"
    """The call itself ended."""


# ------------------------------------------------------------------------------------------------------- inputs


@dataclass(frozen=True, slots=True)
class LegAnswered:
    """A ringing leg was answered."""

    leg_id: str


@dataclass(frozen=True, slots=True)
class LegEnded:
    """A leg is over, for whatever reason."""

    leg_id: str


@dataclass(frozen=True, slots=True)
class TimeIsUp:
    """Nobody answered within the time given."""


@dataclass(frozen=True, slots=True)
class CallerGone:
    """The A-leg is over."""


Input = LegAnswered | LegEnded | TimeIsUp | CallerGone

# -------------------------------------------------------------------------------------------------------- steps


@dataclass(frozen=True, slots=True)
class HangUpLeg:
    """End this leg: CANCEL when it rings, BYE when it was answered."""

    leg_id: str
    is_timeout: bool = False


@dataclass(frozen=True, slots=True)
class Join:
    """Stop the ringback and let the A-leg and this leg hear each other."""

    leg_id: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The connect is over; the A-leg goes on with its next action."""

    outcome: Outcome


Step = HangUpLeg | Join | Finish

# -------------------------------------------------------------------------------------------------------- rules


@dataclass(frozen=True, slots=True)
class Connecting:
    """One connect. `legs` maps each leg to whether it is still up."""

    legs: Mapping[str, bool]
    phase: Phase = Phase.RINGING
    peer_id: str = field(default="")
    """The leg that won."""

    @classmethod
    def of(cls, leg_ids: list[str]) -> Connecting:
        """A connect that rings these legs; at least one."""
        assert leg_ids, "a connect rings at least one leg"
        return cls(dict.fromkeys(leg_ids, True))

    def handle(self, given: Input) -> tuple[Connecting, tuple[Step, ...]]:
        """What one input changes, and what to do about it."""
        match given:
            case LegAnswered():
                return self._answered(given.leg_id)
            case LegEnded():
                return self._ended(given.leg_id)
            case TimeIsUp():
                return _finish(self, Outcome.TIMEOUT, is_timeout=True) if self.phase is Phase.RINGING else (self, ())
            case CallerGone():
                return _finish(self, Outcome.ABANDONED)
            case _:
                assert_never(given)

    def _answered(self, leg_id: str) -> tuple[Connecting, tuple[Step, ...]]:
        if not self.legs.get(leg_id) or leg_id == self.peer_id:
            return self, ()
        if self.phase is not Phase.RINGING:
            return self, (HangUpLeg(leg_id),)
        losers = tuple(HangUpLeg(other) for other, is_up in self.legs.items() if is_up and other != leg_id)
        return replace(self, phase=Phase.BRIDGED, peer_id=leg_id), (Join(leg_id), *losers)

    def _ended(self, leg_id: str) -> tuple[Connecting, tuple[Step, ...]]:
        if not self.legs.get(leg_id):
            return self, ()
        left = replace(self, legs={**self.legs, leg_id: False})
        if self.phase is Phase.BRIDGED and leg_id == self.peer_id:
            return _finish(left, Outcome.BRIDGED)
        if self.phase is Phase.RINGING and not any(left.legs.values()):
            return _finish(left, Outcome.NOBODY)
        return left, ()


def _finish(connecting: Connecting, outcome: Outcome, *, is_timeout: bool = False) -> tuple[Connecting, tuple[Step, ...]]:
    if connecting.phase is Phase.FINISHED:
        return connecting, ()
    endings = tuple(HangUpLeg(leg_id, is_timeout) for leg_id, is_up in connecting.legs.items() if is_up)
    return replace(connecting, phase=Phase.FINISHED), (*endings, Finish(outcome))
