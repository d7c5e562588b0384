"""The simulation: what a user plays on it, that a seed repeats it, and that it never hangs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
import time

import pytest

from sipcore import Answer, Connect, DigitsReceive, Sleep, Talk
from sipcore.events import ActionFinished, CallAnswered, CallHangup, DigitReceived
from sipcore.testing import Simulation
from sipcore.testing.clock import Deadlock

BOB = "sip:bob@192.0.2.9"


def test_a_call_of_an_hour_takes_no_time():
    began_s = time.monotonic()
    with Simulation() as simulation:
        simulation.far_end(BOB, answer_after_s=8, hangup_after_s=3600)
        call = simulation.switch.calls.create(destination=BOB, actions=[Talk("one moment please"), Sleep(3_600_000), Sleep(1000)])
        simulation.run()
        record = call.record
        assert (record.hangup_by, record.hangup_reason) == ("remote", "normal")
        assert 3600 < (record.tm_hangup - record.tm_progressing).total_seconds() < 3600.2
        assert 3608 < simulation.now_s < 3609
        (answered,) = [traced for traced in simulation.trace if isinstance(traced.event, CallAnswered)]
        assert 8 < answered.time_s < 8.2
    assert time.monotonic() - began_s < 10, "on any machine"


def test_what_waits_lets_time_pass():
    """`wait`, `events` and the handler's methods are those of any `Switch`."""
    with Simulation() as simulation:
        simulation.far_end("carol", answer_after_s=30, hangup_after_s=60)
        call = simulation.switch.calls.create(destination="sip:carol@192.0.2.1")
        with pytest.raises(TimeoutError):
            call.wait(timeout_s=5)
        assert 5 <= simulation.now_s < 5.1
        names = [type(event).__name__ for event in call.events()]
        assert (names[0], names[-1]) == ("CallCreated", "CallHangup")
        assert call.wait().hangup_by == "local", "without actions it is hung up after the answer"
        assert simulation.switch.calls.get(call.id) == call.record


def test_a_far_end_that_is_a_function():
    with Simulation() as simulation:
        got = []

        @lambda script: simulation.far_end("tel:+441632960111", script)
        async def menu(line):
            line.ring()
            await asyncio.sleep(4)
            line.answer()
            await asyncio.sleep(1)
            await line.press("12#")
            await asyncio.sleep(5)
            got.append([heard.path for heard in line.heard])
            line.hang_up()

        call = simulation.switch.calls.create(
            destination="tel:+441632960111", actions=[DigitsReceive(length=3), Talk("thank you"), Sleep(60_000)]
        )
        simulation.run()
        assert call.variables["digits"] == "12#"
        assert [len(paths) for paths in got] == [1]
        assert call.record.hangup_by == "remote"


def test_calls_from_outside_and_handlers_of_both_kinds():
    with Simulation() as simulation:
        simulation.far_end("alice", answer_after_s=3, digits="9", digits_after_s=2, hangup_after_s=20)

        @simulation.switch.on_call(to="1000", legs=2)
        async def reception(call):
            await call.answer()
            if await call.gather(timeout_s=10) == "1":
                await call.connect("sip:alice@192.0.2.1")

        @simulation.switch.on_call(to="2000")
        def plain(call):
            call.answer()
            simulation.sleep(100)
            call.talk("good bye")

        simulation.switch.on_call(to="3000", actions=[Answer(), Sleep(1000)])
        first = simulation.call_in("1000", digits="1", digits_after_s=2)
        second = simulation.call_in("2000", after_s=1)
        third = simulation.call_in("3000", after_s=3600, hangup_after_s=0.5)
        nobody = simulation.call_in("4000")
        simulation.run()
        assert nobody.sip_code == 404
        with pytest.raises(LookupError, match="404"):
            assert nobody.record
        assert first.record.hangup_reason == second.record.hangup_reason == third.record.hangup_reason == "normal"
        assert (first.record.hangup_by, second.record.hangup_by, third.record.hangup_by) == ("local", "local", "remote")
        assert 100 < (second.record.tm_hangup - second.record.tm_progressing).total_seconds() < 102
        assert 3600 < simulation.now_s < 3602
        assert [traced.event.digit for traced in simulation.trace if isinstance(traced.event, DigitReceived)] == ["1", "9"]


