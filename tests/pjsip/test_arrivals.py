"""Calls that are expected; no PJSIP, no clock."""

from __future__ import annotations

from sipcore import engine
from sipcore.pjsip.arrivals import Arrivals
from sipcore.wire import ExpectCall


def test_commands_wait_in_their_order():
    arrivals = Arrivals()
    order = ExpectCall("c", "g", srtp="required")
    arrivals.expect(order, 0)
    ring, answer = engine.Ring("c"), engine.Answer("c")
    assert arrivals.keep(ring)
    assert arrivals.keep(answer)
    assert not arrivals.keep(engine.Ring("other"))
    assert (arrivals.srtp_of("c"), arrivals.srtp_of("other")) == ("required", "off")
    assert arrivals.take("c") == (order, [ring, answer])
    assert arrivals.take("c") is None  # a second INVITE with the same header


def test_those_that_do_not_come():
    arrivals = Arrivals()
    assert arrivals.next_due_s is None
    arrivals.expect(ExpectCall("late", "g", timeout_s=5), 10)
    arrivals.expect(ExpectCall("early", "g", timeout_s=3), 11)
    assert arrivals.next_due_s == 14
    assert arrivals.overdue(13.9) == []
    assert arrivals.overdue(14) == ["early"]
    assert arrivals.clear() == ["late"]
    assert arrivals.overdue(99) == []
