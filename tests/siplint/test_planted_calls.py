"""Real calls with a far end that breaks a rule: SIP lint names just that one, and says that it was not we."""

from __future__ import annotations

import time

import pytest

from sipcore import Answer, Sleep
from sipcore.siplint import lint_flight
from sipcore.testing.phone import Phone

pytestmark = [pytest.mark.sip, pytest.mark.timeout(45)]

PATIENCE_S = 1.0


def findings(switch, call_id, **more):
    return [(finding.rule, finding.is_ours) for finding in lint_flight(switch.calls.flight(call_id), patience_s=PATIENCE_S, **more)]


def eventually(look, expected):
    """Messages reach the trace a moment after the call knows of them."""
    end_s = time.monotonic() + 10
    while (found := look()) != expected and time.monotonic() < end_s:
        time.sleep(0.05)
    assert found == expected


@pytest.fixture
def switch(open_switch):
    with open_switch(grace_s=0.2) as opened:
        opened.on_call(actions=[Answer(), Sleep(30_000)])
        yield opened


def placed(switch, phone):
    call = switch.calls.create(destination=phone.uri, actions=[Sleep(30_000)])
    eventually(lambda: call.record.status, "progressing")
    return call


def test_a_bye_that_is_never_answered(switch):
    with Phone() as phone:
        phone.misbehave(no_answer_to_bye=True)
        call = placed(switch, phone)
        call.hangup()
        eventually(lambda: findings(switch, call.id), [("request-unanswered", False)])


def test_an_answer_that_is_never_acknowledged(switch):
    with Phone() as phone:
        phone.misbehave(no_ack=True)
        phone.call(f"sip:service@{switch.sip_address}")
        eventually(lambda: len(switch.calls.list().result), 1)
        (record,) = switch.calls.list().result
        eventually(lambda: findings(switch, record.id), [("ack-missing", False)])
        switch.calls.hangup(record.id)


def test_two_hangups(switch):
    with Phone() as phone:
        phone.misbehave(double_bye=True)
        phone.hang_up_after(0.1)
        call = switch.calls.create(destination=phone.uri, actions=[Sleep(30_000)])
        assert call.wait(10).hangup_by == "remote"
        eventually(lambda: findings(switch, call.id), [("bye-once", False)])


def test_ringback_that_comes_late(switch):
    with Phone() as phone:
        phone.misbehave(ringback_after_s=0.4)
        call = placed(switch, phone)
        assert findings(switch, call.id, ringback_within_s=0.3) == [("ringback-late", False)]
        assert findings(switch, call.id, ringback_within_s=10) == []
        call.hangup()
        call.wait(10)
