"""When the calls of a load test begin, and plans that cannot be carried out."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.errors import InvalidRequest
from sipcore.load.plan import LoadLimits, LoadPlan, arrivals, check_plan, legs_wanted

LIMITS = LoadLimits(max_legs=10, legs_per_call=1, max_duration_s=100.0)


def test_calls_begin_evenly_at_the_rate():
    assert list(arrivals(LoadPlan("sip:a@b", calls=5, rate=2.0))) == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_the_rate_rises_evenly_within_the_ramp():
    moments = list(arrivals(LoadPlan("sip:a@b", calls=60, rate=10.0, ramp_s=4.0)))
    within = [moment for moment in moments if moment < 4.0]
    assert len(within) == 20  # half of what the full rate would bring
    assert sum(moment < 2.0 for moment in within) == 5
    after = [moment for moment in moments if moment >= 4.0]
    assert after[0] == 4.0
    assert all(later - earlier == pytest.approx(0.1) for earlier, later in pairwise(after))


def test_random_moments_are_those_of_the_seed_and_of_the_rate():
    plan = LoadPlan("sip:a@b", calls=5000, rate=20.0, is_poisson=True, seed=7)
    moments = list(arrivals(plan))
    assert moments == list(arrivals(plan))
    assert moments[-1] == pytest.approx(250.0, rel=0.1)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    variance = sum((gap - 0.05) ** 2 for gap in gaps) / len(gaps)
    assert variance == pytest.approx(0.05**2, rel=0.2), "exponential: the deviation is the mean"


@given(st.integers(1, 200), st.floats(0.01, 1000), st.floats(0, 60), st.booleans(), st.integers())
def test_there_are_as_many_moments_as_calls_and_they_rise(calls: int, rate: float, ramp_s: float, is_poisson: bool, seed: int):
    plan = LoadPlan("sip:a@b", calls=calls, rate=rate, ramp_s=ramp_s, is_poisson=is_poisson, seed=seed)
    moments = list(arrivals(plan))
    assert len(moments) == calls
    assert moments[0] == 0.0
    assert all(earlier <= later for earlier, later in pairwise(moments))


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        ({"destination": ""}, "destination: is missing"),
        ({"destination": ()}, "destination: is missing"),
        ({"calls": 0}, "calls: must be 1 to"),
        ({"rate": -1.0}, "rate: must be more than 0"),
        ({"rate": 0.0}, "rate: must be more than 0"),
        ({"rate": float("nan")}, "rate: must be more than 0"),
        ({"hold_s": 101.0}, "hold_s: must be 0 to 100, the max_duration_s of the switch, not 101"),
        ({"hold_s": -1.0}, "hold_s: must be"),
        ({"ramp_s": float("inf")}, "ramp_s: must be"),
        ({"concurrent": 11}, "concurrent: must be 0 to 10, not 11: 10 legs of the switch (max_legs) hold 10 calls"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(keywords: dict, told: str):
    with pytest.raises(InvalidRequest) as error:
        check_plan(LoadPlan(**{"destination": "sip:a@b", **keywords}), LIMITS)
    assert told in str(error.value)


def test_every_fault_of_a_plan_is_named_at_once():
    with pytest.raises(InvalidRequest) as error:
        check_plan(LoadPlan("", calls=0, rate=-1, hold_s=-1), LIMITS)
    assert [fault.path for fault in error.value.faults] == ["destination", "calls", "rate", "hold_s"]


def test_a_call_that_never_fits_is_refused():
    with pytest.raises(InvalidRequest, match="actions: need 11 legs a call, and the switch has max_legs = 10"):
        check_plan(LoadPlan("sip:a@b"), LoadLimits(10, 11, 100.0))


def test_legs_for_a_plan():
    assert legs_wanted(LoadPlan("sip:a@b", calls=3, rate=50.0, hold_s=10.0), 1) == 3
    assert legs_wanted(LoadPlan("sip:a@b", calls=500, rate=3.0, hold_s=10.0), 2) == 120
    assert legs_wanted(LoadPlan("sip:a@b", calls=500, rate=3.0, concurrent=7), 1) == 7
    assert legs_wanted(LoadPlan("sip:a@b", calls=5, rate=3.0, concurrent=7), 1) == 7, "as many as were asked for"
