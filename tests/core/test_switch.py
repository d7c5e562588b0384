"""The life of a call on every path, on the fake engine and on virtual time."""

import asyncio
import contextlib
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipcore import engine as wire
from sipcore.actions import Confirm, Connect, Play, Talk
from sipcore.errors import CallNotFound, CapacityError, ConfigError, InvalidRequest, SwitchClosed
from sipcore.events import CallAnswered, CallCreated, CallDialing, CallHangup
from sipcore.exchange import Exchange
from sipcore.record import NIL_ID
from sipcore.switch import AsyncSwitch
from sipcore.testing.clock import Deadlock, run_virtual
from sipcore.testing.fake_engine import FakeEngine, FarEnd

from .bodies import BODIES
from .stage import Beeps, Stage, address, play, staged

PLAY, LONG = Play(["prompt.wav"]), Play(["long.wav"])
RINGS = FarEnd(answer_after_s=None)
SILENT = FarEnd(is_silent=True)


def ended(record) -> tuple[str, str, int]:
    assert record.status == "hangup"
    return record.hangup_by, str(record.hangup_reason), record.sip_code


# ------------------------------------------------------------------------------------------------------ one call


def test_answered_call_plays_its_list_and_is_hung_up(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Talk("hello there"), PLAY)
        fresh = call.record.to_json()
        assert (fresh["status"], fresh["direction"], fresh["type"], fresh["tm_update"]) == ("dialing", "outgoing", "flow", "")
        record = await call.wait()
        assert ended(record) == ("local", "normal", 200)
        assert stage.names(call.id) == [
            "CallCreated", "CallDialing", "CallRinging", "CallMediaStarted", "CallAnswered", "ActionStarted", "ActionFinished",
            "ActionStarted", "ActionFinished", "CallHangingUp", "CallHangup",
        ]  # fmt: skip
        assert stage.outcomes(call.id) == [("talk", "done"), ("play", "done")]
        assert 3.0 <= record.duration_s < 3.1
        assert [round(heard.end_s - heard.start_s, 3) for heard in stage.engine.heard[call.id]] == [1.0, 2.0]
        assert await stage.switch.calls.get(call.id) == record

    play(root, scenario)


@pytest.mark.parametrize("name", BODIES)
def test_tutorial_bodies(root, name):
    async def scenario(stage: Stage):
        body = BODIES[name]
        if name == "play":
            body = body | {"actions": [PLAY.to_json()]}
        call = stage.switch.calls.create(body)
        record = await call.wait()
        assert ended(record) == (("local", "normal", 200))
        assert stage.sent(wire.Dial, call.id)[0].request_uri == "sip:+821021656521@192.0.2.8"
        assert len(record.chained_call_ids) == (name == "connect")

    play(root, scenario, {"+821043126521": FarEnd(hang_up_after_s=3)})


def test_call_without_actions_is_hung_up_after_the_answer(root):
    async def scenario(stage: Stage):
        assert ended(await stage.call().wait()) == ("local", "normal", 200)

    play(root, scenario)


