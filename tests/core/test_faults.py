"""Faults of the machine under a running switch: disk, cache, listeners, an impatient user."""

import asyncio
import shutil
from dataclasses import replace

import pytest

from media import PreparedAudio
from sipcore.actions import Connect, Play, Talk
from sipcore.errors import InvalidRequest
from sipcore.events import CallCreated, CallHangup
from sipcore.preparation import PIECES_AT_ONCE, Preparation
from sipcore.store import CallStore
from sipcore.testing.clock import run_virtual
from sipcore.testing.fake_engine import FarEnd

from .stage import Stage, address, play, write_wav
from .test_store import record


@pytest.fixture
def root(tmp_path):
    write_wav(tmp_path / "prompt.wav")
    return tmp_path


def test_a_write_that_fails_is_tried_again(root, monkeypatch):
    put_all = CallStore.put_all

    async def scenario(stage: Stage):
        monkeypatch.setattr(CallStore, "put_all", lambda _, records: {record.id: OSError("disk full") for record in records})
        call = stage.call("bob", Talk("hello"))
        await call.wait()
        monkeypatch.setattr(CallStore, "put_all", put_all)
        await asyncio.sleep(6)
        assert (await stage.switch.calls.list()).result == (call.record,)
        assert any("disk full" in message for message in stage.errors)
        stage.errors.clear()

    play(root, scenario)


def test_a_record_that_cannot_be_written_keeps_no_other_back(tmp_path):
    store = CallStore(tmp_path / "calls.sqlite")
    records = [record(number) for number in (1, 2, 3)]
    broken = replace(records[1], sip_code=2**70)  # more than SQLite's integers hold
    failures = store.put_all([records[0], broken, records[2]])
    assert list(failures) == [broken.id]
    assert [kept.id for kept in store.list().result] == [records[2].id, records[0].id]
    store.close()


def test_cache_that_is_deleted_under_a_call_is_made_again(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Connect([address("carol")], timeout_s=100), Talk("hello"), Play(["prompt.wav"]))
        await asyncio.sleep(5)
        shutil.rmtree(root / "cache")
        await call.wait()
        assert stage.outcomes(call.id) == [("connect", "done"), ("talk", "done"), ("play", "done")]

    play(root, scenario, {"carol": FarEnd(hang_up_after_s=10)})


def test_cache_that_cannot_be_written_fails_the_action_only(root):
    async def scenario(stage: Stage):
        shutil.rmtree(root / "cache")
        (root / "cache").write_text("in the way")
        call = stage.call("bob", Talk("hello"), Play(["prompt.wav"]))
        record = await call.wait()
        assert stage.outcomes(call.id) == [("talk", "failed"), ("play", "failed")]
        assert record.hangup_reason == "normal"

    play(root, scenario)


def test_a_connect_may_ring_longer_than_a_call(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Connect([address("carol")], timeout_s=300))
        await call.wait()
        (finished,) = stage.finished(call.id)
        assert finished.outcome == "failed"
        assert finished.detail == "nobody answered in time"
        assert 299 < (finished.at - call.record.tm_progressing).total_seconds() < 301

    play(root, scenario, {"carol": FarEnd(answer_after_s=None)}, dial_timeout_s=60)


def test_a_listener_that_fails_hides_nothing_from_the_others(root):
    async def scenario(stage: Stage):
        seen = []

        def failing(event):
            raise RuntimeError("mine")

        stage.switch.listen(failing)
        stage.switch.listen(seen.append)
        call = stage.call("bob")
        await call.wait()
        assert [type(event).__name__ for event in seen] == stage.names(call.id)
        assert len(stage.errors) == len(seen)
        stage.errors.clear()

    play(root, scenario)


def test_a_call_is_live_until_everybody_was_told_of_its_end(root):
    async def scenario(stage: Stage):
        live = []

        def listener(event):
            if isinstance(event, CallCreated):
                stage.switch.calls.live(event.call_id).hangup()
            if isinstance(event, CallHangup):
                live.append(stage.switch.calls.live(event.call_id) is not None)

        stage.switch.listen(listener)
        await stage.call("bob").wait()
        assert live == [True]

    play(root, scenario)


def test_closing_goes_on_when_its_waiter_is_cancelled(root):
    async def scenario(stage: Stage):
        call = stage.call("bob", Talk("hello " * 100))
        await asyncio.sleep(1)
        closing = asyncio.create_task(stage.switch.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)
        await asyncio.gather(stage.switch.close(), stage.switch.close())
        assert call.record.is_over

    play(root, scenario)


def test_only_a_few_pieces_of_one_call_are_on_their_way(root):
    class Host:
        library = None
        running = most = 0

        async def work(self):
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(30)
            self.running -= 1
            return PreparedAudio(root / "prompt.wav", 2.0, 8000)

        def in_background(self, _work, _kind):
            return asyncio.ensure_future(self.work())

    class Library:
        ringback = None

    async def scenario():
        host = Host()
        host.library = Library()
        preparation = Preparation((Play(["prompt.wav"] * 20),), host)
        started_s = asyncio.get_running_loop().time()
        await preparation.pieces(0)[0].path()
        assert asyncio.get_running_loop().time() - started_s == 30
        await preparation.stop()
        assert host.most == PIECES_AT_ONCE

    run_virtual(scenario())


def test_too_many_streams_in_all(root):
    async def scenario(stage: Stage):
        with pytest.raises(InvalidRequest, match="500 stream_urls in all, this list has 600"):
            stage.call("bob", *[Play(["prompt.wav"] * 100) for _ in range(6)])

    play(root, scenario)
