"""`switch.dial`: a call of one block of code, on the fake engine and on virtual time."""

import asyncio

import pytest

from sipcore import engine as wire
from sipcore.errors import CallFailed, CapacityError, InvalidRequest, InvalidState, SwitchClosed
from sipcore.switch import AsyncSwitch
from sipcore.testing.fake_engine import FakeEngine, FarEnd

from .stage import Stage, address, play

BOB = address("bob")
FAR_ENDS = {
    "busy": FarEnd(reject_code=486, reject_phrase="Busy Here"),
    "rings": FarEnd(answer_after_s=None),
    "slow": FarEnd(answer_after_s=20.0),
    "leaves": FarEnd(hang_up_after_s=1.0),
    "hears nothing": FarEnd(is_silent=True),
}


def last(stage: Stage):
    (record,) = [event.record for event in stage.events if type(event).__name__ == "CallHangup"]
    return record


def ended(stage: Stage) -> tuple[str, str]:
    record = last(stage)
    return record.hangup_by, str(record.hangup_reason)


def test_block_is_entered_at_the_answer_and_hangs_up(root):
    async def scenario(stage: Stage):
        async with stage.switch.dial(address("slow")) as call:
            assert call.record.status == "progressing"
            assert asyncio.get_running_loop().time() == pytest.approx(20, abs=0.1)
            await call.play("prompt.wav")
            assert stage.engine.legs_in_use == 2
        assert call.record.is_over
        assert ended(stage) == ("local", "normal")
        assert stage.outcomes(call.id) == [("play", "done")]

    play(root, scenario, FAR_ENDS)


@pytest.mark.parametrize(
    ("user", "options", "reason", "code"),
    [("busy", {}, "busy", 486), ("rings", {"ring_timeout_s": 3}, "dialout", 487), ("rings", {}, "dialout", 487)],
)
def test_call_that_is_not_answered_raises(root, user, options, reason, code):
    async def scenario(stage: Stage):
        before = asyncio.get_running_loop().time()
        with pytest.raises(CallFailed) as failed:
            async with stage.switch.dial(address(user), **options):
                pytest.fail("entered")
        assert (failed.value.reason, failed.value.sip_code) == (reason, code)
        if options:
            assert asyncio.get_running_loop().time() - before == pytest.approx(3, abs=0.1)

    play(root, scenario, FAR_ENDS)


def test_exception_leaves_the_block_and_ends_the_call_as_failed(root):
    async def scenario(stage: Stage):
        with pytest.raises(ZeroDivisionError):
            async with stage.switch.dial(BOB):
                1 / 0  # noqa: B018
        assert ended(stage) == ("local", "failed")

    play(root, scenario, FAR_ENDS)


@pytest.mark.parametrize(("user", "command"), [("rings", "canceling"), ("bob", "terminating")])
def test_cancelling_hangs_up(root, user, command):
    async def scenario(stage: Stage):
        async def handle():
            async with stage.switch.dial(address(user)) as call:
                await call.play("long.wav")

        task = asyncio.create_task(handle())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended(stage)[0] == "local"
        statuses = [event.record.status for event in stage.events if hasattr(event, "record")]
        assert command in statuses
        assert str(last(stage).hangup_reason) == ("cancel" if user == "rings" else "normal")

    play(root, scenario, FAR_ENDS)


def test_far_end_that_leaves_ends_what_the_block_waits_for(root):
    async def scenario(stage: Stage):
        with pytest.raises(InvalidState):
            async with stage.switch.dial(address("leaves")) as call:
                await call.play("long.wav")
        assert ended(stage) == ("remote", "normal")

    play(root, scenario, FAR_ENDS)


def test_legs_are_kept_for_a_connect(root):
    async def scenario(stage: Stage):
        async with stage.switch.dial(BOB) as call:
            leg = await call.connect(address("leaves"))
            record = await leg.ended()
            assert record.master_call_id == call.id
            assert not call.record.is_over
        async with stage.switch.dial(BOB, legs=1) as call:
            with pytest.raises(Exception, match="no room"):
                await call.connect(address("bob"))

    play(root, scenario, FAR_ENDS)


