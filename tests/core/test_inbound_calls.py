"""Calls from outside, from the offer to the record, on the fake engine and on virtual time."""

import asyncio

import pytest

from sipcore import engine as wire
from sipcore.actions import Answer, Connect, Play, Reject, Talk
from sipcore.errors import ActionFailed, ConfigError, InvalidRequest, InvalidState
from sipcore.events import CallCreated, CallRinging
from sipcore.record import NIL_ID
from sipcore.switch import AsyncSwitch
from sipcore.testing.clock import run_virtual
from sipcore.testing.fake_engine import Caller, FakeEngine, FarEnd

from .stage import Beeps, Stage, address, play

PLAY, LONG = Play(["prompt.wav"]), Play(["long.wav"])
TRUNK = {"name": "carrier", "addresses": ["192.0.2.8"]}


def ended(record) -> tuple[str, str, int]:
    assert record.status == "hangup"
    return record.hangup_by, str(record.hangup_reason), record.sip_code


async def called(stage: Stage, to: str = "+821000", source: str = "+821021656521", caller: Caller | None = None, **keywords):
    """A call that the switch took, when it is over."""
    call = offered(stage, to, source, caller, **keywords)
    await call.wait()
    return call


def offered(stage: Stage, to: str = "+821000", source: str = "+821021656521", caller: Caller | None = None, **keywords):
    decision = stage.engine.offer(to, source, caller=caller or Caller(), **keywords)
    assert isinstance(decision, wire.Acceptance), decision
    return stage.switch.calls.live(decision.call_id)


# --------------------------------------------------------------------------------------------------- action lists


def test_answered_call_runs_its_list(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(to="+8210*", actions=[Answer(), PLAY])
        call = offered(stage, trunk="")
        fresh = call.record.to_json()
        assert (fresh["status"], fresh["direction"], fresh["type"], fresh["flow_id"] == NIL_ID) == ("ringing", "incoming", "flow", False)
        assert fresh["tm_ringing"] == fresh["tm_create"] != ""
        assert (fresh["source"]["target"], fresh["destination"]["target"]) == ("+821021656521", "+821000")
        record = await call.wait()
        assert ended(record) == ("local", "normal", 200)
        assert record.tm_progressing is not None
        assert stage.names(call.id) == [
            "CallCreated", "ActionStarted", "CallMediaStarted", "CallAnswered", "ActionFinished", "ActionStarted", "ActionFinished",
            "CallHangingUp", "CallHangup",
        ]  # fmt: skip
        assert stage.outcomes(call.id) == [("answer", "done"), ("play", "done")]
        assert stage.sent(wire.Ring, call.id) == []
        assert await stage.switch.calls.get(call.id) == record

    play(root, scenario)


def test_what_is_played_before_the_answer_is_early_media(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Talk("one moment please"), PLAY, Answer(), Talk("hello")])
        call = await called(stage)
        assert [ring.sip_code for ring in stage.sent(wire.Ring, call.id)] == [183]
        assert ended(call.record) == ("local", "normal", 200)
        assert (call.record.tm_progressing - call.record.tm_create).total_seconds() >= 3.5
        assert [round(heard.end_s - heard.start_s, 3) for heard in stage.engine.heard[call.id]] == [1.5, 2.0, 0.5]
        rings = [event for event in stage.events if isinstance(event, CallRinging)]
        assert [(ring.call_id, ring.sip_code) for ring in rings] == [(call.id, 183)]

    play(root, scenario)


def test_answering_twice_is_done(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Answer(), Answer()])
        call = await called(stage)
        assert stage.outcomes(call.id) == [("answer", "done")] * 2
        assert len(stage.sent(wire.Answer, call.id)) == 1

    play(root, scenario)


def test_answer_in_the_list_of_an_outgoing_call_is_done(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Answer(), PLAY)
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert stage.outcomes(call.id) == [("answer", "done"), ("play", "done")]
        assert stage.sent(wire.Answer, call.id) == []

    play(root, scenario)


