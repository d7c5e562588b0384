"""Conferences from synchronous code, on real time and the fake engine."""

from __future__ import annotations

import queue

import pytest

from sipcore import ConferenceJoined, ConferenceNotFound, Switch
from sipcore.testing.fake_engine import Caller, FakeEngine


def test_a_handler_in_a_thread_joins(tmp_path):
    left: queue.SimpleQueue[str] = queue.SimpleQueue()
    joined: queue.SimpleQueue[str] = queue.SimpleQueue()
    engine = FakeEngine()
    folders = {"cache_dir": tmp_path / "cache", "media_root": tmp_path, "recordings_dir": tmp_path / "recordings"}
    with Switch(engine=engine, **folders) as switch:

        @switch.on_call()
        def handler(call):
            left.put(call.join_conference("board", muted=True))

        switch.listen(lambda event: joined.put(event.call_id) if isinstance(event, ConferenceJoined) else None)
        made = switch.conferences.create("board", "ours")
        switch._on_loop(lambda: engine.offer("1000", caller=Caller()))
        call_id = joined.get(timeout=10)
        conferences = switch.conferences
        assert conferences.get("board").call_ids == (call_id,)
        assert not conferences.unmute("board", call_id).member(call_id).is_muted
        assert conferences.mute("board", call_id).member(call_id).is_muted
        assert conferences.beep("board").id == made.id
        recording = conferences.start_recording("board")
        assert conferences.stop_recording("board").id == recording.id
        assert switch.recordings.wait(recording.id, 10).is_over
        assert conferences.kick("board", call_id).call_ids == ()
        assert left.get(timeout=10) == "kicked"
        assert conferences.end("board").is_over
        with pytest.raises(ConferenceNotFound):
            conferences.get("board")
        assert [conference.id for conference in conferences.list().result] == [made.id]
