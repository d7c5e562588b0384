"""Who hears whom while a call connects: one `connect` as a pure machine.

The A-leg rings its destinations, all at once or one after the other. The first that answers wins and is bridged, the others are ended;
where legs are asked before, the first that accepts wins. An answer that crosses our CANCEL is ended too. Until then the A-leg hears
ringback, or the early media of the one leg that has some. When the bridged leg ends, when every leg has failed, or when time is up, the
machine finishes, exactly once.

    RINGING --answered, accepted--> BRIDGED --its leg ended, time is up--> FINISHED
       |----------all ended, time is up, A is gone---------------------------^

Inputs go in, steps come out; whoever runs it carries the steps out in order. No clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never


class Phase(StrEnum):
    """Where a connect is."""

    RINGING = "ringing"
    BRIDGED = "bridged"
    FINISHED = "finished"


class LegPhase(StrEnum):
    """Where one of its legs is."""

    WAITING = "waiting"
    """Its turn has not come."""
    RINGING = "ringing"
    ASKED = "asked"
    """Answered, and asked whether it takes the call."""
    JOINED = "joined"
    ENDING = "ending"
    """We have asked for its end."""
    OVER = "over"


_CANDIDATES = frozenset({LegPhase.RINGING, LegPhase.ASKED})
_UP = _CANDIDATES | {LegPhase.JOINED}


class Outcome(StrEnum):
    """How a connect finished."""

    BRIDGED = "bridged"
    """Somebody answered, and the two were connected until the other side went or the time for it was over."""
    NOBODY = "nobody"
    """Every leg was refused, failed, rang too long or did not accept."""
    TIMEOUT = "timeout"
    """Nobody answered in time."""
    ABANDONED = "abandoned"
    """The call itself ended."""


class Why(StrEnum):
    """Why a leg is ended."""

    NOT_NEEDED = "not needed"
    ANSWERED_ELSEWHERE = "answered elsewhere"
    RANG_TOO_LONG = "rang too long"
    TALKED_TOO_LONG = "talked too long"


@dataclass(frozen=True, slots=True)
class Manner:
    """What a connect was asked to do otherwise than usual."""

    is_in_order: bool = False
    """One leg after the other, not all at once."""
    asks: bool = False
    """Whoever answers has to accept before he is bridged."""
    hears_early_media: bool = False
    is_unchained: bool = False
    """A bridged leg lives on when the A-leg ends."""


# ------------------------------------------------------------------------------------------------------- inputs


@dataclass(frozen=True, slots=True)
class Begin:
    """The first input, once."""


@dataclass(frozen=True, slots=True)
class EarlyMedia:
    """The audio of a leg is up; before its answer that is early media (RFC 3960)."""

    leg_id: str


@dataclass(frozen=True, slots=True)
class LegAnswered:
    """A ringing leg was answered."""

    leg_id: str


@dataclass(frozen=True, slots=True)
class LegAccepted:
    """A leg that was asked says yes."""

    leg_id: str


@dataclass(frozen=True, slots=True)
class LegTimeIsUp:
    """The time for this phase of a leg is over."""

    leg_id: str
    phase: LegPhase


@dataclass(frozen=True, slots=True)
class LegEnded:
    """A leg is over, for whatever reason."""

    leg_id: str


@dataclass(frozen=True, slots=True)
class TimeIsUp:
    """Nobody answered within the time given. Whoever is being asked may still accept."""


@dataclass(frozen=True, slots=True)
class TalkTimeIsUp:
    """The two have been connected for as long as they may."""


@dataclass(frozen=True, slots=True)
class CallerGone:
    """The A-leg is over."""


Input = Begin | EarlyMedia | LegAnswered | LegAccepted | LegTimeIsUp | LegEnded | TimeIsUp | TalkTimeIsUp | CallerGone

# -------------------------------------------------------------------------------------------------------- steps


@dataclass(frozen=True, slots=True)
class RingLegs:
    """Dial these."""

    leg_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hear:
    """Let the A-leg hear the early media of this leg in place of what it heard; empty: ringback again."""

    leg_id: str


@dataclass(frozen=True, slots=True)
class AskLeg:
    """Ask this leg whether it takes the call."""

    leg_id: str


@dataclass(frozen=True, slots=True)
class HangUpLeg:
    """End this leg: CANCEL when it rings, BYE when it was answered."""

    leg_id: str
    why: Why = Why.NOT_NEEDED


@dataclass(frozen=True, slots=True)
class Join:
    """Stop the ringback and let the A-leg and this leg hear each other, and nobody else."""

    leg_id: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The connect is over; the A-leg goes on with its next action."""

    outcome: Outcome


Step = RingLegs | Hear | AskLeg | HangUpLeg | Join | Finish

# -------------------------------------------------------------------------------------------------------- rules


@dataclass(frozen=True, slots=True)
class Connecting:
    """One connect, as it stands."""

    legs: Mapping[str, LegPhase]
    manner: Manner = Manner()
    phase: Phase = Phase.RINGING
    peer_id: str = field(default="")
    """The leg that won."""
    early: frozenset[str] = frozenset()
    """Legs that have had audio before their answer."""
    heard_id: str = field(default="")
    """The leg whose early media the A-leg hears."""
    is_time_up: bool = False

    @classmethod
    def of(cls, leg_ids: Sequence[str], manner: Manner = Manner()) -> Connecting:
        """A connect to these legs, in their order; at least one."""
        assert leg_ids, "a connect rings at least one leg"
        return cls(dict.fromkeys(leg_ids, LegPhase.WAITING), manner)

    def handle(self, given: Input) -> tuple[Connecting, tuple[Step, ...]]:
        """What one input changes, and what to do about it."""
        after, steps = _handled(self, given)
        if after.phase is Phase.RINGING and after.heard_id != (heard_id := _audible(after)):
            return replace(after, heard_id=heard_id), (*steps, Hear(heard_id))
        return after, steps


