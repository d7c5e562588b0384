"""Calls from outside: answered by an action list and by a handler, over every transport; early media; either side hangs up."""

from __future__ import annotations

import queue

from sipcore import Answer, Call, Connect, InvalidState, Play, Switch, Talk
from sipcore.testing.rtp_sink import RtpSink

from .listening import assert_ended, assert_heard, assert_one_hangup, names, outcomes, ringing_codes, spoken, write_burst
from .outside import answers, assert_followed, assert_no_worker_shows, only_record

TONE_A, TONE_B = 500.0, 900.0


def handled_calls(switch: Switch, *, answer: bool = True) -> queue.SimpleQueue[Call]:
    """Calls that a handler takes and keeps up until they end."""
    taken: queue.SimpleQueue[Call] = queue.SimpleQueue()

    @switch.on_call()
    def handler(call: Call) -> None:
        taken.put(call)
        if answer:
            call.answer()
        call.wait(20)

    return taken


def test_answered_by_an_action_list(outside, open_switch, ear):
    """We answer, say something, and hang up."""
    with open_switch(**outside.settings) as switch:
        switch.on_call(to="service", actions=[Answer(), Talk("good day")])
        result = outside.call(switch, "uac-200-ack-expect-bye.xml", keys={"rtp_port": ear.port})
        record = only_record(switch)
        assert_no_worker_shows(result, switch)
        assert {message.transport for message in switch.calls.trace(record.id)} == {outside.transport}
    assert (record.direction, record.type) == ("incoming", "sip-service")
    assert record.source.target.startswith("sipp@127.0.0.1:")
    assert record.destination.target.startswith("service@127.0.0.1:")
    assert_ended(record, "local", "normal", 200, "OK")
    assert answers(result) == [200]
    assert_heard(ear, spoken("good day"))
    assert ear.lost == 0


def test_answered_by_a_handler_and_hung_up_by_the_caller(outside, open_switch, ear):
    with open_switch(**outside.settings) as switch:
        calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        ends: queue.SimpleQueue[str] = queue.SimpleQueue()

        @switch.on_call(to="serv?ce", source="si*")
        def handler(call: Call) -> None:
            calls.put(call)
            call.ring()
            call.answer()
            call.talk("hello")
            try:
                call.talk("this is never heard to its end" * 9)
            except InvalidState as error:
                ends.put(str(error))

        with outside.calling(switch, "uac-180-200-ack-bye-expect-200.xml", keys={"rtp_port": ear.port}, pause_ms=700) as caller:
            call = calls.get(timeout=5)
            record = call.wait(10)
            result = caller.wait(5)
        ends.get(timeout=5)
        assert_no_worker_shows(result, switch)
    assert_followed(result)
    assert answers(result) == [180, 200]
    assert_ended(record, "remote", "normal", 200, "OK")
    assert_one_hangup(call)
    assert [name for name in names(call) if not name.startswith("Action")] == ["CallCreated", "CallRinging", "CallAnswered", "CallHangup"]
    assert outcomes(call) == [("answer", "done"), ("talk", "done"), ("talk", "interrupted")]
    assert_heard(ear, spoken("hello"))


def test_early_media_before_the_answer(outside, open_switch, ear, tmp_path):
    """What is said before the answer is heard before it; the same audio stream goes on after it."""
    before, after = (write_burst(tmp_path / name, 0.6) for name in ("before.wav", "after.wav"))
    with open_switch(**outside.settings) as switch:
        switch.on_call(actions=[Play(["before.wav"]), Answer(), Play(["after.wav"])])
        result = outside.call(switch, "uac-183-200-ack-expect-bye.xml", keys={"rtp_port": ear.port})
        record = only_record(switch)
        assert_no_worker_shows(result, switch)
    assert answers(result) == [183, 200]
    assert_ended(record, "local", "normal", 200, "OK")
    assert (record.tm_progressing - record.tm_ringing).total_seconds() >= 0.55
    assert assert_heard(ear, before) < assert_heard(ear, after)
    assert len({packet.ssrc for packet in ear.packets}) == 1


def test_a_handler_opens_early_media_by_hand(caller, open_switch, ear):
    with open_switch() as switch:

        @switch.on_call()
        def handler(call: Call) -> None:
            call.ring(early_media=True)
            call.talk("please wait")
            call.answer()
            call.hangup()

        assert answers(caller.call(switch, "uac-183-200-ack-expect-bye.xml", keys={"rtp_port": ear.port})) == [183, 200]
    assert_heard(ear, spoken("please wait"))


