"""Calls whose creator is answered before they are dialled."""

import asyncio

import pytest

from sipcore.engine import Dial
from sipcore.events import CallCreated, CallDialing
from sipcore.testing.fake_engine import FarEnd

from .stage import Stage, address, play

TALK = [{"type": "talk", "option": {"text": "hello"}}]


def body(*names: str) -> dict:
    return {"source": "+821028286521", "destinations": [address(name) for name in names], "actions": TALK}


def test_they_are_there_at_once_and_dialled_in_the_next_turn(root):
    async def scenario(stage: Stage):
        calls = stage.switch.calls.create_all(body("a", "b", "c"), at_once=False)
        assert [[type(event) for event in call.history] for call in calls] == [[CallCreated]] * 3
        assert {str(call.record.status) for call in calls} == {"dialing"}
        await asyncio.sleep(0)
        assert all(CallDialing in map(type, call.history) for call in calls)
        assert [command.call_id for command in stage.engine.commands if isinstance(command, Dial)] == [call.id for call in calls]
        for call in calls:
            await call.wait()
            assert stage.outcomes(call.id) == [("talk", "done")]

    play(root, scenario)


def test_one_that_was_hung_up_meanwhile_is_never_dialled(root):
    async def scenario(stage: Stage):
        first, second = stage.switch.calls.create_all(body("a", "b"), at_once=False)
        await stage.switch.calls.hangup(first.id)
        assert (await first.wait()).status == "hangup"
        assert stage.names(first.id) == ["CallCreated", "CallHangingUp", "CallHangup"]
        assert (await second.wait()).hangup_reason == "normal"

    play(root, scenario)


def test_one_that_cannot_be_started_fails_and_keeps_no_other_back(root, monkeypatch):
    async def scenario(stage: Stage):
        exchange = stage.switch.exchange
        start = exchange._dialing.start
        monkeypatch.setattr(exchange._dialing, "start", lambda session: start(session) if session.id != first.id else 1 / 0)
        first, second = stage.switch.calls.create_all(body("a", "b"), at_once=False)
        assert (await first.wait()).hangup_reason == "failed"
        assert (await second.wait()).hangup_reason == "normal"
        assert [first.id in message and "it could not be started" in message for message in stage.errors] == [True]
        stage.errors.clear()

    play(root, scenario)


@pytest.mark.parametrize("turns", [0, 1, 2])
def test_closing_meanwhile_ends_them_all(root, turns):
    async def scenario(stage: Stage):
        calls = stage.switch.calls.create_all(body("a", "b"), at_once=False)
        for _ in range(turns):
            await asyncio.sleep(0)
        await stage.switch.close(0.0)
        assert {call.record.status for call in calls} == {"hangup"}

    play(root, scenario)


def test_speech_that_was_made_before_is_ready_without_a_thread(root):
    async def scenario(stage: Stage):
        stage.engine.far_end("bob", FarEnd())
        library = stage.switch.exchange.library
        (utterance,) = library.utterances("hello")
        assert library.spoken(utterance) is None
        made = library.utter(utterance)
        library._cache.recall = lambda _key: made  # the file is too young for that, by the clock of the kernel
        used = []
        stage.switch.exchange.in_background = lambda work, kind: used.append(kind)
        (call,) = stage.switch.calls.create_all({"source": "+821028286521", "destination": address("bob"), "actions": TALK})
        await call.wait()
        assert stage.outcomes(call.id) == [("talk", "done")]
        assert used == []

    play(root, scenario)