Result = tuple[Connecting, tuple[Step, ...]]


def _handled(one: Connecting, given: Input) -> Result:
    match given:
        case Begin():
            return _ring_next(one)
        case EarlyMedia():
            is_early = one.legs.get(given.leg_id) is LegPhase.RINGING
            return (replace(one, early=one.early | {given.leg_id}) if is_early else one), ()
        case LegAnswered():
            return _answered(one, given.leg_id)
        case LegAccepted():
            is_awaited = one.phase is Phase.RINGING and one.legs.get(given.leg_id) is LegPhase.ASKED
            return _join(one, given.leg_id) if is_awaited else (one, ())
        case LegTimeIsUp():
            return _leg_time_is_up(one, given)
        case LegEnded():
            return _ended(one, given.leg_id)
        case TimeIsUp():
            return _time_is_up(one)
        case TalkTimeIsUp():
            return _finish(one, Outcome.BRIDGED, Why.TALKED_TOO_LONG) if one.phase is Phase.BRIDGED else (one, ())
        case CallerGone():
            return _finish(one, Outcome.ABANDONED)
        case _:
            assert_never(given)


def _audible(one: Connecting) -> str:
    """The one leg whose early media is to be heard; with two of them, neither."""
    sounding = [leg_id for leg_id in one.early if one.legs[leg_id] is LegPhase.RINGING]
    return sounding[0] if len(sounding) == 1 and one.manner.hears_early_media else ""


def _in(one: Connecting, *phases: LegPhase) -> tuple[str, ...]:
    """The legs in these phases, in their order."""
    return tuple(leg_id for leg_id, phase in one.legs.items() if phase in phases)


def _moved(one: Connecting, to: LegPhase, *leg_ids: str) -> Connecting:
    return replace(one, legs={**one.legs, **dict.fromkeys(leg_ids, to)})


def _ring_next(one: Connecting) -> Result:
    waiting = _in(one, LegPhase.WAITING)
    leg_ids = waiting[:1] if one.manner.is_in_order else waiting
    return _moved(one, LegPhase.RINGING, *leg_ids), (RingLegs(leg_ids),)


def _answered(one: Connecting, leg_id: str) -> Result:
    phase = one.legs.get(leg_id)
    if phase is LegPhase.ENDING:
        return one, (HangUpLeg(leg_id),)
    if phase is not LegPhase.RINGING:
        return one, ()
    if one.manner.asks:
        return _moved(one, LegPhase.ASKED, leg_id), (AskLeg(leg_id),)
    return _join(one, leg_id)


def _join(one: Connecting, leg_id: str) -> Result:
    losers = tuple(other for other in _in(one, *_CANDIDATES) if other != leg_id)
    joined = _moved(_moved(one, LegPhase.ENDING, *losers), LegPhase.JOINED, leg_id)
    endings = (HangUpLeg(loser, Why.ANSWERED_ELSEWHERE) for loser in losers)
    return replace(joined, phase=Phase.BRIDGED, peer_id=leg_id), (Join(leg_id), *endings)


def _leg_time_is_up(one: Connecting, given: LegTimeIsUp) -> Result:
    if one.phase is not Phase.RINGING or one.legs.get(given.leg_id) is not given.phase:
        return one, ()
    why = Why.RANG_TOO_LONG if given.phase is LegPhase.RINGING else Why.NOT_NEEDED
    return _moved(one, LegPhase.ENDING, given.leg_id), (HangUpLeg(given.leg_id, why),)


def _time_is_up(one: Connecting) -> Result:
    if one.phase is not Phase.RINGING:
        return one, ()
    if not _in(one, LegPhase.ASKED):
        return _finish(one, Outcome.TIMEOUT, Why.RANG_TOO_LONG)
    ringing = _in(one, LegPhase.RINGING)
    steps = tuple(HangUpLeg(leg_id, Why.RANG_TOO_LONG) for leg_id in ringing)
    return replace(_moved(one, LegPhase.ENDING, *ringing), is_time_up=True), steps


def _ended(one: Connecting, leg_id: str) -> Result:
    if one.legs.get(leg_id) in {None, LegPhase.WAITING, LegPhase.OVER}:
        return one, ()
    left = _moved(one, LegPhase.OVER, leg_id)
    if one.phase is Phase.BRIDGED and leg_id == one.peer_id:
        return _finish(left, Outcome.BRIDGED)
    if one.phase is not Phase.RINGING or _in(left, *_CANDIDATES, LegPhase.ENDING):  # one that is ending still has its place
        return left, ()
    if _in(left, LegPhase.WAITING) and not one.is_time_up:
        return _ring_next(left)
    return _finish(left, Outcome.NOBODY)


def _finish(one: Connecting, outcome: Outcome, why: Why = Why.NOT_NEEDED) -> Result:
    if one.phase is Phase.FINISHED:
        return one, ()
    is_left_alone = outcome is Outcome.ABANDONED and one.manner.is_unchained
    leg_ids = _in(one, *(_CANDIDATES if is_left_alone else _UP))
    endings = tuple(HangUpLeg(leg_id, why) for leg_id in leg_ids)
    return replace(_moved(one, LegPhase.ENDING, *leg_ids), phase=Phase.FINISHED), (*endings, Finish(outcome))
