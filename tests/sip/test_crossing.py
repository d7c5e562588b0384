"""A `connect` that rings more destinations than a worker holds legs: who answers in another worker is heard all the same."""

from __future__ import annotations

import contextlib

from media.measure import tone_level_db
from sipcore import Connect
from sipcore.testing.phone import Phone

from .listening import RATE_HZ

A_HZ, B_HZ = 500.0, 900.0


def test_both_hear_each_other_across_workers(open_switch):
    with contextlib.ExitStack() as stack:
        caller, *callees = [stack.enter_context(Phone(f"p{number}")) for number in range(6)]
        for phone in callees[:-1]:
            phone.ring_forever()
        caller.tone(A_HZ)
        callees[-1].tone(B_HZ)
        with open_switch() as switch:
            call = switch.calls.create(destination=caller.uri, actions=[Connect([phone.uri for phone in callees])])
            answering = callees[-1].wait_call(10)
            answering.wait_answered(10)
            answering.wait_packets(150, 20)
            answering.hang_up()
            assert call.wait(10).hangup_reason == "normal"
        for phone, own_hz, other_hz in ((caller, A_HZ, B_HZ), (callees[-1], B_HZ, A_HZ)):
            heard = phone.last_call.heard()
            assert tone_level_db(heard, other_hz, RATE_HZ) > -30
            assert tone_level_db(heard, own_hz, RATE_HZ) < -60
        assert [phone.last_call.sip_code for phone in callees[:-1]] == [487] * 4
