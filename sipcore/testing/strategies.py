"""Hypothesis strategies for the order of events: what far ends do, and what happens to a call meanwhile. Needs the package `hypothesis`.

@given(far_ends(), happenings())
def test_my_flow_ends_whatever_happens(far_end, happening):
    with Simulation() as simulation:
        simulation.engine.far_end("bob", far_end)
        call = simulation.switch.calls.create(destination="sip:bob@192.0.2.9", actions=MY_FLOW)
        play(simulation, call.id, happening)
        simulation.run()
        assert call.record.is_over
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from sipcore import engine as wire
from sipcore.testing.fake_engine import Caller, FarEnd
from sipcore.testing.simulation import Simulation

DIGITS: Final = "0123456789*#ABCD"
REFUSALS: Final = (302, 400, 403, 404, 408, 480, 486, 488, 500, 503, 600, 603)
What = Literal["far end hangs up", "we hang up", "key", "far end holds", "far end resumes", "worker is lost"]
_WHAT: Final[tuple[What, ...]] = ("far end hangs up", "we hang up", "key", "far end holds", "far end resumes", "worker is lost")


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happens to a call, `after_s` seconds after the begin."""

    after_s: float
    what: What
    digit: str = ""
    """Of a key."""


def times_s(max_s: float = 60.0) -> SearchStrategy[float]:
    """Whole tenths of a second, so that much happens at the same moment."""
    return st.integers(0, round(max_s * 10)).map(lambda tenths: tenths / 10)


def far_ends(max_s: float = 60.0) -> SearchStrategy[FarEnd]:
    """Those that answer, refuse, never answer, say nothing at all, or answer what was cancelled."""
    return st.builds(
        FarEnd,
        ring_after_s=st.none() | times_s(max_s),
        ring_code=st.sampled_from((180, 183)),
        answer_after_s=st.none() | times_s(max_s),
        reject_code=st.just(0) | st.sampled_from(REFUSALS),
        hang_up_after_s=st.none() | times_s(max_s),
        digits=st.text(DIGITS, max_size=4),
        digits_after_s=times_s(max_s),
        is_silent=st.booleans(),
        has_late_answer=st.booleans(),
    )


def callers(max_s: float = 60.0) -> SearchStrategy[Caller]:
    """Those that give up, hang up, press keys, offer late, or never acknowledge."""
    return st.builds(
        Caller,
        cancel_after_s=st.none() | times_s(max_s),
        hang_up_after_s=st.none() | times_s(max_s),
        digits=st.text(DIGITS, max_size=4),
        digits_after_s=times_s(max_s),
        acknowledges=st.booleans(),
        has_late_offer=st.booleans(),
    )


def happenings(max_s: float = 60.0, max_size: int = 6, what: Sequence[What] = _WHAT) -> SearchStrategy[list[Happening]]:
    """What happens to one call, in any order."""
    return st.lists(st.builds(Happening, times_s(max_s), st.sampled_from(what), st.sampled_from(DIGITS)), max_size=max_size)


def play(simulation: Simulation, call_id: str, story: Sequence[Happening]) -> None:
    """Let it happen, from now on; what comes after the end of the call is nothing."""
    for happening in story:
        simulation.add(_happen(simulation, call_id, happening), f"{happening.what} after {happening.after_s:g} s")


async def _happen(simulation: Simulation, call_id: str, happening: Happening) -> None:
    await asyncio.sleep(happening.after_s)
    engine = simulation.engine
    if not engine.is_up(call_id):
        return
    match happening.what:
        case "far end hangs up":
            engine.hang_up_remote(call_id)
        case "we hang up":
            await simulation.switch.asynchronous.calls.hangup(call_id)
        case "key":
            engine.press(call_id, happening.digit)
        case "far end holds" | "far end resumes":
            engine.tell(wire.HoldChanged(call_id, is_held=happening.what == "far end holds"))
        case "worker is lost":
            engine.lose_worker(call_id)
