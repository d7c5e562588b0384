"""One connect as a pure machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.bridge import (
    AskLeg,
    Begin,
    CallerGone,
    Connecting,
    EarlyMedia,
    Finish,
    HangUpLeg,
    Hear,
    Join,
    LegAccepted,
    LegAnswered,
    LegEnded,
    LegPhase,
    LegTimeIsUp,
    Manner,
    Outcome,
    Phase,
    RingLegs,
    TalkTimeIsUp,
    TimeIsUp,
    Why,
)

USUAL, IN_ORDER, ASKING = Manner(), Manner(is_in_order=True), Manner(asks=True)
EARLY, UNCHAINED = Manner(hears_early_media=True), Manner(is_unchained=True)


def play(connecting, *inputs):
    steps = []
    for given_input in inputs:
        connecting, more = connecting.handle(given_input)
        steps += more
    return connecting, steps


def begun(*legs, manner=USUAL):
    """A connect whose first steps are taken."""
    connecting, [ring] = Connecting.of(legs, manner).handle(Begin())
    assert ring == RingLegs(legs[:1] if manner.is_in_order else legs)
    return connecting


def elsewhere(leg_id):
    return HangUpLeg(leg_id, Why.ANSWERED_ELSEWHERE)


def rang_too_long(leg_id):
    return LegTimeIsUp(leg_id, LegPhase.RINGING)


def did_not_accept(leg_id):
    return LegTimeIsUp(leg_id, LegPhase.ASKED)


# ------------------------------------------------------------------------------------------------------ all at once


def test_first_answer_wins_and_losers_are_ended_after_it_is_joined():
    connecting, steps = play(begun("a", "b", "c"), LegAnswered("b"))
    assert steps == [Join("b"), elsewhere("a"), elsewhere("c")]
    assert (connecting.phase, connecting.peer_id) == (Phase.BRIDGED, "b")


def test_answer_that_crosses_our_cancel_is_ended_too():
    _, steps = play(begun("a", "b"), LegAnswered("b"), LegAnswered("a"), LegEnded("a"), LegAnswered("a"))
    assert steps == [Join("b"), elsewhere("a"), HangUpLeg("a")]


def test_answer_after_the_finish_is_ended():
    _, steps = play(begun("a"), TimeIsUp(), LegAnswered("a"))
    assert steps == [HangUpLeg("a", Why.RANG_TOO_LONG), Finish(Outcome.TIMEOUT), HangUpLeg("a")]


def test_end_of_the_bridged_leg_finishes():
    _, steps = play(begun("a", "b"), LegAnswered("a"), LegEnded("b"), LegEnded("a"), LegEnded("a"))
    assert steps == [Join("a"), elsewhere("b"), Finish(Outcome.BRIDGED)]


def test_finishes_when_every_leg_has_failed():
    _, steps = play(begun("a", "b"), LegEnded("a"), LegEnded("b"), TimeIsUp(), CallerGone())
    assert steps == [Finish(Outcome.NOBODY)]


def test_time_up_counts_only_while_it_rings():
    _, steps = play(begun("a"), LegAnswered("a"), TimeIsUp(), rang_too_long("a"))
    assert steps == [Join("a")]


@pytest.mark.parametrize("before", [(), (LegAnswered("a"),)])
def test_caller_gone_ends_every_leg(before):
    _, steps = play(begun("a", "b"), *before, CallerGone())
    assert {"a", "b"} == {step.leg_id for step in steps if isinstance(step, HangUpLeg)}
    assert steps[-1] == Finish(Outcome.ABANDONED)


def test_a_leg_that_rings_too_long_is_ended_and_the_others_ring_on():
    connecting, steps = play(begun("a", "b"), rang_too_long("a"), LegEnded("a"))
    assert steps == [HangUpLeg("a", Why.RANG_TOO_LONG)]
    assert play(connecting, LegAnswered("b"))[1] == [Join("b")]
    assert play(connecting, rang_too_long("b"))[1] == [HangUpLeg("b", Why.RANG_TOO_LONG)]
    assert play(connecting, rang_too_long("b"), LegEnded("b"))[1][1:] == [Finish(Outcome.NOBODY)]


def test_unknown_legs_change_nothing():
    connecting = begun("a")
    for stranger in (EarlyMedia("x"), LegAnswered("x"), LegAccepted("x"), rang_too_long("x"), LegEnded("x")):
        assert connecting.handle(stranger) == (connecting, ())


def test_a_connect_needs_a_leg():
    with pytest.raises(AssertionError):
        Connecting.of([])


# --------------------------------------------------------------------------------------------------------- in order


def test_in_order_the_next_one_rings_when_the_one_before_is_over():
    _, steps = play(begun("a", "b", "c", manner=IN_ORDER), LegEnded("a"), rang_too_long("b"), LegEnded("b"), LegAnswered("c"))
    assert steps == [RingLegs(("b",)), HangUpLeg("b", Why.RANG_TOO_LONG), RingLegs(("c",)), Join("c")]


def test_in_order_the_last_one_decides():
    _, steps = play(begun("a", "b", manner=IN_ORDER), LegEnded("a"), LegEnded("b"))
    assert steps == [RingLegs(("b",)), Finish(Outcome.NOBODY)]


def test_in_order_the_whole_time_ends_whoever_rings_and_nobody_is_rung_any_more():
    _, steps = play(begun("a", "b", manner=IN_ORDER), TimeIsUp(), LegEnded("a"))
    assert steps == [HangUpLeg("a", Why.RANG_TOO_LONG), Finish(Outcome.TIMEOUT)]


def test_in_order_the_answer_of_one_that_rang_too_long_does_not_win():
    _, steps = play(begun("a", "b", manner=IN_ORDER), rang_too_long("a"), LegAnswered("a"), LegEnded("a"))
    assert steps == [HangUpLeg("a", Why.RANG_TOO_LONG), HangUpLeg("a"), RingLegs(("b",))]


# ---------------------------------------------------------------------------------------------------------- asking


def test_who_accepts_first_wins_and_the_others_are_ended():
    _, steps = play(begun("a", "b", "c", manner=ASKING), LegAnswered("a"), LegAnswered("b"), LegAccepted("b"))
    assert steps == [AskLeg("a"), AskLeg("b"), Join("b"), elsewhere("a"), elsewhere("c")]


def test_a_key_before_the_question_and_after_the_end_says_nothing():
    _, steps = play(begun("a", "b", manner=ASKING), LegAccepted("a"), LegAnswered("a"), did_not_accept("a"), LegAccepted("a"))
    assert steps == [AskLeg("a"), HangUpLeg("a")]


def test_nobody_accepts():
    _, steps = play(begun("a", manner=ASKING), LegAnswered("a"), rang_too_long("a"), did_not_accept("a"), LegEnded("a"))
    assert steps == [AskLeg("a"), HangUpLeg("a"), Finish(Outcome.NOBODY)]


def test_who_is_asked_when_time_is_up_may_still_accept():
    connecting, steps = play(begun("a", "b", manner=ASKING), LegAnswered("a"), TimeIsUp(), LegEnded("b"))
    assert steps == [AskLeg("a"), HangUpLeg("b", Why.RANG_TOO_LONG)]
    assert play(connecting, LegAccepted("a"))[1] == [Join("a")]
    assert play(connecting, did_not_accept("a"), LegEnded("a"))[1] == [HangUpLeg("a"), Finish(Outcome.NOBODY)]


def test_nobody_is_rung_after_the_whole_time():
    manner = Manner(is_in_order=True, asks=True)
    _, steps = play(begun("a", "b", manner=manner), LegAnswered("a"), TimeIsUp(), LegEnded("a"))
    assert steps == [AskLeg("a"), Finish(Outcome.NOBODY)]


# ----------------------------------------------------------------------------------------------------- early media


def test_one_leg_with_early_media_is_heard_and_of_two_neither():
    connecting, steps = play(begun("a", "b", manner=EARLY), EarlyMedia("a"), EarlyMedia("a"), EarlyMedia("b"), LegEnded("a"))
    assert steps == [Hear("a"), Hear(""), Hear("b")]
    assert play(connecting, LegAnswered("b"))[1] == [Join("b")]


def test_ringback_when_the_heard_leg_is_over_or_asked():
    assert play(begun("a", "b", manner=EARLY), EarlyMedia("a"), LegEnded("a"))[1] == [Hear("a"), Hear("")]
    asking = Manner(asks=True, hears_early_media=True)
    assert play(begun("a", manner=asking), EarlyMedia("a"), LegAnswered("a"))[1] == [Hear("a"), AskLeg("a"), Hear("")]


def test_early_media_is_not_heard_unless_asked_for_nor_after_the_answer():
    assert play(begun("a"), EarlyMedia("a"))[1] == []
    assert play(begun("a", "b", manner=EARLY), LegAnswered("a"), EarlyMedia("b"), EarlyMedia("a"))[1] == [Join("a"), elsewhere("b")]


# -------------------------------------------------------------------------------------------------------- the bridge


def test_the_two_may_be_connected_for_so_long():
    _, steps = play(begun("a"), TalkTimeIsUp(), LegAnswered("a"), TalkTimeIsUp(), LegEnded("a"))
    assert steps == [Join("a"), HangUpLeg("a", Why.TALKED_TOO_LONG), Finish(Outcome.BRIDGED)]


def test_an_unchained_leg_lives_on_but_no_ringing_one():
    assert play(begun("a", "b", manner=UNCHAINED), LegAnswered("a"), CallerGone())[1] == [
        Join("a"),
        elsewhere("b"),
        Finish(Outcome.ABANDONED),
    ]
    assert play(begun("a", manner=UNCHAINED), CallerGone())[1] == [HangUpLeg("a"), Finish(Outcome.ABANDONED)]


# ---------------------------------------------------------------------------------------------------------- all of it

LEGS = ["a", "b", "c"]
INPUTS = st.one_of(
    st.builds(EarlyMedia, st.sampled_from(LEGS)),
    st.builds(LegAnswered, st.sampled_from(LEGS)),
    st.builds(LegAccepted, st.sampled_from(LEGS)),
    st.builds(LegTimeIsUp, st.sampled_from(LEGS), st.sampled_from([LegPhase.RINGING, LegPhase.ASKED])),
    st.builds(LegEnded, st.sampled_from(LEGS)),
    st.sampled_from([TimeIsUp(), TalkTimeIsUp(), CallerGone()]),
)
MANNERS = st.builds(Manner, st.booleans(), st.booleans(), st.booleans(), st.booleans())


@given(st.integers(1, 3), MANNERS, st.lists(INPUTS, max_size=20), st.sampled_from(["caller gone", "all ended"]))
def test_any_order_of_events_keeps_the_promises(legs, manner, inputs, ending):
    names = LEGS[:legs]
    rung: dict[str, bool] = {}  # whether it is up
    told: set[str] = set()
    connecting, steps = Connecting.of(names, manner), []

    def feed(given_input):
        nonlocal connecting
        leg_id = getattr(given_input, "leg_id", None)
        if leg_id is not None and leg_id not in rung:
            return  # a leg that was never rung does nothing
        if isinstance(given_input, LegEnded):
            rung[leg_id] = False
        was_finished = connecting.phase is Phase.FINISHED
        connecting, new = connecting.handle(given_input)
        for step in new:
            match step:
                case RingLegs():
                    assert step.leg_ids
                    assert not set(step.leg_ids) & set(rung), "nobody is rung twice"
                    assert not manner.is_in_order or not any(rung.values()), "one at a time"
                    rung.update(dict.fromkeys(step.leg_ids, True))
                case HangUpLeg():
                    assert rung[step.leg_id], "a leg that is over is left alone"
                    assert step.leg_id != connecting.peer_id or connecting.phase is Phase.FINISHED
                    told.add(step.leg_id)
                case Join() | AskLeg():
                    assert rung[step.leg_id]
                    assert step.leg_id not in told, "a leg that was ended does not win"
                case Hear():
                    assert manner.hears_early_media
                    assert step.leg_id == "" or rung[step.leg_id]
        if was_finished:
            assert not any(isinstance(step, Join | Finish | RingLegs | AskLeg | Hear) for step in new)
        steps.extend(new)

    for given_input in [Begin(), *inputs]:
        feed(given_input)
    while connecting.phase is not Phase.FINISHED:
        if ending == "caller gone":
            feed(CallerGone())
        else:
            for name in [name for name, is_up in rung.items() if is_up]:
                feed(LegEnded(name))
    kinds = [type(step) for step in steps]
    assert kinds.count(Join) <= 1
    assert kinds.count(Finish) == 1
    lives_on = {connecting.peer_id} if manner.is_unchained and Finish(Outcome.ABANDONED) in steps else set()
    assert {name for name, is_up in rung.items() if is_up} <= told | lives_on
    if Join in kinds:
        assert kinds.index(Join) < kinds.index(Finish)
        joined = steps[kinds.index(Join)].leg_id
        assert (AskLeg(joined) in steps) is manner.asks


@given(st.permutations([LegAnswered("a"), LegAnswered("b"), LegAnswered("c")]))
def test_whoever_answers_first_is_the_one(order):
    connecting, steps = play(begun(*LEGS), *order)
    assert connecting.peer_id == order[0].leg_id
    assert [step for step in steps if isinstance(step, Join)] == [Join(order[0].leg_id)]
    assert {step.leg_id for step in steps if isinstance(step, HangUpLeg)} == set(LEGS) - {order[0].leg_id}