@pytest.mark.parametrize(
    ("reject", "reason", "code"),
    [
        (Reject(), "busy", 486),
        (Reject(600), "busy", 600),
        (Reject(480), "noanswer", 480),
        (Reject(603, "Not Today"), "noanswer", 603),
        (Reject(404), "normal", 404),
        (Reject(500), "failed", 500),
    ],
)
def test_reject(root, reject, reason, code):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[reject, Talk("never heard")])
        call = await called(stage)
        assert ended(call.record) == ("local", reason, code)
        assert stage.outcomes(call.id) == [("reject", "done")]
        assert [(command.sip_code, command.sip_phrase) for command in stage.sent(wire.Reject, call.id)] == [(code, reject.phrase)]
        assert call.record.tm_progressing is None

    play(root, scenario)


def test_reject_after_the_answer_fails_and_the_list_goes_on(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Answer(), Reject(), PLAY])
        call = await called(stage)
        assert stage.outcomes(call.id) == [("answer", "done"), ("reject", "failed"), ("play", "done")]
        assert ended(call.record) == ("local", "normal", 200)

    play(root, scenario)


def test_list_that_never_answers_ends_as_unavailable(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[PLAY])
        call = await called(stage)
        assert ended(call.record) == ("local", "noanswer", 480)

    play(root, scenario)


def test_caller_gives_up(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[LONG, Answer()])
        call = await called(stage, caller=Caller(cancel_after_s=3))
        assert ended(call.record) == ("remote", "normal", 487)
        assert stage.outcomes(call.id) == [("play", "interrupted")]
        assert stage.sent(wire.Answer, call.id) == []

    play(root, scenario)


def test_caller_hangs_up(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Answer(), LONG])
        call = await called(stage, caller=Caller(hang_up_after_s=3))
        assert ended(call.record) == ("remote", "normal", 200)
        assert call.record.duration_s == pytest.approx(3.0, abs=0.01)

    play(root, scenario)


def test_answer_that_nobody_acknowledges_fails(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Answer(), Talk("never heard")])
        call = await called(stage, caller=Caller(acknowledges=False))
        assert ended(call.record) == ("remote", "failed", 408)
        assert stage.started(call.id) == ["answer"]

    play(root, scenario)


def test_call_that_is_never_answered_ends_in_time(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[LONG, Answer()])
        call = await called(stage)
        assert ended(call.record) == ("local", "noanswer", 480)
        assert (call.record.tm_hangup - call.record.tm_create).total_seconds() == pytest.approx(20.0, abs=0.01)

    play(root, scenario, dial_timeout_s=20)


def test_hangup_of_a_caller_who_waits_declines(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[LONG])
        call = offered(stage)
        await asyncio.sleep(1)
        call.hangup()
        call.hangup()
        assert ended(await call.wait()) == ("local", "noanswer", 603)
        assert len(stage.sent(wire.Reject, call.id)) == 1

    play(root, scenario)


def test_hangup_between_answer_and_ack_is_a_bye(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Answer(), PLAY])
        call = offered(stage)
        await stage.until_sent(wire.Answer, call.id)
        call.hangup()
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert len(stage.sent(wire.Hangup, call.id)) == 1
        assert stage.sent(wire.Reject, call.id) == []

    play(root, scenario)


def test_listener_that_hangs_up_on_the_first_event(root):
    async def scenario(stage: Stage):
        def listener(event):
            if isinstance(event, CallCreated):
                stage.switch.calls.live(event.call_id).hangup()

        stage.switch.listen(listener)
        stage.switch.on_call(actions=[Answer(), Talk("never heard")])
        call = await called(stage)
        assert ended(call.record) == ("local", "noanswer", 603)
        assert stage.started(call.id) == []

    play(root, scenario)


def test_hangup_before_the_call_was_announced(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Answer()])
        call = offered(stage)
        call.hangup()
        assert ended(await call.wait()) == ("local", "noanswer", 603)
        assert stage.names(call.id)[0] == "CallCreated"

    play(root, scenario)


def test_no_room_for_the_call(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Answer(), LONG])
        first = offered(stage)
        second = await called(stage)
        assert ended(second.record)[1:] == ("failed", 503)
        first.hangup()
        await first.wait()

    play(root, scenario, engine=FakeEngine(max_legs=1))