def test_bad_input(root):
    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest, match=r"destination: .*; ring_timeout_s: .*-1; legs: ") as refused:
            stage.switch.dial(None, ring_timeout_s=-1, legs=0)
        assert [fault.path for fault in refused.value.faults] == ["destination", "ring_timeout_s", "legs"]
        with pytest.raises(InvalidRequest, match="nan"):
            stage.switch.dial(BOB, ring_timeout_s=float("nan"))
        with pytest.raises(CapacityError):
            async with stage.switch.dial(BOB, legs=4), stage.switch.dial(BOB, legs=4):
                pytest.fail("entered")
        dialed = stage.switch.dial(BOB)
        async with dialed:
            pass
        with pytest.raises(RuntimeError, match="once"):
            await dialed.__aenter__()

    play(root, scenario, FAR_ENDS, engine=FakeEngine(max_legs=6))


async def test_switch_that_is_not_open():
    with pytest.raises(SwitchClosed):
        async with AsyncSwitch().dial(BOB):
            pytest.fail("entered")


WAITING = {
    "talk": lambda call: call.talk("one two three four five six"),
    "play": lambda call: call.play("long.wav"),
    "gather": lambda call: call.gather(4, timeout_s=60),
    "send_digits": lambda call: call.send_digits("1234567890"),
    "connect": lambda call: call.connect(address("rings")),
    "echo": lambda call: call.echo(60_000),
    "transfer": lambda call: call.transfer(address("bob")),
    "detect_answerer": lambda call: call.detect_answerer(),
}


@pytest.mark.parametrize("name", WAITING)
def test_cancelling_the_task_that_waits_cancels_the_action_and_the_call_goes_on(root, name):
    async def scenario(stage: Stage):
        async with stage.switch.dial(BOB) as call:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await WAITING[name](call)
            assert [outcome for _, outcome in stage.outcomes(call.id)] == ["interrupted"]
            assert call.record.status == "progressing"
            if name in ("talk", "play"):
                assert len(stage.sent(wire.StopPlay, call.id)) == 1
            if name == "send_digits":
                assert len(stage.sent(wire.StopDigits, call.id)) == 1
            if name == "connect":
                (leg_id,) = call.record.chained_call_ids
                assert len(stage.sent(wire.Hangup, leg_id)) == 1
                await asyncio.sleep(0.1)
            await call.play("prompt.wav")

    play(root, scenario, FAR_ENDS)


def test_one_action_waits_for_another_and_can_be_cancelled_meanwhile(root):
    async def scenario(stage: Stage):
        async with stage.switch.dial(BOB) as call:
            async with asyncio.TaskGroup() as group:
                group.create_task(call.play("prompt.wav"))
                waits = group.create_task(call.talk("never heard"))
                await asyncio.sleep(1)
                waits.cancel()
            assert stage.outcomes(call.id) == [("play", "done")]

    play(root, scenario, FAR_ENDS)


def test_nothing_is_left_of_a_hundred_calls(root):
    async def scenario(stage: Stage):
        before = asyncio.all_tasks()
        exchange = stage.switch.exchange

        async def one(number: int):
            async with asyncio.timeout(1.5), stage.switch.dial(address(("bob", "busy", "slow", "leaves")[number % 4])) as call:
                if number % 8 < 4:
                    await call.play("prompt.wav")
                events = call.events()
                await anext(events)
                await events.aclose()
                raise ValueError

        for batch in range(5):
            results = await asyncio.gather(*(one(batch + number) for number in range(20)), return_exceptions=True)
            assert {type(result) for result in results} == {TimeoutError, ValueError, CallFailed, InvalidState}
        assert asyncio.all_tasks() <= before
        assert exchange.sessions() == ()
        assert (exchange._performers, exchange._work, exchange._handlers, exchange._groups) == ({}, {}, set(), {})

    play(root, scenario, FAR_ENDS)
