"""What `sipcore.engine` promises of recordings, mute and echo, kept by both engines."""

from __future__ import annotations

import wave

import pytest

from sipcore import engine as wire


def duration_s(path: str) -> float:
    with wave.open(path) as wav:
        assert wav.getparams()[:3] == (1, 2, 8000)
        return wav.getnframes() / wav.getframerate()


def test_a_recording_is_two_files_of_one_length(play, tmp_path):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.StartRecording(call_id, "r1", str(tmp_path / "1")))
        line.engine.submit(wire.Play(call_id, "p", line.wav(1.0)))
        await line.got(wire.PlaybackFinished, call_id)
        line.engine.submit(wire.StopRecording(call_id, "not this"))
        line.engine.submit(wire.StopRecording(call_id, "r1"))
        line.engine.submit(wire.StopRecording(call_id, "r1"))
        finished = await line.got(wire.RecordingFinished, call_id)
        assert (finished.recording_id, finished.error) == ("r1", "")
        said, heard = (duration_s(path) for path in wire.recording_files(str(tmp_path / "1")))
        assert abs(said - heard) <= 0.02
        assert finished.duration_s == pytest.approx(min(said, heard), abs=0.001)
        assert 0.9 < finished.duration_s < 2.0

    play(story)


def test_the_end_of_the_call_ends_its_recording(play, tmp_path):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.StartRecording(call_id, "r1", str(tmp_path / "1")))
        line.engine.submit(wire.Play(call_id, "p", line.wav(1.0)))
        await line.got(wire.PlaybackFinished, call_id)
        line.hang_up_remote(call_id)
        assert (await line.got(wire.RecordingFinished, call_id)).error == ""
        assert line.kinds(call_id).count("RecordingFinished") == 1

    play(story)


def test_one_at_a_time_and_no_path_no_recording(play, tmp_path):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.StartRecording(call_id, "r1", str(tmp_path / "nowhere" / "1")))
        assert (await line.got(wire.RecordingFinished, call_id)).error
        line.engine.submit(wire.StartRecording(call_id, "r2", str(tmp_path / "2")))
        line.engine.submit(wire.StartRecording(call_id, "r3", str(tmp_path / "3")))
        await line.until(lambda: line.kinds(call_id).count("RecordingFinished") == 2)
        refused = [event for event in line.of(call_id) if isinstance(event, wire.RecordingFinished)][1]
        assert (refused.recording_id, refused.duration_s) == ("r3", 0.0)
        assert refused.error

    play(story)


def test_orders_for_nobody_are_ignored(play, tmp_path):
    async def story(line):
        line.engine.submit(wire.StartRecording("nobody", "r", str(tmp_path / "1")))
        line.engine.submit(wire.StopRecording("nobody", "r"))
        line.engine.submit(wire.Mute("nobody", "both"))
        call_id = await line.answered()
        assert line.of("nobody") == []
        line.engine.submit(wire.Mute(call_id, "both"))
        line.engine.submit(wire.Bridge(call_id, call_id))
        line.engine.submit(wire.Unbridge(call_id, call_id))

    play(story)
