"""What a load test is to do: how many calls, how fast, how long, and when each of them begins. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sipcore.errors import Fault, InvalidRequest

MAX_CALLS: Final = 1_000_000
MAX_RATE: Final = 1000.0
MAX_RAMP_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """A load test. Calls begin at their times, whether those before have been answered or not (open loop)."""

    destination: str | Sequence[str]
    """Who is called; of several each in turn."""
    calls: int = 10
    """How many calls are placed."""
    rate: float = 1.0
    """How many begin in a second."""
    hold_s: float = 10.0
    """How long a call lasts after its answer, in seconds; 0: until its actions are done."""
    ramp_s: float = 0.0
    """The rate rises evenly from 0 for so long."""
    concurrent: int = 0
    """The most calls at once: one that is too many begins later, and is reported as late; 0: as many as the switch has room for."""
    is_poisson: bool = False
    """Begin at random moments, as callers do, at this rate in the mean; else evenly."""
    seed: int = 0
    """Of the random moments: the same seed, the same moments."""
    actions: Sequence[Any] = ()
    """What each call does after its answer, as `actions` of `calls.create`."""
    source: Any = None
    trunk: str | None = None
    variables: Mapping[str, str] | None = None

    @property
    def destinations(self) -> tuple[str, ...]:
        """Who is called."""
        return (self.destination,) if isinstance(self.destination, str) else tuple(self.destination)


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """What the switch that carries it allows."""

    max_legs: int
    legs_per_call: int
    max_duration_s: float

    @property
    def max_concurrent(self) -> int:
        """The most calls at once."""
        return self.max_legs // self.legs_per_call


def check_plan(plan: LoadPlan, limits: LoadLimits) -> None:
    """Whether a plan can be carried out.

    Raises:
        InvalidRequest: it cannot; names every fault.
    """
    faults = [Fault(name, text) for name, text in _faults(plan, limits)]
    if faults:
        raise InvalidRequest(faults)


def _faults(plan: LoadPlan, limits: LoadLimits) -> Iterator[tuple[str, str]]:
    if not plan.destinations or not all(plan.destinations):
        yield "destination", "is missing: whom shall the calls go to?"
    if not 1 <= plan.calls <= MAX_CALLS:
        yield "calls", f"must be 1 to {MAX_CALLS}, not {plan.calls}"
    if not 0 < plan.rate <= MAX_RATE:
        yield "rate", f"must be more than 0 and at most {MAX_RATE:g} calls a second, not {plan.rate:g}"
    if not 0 <= plan.hold_s <= limits.max_duration_s:
        yield "hold_s", f"must be 0 to {limits.max_duration_s:g}, the max_duration_s of the switch, not {plan.hold_s:g}"
    if not 0 <= plan.ramp_s <= MAX_RAMP_S:
        yield "ramp_s", f"must be 0 to {MAX_RAMP_S:g}, not {plan.ramp_s:g}"
    if limits.max_concurrent < 1:
        yield "actions", f"need {limits.legs_per_call} legs a call, and the switch has max_legs = {limits.max_legs}"
    elif not 0 <= plan.concurrent <= limits.max_concurrent:
        room = f"{limits.max_legs} legs of the switch (max_legs) hold {limits.max_concurrent} calls"
        yield "concurrent", f"must be 0 to {limits.max_concurrent}, not {plan.concurrent}: {room}"


def arrivals(plan: LoadPlan) -> Iterator[float]:
    """When each call begins, in seconds after the first moment; rising."""
    chance = random.Random(plan.seed)  # noqa: S311 - no secret
    ramped = plan.rate * plan.ramp_s / 2  # calls within the ramp
    position = 0.0
    for _ in range(plan.calls):
        if position < ramped:
            yield math.sqrt(2 * position * plan.ramp_s / plan.rate)
        else:
            yield plan.ramp_s + (position - ramped) / plan.rate
        position += chance.expovariate(1.0) if plan.is_poisson else 1.0


def legs_wanted(plan: LoadPlan, legs_per_call: int, setup_s: float = 5.0) -> int:
    """How many legs a plan can need at once: Little's law, with calls that take `setup_s` to be answered, and a third to spare."""
    expected = math.ceil(min(plan.calls, plan.rate * (plan.hold_s + setup_s) * 4 / 3))
    return max(1, plan.concurrent or expected) * legs_per_call
