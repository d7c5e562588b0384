"""The call resource: twenty keys, their order and their forms."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.addresses import Address
from sipcore.call import HangupReason, Status
from sipcore.record import NIL_ID, CallRecord, Page, format_time, parse_time

from .bodies import FRESH_CALL

KEYS = re.split(
    r"\s+",
    """id user_id flow_id conf_id type master_call_id chained_call_ids recording_id recording_ids source destination status direction
    hangup_by hangup_reason tm_create tm_update tm_progressing tm_ringing tm_hangup""",
)
FRESH = CallRecord(
    id=FRESH_CALL["id"],
    source=Address("tel", "+821028286521"),
    destination=Address("tel", "+821021656521"),
    tm_create=datetime(2021, 2, 4, 4, 44, 20, 904662, tzinfo=UTC),
    flow_id=FRESH_CALL["flow_id"],
)


def test_fresh_call_is_the_tutorials():
    assert len(KEYS) == 20
    assert FRESH.to_json() == FRESH_CALL
    assert list(FRESH.to_json()) == KEYS == list(FRESH_CALL)


def test_finished_call():
    end = FRESH.tm_create + timedelta(seconds=70)
    over = replace(
        FRESH,
        status=Status.HANGUP,
        hangup_by="remote",
        hangup_reason=HangupReason.NORMAL,
        tm_update=end,
        tm_hangup=end,
        chained_call_ids=("x",),
        tm_progressing=FRESH.tm_create + timedelta(seconds=10),
        sip_code=200,
    )
    data = over.to_json()
    assert list(data) == KEYS
    assert (data["status"], data["hangup_reason"], data["chained_call_ids"]) == ("hangup", "normal", ["x"])
    assert type(data["status"]) is type(data["hangup_reason"]) is str
    assert data["tm_update"] == data["tm_hangup"] == "2021-02-04 04:45:30.904662"
    assert (over.is_over, over.duration_s) == (True, 60.0)


def test_reason_is_public_only_at_the_end():
    assert replace(FRESH, status=Status.CANCELING, hangup_reason=HangupReason.CANCEL).to_json()["hangup_reason"] == ""


def test_never_answered_lasts_no_time():
    assert replace(FRESH, tm_hangup=FRESH.tm_create).duration_s == 0.0
    assert FRESH.duration_s == 0.0


def test_page():
    assert Page((), "").to_json() == {"result": [], "next_page_token": ""}
    assert Page((FRESH,), "t").to_json() == {"result": [FRESH_CALL], "next_page_token": "t"}


def test_times_are_utc():
    tokyo = timezone(timedelta(hours=9))
    assert format_time(datetime(2021, 2, 4, 9, 0, tzinfo=tokyo)) == "2021-02-04 00:00:00.000000"
    assert (format_time(None), parse_time("")) == ("", None)
    assert FRESH_CALL["conf_id"] == NIL_ID
    with pytest.raises(ValueError, match="is not a time"):
        parse_time("yesterday")


@given(st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_time_there_and_back(moment):
    assert parse_time(format_time(moment)) == moment