def story(seed: int) -> str:
    """Ten calls at once, half of which connect; as text with its ids and times."""
    with Simulation(seed=seed) as simulation:
        for number in range(10):
            simulation.far_end(f"a{number}", hangup_after_s=30)
        calls = [
            simulation.switch.calls.create(
                destination=f"sip:a{number}@192.0.2.1", actions=[Talk("hello"), Connect(["sip:b@192.0.2.1", "sip:c@192.0.2.1"])]
            )
            for number in range(10)
        ]
        simulation.run()
        return "\n".join([simulation.trace_text(), *(str(call.record.to_json()) for call in calls)])


@pytest.mark.slow
def test_a_seed_is_a_story():
    """Also in another process, where strings hash otherwise."""
    told = story(5)
    assert told == story(5)
    assert told != story(6)
    order = [line.split()[1:4] for line in told.splitlines() if "CallAnswered" in line]
    assert order != [line.split()[1:4] for line in story(6).splitlines() if "CallAnswered" in line], "the seed decides the order"
    code = "from tests.testing.test_simulation import story; import sys; sys.stdout.write(story(5))"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=True)
    assert said.stdout == told


def test_who_waits_for_ever_is_told():
    with Simulation() as simulation:
        never = asyncio.Event()

        async def wait_for_godot():
            await never.wait()

        with pytest.raises(Deadlock, match=r"(?s)task story waits\n.*test_simulation.py:\d+ in wait_for_godot: await never.wait\(\)"):
            simulation.run(wait_for_godot())
        call = simulation.switch.calls.create(destination=BOB, actions=[Sleep(1000)])
        assert call.wait().hangup_reason == "normal", "it goes on"


def test_a_handler_that_never_comes_back_is_told():
    """Its call ends at the longest duration; the handler, which shields what it waits for, does not."""
    may_end = False
    with Simulation(max_time_s=20_000) as simulation:

        @simulation.switch.on_call(to="1000")
        async def stuck(call):
            await call.answer()
            while not may_end:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()

        simulation.call_in("1000")
        simulation.run()
        assert simulation.trace[-1].event.record.hangup_reason == "timeout"
        with pytest.raises(Deadlock, match=r"(?s)in stuck: await asyncio.Event\(\).wait\(\)"):
            simulation.run(asyncio.Event().wait())
        may_end = True


def test_a_handler_that_waits_for_something_else_is_told(monkeypatch):
    monkeypatch.setattr("sipcore.testing.simulated_loop._PATIENCE_S", 0.1)
    bell = threading.Event()
    with Simulation() as simulation:

        @simulation.switch.on_call(to="1000")
        def deaf(call):
            call.answer()
            bell.wait()

        simulation.call_in("1000")
        with pytest.raises(Deadlock, match=r"(?s)sipcore call .* waits outside of the simulation, 0.1 s of .*in deaf\n +bell.wait\(\)"):
            simulation.run()
        bell.set()
        simulation.run()
        assert simulation.trace[-1].event.record.is_over


def test_what_a_script_raises_is_raised():
    with Simulation() as simulation:

        async def broken(line):
            line.answer()
            raise ZeroDivisionError("in the script")

        simulation.far_end("bob", broken)
        simulation.switch.calls.create(destination=BOB, actions=[Sleep(1000)])
        with pytest.raises(ZeroDivisionError, match="in the script"):
            simulation.run()


def test_wrong_far_ends_are_told():
    with Simulation() as simulation:
        with pytest.raises(TypeError, match="anser_after_s"):
            simulation.far_end("bob", anser_after_s=3)
        with pytest.raises(ValueError, match="names no far end"):
            simulation.far_end("")


def test_the_fixture(simulation):
    simulation.far_end(BOB, reject_code=486)
    record = simulation.switch.calls.create(destination=BOB).wait()
    assert (record.hangup_reason, record.sip_code) == ("busy", 486)
    assert isinstance(simulation.trace[-1].event, CallHangup)
    assert not any(isinstance(traced.event, ActionFinished) for traced in simulation.trace)