def test_lost_worker(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Answer(), LONG])
        call = offered(stage)
        await asyncio.sleep(1)
        stage.engine.lose_worker(call.id)
        assert ended(await call.wait()) == ("remote", "failed", 200)
        assert call.record.sip_phrase == "OK"

    play(root, scenario)


# ------------------------------------------------------------------------------------------------------- connect


def test_connect_answers_when_the_other_side_does(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Connect([address("bob")])])
        call = await called(stage)
        [leg_id] = call.record.chained_call_ids
        leg = await stage.switch.calls.get(leg_id)
        assert [ring.sip_code for ring in stage.sent(wire.Ring, call.id)] == [183]
        assert (call.record.tm_progressing - call.record.tm_create).total_seconds() == pytest.approx(4.0, abs=0.1)
        assert (leg.direction, leg.master_call_id, leg.source) == ("outgoing", call.id, call.record.source)
        assert ended(call.record) == ("local", "normal", 200)
        assert ended(leg) == ("remote", "normal", 200)
        assert [heard.peer_id for heard in stage.engine.heard[call.id] if heard.peer_id] == [leg_id]
        assert stage.outcomes(call.id) == [("connect", "done")]

    play(root, scenario, {"bob": FarEnd(answer_after_s=4, hang_up_after_s=3)})


@pytest.mark.parametrize(
    ("far_end", "reason", "code"), [(FarEnd(reject_code=486), "busy", 486), (FarEnd(reject_code=404), "noanswer", 480)]
)
def test_caller_is_told_why_nobody_answered(root, far_end, reason, code):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Connect([address("bob")])])
        call = await called(stage)
        assert ended(call.record) == ("local", reason, code)

    play(root, scenario, {"bob": far_end})


def test_caller_who_gives_up_ends_the_ringing_legs(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Connect([address("bob"), address("carol")])])
        call = await called(stage, caller=Caller(cancel_after_s=3))
        assert ended(call.record) == ("remote", "normal", 487)
        for leg_id in call.record.chained_call_ids:
            if leg := stage.switch.calls.live(leg_id):
                await leg.wait()
            assert ended(await stage.switch.calls.get(leg_id)) == ("local", "cancel", 487)

    play(root, scenario, {"bob": FarEnd(answer_after_s=None), "carol": FarEnd(answer_after_s=None)})


def test_source_that_is_no_address_is_not_passed_on(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Connect([address("bob")])])
        call = await called(stage, source='sip:we;ird="x"@[2001:db8::1]:5060')
        assert call.record.source.target == "we@[2001:db8::1]:5060"
        [leg_id] = call.record.chained_call_ids
        assert str((await stage.switch.calls.get(leg_id)).source) == "tel:+821028286521"

    play(root, scenario, {"bob": FarEnd(hang_up_after_s=1)})


# --------------------------------------------------------------------------------------------------------- rules


def test_no_rule_no_call(root):
    async def scenario(stage: Stage):
        assert stage.engine.offer("+821000") == wire.Refusal(404)
        stage.switch.on_call(to="+82*", source="+8210*", trunk="carrier", actions=[Answer()])
        for refused in (
            stage.engine.offer("+491000", trunk="carrier"),
            stage.engine.offer("+821000", "+49", trunk="carrier"),
            stage.engine.offer("+821000", trunk="other"),
            stage.engine.offer("+821000"),
        ):
            assert refused == wire.Refusal(404)
        await called(stage, trunk="carrier")

    play(root, scenario)


def test_first_rule_that_matches_wins_and_the_configuration_comes_last(root):
    configured = [{"to": "10*", "actions": [{"type": "reject", "option": {"code": 404}}]}, {"actions": [{"type": "reject"}]}]

    async def scenario(stage: Stage):
        stage.switch.on_call(to="100", actions=[Reject(480)])
        stage.switch.on_call(to="10?", actions=[Reject(603)])
        codes = [(await called(stage, to)).record.sip_code for to in ("100", "101", "1000", "2000")]
        assert codes == [480, 603, 404, 486]

    play(root, scenario, inbound=configured)


