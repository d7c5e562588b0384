"""Functions of the user's as actions of a list, on the fake engine and on virtual time; those of `Switch` on real threads."""

import asyncio
import contextlib
import functools
import logging
import threading
import time

import pytest

from sipcore import Play, Run, Switch, Talk
from sipcore.actions import Action, Answer, Connect, json_schema, legs_needed, parse_action, parse_actions
from sipcore.calls import AsyncCall
from sipcore.errors import InvalidRequest, InvalidState
from sipcore.testing.fake_engine import Caller, FakeEngine, FarEnd

from .stage import Beeps, Stage, address, play

PLAY = Play(["prompt.wav"])


async def greet(call):
    assert isinstance(call, AsyncCall)
    await call.talk("hello")
    call.set_variable("greeted", "yes")


# -------------------------------------------------------------------------------------------------------- lists


def test_function_stands_for_an_action():
    first, second, third, last = parse_actions([greet, {"type": "answer"}, Run(greet, legs=2, id="again"), functools.partial(greet)])
    assert first == Run(greet)
    assert (first.label, second.label, third.id) == ("run:greet", "answer", "again")
    assert last.name == "greet"
    assert legs_needed([third]) == 3
    assert third.to_json() == {"type": "run", "option": {"function": "greet", "legs": 2}, "id": "again"}


def plain_function(call):
    pass


class AnAction(Action):
    type = "mine"


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (plain_function, r"actions\[1\]: a function in a list of actions is an async def function, plain_function is not"),
        (Run(greet, legs=-1), r"actions\[1\].option.legs: "),
        (Run(greet, id="a b"), r"actions\[1\].id: "),
        (Run("greet"), r"actions\[1\]: .* str is not"),
        ({"type": "run", "option": {"function": "greet"}}, r"actions\[1\].type: unknown action type 'run'"),
        (AsyncCall, r"actions\[1\]: an action is an object with"),
        (AnAction(), r"AnAction is not an action"),
    ],
    ids=["plain", "legs", "id", "no function", "json", "class", "unknown action"],
)
def test_what_is_no_function(item, message):
    with pytest.raises(InvalidRequest, match=message):
        parse_actions([Answer(), item])


def test_coroutine_is_no_function():
    already_called = greet(None)
    with pytest.raises(InvalidRequest, match=r"actions\[1\]: an action is an object with"):
        parse_actions([Answer(), already_called])
    already_called.close()


def test_it_is_no_part_of_json():
    assert "run" not in str([one["properties"]["type"] for one in json_schema()["items"]["oneOf"]])
    with pytest.raises(InvalidRequest, match="call it yourself"):
        parse_action(greet)


# -------------------------------------------------------------------------------------------------------- calls


def test_it_is_carried_out_in_its_place_and_told(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", PLAY, greet, Talk("${greeted}"))
        await call.wait()
        assert stage.started(call.id) == ["play", "run:greet", "talk", "talk"]
        assert stage.outcomes(call.id) == [("play", "done"), ("talk", "done"), ("run:greet", "done"), ("talk", "done")]
        assert [event.index for event in stage.finished(call.id)] == [0, 2, 1, 3]
        assert str(call.record.hangup_reason) == "normal"

    play(root, scenario)


def test_it_works_for_a_call_from_outside_and_may_connect(root):
    async def ask(call):
        leg = await call.connect(address("leaves"))
        await leg.ended()

    async def scenario(stage: Stage):
        stage.switch.on_call(actions=[ask, Answer(), PLAY])
        decision = stage.engine.offer("1000", caller=Caller())
        call = stage.switch.calls.live(decision.call_id)
        await call.wait()
        assert stage.outcomes(call.id) == [("connect", "done"), ("run:ask", "done"), ("answer", "done"), ("play", "done")]

    play(root, scenario, {"leaves": FarEnd(hang_up_after_s=1.0)})


def test_an_exception_fails_the_action_and_the_list_goes_on(root):
    async def breaks(call):
        raise KeyError("missing")

    async def refused(call):
        await call.play("no such file.wav")

    async def scenario(stage: Stage):
        call = stage.call("bob", breaks, refused, PLAY)
        await call.wait()
        failed = [(event.type, event.outcome, event.detail) for event in stage.finished(call.id)]
        assert failed[0] == ("run:breaks", "failed", "KeyError: 'missing'")
        assert failed[2][:2] == ("run:refused", "failed")
        assert failed[2][2].startswith("ActionFailed: ")
        assert failed[3][:2] == ("play", "done")
        first, second = stage.errors
        assert f"call {call.id}: run:breaks failed" in first
        assert "KeyError: 'missing'" in first
        assert f"call {call.id}: run:refused failed" in second
        stage.errors.clear()

    play(root, scenario)


def test_the_end_of_the_call_cancels_it(root):
    ended = []

    async def waits(call):
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(call.record.status)

    async def scenario(stage: Stage):
        call = stage.call("leaves", waits, PLAY)
        await call.wait()
        assert stage.outcomes(call.id) == [("run:waits", "interrupted")]
        await asyncio.sleep(0)
        assert ended == ["hangup"]

    play(root, scenario, {"leaves": FarEnd(hang_up_after_s=1.0)})


def test_one_that_hangs_up_ends_the_list(root):
    async def ends(call):
        call.hangup()
        with pytest.raises(InvalidState):
            await call.play("prompt.wav")

    async def scenario(stage: Stage):
        call = stage.call("bob", ends, PLAY)
        record = await call.wait()
        assert (record.hangup_by, str(record.hangup_reason)) == ("local", "normal")
        assert stage.started(call.id) == ["run:ends"]

    play(root, scenario)


def test_one_that_does_not_let_itself_be_cancelled_holds_up_nobody(root):
    async def stubborn(call):
        while call.record.tm_hangup is None or asyncio.get_running_loop().time() < 5:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)

    async def scenario(stage: Stage):
        call = stage.call("leaves", stubborn)
        await call.wait()
        assert asyncio.get_running_loop().time() < 2

    play(root, scenario, {"leaves": FarEnd(hang_up_after_s=1.0)})