def test_the_caller_cancels(outside, open_switch):
    with open_switch(**outside.settings) as switch:
        calls: queue.SimpleQueue[Call] = queue.SimpleQueue()

        @switch.on_call()
        def handler(call: Call) -> None:
            calls.put(call)
            call.ring()
            call.wait(20)

        result = outside.call(switch, "uac-180-cancel-expect-487.xml")
        call = calls.get(timeout=5)
        record = call.wait(5)
        assert_no_worker_shows(result, switch)
        assert switch.calls.list().result == (record,)
    assert_ended(record, "remote", "normal", 487)
    assert_one_hangup(call)
    assert ringing_codes(call) == [180]


def test_the_caller_cancels_during_early_media(caller, open_switch, ear):
    with open_switch() as switch:
        switch.on_call(actions=[Talk("one moment please, " * 20), Answer()])
        caller.call(switch, "uac-183-cancel-expect-487.xml", keys={"rtp_port": ear.port}, pause_ms=300)
        switch.run(switch._switch.wait_idle(5))
        record = only_record(switch)
    assert_ended(record, "remote", "normal", 487)
    assert ear.packets


def test_an_invite_that_comes_three_times_is_one_call(caller, open_switch):
    """And the 200 is sent again while its ACK does not come (RFC 3261 §13.3.1.4)."""
    with open_switch() as switch:
        calls = handled_calls(switch)
        with caller.calling(switch, "uac-lost-200-expect-one-call.xml", absorbs_retransmissions=False, pause_ms=100) as sipp:
            call = calls.get(timeout=5)
            record = call.wait(10)
            result = sipp.wait(5)
        assert calls.empty()
        assert only_record(switch).id == call.id
    assert_followed(result)
    assert answers(result) == [200, 200]
    assert_ended(record, "remote", "normal", 200, "OK")


def test_connected_to_somebody_else(outside, open_switch, sipp):
    """The caller is answered when the other one is; each hears the other; the caller hangs up."""
    with (
        RtpSink(TONE_A) as ear_a,
        RtpSink(TONE_B) as ear_b,
        sipp.uas("uas-180-200-expect-bye.xml", keys={"rtp_port": ear_b.port}, pause_ms=200) as b,
        open_switch(**outside.settings) as switch,
    ):
        switch.on_call(actions=[Connect([b.uri])])
        with outside.calling(switch, "uac-183-200-ack-bye-expect-200.xml", keys={"rtp_port": ear_a.port}, pause_ms=2500) as caller:
            ear_a.wait_for_tone(TONE_B)
            ear_b.wait_for_tone(TONE_A)
            result = caller.wait(10)
        result_b = b.wait(5)
        switch.run(switch._switch.wait_idle(5))
        leg, call = switch.calls.list().result
        for one in (result, result_b):
            assert_no_worker_shows(one, switch, b.port)
    assert_followed(result)
    assert_followed(result_b)
    assert (call.direction, leg.direction) == ("incoming", "outgoing")
    assert (call.chained_call_ids, leg.master_call_id) == ((leg.id,), call.id)
    assert_ended(call, "remote", "normal", 200, "OK")
    assert_ended(leg, "local", "normal", 200, "OK")


def test_the_other_one_hangs_up(caller, open_switch, sipp):
    """Then the caller is hung up too, when nothing follows in the list."""
    keys = {"rtp_port": 9, "reason": "Q.850;cause=16"}
    with sipp.uas("uas-200-bye-expect-200.xml", keys=keys, pause_ms=200) as b, open_switch() as switch:
        switch.on_call(actions=[Connect([b.uri])])
        caller.call(switch, "uac-200-ack-expect-bye.xml")
        assert_followed(b.wait(5))
        leg, call = switch.calls.list().result
    assert_ended(call, "local", "normal", 200, "OK")
    assert_ended(leg, "remote", "normal", 200, "OK", q850=16)


def test_nobody_to_connect_to_is_busy(caller, open_switch, sipp):
    """The caller, who is not answered, is told what the other one said."""
    with (
        sipp.uas("uas-refuse-expect-ack.xml", keys={"status": "SIP/2.0 486 Busy Here", "header": "X-Nothing: 1"}) as b,
        open_switch() as switch,
    ):
        switch.on_call(actions=[Connect([b.uri])])
        result = caller.call(switch, "uac-expect-refusal.xml")
        assert_followed(b.wait(5))
    assert answers(result) == [183, 486]


def test_ten_callers_at_once(caller, open_switch, ear):
    """More than one worker holds."""
    with open_switch() as switch:
        switch.on_call(actions=[Answer(), Talk("hi")])
        result = caller.sipp.uac(
            "uac-200-ack-expect-bye.xml", target=switch.sip_address, calls=10, rate=50, keys={"rtp_port": ear.port, "more": "X-A: 1"}
        )
        switch.run(switch._switch.wait_idle(5))
        records = switch.calls.list().result
    assert_followed(result)
    assert [record.hangup_reason for record in records] == ["normal"] * 10
