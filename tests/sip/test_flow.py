"""Control flow of real calls: what a menu says is heard, in the order in which it jumps; `hangup` before the answer is a refusal."""

from __future__ import annotations

import pytest

from sipcore import Answer, Branch, Fetch, Goto, Hangup, Sleep, Stop, Talk, VariableSet
from sipcore.testing.hearing import assert_not_heard
from tests.core.web_server import web_server

from .listening import assert_ended, assert_heard, spoken
from .outside import answers, only_record

REFUSED = "uac-expect-refusal.xml"
ANSWERED = "uac-200-ack-expect-bye.xml"


def test_a_menu_is_said_again_and_then_the_choice_is_heard(caller, open_switch, ear):
    menu = [
        Answer(),
        Talk("menu", id="menu"),
        Branch({"1": "sales"}, "again"),
        Talk("${who} for ${call.direction} sales", id="sales"),
        Hangup(),
        VariableSet("digits", "1", id="again"),
        Goto("menu", 3),
    ]
    with open_switch() as switch:
        switch.on_call(actions=[VariableSet("who", "ann"), *menu])
        result = caller.call(switch, ANSWERED, keys={"rtp_port": ear.port})
        record = only_record(switch)
    assert answers(result) == [200]
    assert_ended(record, "local", "normal", 200, "OK")
    first = assert_heard(ear, spoken("menu"))
    assert assert_heard(ear, spoken("ann for incoming sales")) > first
    assert ear.lost == 0


def test_what_is_fetched_is_heard_between(caller, open_switch, ear):
    page = [{"type": "talk", "option": {"text": "this is fetched"}}]
    with web_server(flow=page) as site, open_switch() as switch:
        switch.on_call(actions=[Answer(), Fetch(f"{site.url}/flow"), Talk("and this is not")])
        caller.call(switch, ANSWERED, keys={"rtp_port": ear.port})
        record = only_record(switch)
        assert [(method, path) for method, path, _ in site.asked] == [("POST", "/flow")]
    assert_ended(record, "local", "normal", 200, "OK")
    assert assert_heard(ear, spoken("and this is not")) > assert_heard(ear, spoken("this is fetched"))


def test_sleep_is_silence_and_what_is_jumped_over_is_not_heard(caller, open_switch, ear):
    with open_switch() as switch:
        switch.on_call(
            actions=[Answer(), Talk("before"), Sleep(400), Goto("after", 1), Talk("nobody hears this"), Talk("behind", id="after")]
        )
        caller.call(switch, ANSWERED, keys={"rtp_port": ear.port})
    gap_s = assert_heard(ear, spoken("behind")) - assert_heard(ear, spoken("before")) - len("before") * 0.05
    assert 0.38 < gap_s < 0.7
    assert_not_heard(ear, spoken("nobody hears this"), max_correlation=0.3)


@pytest.mark.parametrize(("reason", "code", "told"), [("normal", 603, "noanswer"), ("busy", 486, "busy"), ("noanswer", 480, "noanswer")])
def test_hangup_before_the_answer_is_a_refusal(caller, open_switch, reason, code, told):
    with open_switch() as switch:
        switch.on_call(actions=[Hangup(reason)])
        result = caller.call(switch, REFUSED)
        record = only_record(switch)
    assert answers(result) == [code]
    assert_ended(record, "local", told, code)


def test_stop_leaves_the_call_to_the_far_end(caller, open_switch, ear):
    with open_switch() as switch:
        switch.on_call(actions=[Answer(), Talk("stay"), Stop(), Talk("never")])
        caller.call(switch, "uac-200-ack-bye-expect-200.xml", keys={"rtp_port": ear.port}, pause_ms=1500)
        record = only_record(switch)
    assert_ended(record, "remote", "normal", 200, "OK")
    assert record.duration_s > 1.4
    assert_heard(ear, spoken("stay"))
    assert_not_heard(ear, spoken("never"), max_correlation=0.3)