def test_phone_calls_a_name(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(phone="?*", actions=[Answer()])
        call = await called(stage, "echo", "sip:mallory@pbx.example", username="alice", from_name="Alice")
        assert call.record.to_json()["source"] == {"type": "sip", "target": "alice@pbx.example", "name": "Alice"}
        assert (call.record.type, str(call.record.destination)) == ("sip-service", "sip:echo@192.0.2.1")
        named = await called(stage, "+4930", "sip:mallory@pbx.example", username="bob")
        assert (named.record.type, str(named.record.source)) == ("flow", "tel:+493012345")
        assert stage.engine.offer("echo") == wire.Refusal(404)

    play(root, scenario, phones=[{"username": "bob", "password": "hunter22", "caller_id": "+493012345"}])


def test_trunk_says_how_audio_is_carried(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Reject()])
        decisions = [stage.engine.offer("+821000", trunk=trunk) for trunk in ("carrier", "")]
        assert [(decision.codecs, decision.srtp) for decision in decisions] == [(("PCMA/8000",), "required"), ((), "off")]
        for call in [stage.switch.calls.live(decision.call_id) for decision in decisions]:
            await call.wait()

    play(root, scenario, trunks=[{**TRUNK, "codecs": ["PCMA"], "srtp": "required"}])


def test_fault_of_ours_refuses_the_call(root, monkeypatch):
    async def scenario(stage: Stage):
        monkeypatch.setattr("sipcore.exchange.parties", lambda *_: 1 / 0)
        assert stage.engine.offer("+821000") == wire.Refusal(500)
        assert ["could not be taken" in message and "ZeroDivisionError" in message for message in stage.errors] == [True]
        stage.errors.clear()

    play(root, scenario)


def test_draining_switch_takes_no_calls(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Answer(), LONG])
        call = offered(stage)
        stage.switch.stop_taking_calls()
        refusal = stage.engine.offer("+821000")
        assert (refusal.sip_code, dict(refusal.headers)) == (503, {"Retry-After": "5"})
        await asyncio.sleep(1)
        assert call.record.status == "progressing"
        call.hangup()
        await call.wait()

    play(root, scenario)


def test_rules_are_checked(root):
    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest, match=r"actions\[0\].option: the text is empty"):
            stage.switch.on_call(actions=[Talk("")])
        with pytest.raises(InvalidRequest, match="needs 6 legs at once"):
            stage.switch.on_call(actions=[Connect([address("bob")] * 5)])
        with pytest.raises(InvalidRequest, match="needs 9 legs at once"):
            stage.switch.on_call(legs=9)(lambda_handler)
        with pytest.raises(InvalidRequest, match="legs: a call has at least one leg"):
            stage.switch.on_call(legs=0)(lambda_handler)
        with pytest.raises(TypeError, match="async def"):
            stage.switch.on_call()(lambda _call: None)
        assert stage.engine.offer("1") == wire.Refusal(404)

    play(root, scenario, max_legs=5)


async def lambda_handler(call):
    pass


def test_rules_of_the_configuration_are_checked_when_it_opens(root):
    async def opened():
        inbound = [{"actions": [{"type": "answer"}, {"type": "play", "option": {"stream_urls": ["none.wav"]}}]}]
        switch = AsyncSwitch(engine=FakeEngine(), synthesizer=Beeps(), cache_dir=root / "cache", media_root=root, inbound=inbound)
        with pytest.raises(ConfigError, match=r"inbound\[0\].actions\[1\].option.stream_urls\[0\]"):
            await switch.open()
        assert not switch.is_open

    run_virtual(opened())


# ------------------------------------------------------------------------------------------------------ handlers


def test_handler_top_to_bottom(root):
    async def scenario(stage: Stage):
        told = []

        @stage.switch.on_call(to="+8210*")
        async def handler(call):
            call.ring()
            await call.answer()
            await call.talk("hello there")
            await call.play("prompt.wav")
            leg = await call.connect(address("bob"))
            told.append(leg.record.status)
            told.append((await leg.ended()).tm_progressing is not None)
            assert await call.connect(address("carol")) is None
            told.append(call.id)

        call = await called(stage)
        assert told == ["progressing", True, call.id]
        assert ended(call.record) == ("local", "normal", 200)
        assert stage.outcomes(call.id) == [
            ("answer", "done"), ("talk", "done"), ("play", "done"), ("connect", "done"), ("connect", "failed"),
        ]  # fmt: skip
        assert [event.index for event in stage.finished(call.id)] == [0, 1, 2, 3, 4]
        assert [ring.sip_code for ring in stage.sent(wire.Ring, call.id)] == [180]

    play(root, scenario, {"bob": FarEnd(hang_up_after_s=1), "carol": FarEnd(reject_code=486)})


