"""Messages that get lost (RFC 3261 §17): sent again, answered again, and still one call with one end."""

from __future__ import annotations

import pytest

from sipcore import Talk

from .listening import assert_ended, assert_heard, assert_one_hangup, names, spoken

PLAYED = ["CallCreated", "CallDialing", "CallAnswered", "ActionStarted", "ActionFinished", "CallHangingUp", "CallHangup"]


@pytest.mark.parametrize(
    "scenario",
    ["uas-lost-invite-expect-invite-again.xml", "uas-200-lost-ack-expect-ack-again.xml", "uas-200-lost-bye-expect-bye-again.xml"],
)
def test_lost_on_the_way(sipp, open_switch, ear, scenario):
    with sipp.uas(scenario, keys={"rtp_port": ear.port}, pause_ms=300, absorbs_retransmissions=False) as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri, actions=[Talk("lost and found")])
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "local", "normal", 200, "OK")
    assert_one_hangup(call)
    assert names(call) == PLAYED
    assert_heard(ear, spoken("lost and found"))


def test_lost_answer_to_a_bye(sipp, open_switch, ear):
    scenario = "uas-200-bye-lost-200-expect-200-again.xml"
    with sipp.uas(scenario, keys={"rtp_port": ear.port}, pause_ms=200, absorbs_retransmissions=False) as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri, actions=[Talk("a long text that nobody listens to")])
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "remote", "normal", 200, "OK")
    assert_one_hangup(call)
