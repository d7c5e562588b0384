"""One connect as a pure machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.bridge import CallerGone, Connecting, Finish, HangUpLeg, Join, LegAnswered, LegEnded, Outcome, Phase, TimeIsUp


def play(connecting, *inputs):
    steps = []
    for given_input in inputs:
        connecting, more = connecting.handle(given_input)
        steps += more
    return connecting, steps


def test_first_answer_wins_and_losers_are_ended_after_it_is_joined():
    connecting, steps = play(Connecting.of(["a", "b", "c"]), LegAnswered("b"))
    assert steps == [Join("b"), HangUpLeg("a"), HangUpLeg("c")]
    assert (connecting.phase, connecting.peer_id) == (Phase.BRIDGED, "b")


def test_answer_that_crosses_our_cancel_is_ended_too():
    _, steps = play(Connecting.of(["a", "b"]), LegAnswered("b"), LegAnswered("a"), LegEnded("a"))
    assert steps == [Join("b"), HangUpLeg("a"), HangUpLeg("a")]


def test_answer_after_the_finish_is_ended():
    _, steps = play(Connecting.of(["a"]), TimeIsUp(), LegAnswered("a"))
    assert steps == [HangUpLeg("a", is_timeout=True), Finish(Outcome.TIMEOUT), HangUpLeg("a")]


def test_end_of_the_bridged_leg_finishes():
    _, steps = play(Connecting.of(["a", "b"]), LegAnswered("a"), LegEnded("b"), LegEnded("a"), LegEnded("a"))
    assert steps == [Join("a"), HangUpLeg("b"), Finish(Outcome.BRIDGED)]


def test_finishes_when_every_leg_has_failed():
    _, steps = play(Connecting.of(["a", "b"]), LegEnded("a"), LegEnded("b"), TimeIsUp(), CallerGone())
    assert steps == [Finish(Outcome.NOBODY)]


def test_time_up_counts_only_while_it_rings():
    _, steps = play(Connecting.of(["a"]), LegAnswered("a"), TimeIsUp())
    assert steps == [Join("a")]


@pytest.mark.parametrize("before", [(), (LegAnswered("a"),)])
def test_caller_gone_ends_every_leg(before):
    _, steps = play(Connecting.of(["a", "b"]), *before, CallerGone())
    assert steps[-3:] == [HangUpLeg("a"), HangUpLeg("b"), Finish(Outcome.ABANDONED)]


def test_unknown_legs_change_nothing():
    connecting = Connecting.of(["a"])
    assert connecting.handle(LegAnswered("x")) == (connecting, ())
    assert connecting.handle(LegEnded("x")) == (connecting, ())


def test_a_connect_needs_a_leg():
    with pytest.raises(AssertionError):
        Connecting.of([])


LEGS = ["a", "b", "c"]
INPUTS = st.one_of(
    st.builds(LegAnswered, st.sampled_from(LEGS)),
    st.builds(LegEnded, st.sampled_from(LEGS)),
    st.just(TimeIsUp()),
    st.just(CallerGone()),
)


@given(st.integers(1, 3), st.lists(INPUTS, max_size=14), st.sampled_from(["caller gone", "all ended"]))
def test_any_order_of_events_keeps_the_promises(legs, inputs, ending):
    names = LEGS[:legs]
    inputs = [*inputs, *([CallerGone()] if ending == "caller gone" else [LegEnded(name) for name in names])]
    connecting, steps, is_up = Connecting.of(names), [], dict.fromkeys(names, True)
    told: set[str] = set()
    for given_input in inputs:
        if isinstance(given_input, LegEnded) and given_input.leg_id in is_up:
            is_up[given_input.leg_id] = False
        was_finished = connecting.phase is Phase.FINISHED
        connecting, new = connecting.handle(given_input)
        for step in new:
            if isinstance(step, HangUpLeg):
                assert is_up[step.leg_id], "a leg that is over is left alone"
                assert step.leg_id != connecting.peer_id or connecting.phase is Phase.FINISHED
                told.add(step.leg_id)
            if isinstance(step, Join):
                assert is_up[step.leg_id]
                assert not was_finished
        if was_finished:
            assert not any(isinstance(step, Join | Finish) for step in new)
        steps += new
    kinds = [type(step) for step in steps]
    assert kinds.count(Join) <= 1
    assert kinds.count(Finish) == 1
    assert connecting.phase is Phase.FINISHED
    assert {name for name, up in is_up.items() if up} <= told
    if Join in kinds:
        before_join = steps[: kinds.index(Join)]
        assert not any(isinstance(step, HangUpLeg) for step in before_join), "losers are ended after the winner is joined"
        assert kinds.index(Join) < kinds.index(Finish)


@given(st.permutations([LegAnswered("a"), LegAnswered("b"), LegAnswered("c")]))
def test_whoever_answers_first_is_the_one(order):
    connecting, steps = play(Connecting.of(LEGS), *order)
    assert connecting.peer_id == order[0].leg_id
    assert [step for step in steps if isinstance(step, Join)] == [Join(order[0].leg_id)]
    assert {step.leg_id for step in steps if isinstance(step, HangUpLeg)} == set(LEGS) - {order[0].leg_id}
