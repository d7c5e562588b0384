"""Recording, mute, hold and echo from synchronous code, on real time and the fake engine."""

from __future__ import annotations

import queue

import pytest

from sipcore import ActionFailed, Switch
from sipcore.errors import RecordingNotFound
from sipcore.testing.fake_engine import FakeEngine

from .stage import Beeps


@pytest.fixture
def engine():
    return FakeEngine()


@pytest.fixture
def switch(tmp_path, engine):
    folders = {"cache_dir": tmp_path / "cache", "media_root": tmp_path, "recordings_dir": tmp_path / "rec"}
    with Switch(engine=engine, synthesizer=Beeps(), **folders) as switch:
        yield switch


def test_a_handler_in_a_thread_records(switch, engine, tmp_path):
    begun: queue.SimpleQueue[object] = queue.SimpleQueue()

    @switch.on_call()
    def handler(call):
        call.answer()
        try:
            recording = call.start_recording("flac", "stereo", duration_s=60.0)
            call.mute()
            call.pause_recording()
            call.unmute()
            call.resume_recording()
            call.hold()
            call.echo(50)
            call.unhold()
            with pytest.raises(ActionFailed, match="already"):
                call.start_recording()
            assert call.stop_recording().id == recording.id
            begun.put(recording)
        except BaseException as error:
            begun.put(error)
            raise

    switch.run(_offer(engine))
    recording = begun.get(timeout=10)
    assert not isinstance(recording, BaseException), recording
    done = switch.recordings.wait(recording.id, timeout_s=10)
    assert (done.end_reason, done.error, done.format, done.channels) == ("stopped", "", "flac", "stereo")
    assert switch.recordings.path(done) == tmp_path / "rec" / f"{recording.id}.flac"
    assert switch.recordings.list().result == (switch.recordings.get(done.id),)
    switch.recordings.delete(done.id)
    with pytest.raises(RecordingNotFound):
        switch.recordings.get(done.id)
    assert list((tmp_path / "rec").iterdir()) == []


async def _offer(engine):
    engine.offer("1000")