REFUSALS = {
    "busy while ringing": (FarEnd(reject_code=486, answer_after_s=1), "busy", 486),
    "busy at once": (FarEnd(reject_code=486, ring_after_s=None), "busy", 486),
    "busy everywhere": (FarEnd(reject_code=600), "busy", 600),
    "unavailable": (FarEnd(reject_code=480, answer_after_s=1), "noanswer", 480),
    "declined": (FarEnd(reject_code=603, answer_after_s=1), "noanswer", 603),
    "not found": (FarEnd(reject_code=404, ring_after_s=None), "failed", 404),
    "service unavailable": (FarEnd(reject_code=503, ring_after_s=None), "failed", 503),
    "408 while ringing": (FarEnd(reject_code=408, answer_after_s=1), "noanswer", 408),
    "408 while dialing": (FarEnd(reject_code=408, ring_after_s=None, answer_after_s=1), "failed", 408),
    "silent": (SILENT, "failed", 408),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_far_end_does_not_answer(root, name):
    script, reason, code = REFUSALS[name]

    async def scenario(stage: Stage):
        call = stage.call("bob", Talk("never heard"))
        assert ended(await call.wait()) == ("remote", reason, code)
        assert stage.started(call.id) == []
        assert stage.engine.heard[call.id] == []

    play(root, scenario, {"bob": script})


def test_no_answer_within_the_dial_timeout(root):
    async def scenario(stage: Stage):
        record = await stage.call("bob", Talk("never heard")).wait()
        assert ended(record) == ("local", "dialout", 487)
        assert 20.0 <= (record.tm_hangup - record.tm_create).total_seconds() < 20.1

    play(root, scenario, {"bob": RINGS}, dial_timeout_s=20)


def test_silent_far_end_at_the_dial_timeout_is_given_up(root):
    async def scenario(stage: Stage):
        record = await stage.call().wait()
        assert ended(record) == ("local", "dialout", 0)
        assert (record.tm_hangup - record.tm_create).total_seconds() == 12.0
        assert record.sip_phrase == "no answer to our hangup"

    play(root, scenario, {"bob": SILENT}, dial_timeout_s=10, hangup_timeout_s=2)


def test_answer_that_crosses_our_cancel(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Talk("never heard"))
        await asyncio.sleep(1)
        call.hangup()
        assert ended(await call.wait()) == ("local", "cancel", 200)
        assert "CallAnswered" not in stage.names(call.id)
        assert stage.started(call.id) == []
        assert call.record.tm_progressing is None

    play(root, scenario, {"bob": FarEnd(answer_after_s=None, has_late_answer=True)})


def test_early_media(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", PLAY)
        assert ended(await call.wait()) == ("local", "normal", 200)
        names = stage.names(call.id)
        assert names.index("CallMediaStarted") < names.index("CallAnswered")
        assert (call.record.tm_progressing - call.record.tm_ringing).total_seconds() == 3.0

    play(root, scenario, {"bob": FarEnd(ring_code=183, answer_after_s=3)})


@pytest.mark.parametrize("action", [Talk("one two three four five six seven eight"), LONG], ids=["talk", "play"])
def test_remote_bye_in_the_middle_of_an_action(root, action):
    async def scenario(stage: Stage):
        call = stage.call("bob", action, Talk("never heard"))
        assert ended(await call.wait()) == ("remote", "normal", 200)
        assert stage.outcomes(call.id) == [(action.type, "interrupted")]
        assert stage.names(call.id)[-2:] == ["ActionFinished", "CallHangup"]

    play(root, scenario, {"bob": FarEnd(hang_up_after_s=1)})


def test_answer_and_end_in_one_breath_start_nothing(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Talk("never heard"))
        await stage.until_sent(wire.Dial, call.id)
        for event in (wire.CallConfirmed(call.id, 200, "OK"), wire.CallDisconnected(call.id, 200, "OK", remote=True)):
            stage.engine._tell(event)
        await call.wait()
        await asyncio.sleep(1)
        assert stage.started(call.id) == []

    play(root, scenario, {"bob": RINGS})


def test_playback_and_call_end_in_one_breath(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", PLAY, Talk("never heard"))
        await stage.until_sent(wire.Play, call.id)
        play_id = stage.sent(wire.Play, call.id)[0].play_id
        stage.engine._tell(wire.PlaybackFinished(call.id, play_id))
        stage.engine.hang_up_remote(call.id)
        await call.wait()
        await asyncio.sleep(1)
        assert stage.started(call.id) == ["play"]

    play(root, scenario)


# ------------------------------------------------------------------------------------------------- local hangup


@pytest.mark.parametrize(
    ("script", "after_s", "expected"),
    [
        (RINGS, None, ("local", "cancel", 487)),
        (SILENT, 0.5, ("local", "cancel", 0)),
        (RINGS, 0.5, ("local", "cancel", 487)),
        (FarEnd(), 0.5, ("local", "normal", 200)),
    ],
    ids=["created", "dialing", "ringing", "progressing"],
)
def test_hangup_in_each_status(root, script, after_s, expected):
    async def scenario(stage: Stage):
        call = stage.call("bob", LONG)
        if after_s is not None:
            await asyncio.sleep(after_s)
        call.hangup()
        status = call.record.status
        call.hangup()  # while it ends: nothing more happens
        assert call.record.status == status
        record = await call.wait()
        assert ended(record) == expected
        call.hangup()
        assert await stage.switch.calls.hangup(call.id) == record
        assert stage.names(call.id).count("CallHangingUp") == 1
        assert [type(command) for command in stage.engine.commands if command.call_id == call.id][:1] == [wire.Dial]
        assert len(stage.sent(wire.Hangup, call.id)) == len(stage.sent(wire.Dial, call.id)) == 1

    play(root, scenario, {"bob": script})


def test_hangup_of_unknown_calls(root):
    async def scenario(stage: Stage):
        for work in (stage.switch.calls.hangup, stage.switch.calls.get):
            with pytest.raises(CallNotFound) as refusal:
                await work("nobody")
            assert refusal.value.call_id == "nobody"

    play(root, scenario)


def test_far_end_that_never_confirms_our_bye(root):
    async def scenario(stage: Stage):
        record = await stage.call("bob").wait()
        assert ended(record) == ("local", "normal", 200)
        assert record.sip_phrase == "OK"

    class DeafEngine(FakeEngine):
        """Takes Hangup and tells nothing for a minute."""

        def _hang_up(self, call_id):
            if call_id in self._legs and not self._legs[call_id].is_ending:
                self._legs[call_id].is_ending = True
                self._loop.call_later(60, super()._end, call_id, 408, "Request Timeout")

        def _end(self, call_id, code, phrase, *, remote=True, error=""):
            super()._end(call_id, code, phrase, remote=remote, error=error)

    engine = DeafEngine()
    stage = play(root, scenario, engine=engine, hangup_timeout_s=3)
    over = next(event.record for event in stage.events if isinstance(event, CallHangup))
    assert (over.tm_hangup - over.tm_progressing).total_seconds() == 3.0


def test_local_hangup_starts_no_further_action(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", PLAY, Connect([address("carol")]))
        await stage.until_sent(wire.Play, call.id)
        call.hangup()
        stage.engine._tell(wire.PlaybackFinished(call.id, stage.sent(wire.Play, call.id)[0].play_id))
        await call.wait()
        assert stage.started(call.id) == ["play"]
        assert call.record.chained_call_ids == ()

    play(root, scenario)


def test_call_that_lasts_too_long(root):
    async def scenario(stage: Stage):
        record = await stage.call("bob", LONG).wait()
        assert ended(record) == ("local", "timeout", 200)
        assert 30.0 <= record.duration_s < 30.1

    play(root, scenario, max_duration_s=30)


def test_lost_worker_ends_exactly_its_calls(root):
    async def scenario(stage: Stage):
        lost, other = stage.call("bob", Connect([address("carol")])), stage.call("dave", LONG)
        await asyncio.sleep(5)
        stage.engine.lose_worker(lost.id)
        record = await lost.wait()
        assert ended(record) == ("remote", "failed", 200)
        (leg_id,) = record.chained_call_ids
        assert ended(await stage.switch.calls.get(leg_id)) == ("remote", "failed", 200)
        assert other.record.status == "progressing"
        assert stage.outcomes(lost.id) == [("connect", "interrupted")]

    play(root, scenario)


# -------------------------------------------------------------------------------------------------------- connect


def legs_of(stage: Stage, call) -> dict[str, str]:
    """The leg ids by user."""
    by_id = {event.call_id: event.record for event in stage.events if isinstance(event, CallCreated)}
    return {by_id[leg_id].destination.uri.user: leg_id for leg_id in call.record.chained_call_ids}


def test_second_of_two_answers_first(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob"), address("carol")]), PLAY)
        record = await call.wait()
        assert ended(record) == ("local", "normal", 200)
        legs = legs_of(stage, call)
        assert ended(await stage.switch.calls.get(legs["bob"])) == ("local", "cancel", 487)
        assert ended(await stage.switch.calls.get(legs["carol"])) == ("remote", "normal", 200)
        assert stage.outcomes(call.id) == [("connect", "done"), ("play", "done")]
        results = {result.destination: result for result in stage.finished(call.id)[0].legs}
        assert (results["sip:bob@192.0.2.9"].answered, results["sip:bob@192.0.2.9"].hangup_reason) == (False, "cancel")
        assert (results["sip:carol@192.0.2.9"].answered, results["sip:carol@192.0.2.9"].hangup_reason) == (True, "normal")
        ringback, peer, prompt = stage.engine.heard[call.id]
        assert ringback.path
        assert ringback.end_s == peer.start_s
        assert peer.peer_id == legs["carol"]
        assert peer.end_s - peer.start_s == pytest.approx(10.0, abs=0.01)
        assert prompt.path
        assert [heard.peer_id for heard in stage.engine.heard[legs["carol"]]] == [call.id]
        assert stage.engine.heard[legs["bob"]] == []

    play(root, scenario, {"bob": FarEnd(answer_after_s=9), "carol": FarEnd(answer_after_s=4, hang_up_after_s=10)})


def test_legs_are_calls_of_their_own(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob")], source="tel:+8299"), Connect([address("bob")]), source="tel:+8288")
        record = await call.wait()
        first, second = [await stage.switch.calls.get(leg_id) for leg_id in record.chained_call_ids]
        assert (first.master_call_id, second.master_call_id, record.master_call_id) == (call.id, call.id, NIL_ID)
        assert (first.flow_id, second.flow_id) == (record.flow_id, record.flow_id)
        assert (str(first.source), str(second.source)) == ("tel:+8299", "tel:+8288")
        assert stage.sent(wire.Dial, first.id)[0].from_uri == "<sip:+8299@192.0.2.8>"
        assert [row.id for row in (await stage.switch.calls.list()).result] == [second.id, first.id, call.id]
        assert {command.group_id for command in stage.engine.commands if isinstance(command, wire.Dial)} == {call.id}

    play(root, scenario, {"bob": FarEnd(hang_up_after_s=1)})


def test_all_refuse(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob"), address("carol")]), PLAY)
        await call.wait()
        assert stage.outcomes(call.id) == [("connect", "failed"), ("play", "done")]
        finished = stage.finished(call.id)[0]
        assert "nobody answered" in finished.detail
        assert [(leg.hangup_reason, leg.sip_code, leg.answered) for leg in finished.legs] == [
            ("busy", 486, False),
            ("noanswer", 603, False),
        ]

    play(root, scenario, {"bob": FarEnd(reject_code=486, answer_after_s=1), "carol": FarEnd(reject_code=603, answer_after_s=2)})


def test_nobody_answers_in_time(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob"), address("carol")], timeout_s=7), Connect([address("dave"), address("erin")]))
        record = await call.wait()
        for leg_id in record.chained_call_ids[:2]:
            leg = await stage.switch.calls.get(leg_id)
            assert ended(leg) == ("local", "dialout", 487)
            assert 7.0 <= (leg.tm_hangup - leg.tm_create).total_seconds() < 7.1
        assert stage.outcomes(call.id) == [("connect", "failed"), ("connect", "done")], "the places of the first are free for the second"
        assert [leg.hangup_reason for leg in stage.finished(call.id)[0].legs] == ["dialout", "dialout"]

    play(root, scenario, {"bob": RINGS, "carol": RINGS, "dave": FarEnd(hang_up_after_s=1), "erin": RINGS})


@pytest.mark.parametrize(("answer_after_s", "reason"), [(None, "cancel"), (1.0, "normal")], ids=["ringing", "bridged"])
@pytest.mark.parametrize("is_local", [False, True], ids=["remote", "local"])
def test_caller_leaves(root, answer_after_s, reason, is_local):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob")]), Talk("never heard"))
        await asyncio.sleep(5)
        if is_local:
            call.hangup()
        else:
            stage.engine.hang_up_remote(call.id)
        record = await call.wait()
        await asyncio.sleep(1)
        assert ended(record) == ("local" if is_local else "remote", "normal", 200)
        leg = await stage.switch.calls.get(record.chained_call_ids[0])
        assert ended(leg)[:2] == ("local", reason)
        assert (leg.tm_hangup - record.tm_hangup).total_seconds() < 0.1
        assert stage.outcomes(call.id) == [("connect", "interrupted")]
        assert all(heard.end_s is not None for heard in stage.engine.heard[call.id])

    play(root, scenario, {"bob": FarEnd(answer_after_s=answer_after_s)})


def test_hangup_of_the_other_leg_lets_the_caller_go_on(root):
    async def scenario(stage: Stage):
        call = stage.call("alice", Connect([address("bob")]), PLAY)
        await asyncio.sleep(5)
        await stage.switch.calls.hangup(call.record.chained_call_ids[0])
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert stage.outcomes(call.id) == [("connect", "done"), ("play", "done")]

    play(root, scenario)


# -------------------------------------------------------------------------------------------------- what goes wrong


def test_file_that_is_gone_after_create_is_told_and_skipped(root):
    async def scenario(stage: Stage):
        from .stage import write_wav

        gone = write_wav(stage.root / "gone.wav")
        call = stage.call("bob", Play(["gone.wav"]), PLAY)
        gone.unlink()
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert stage.outcomes(call.id) == [("play", "failed"), ("play", "done")]
        assert "gone.wav: no such file" in stage.finished(call.id)[0].detail

    play(root, scenario)


def test_file_that_the_engine_cannot_play_is_told_and_skipped(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", LONG, PLAY)
        await stage.until_sent(wire.Play, call.id)
        stage.engine._tell(wire.PlaybackFinished(call.id, stage.sent(wire.Play, call.id)[0].play_id, "broken file"))
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert [(event.outcome, event.detail) for event in stage.finished(call.id)] == [("failed", "broken file"), ("done", "")]

    play(root, scenario)


def test_internal_error_ends_that_call_only(root, monkeypatch, caplog):
    async def scenario(stage: Stage):
        monkeypatch.setattr(stage.switch.exchange.library, "ringback", lambda: 1 / 0)
        broken, fine = stage.call("bob", Connect([address("carol")])), stage.call("dave", PLAY)
        assert ended(await broken.wait()) == ("local", "failed", 200)
        assert ended(await fine.wait()) == ("local", "normal", 200)
        assert ["internal error" in message and "ZeroDivisionError" in message for message in stage.errors] == [True]
        stage.errors.clear()

    play(root, scenario)


def test_no_room_leaves_nothing(root):
    async def scenario(stage: Stage):
        calls = [stage.call("bob", LONG) for _ in range(2)]
        with pytest.raises(CapacityError) as refusal:
            stage.call("bob")
        assert (refusal.value.needed, refusal.value.in_use, refusal.value.limit) == (1, 2, 2)
        assert stage.engine.legs_in_use == 2
        assert len((await stage.switch.calls.list()).result) == 2
        calls[0].hangup()
        await calls[0].wait()
        assert ended(await stage.call("bob").wait()) == ("local", "normal", 200)

    play(root, scenario, engine=FakeEngine(max_legs=2))


def test_more_destinations_than_there_are_legs(root):
    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest, match=r"needs 5 legs at once, this switch has max_legs = 4"):
            stage.call("alice", Connect([address("bob")] * 4))
        assert stage.engine.legs_in_use == 0
        assert (await stage.switch.calls.list()).result == ()

    play(root, scenario, max_legs=4)


def test_bad_request_leaves_nothing(root):
    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest) as refusal:
            stage.switch.calls.create(destination="tel:12ab", actions=[{"type": "tlak"}, Talk("")])
        assert [fault.path for fault in refusal.value.faults] == ["destination", "actions[0].type"]
        for wrong in ([], "tel:+8210", 5):
            with pytest.raises(InvalidRequest):
                stage.switch.calls.create(wrong)
        with pytest.raises(InvalidRequest, match="destination: is given beside a whole request"):
            stage.switch.calls.create(BODIES["talk"], destination="tel:+8210")
        for size in (0, -1, True, "10", 1.5):
            with pytest.raises(InvalidRequest, match="page_size"):
                await stage.switch.calls.list(size)
        for token in ("yesterday", 5, "2021-02-06 08:54:38.361000' OR 1"):
            with pytest.raises(InvalidRequest, match="page_token"):
                await stage.switch.calls.list(10, token)
        assert (stage.events, stage.engine.commands, stage.engine.legs_in_use) == ([], [], 0)

    play(root, scenario)


# ------------------------------------------------------------------------------------------------- open and close


def test_close_with_calls_in_every_state(root):
    async def scenario(stage: Stage):
        ending = stage.call("alice", LONG)
        for user in ("silent", "rings", "busy", "bob"):
            stage.call(user, LONG)
        stage.call("bob", Connect([address("rings"), address("silent")]))
        stage.call("bob", Connect([address("bob")]))
        await asyncio.sleep(2)
        ending.hangup()
        stage.call("bob")
        statuses = {row.status for row in (await stage.switch.calls.list(100)).result}
        assert statuses == {"dialing", "ringing", "progressing", "terminating", "hangup"}

    stage = play(root, scenario, {"silent": SILENT, "rings": RINGS, "busy": FarEnd(reject_code=486)})
    assert sum(isinstance(event, CallHangup) for event in stage.events) == 11


def test_records_survive_the_switch(root, tmp_path):
    store = str(tmp_path / "calls.sqlite")
    first = play(root, lambda stage: stage.call("bob", LONG).wait(), {"bob": FarEnd(hang_up_after_s=4)}, store=store)
    over = first.events[-1].record

    async def scenario(stage: Stage):
        assert await stage.switch.calls.get(over.id) == over
        record = await stage.call().wait()
        assert record.tm_create > over.tm_create, "virtual time starts again, tm_create does not"

    play(root, scenario, store=store)


def test_closed_switch(root):
    async def scenario():
        switch = AsyncSwitch(engine=FakeEngine(), synthesizer=Beeps(), cache_dir=root / "cache")
        for work in (switch.calls.create, lambda: switch.listen(print)):
            with pytest.raises(SwitchClosed):
                work()
        for work in (switch.calls.list(), switch.calls.get("x"), switch.calls.hangup("x")):
            with pytest.raises(SwitchClosed):
                await work
        await switch.close()
        async with switch:
            assert switch.sip_address == "192.0.2.1:5060"
            exchange = switch.exchange
            await switch.open()
            assert switch.exchange is exchange
        assert switch.sip_address == ""
        await switch.close()
        with pytest.raises(SwitchClosed):
            switch.calls.create(destination="sip:b@192.0.2.1")
        async with switch:
            await switch.calls.create(destination="sip:b@192.0.2.1").wait()

    run_virtual(scenario())


@pytest.mark.parametrize("key", ["store", "cache_dir"])
def test_what_cannot_be_opened_leaves_nothing(root, tmp_path, key):
    (tmp_path / "file").touch()

    class Watched(FakeEngine):
        starts = 0

        async def start(self, on_event):
            self.starts += 1
            await super().start(on_event)

    engine = Watched()

    async def scenario():
        settings = {"cache_dir": root / "cache"} | {key: str(tmp_path / "file" / "x")}
        with pytest.raises(ConfigError, match=key):
            await AsyncSwitch(engine=engine, synthesizer=Beeps(), **settings).open()

    run_virtual(scenario())
    assert engine.starts == 0


def test_wait_times_out_and_the_call_goes_on(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", PLAY)
        with pytest.raises(TimeoutError):
            await call.wait(0.5)
        assert call.record.status == "progressing"
        assert ended(await call.wait(10)) == ("local", "normal", 200)

    play(root, scenario)


# --------------------------------------------------------------------------------------------------------- events


def test_events_from_the_beginning_whenever_asked(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", PLAY)
        await asyncio.sleep(1)
        names = [type(event).__name__ async for event in call.events()]
        assert names == stage.names(call.id)
        assert [type(event).__name__ async for event in call.events()] == names

    play(root, scenario)


def test_digits(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", LONG)
        await asyncio.sleep(1)
        stage.engine.press(call.id, "5")
        call_events = call.events()
        async for event in call_events:
            if type(event).__name__ == "DigitReceived":
                assert (event.digit, event.duration_ms) == ("5", 160)
                break
        await call_events.aclose()

    play(root, scenario)


def test_listener_that_fails_harms_nobody(root):
    async def scenario(stage: Stage):
        def bad(event):
            raise RuntimeError("listener")

        stage.switch.listen(bad)
        call = stage.call("bob", PLAY)
        assert ended(await call.wait()) == ("local", "normal", 200)
        assert len(stage.errors) == len(stage.names(call.id))
        stage.errors.clear()

    play(root, scenario)


@pytest.mark.parametrize(
    "moment", ["CallCreated", "CallDialing", "CallRinging", "CallAnswered", "ActionStarted", "ActionFinished", "CallHangup"]
)
def test_listener_that_hangs_up(root, moment):
    async def scenario(stage: Stage):
        seen: list[str] = []

        def hang_up(event):
            if type(event).__name__ == moment and (session := stage.switch.exchange.live(event.call_id)):
                session.hang_up()

        stage.switch.listen(hang_up)
        stage.switch.listen(lambda event: seen.append(type(event).__name__))
        call = stage.call("bob", PLAY, Connect([address("carol")]))
        record = await call.wait()
        await asyncio.sleep(1)
        mine = stage.names(call.id)
        if moment not in ("CallHangup", "ActionFinished"):
            assert seen == mine, "every listener is told everything in the same order"
            assert record.hangup_by == "local"
            assert record.chained_call_ids == ()
        if moment == "ActionFinished":
            assert stage.started(call.id) == ["play"]
        assert stage.engine.legs_in_use == 0, "an INVITE that went out is ended"

    play(root, scenario)


def test_stopped_listener_hears_no_more(root):
    async def scenario(stage: Stage):
        seen = []
        stop = stage.switch.listen(seen.append)
        call = stage.call("bob", PLAY)
        stop()
        stop()
        await call.wait()
        assert [type(event) for event in seen] == [CallCreated, CallDialing]

    play(root, scenario)


def test_engine_faults_are_logged(root, caplog):
    async def scenario(stage: Stage):
        call = stage.call("bob", PLAY)
        stage.engine._tell(wire.EngineFault("", "worker 3 is slow"))
        stage.engine._tell(wire.EngineFault(call.id, "odd"))
        await call.wait()
        assert stage.errors == ["engine: worker 3 is slow", f"call {call.id}: engine: odd"]
        stage.errors.clear()

    with caplog.at_level(logging.ERROR):
        play(root, scenario)


# ------------------------------------------------------------------------------------------------- everything at once

TIMES = st.sampled_from([0.0, 0.001, 0.002, 0.004, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0])
FAR_ENDS = st.builds(
    FarEnd,
    ring_after_s=st.none() | TIMES,
    ring_code=st.sampled_from([180, 183]),
    answer_after_s=st.none() | TIMES,
    reject_code=st.sampled_from([0, 0, 0, 404, 486, 603]),
    hang_up_after_s=st.none() | TIMES,
    is_silent=st.sampled_from([False, False, False, True]),
    has_late_answer=st.booleans(),
)
USERS = ["u0", "u1", "u2", "u3"]
TO = st.sampled_from(USERS).map(address)
ACTIONS = st.one_of(
    st.just(PLAY),
    st.just(Talk("one two")),
    st.builds(
        Connect,
        st.lists(TO, min_size=1, max_size=3),
        timeout_s=st.sampled_from([0.001, 0.5, 2.0, 30.0]),
        unchained=st.booleans(),
        ring=st.sampled_from(["all", "in_order"]),
        leg_timeout_s=st.none() | st.sampled_from([0.001, 0.5, 2.0]),
        early_media=st.booleans(),
        confirm=st.none() | st.just(Confirm("one two", timeout_s=1)),
        relay_reason=st.booleans(),
        max_duration_s=st.none() | st.sampled_from([0.001, 1.0, 4.0]),
    ),
)
CALLS = st.tuples(TO, st.lists(ACTIONS, max_size=3), TIMES)
DEEDS = st.tuples(TIMES, st.sampled_from(["hangup", "remote", "press", "lose", "list"]), st.integers(0, 9))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(FAR_ENDS, min_size=4, max_size=4), st.lists(CALLS, min_size=1, max_size=3), st.lists(DEEDS, max_size=6), TIMES | st.just(200.0)
)
def test_whatever_happens_every_call_ends_once(root, far_ends, calls, deeds, close_after_s):
    async def scenario(stage: Stage):
        async def place(to, actions, after_s):
            await asyncio.sleep(after_s)
            try:
                call = stage.switch.calls.create(destination=to, actions=actions)
            except CapacityError:
                return
            record = await call.wait()
            assert [type(event).__name__ async for event in call.events()] == stage.names(call.id)
            assert record.is_over

        async def do(after_s, deed, number):
            await asyncio.sleep(after_s)
            ids = [event.call_id for event in stage.events if isinstance(event, CallCreated)]
            call_id = ids[number % len(ids)] if ids else "nobody"
            match deed:
                case "hangup" if ids:
                    await stage.switch.calls.hangup(call_id)
                case "remote":
                    stage.engine.hang_up_remote(call_id)
                case "press":
                    stage.engine.press(call_id, "1")
                case "lose":
                    stage.engine.lose_worker(call_id)
                case "list":
                    await stage.switch.calls.list()

        tasks = [asyncio.create_task(place(*call)) for call in calls] + [asyncio.create_task(do(*deed)) for deed in deeds]
        await asyncio.wait(tasks, timeout=close_after_s)
        await stage.switch.close()
        for task in tasks:
            with contextlib.suppress(SwitchClosed):
                await asyncio.wait_for(task, 60)

    stage = play(root, scenario, dict(zip(USERS, far_ends, strict=True)), engine=FakeEngine(max_legs=9))
    times = [event.record.tm_create for event in stage.events if isinstance(event, CallCreated)]
    assert times == sorted(set(times))
    answered = {event.call_id for event in stage.events if isinstance(event, CallAnswered)}
    dialed = {event.call_id for event in stage.events if isinstance(event, CallDialing)}
    assert answered <= dialed


def test_deadlock_is_an_error():
    async def waits_for_ever():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run_virtual(waits_for_ever())


def test_virtual_time_stands_still_while_threads_work():
    async def scenario():
        loop = asyncio.get_running_loop()
        started = loop.time()
        timer = asyncio.create_task(asyncio.sleep(3600))
        assert await asyncio.to_thread(lambda: 42) == 42
        assert loop.time() == started
        await timer
        assert loop.time() == 3600

    run_virtual(scenario())


def test_exchange_is_what_runs(root):
    async def scenario():
        async with staged(root, {}) as stage:
            assert isinstance(stage.switch.exchange, Exchange)

    run_virtual(scenario())