def test_a_plan_shows_it(root):
    async def scenario(stage: Stage):
        plan = await stage.switch.plan([PLAY, greet, Connect([address("bob")])])
        assert [planned.type for planned in plan.actions] == ["play", "run:greet", "connect"]
        assert plan.actions[1].detail == "is code of yours"
        assert (plan.legs_needed, plan.audio_s, plan.is_complete) == (2, 2.0, True)
        with pytest.raises(InvalidRequest, match="plain_function is not"):
            await stage.switch.plan([plain_function])

    play(root, scenario)


# --------------------------------------------------------------------------------------------------- synchronous


@pytest.fixture
def switch(root):
    engine = FakeEngine()
    engine.far_end("leaves", FarEnd(hang_up_after_s=0.1))
    engine.far_end("busy", FarEnd(reject_code=486))
    with Switch(engine=engine, synthesizer=Beeps(), cache_dir=root / "cache", media_root=root) as switch:
        yield switch


@pytest.mark.slow
def test_plain_functions_of_a_switch_have_threads_of_their_own(switch, caplog):
    seen = []

    def step(call):
        call.beep(duration_ms=100)
        seen.append((call.id, threading.current_thread().name, type(call).__name__))

    def breaks(call):
        raise ValueError(call.id)

    with caplog.at_level(logging.ERROR):
        call = switch.calls.create({"destination": address("bob"), "actions": [step, breaks, Run(step, id="again")]})
        names = [(event.type, event.outcome) for event in call.events() if type(event).__name__ == "ActionFinished"]
    assert names == [("beep", "done"), ("run:step", "done"), ("run:breaks", "failed"), ("beep", "done"), ("run:step", "done")]
    assert seen == [(call.id, f"sipcore call {call.id}", "Call")] * 2
    assert [record.getMessage() for record in caplog.records] == [f"call {call.id}: run:breaks failed"]
    assert str(switch.plan([step]).actions[0].type) == "run:step"


@pytest.mark.slow
def test_plain_function_goes_on_after_the_call_and_gets_invalid_state(switch):
    outcome: list[object] = []
    is_over = threading.Event()

    def step(call):
        try:
            call.wait(timeout_s=5)
            call.beep()
        except InvalidState as error:
            outcome.append(error)
        is_over.set()

    call = switch.calls.create(destination=address("leaves"), actions=[step])
    assert call.wait(timeout_s=5).hangup_by == "remote"
    assert is_over.wait(5)
    assert len(outcome) == 1


@pytest.mark.slow
def test_dial_of_a_switch(switch):
    from sipcore import CallFailed

    with switch.dial(address("bob")) as call:
        call.beep(duration_ms=100)
        assert call.record.status == "progressing"
    assert call.record.status == "hangup"
    with pytest.raises(ZeroDivisionError), switch.dial(address("bob")) as call:
        1 / 0  # noqa: B018
    assert call.record.hangup_reason == "failed"
    with pytest.raises(CallFailed) as failed, switch.dial(address("busy")):
        pytest.fail("entered")
    assert failed.value.sip_code == 486
    with switch.dial(address("bob")) as call:
        switch.close()
    assert call.record.is_over


@pytest.mark.slow
async def test_switch_beside_a_running_loop(switch):
    def place() -> str:
        with switch.dial(address("bob")) as call:
            call.beep(duration_ms=100)
            return call.id

    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    started = time.monotonic()
    assert switch.calls.get(await asyncio.to_thread(place)).is_over
    ticking.cancel()
    assert ticks > 5, time.monotonic() - started
    assert switch.calls.get(place()).is_over  # in the thread of the loop, which waits meanwhile
