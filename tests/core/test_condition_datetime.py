"""`condition_datetime`: what the time is compared with, in which zone, and what cannot be asked."""

import asyncio
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from sipcore.actions import ConditionDatetime, Goto, Sleep, Stop, VariableSet, parse_action, parse_actions
from sipcore.errors import InvalidRequest
from sipcore.performing.datetimes import is_at

from .stage import Stage, play

MONDAY = datetime(2030, 6, 3, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("condition", "parts", "is_so"),
    [
        ("==", {}, True),
        ("!=", {}, False),
        (">", {}, False),
        (">=", {"hour": 8, "minute": 30}, True),
        (">=", {"hour": 7, "minute": 59}, True),
        (">=", {"hour": 8, "minute": 31}, False),
        ("<", {"hour": 8, "minute": 31}, True),
        ("<", {"hour": 17, "minute": 0}, True),
        ("<=", {"minute": 30}, True),
        ("==", {"minute": 30}, True),
        ("==", {"hour": 9, "minute": 30}, False),
        ("==", {"day": 3, "month": 6}, True),
        (">", {"day": 30, "month": 5}, True),
        ("<", {"day": 2, "month": 7}, True),
        ("==", {"day": 0, "month": -1, "hour": 8}, True),
        ("==", {"weekdays": [1]}, True),
        ("==", {"weekdays": [0, 6]}, False),
        ("!=", {"weekdays": [0, 6]}, True),
        ("!=", {"weekdays": [1], "hour": 9}, True),
        (">=", {"weekdays": [2, 3], "hour": 8}, False),
    ],
)
def test_what_holds_on_a_monday_at_half_past_eight(condition, parts, is_so):
    action = parse_action({"type": "condition_datetime", "option": {"condition": condition, "false_target_id": "x", **parts}})
    assert is_at(action, MONDAY) is is_so


@pytest.mark.parametrize(("month", "hour"), [(1, 9), (7, 10)])
def test_summer_time_counts(month, hour):
    berlin = datetime(2030, month, 15, 8, 0, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
    assert is_at(ConditionDatetime("==", "x", hour=hour), berlin)


@pytest.mark.parametrize(
    ("option", "path", "said"),
    [
        ({"minute": 60}, ".minute", "less than or equal to 59"),
        ({"hour": "8"}, ".hour", "valid integer"),
        ({"weekdays": [7]}, ".weekdays[0]", "less than or equal to 6"),
        ({"weekdays": "mon"}, ".weekdays", "must be a list"),
        ({"condition": "=>"}, ".condition", "'=='"),
        ({"hours": 8}, ".hours", "did you mean 'hour'?"),
        ({"false_target_id": "nowhere"}, ".false_target_id", "no action has the id"),
        ({"false_target_id": "first"}, ".false_target_id", "leads back"),
    ],
)
def test_what_is_refused(option, path, said):
    given = {"condition": "==", "false_target_id": "last"} | option
    with pytest.raises(InvalidRequest) as refusal:
        parse_actions([Sleep(1, id="first"), {"type": "condition_datetime", "option": given}, Stop(id="last")])
    assert [fault.path for fault in refusal.value.faults] == [f"actions[1].option{path}"]
    assert said in str(refusal.value)


def test_opening_hours_on_virtual_time(root):
    """The stage begins on 1 January 2030, a Tuesday, at 00:00 UTC: half past five in Kolkata. Three hours later they have opened."""
    opening = {"hour": 8, "minute": 30, "time_zone": "${zone}"}
    actions = [
        ConditionDatetime(">=", "closed", **opening, id="again"),
        ConditionDatetime("<", "closed", hour=17, time_zone="Asia/Kolkata"),
        VariableSet("is_open", "yes"),
        Stop(),
        Sleep(3_600_000, id="closed"),
        VariableSet("waited", "${waited}h"),
        Goto("again", 10),
    ]

    async def scenario(stage: Stage):
        call = stage.call("bob", *actions, variables={"zone": "Asia/Kolkata"})
        while "is_open" not in call.variables:
            assert not call.record.is_over
            await asyncio.sleep(60)
        assert call.variables["waited"] == "hhh"
        call.hangup()
        await call.wait()

    play(root, scenario, rtp_timeout_s=0)


def test_a_zone_that_is_none(root):
    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest, match="did you mean 'Europe/Berlin'") as refusal:
            stage.call("bob", ConditionDatetime("==", "x", time_zone="Europe/Berlim"), Stop(id="x"))
        assert [fault.path for fault in refusal.value.faults] == ["actions[0].option.time_zone"]
        call = stage.call("bob", ConditionDatetime("==", "x", time_zone="${zone}"), Sleep(1, id="x"), variables={"zone": "../etc/passwd"})
        await call.wait()
        assert stage.outcomes(call.id) == [("condition_datetime", "failed"), ("sleep", "done")]

    play(root, scenario)
