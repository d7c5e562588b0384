"""The table, and who ended a call and why (the rules stand in sipcore/call.py)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.addresses import Address
from sipcore.call import LIVE, TRANSITIONS, WORKING, Answered, Ended, HangupAsked, HangupReason, Rang, Status, advance, can, ending_for
from sipcore.errors import InvalidState
from sipcore.record import CallRecord

T0 = datetime(2030, 1, 1, tzinfo=UTC)
FRESH = CallRecord("c", Address("tel", "+821"), Address("tel", "+822"), T0)

TABLE = {
    "dialing": {"ringing", "progressing", "canceling", "terminating", "hangup"},
    "ringing": {"progressing", "canceling", "terminating", "hangup"},
    "progressing": {"terminating", "hangup"},
    "terminating": {"hangup"},
    "canceling": {"hangup"},
    "hangup": set(),
}


def at(second: float) -> datetime:
    return T0 + timedelta(seconds=second)


def record_in(status: Status, direction: str = "outgoing") -> CallRecord:
    """A record that came to `status` on the shortest way."""
    if status is Status.TERMINATING and direction == "outgoing":
        return advance(record_in(Status.PROGRESSING), HangupAsked(), at(2))
    ways = {
        Status.DIALING: [],
        Status.RINGING: [Rang()],
        Status.PROGRESSING: [Answered()],
        Status.TERMINATING: [HangupAsked()],
        Status.CANCELING: [HangupAsked()],
        Status.HANGUP: [Ended(486, "Busy Here")],
    }
    record = replace(FRESH, direction=direction)
    for given_input in ways[status]:
        record = advance(record, given_input, at(1))
    assert record.status == status
    return record


def test_table_is_the_agreed_one():
    assert {str(status): {str(to) for to in to_all} for status, to_all in TRANSITIONS.items()} == TABLE
    assert set(Status) - LIVE == {Status.HANGUP}
    assert {Status.DIALING, Status.RINGING, Status.PROGRESSING} == WORKING


@pytest.mark.parametrize(("status", "to"), list(product(Status, Status)))
def test_every_step_is_taken_or_refused_as_listed(status, to):
    assert can(status, to) == (to in TABLE[status])
    given_input = {Status.RINGING: Rang(), Status.PROGRESSING: Answered(), Status.HANGUP: Ended(200, "OK")}.get(to)
    if to in (Status.CANCELING, Status.TERMINATING):
        given_input = HangupAsked()
        directions = [d for d in ("outgoing", "incoming") if d == "outgoing" or status in (Status.DIALING, Status.RINGING)]
    else:
        directions = ["outgoing"]
    for direction in directions:
        before = record_in(status, direction)
        if isinstance(given_input, HangupAsked):
            if not can(status, ending_for(before)):
                with pytest.raises(InvalidState, match=rf"call c: hangup is not possible while it is {status}"):
                    advance(before, given_input, at(9))
                continue
            assert advance(before, given_input, at(9)).status == ending_for(before)
        elif given_input is not None:
            after = advance(before, given_input, at(9))
            assert (after.status == to and after.tm_update == at(9)) if can(status, to) else after is before


@pytest.mark.parametrize(
    ("direction", "status", "to"),
    [
        ("outgoing", Status.DIALING, Status.CANCELING),
        ("outgoing", Status.RINGING, Status.CANCELING),
        ("outgoing", Status.PROGRESSING, Status.TERMINATING),
        ("incoming", Status.DIALING, Status.TERMINATING),
        ("incoming", Status.RINGING, Status.TERMINATING),
        ("incoming", Status.PROGRESSING, Status.TERMINATING),
    ],
)
def test_what_a_local_hangup_leads_to(direction, status, to):
    assert advance(record_in(status, direction), HangupAsked(), at(3)).status == to


@pytest.mark.parametrize(
    ("status", "by"),
    [
        (Status.DIALING, "remote"),
        (Status.RINGING, "remote"),
        (Status.PROGRESSING, "remote"),
        (Status.TERMINATING, "local"),
        (Status.CANCELING, "local"),
    ],
)
def test_hangup_by_follows_from_the_last_status(status, by):
    over = advance(record_in(status), Ended(200, "OK"), at(9))
    assert (over.status, over.hangup_by) == (Status.HANGUP, by)
    assert over.hangup_reason
    assert over.tm_update == over.tm_hangup == at(9)


@pytest.mark.parametrize(
    ("status", "ended", "reason"),
    [
        (Status.DIALING, Ended(486), "busy"),
        (Status.RINGING, Ended(486), "busy"),
        (Status.RINGING, Ended(600), "busy"),
        (Status.DIALING, Ended(480), "noanswer"),
        (Status.RINGING, Ended(480), "noanswer"),
        (Status.DIALING, Ended(603), "noanswer"),
        (Status.RINGING, Ended(603), "noanswer"),
        (Status.RINGING, Ended(408), "noanswer"),
        (Status.DIALING, Ended(408), "failed"),
        (Status.DIALING, Ended(404), "failed"),
        (Status.RINGING, Ended(487), "failed"),
        (Status.DIALING, Ended(500), "failed"),
        (Status.DIALING, Ended(503), "failed"),
        (Status.DIALING, Ended(604), "failed"),
        (Status.DIALING, Ended(302), "failed"),
        (Status.DIALING, Ended(0), "failed"),
        (Status.RINGING, Ended(0, "worker lost", is_failure=True), "failed"),
        (Status.PROGRESSING, Ended(0, "worker lost", is_failure=True), "failed"),
        (Status.PROGRESSING, Ended(200), "normal"),
        (Status.PROGRESSING, Ended(0), "normal"),
        (Status.PROGRESSING, Ended(486), "normal"),
    ],
)
def test_why_a_call_ended_that_we_did_not_end(status, ended, reason):
    over = advance(record_in(status), ended, at(9))
    assert (over.hangup_reason, over.hangup_by) == (reason, "remote")


@pytest.mark.parametrize(
    ("status", "asked", "reason"),
    [
        (Status.DIALING, HangupReason.NORMAL, "cancel"),
        (Status.RINGING, HangupReason.NORMAL, "cancel"),
        (Status.RINGING, HangupReason.DIALOUT, "dialout"),
        (Status.RINGING, HangupReason.FAILED, "failed"),
        (Status.PROGRESSING, HangupReason.NORMAL, "normal"),
        (Status.PROGRESSING, HangupReason.TIMEOUT, "timeout"),
        (Status.PROGRESSING, HangupReason.FAILED, "failed"),
    ],
)
def test_why_a_call_ended_that_we_ended(status, asked, reason):
    asked_for = advance(record_in(status), HangupAsked(asked), at(3))
    over = advance(asked_for, Ended(503, "worker lost", is_failure=True), at(9))
    assert (asked_for.hangup_reason, over.hangup_reason, over.hangup_by) == (reason, reason, "local")


def test_sip_answer_is_kept_beside_the_reason():
    refused = advance(FRESH, Ended(486, "Busy Here", q850_cause=17), at(1))
    assert (refused.sip_code, refused.sip_phrase, refused.q850_cause) == (486, "Busy Here", 17)
    answered = advance(FRESH, Answered(202, "Accepted"), at(1))
    lost = advance(answered, Ended(0, "worker lost", is_failure=True), at(2))
    assert (lost.sip_code, lost.sip_phrase) == (202, "Accepted")
    assert advance(answered, Ended(200, "OK"), at(2)).sip_code == 200


def test_times_say_when():
    ringing = advance(FRESH, Rang(), at(1))
    answered = advance(ringing, Answered(), at(2))
    over = advance(answered, Ended(200), at(7))
    assert (over.tm_ringing, over.tm_progressing, over.tm_hangup, over.duration_s) == (at(1), at(2), at(7), 5.0)
    assert advance(ringing, Rang(), at(3)) is ringing


INPUTS = st.one_of(
    st.just(Rang()),
    st.builds(Answered, st.sampled_from([200, 202])),
    st.builds(HangupAsked, st.sampled_from(HangupReason)),
    st.builds(Ended, st.sampled_from([0, 200, 302, 404, 408, 480, 486, 487, 503, 600, 603]), st.just(""), is_failure=st.booleans()),
)


@given(st.lists(INPUTS, max_size=12), st.sampled_from(["outgoing", "incoming"]))
def test_any_order_of_inputs_keeps_the_rules(inputs, direction):
    record = replace(FRESH, direction=direction)
    endings, first_reason, refused = 0, "", None
    for second, given_input in enumerate(inputs, start=1):
        before = record
        try:
            record = advance(before, given_input, at(second))
        except InvalidState as error:
            assert isinstance(given_input, HangupAsked)
            assert not can(Status(before.status), ending_for(before))
            refused = error
            continue
        if before.status == Status.HANGUP:
            assert record is before
        if record is not before:
            assert can(Status(before.status), Status(record.status))
            assert record.tm_update == at(second)
        endings += record.status == Status.HANGUP != before.status
        first_reason = first_reason or str(record.hangup_reason)
        assert str(record.hangup_reason) == first_reason
        assert record.is_over == (record.status == Status.HANGUP) == bool(record.hangup_by)
        if record.is_over:
            assert record.hangup_reason
            assert record.tm_hangup == record.tm_update
    assert endings <= 1
    assert refused is None or (refused.call_id, refused.input_name) == ("c", "hangup")
    if any(isinstance(given_input, Ended) for given_input in inputs):
        assert endings == 1


def test_every_status_is_reached_from_dialing():
    reached = {Status.DIALING}
    front = [FRESH, replace(FRESH, direction="incoming")]
    while front:
        record = front.pop()
        for given_input in (Rang(), Answered(), HangupAsked(), Ended(200)):
            try:
                after = advance(record, given_input, at(1))
            except InvalidState:
                continue
            if after is not record:
                reached.add(Status(after.status))
                front.append(after)
    assert reached == set(Status)