def test_handler_that_fails_ends_its_call_only(root):
    async def scenario(stage: Stage):
        @stage.switch.on_call(to="1")
        async def fails(call):
            raise ZeroDivisionError

        @stage.switch.on_call(to="2")
        async def fails_later(call):
            await call.answer()
            raise ZeroDivisionError

        first, second = await called(stage, "1"), await called(stage, "2")
        assert ended(first.record) == ("local", "failed", 500)
        assert ended(second.record) == ("local", "failed", 200)
        assert [call.id in error and "ZeroDivisionError" in error for call, error in zip((first, second), stage.errors, strict=True)]
        stage.errors.clear()

    play(root, scenario)


def test_end_of_the_call_cancels_its_handler(root):
    async def scenario(stage: Stage):
        seen = []

        @stage.switch.on_call()
        async def handler(call):
            try:
                await call.answer()
                await call.play("long.wav")
            except asyncio.CancelledError:
                seen.append(call.record.status)
                raise
            finally:
                seen.append((await call.wait()).status)

        await called(stage, caller=Caller(hang_up_after_s=2))
        await asyncio.sleep(0.1)
        assert seen == ["hangup", "hangup"]

    play(root, scenario)


def test_handler_that_hangs_up_goes_on_to_its_own_end(root):
    async def scenario(stage: Stage):
        seen = []

        @stage.switch.on_call()
        async def handler(call):
            await call.answer()
            call.hangup()
            seen.append(await call.wait())
            with pytest.raises(InvalidState, match="talk is not possible while it is hangup"):
                await call.talk("too late")
            with pytest.raises(InvalidState):
                call.reject()

        call = await called(stage)
        await asyncio.sleep(0.1)
        assert seen == [call.record]

    play(root, scenario)


def test_failed_actions_of_a_handler_raise_and_the_call_goes_on(root):
    async def scenario(stage: Stage):
        @stage.switch.on_call()
        async def handler(call):
            await call.answer()
            with pytest.raises(ActionFailed, match=r"play failed: .*none.wav"):
                await call.play("none.wav")
            with pytest.raises(InvalidRequest, match="text"):
                await call.perform({"type": "talk"})
            with pytest.raises(ActionFailed, match="no room for 2 more legs of this call"):
                await call.connect(address("bob"), address("carol"))
            await call.play("prompt.wav")

        call = await called(stage)
        assert [outcome for _, outcome in stage.outcomes(call.id)] == ["done", "failed", "failed", "done"]
        assert call.record.hangup_reason == "normal"

    play(root, scenario)


def test_rejecting_handler(root):
    async def scenario(stage: Stage):
        @stage.switch.on_call()
        async def handler(call):
            with pytest.raises(InvalidRequest, match="code"):
                call.reject(200)
            with pytest.raises(InvalidRequest, match="phrase"):
                call.reject(486, "Busy\r\nX: y")
            call.reject(480, "At Lunch")

        assert ended((await called(stage)).record) == ("local", "noanswer", 480)

    play(root, scenario)


def test_other_tasks_may_tell_a_call_what_to_do(root):
    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[Answer(), LONG])
        call = offered(stage, caller=Caller(hang_up_after_s=70))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(call.talk("after the list"))
        with pytest.raises(InvalidState):
            await waiting

    play(root, scenario)


def test_close_ends_handlers(root):
    async def scenario(stage: Stage):
        @stage.switch.on_call()
        async def handler(call):
            await call.answer()
            await asyncio.sleep(3600)

        call = offered(stage)
        await asyncio.sleep(1)
        await stage.switch.close()
        assert ended(call.record) == ("local", "normal", 200)

    play(root, scenario)
