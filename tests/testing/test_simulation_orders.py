"""Whatever far ends do, and whatever happens in whatever order: every call ends, once, and leaves nothing."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from sipcore import Answer, Connect, DigitsReceive, Sleep, Talk
from sipcore.events import CallCreated, CallHangup
from sipcore.testing import Simulation
from sipcore.testing.strategies import callers, far_ends, happenings, play

pytestmark = pytest.mark.slow
ACTIONS = [DigitsReceive(length=2, duration_ms=5000), Talk("hello"), Connect(["sip:carol@192.0.2.1"], timeout_s=20), Sleep(2000)]
few = settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow])


def check(simulation: Simulation) -> None:
    simulation.run()
    simulation.run_for(33)  # a far end that answers nothing keeps its leg as long as SIP retransmits (RFC 3261, timer F)
    happened = [traced.event for traced in simulation.trace]
    created = [event.call_id for event in happened if isinstance(event, CallCreated)]
    assert sorted(event.call_id for event in happened if isinstance(event, CallHangup)) == sorted(created)
    assert simulation.engine.legs_in_use == 0
    for call_id in created:
        record = simulation.switch.calls.get(call_id)
        assert record.is_over
        assert record.hangup_by
        assert record.hangup_reason


@few
@given(far_ends(30), far_ends(30), happenings(30), st.integers(0, 3))
def test_calls_that_are_placed(bob, carol, story, seed):
    with Simulation(seed, dial_timeout_s=20.0) as simulation:
        simulation.engine.far_end("bob", bob)
        simulation.engine.far_end("carol", carol)
        call = simulation.switch.calls.create(destination="sip:bob@192.0.2.9", actions=ACTIONS)
        play(simulation, call.id, story)
        check(simulation)


@few
@given(callers(30), far_ends(30), happenings(30), st.integers(0, 3))
def test_calls_that_come_in(caller, carol, story, seed):
    with Simulation(seed) as simulation:
        simulation.engine.far_end("carol", carol)
        simulation.switch.on_call(to="1000", actions=[Answer(), *ACTIONS])
        incoming = simulation.call_in("1000", caller=caller)
        simulation.run_for(0)
        play(simulation, incoming.call_id, story)
        check(simulation)
