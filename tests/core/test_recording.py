"""Recording, echo, mute and hold of a call on the fake engine, in virtual time."""

from __future__ import annotations

import asyncio
import errno

import pytest
import soundfile

import media.wav
from media.tones import silence, tone
from sipcore import engine, events
from sipcore.actions import (
    Echo,
    Hold,
    Mute,
    RecordingPause,
    RecordingResume,
    RecordingStart,
    RecordingStop,
    Sleep,
    Talk,
    Unhold,
    Unmute,
    parse_actions,
)
from sipcore.errors import InvalidRequest
from sipcore.record import NIL_ID
from sipcore.recordings.files import UNFINISHED, Workshop
from sipcore.recordings.recording import Recording, RecordingStatus
from sipcore.testing.clock import START

from .stage import play, write_wav

RATE_HZ = 8000


@pytest.fixture
def scene(tmp_path):
    """Plays a scenario; recordings are in `tmp_path / "rec"`."""

    def played(scenario, **settings):
        return play(tmp_path, scenario, recordings_dir=tmp_path / "rec", **settings)

    return played


def recorded(stage):
    return [event.recording for event in stage.events if isinstance(event, events.RecordingFinished)]


def one(stage):
    (recording,) = recorded(stage)
    return recording


def files(tmp_path):
    return sorted(path.name for path in (tmp_path / "rec").iterdir())


async def until_recorded(stage, count=1):
    while len(recorded(stage)) < count:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.1)


async def until_listed(stage, recording_id):
    while recording_id not in [recording.id for recording in (await stage.switch.recordings.list()).result]:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


def test_a_list_records_from_start_to_stop(scene, tmp_path):
    async def scenario(stage):
        call = stage.call("bob", RecordingStart(), Sleep(3000), RecordingStop(), Sleep(1000))
        await call.wait()
        await until_recorded(stage)
        assert call.record.recording_id == NIL_ID
        assert call.record.recording_ids == (one(stage).id,)

    stage = scene(scenario)
    recording = one(stage)
    assert (recording.status, recording.end_reason, recording.error) == (RecordingStatus.ENDED, "stopped", "")
    assert recording.duration_s == 3.0
    assert files(tmp_path) == [recording.filename] == [f"{recording.id}.wav"]
    assert soundfile.info(tmp_path / "rec" / recording.filename).frames == 3 * RATE_HZ
    assert recording.size_bytes == (tmp_path / "rec" / recording.filename).stat().st_size
    started = next(event for event in stage.events if isinstance(event, events.RecordingStarted))
    assert started.recording.status == RecordingStatus.RECORDING


def test_the_call_says_which_recording_runs(scene):
    async def scenario(stage):
        call = stage.call("bob", RecordingStart(), Sleep(1000))
        await asyncio.sleep(0.5)
        assert call.record.recording_id == call.record.recording_ids[0] != NIL_ID
        record = await call.wait()
        assert record.recording_id == NIL_ID
        assert len(record.recording_ids) == 1
        await until_recorded(stage)

    assert one(scene(scenario)).end_reason == "hangup"


def test_the_end_of_the_call_ends_the_recording_and_its_event_comes_after(scene):
    async def scenario(stage):
        call = stage.call("bob", RecordingStart(format="flac", channels="stereo"), Sleep(60_000))
        await stage.until_sent(engine.StartRecording, call.id)
        await asyncio.sleep(2)
        stage.engine.hang_up_remote(call.id)
        await call.wait()
        await until_recorded(stage)

    stage = scene(scenario)
    names = [type(event).__name__ for event in stage.events]
    assert names.index("CallHangup") < names.index("RecordingFinished")
    recording = one(stage)
    assert (recording.format, recording.channels, recording.end_reason) == ("flac", "stereo", "hangup")
    assert recording.duration_s == pytest.approx(2.0, abs=0.01)


def test_a_lost_worker_says_nothing_and_the_file_is_made_all_the_same(scene):
    async def scenario(stage):
        call = stage.call("bob", RecordingStart(), Sleep(60_000))
        await stage.until_sent(engine.StartRecording, call.id)
        for name in engine.recording_files(stage.sent(engine.StartRecording, call.id)[0].path):
            media.wav.write(stage.root / "x.wav", tone(440, 1.0, RATE_HZ), RATE_HZ)
            (stage.root / "x.wav").replace(name)
        stage.engine._legs[call.id].recording = None  # so that it says nothing
        stage.engine.lose_worker(call.id)
        await call.wait()
        await until_recorded(stage)

    assert one(scene(scenario)).duration_s == 1.0


def test_closing_the_switch_finishes_what_is_recorded(scene, tmp_path):
    async def scenario(stage):
        call = stage.call("bob", RecordingStart(), Sleep(60_000))
        await stage.until_sent(engine.StartRecording, call.id)
        await asyncio.sleep(1)

    scene(scenario)
    (name,) = files(tmp_path)
    assert soundfile.info(tmp_path / "rec" / name).duration >= 0.99


@pytest.mark.parametrize(
    ("action", "reason", "seconds"),
    [(RecordingStart(duration_s=2.5), "duration", 2.5), (RecordingStart(end_of_key="#*"), "key", 4.0), (RecordingStart(), "duration", 5.0)],
)
def test_what_ends_a_recording(scene, action, reason, seconds):
    async def scenario(stage):
        call = stage.call("bob", action, Sleep(8000))
        await stage.until_sent(engine.StartRecording, call.id)
        await asyncio.sleep(4)
        stage.engine.press(call.id, "5")
        stage.engine.press(call.id, "*")
        record = await call.wait()
        assert record.duration_s > 7.9
        await until_recorded(stage)

    recording = one(scene(scenario, recording_max_s=5))
    assert (recording.end_reason, recording.error) == (reason, "")
    assert recording.duration_s == pytest.approx(seconds, abs=0.01)


def test_silence_ends_it(scene):
    async def scenario(stage):
        call = stage.call("bob", RecordingStart(end_of_silence_s=2), Sleep(30_000))
        await stage.until_sent(engine.StartRecording, call.id)
        said, heard = engine.recording_files(stage.sent(engine.StartRecording, call.id)[0].path)
        for samples in (
            tone(440, 3.0, RATE_HZ),
            silence(1.5, RATE_HZ),
            tone(440, 1.0, RATE_HZ),
            silence(1.0, RATE_HZ),
            silence(1.1, RATE_HZ),
        ):
            await asyncio.sleep(1)
            assert call.record.recording_id != NIL_ID
            for name in (said, heard):
                with open(name, "ab") as file:  # noqa: ASYNC230, PTH123 - a test
                    file.write(samples.tobytes())
        await until_recorded(stage)
        call.hangup()

    recording = one(scene(scenario))
    assert recording.end_reason == "silence"
    assert recording.duration_s == pytest.approx(7.6, abs=0.01)


def test_size_ends_it(scene):
    async def scenario(stage):
        call = stage.call("bob", RecordingStart(), Sleep(30_000))
        await stage.until_sent(engine.StartRecording, call.id)
        said, _ = engine.recording_files(stage.sent(engine.StartRecording, call.id)[0].path)
        with open(said, "ab") as file:  # noqa: ASYNC230, PTH123 - a test
            file.write(bytes(2**20))
        await until_recorded(stage)
        call.hangup()

    assert one(scene(scenario, recording_max_mb=1)).end_reason == "size"


def test_pauses_are_left_out(scene):
    async def scenario(stage):
        steps = (RecordingStart(duration_s=3), Sleep(1000), RecordingPause(), Sleep(5000), RecordingResume(), Sleep(5000))
        call = stage.call("bob", *steps)
        await call.wait()
        await until_recorded(stage)
        first, second = stage.sent(engine.StartRecording, call.id)
        assert first.path != second.path
        assert first.recording_id != second.recording_id

    recording = one(scene(scenario))
    assert (recording.duration_s, recording.end_reason) == (pytest.approx(3.0, abs=0.001), "duration")


def test_what_does_not_fit_fails_and_the_call_goes_on(scene):
    async def scenario(stage):
        steps = (
            *(
                RecordingStop(),
                RecordingPause(),
                RecordingResume(),
                RecordingStart(),
                RecordingResume(),
                RecordingStart(),
                RecordingPause(),
            ),
            *(RecordingPause(), RecordingStop(), RecordingStop(), RecordingStart()),
        )
        call = stage.call("bob", *steps)
        await call.wait()
        await until_recorded(stage, 2)
        outcomes = [outcome for _, outcome in stage.outcomes(call.id)]
        assert outcomes == [*["failed"] * 3, "done", "failed", "failed", "done", "failed", "done", "failed", "done"]
        assert len(call.record.recording_ids) == 2

    scene(scenario)


def test_a_beep_comes_first(scene):
    async def scenario(stage):
        call = stage.call("bob", RecordingStart(beep_start=True), Sleep(1000))
        await call.wait()
        kinds = [type(command) for command in stage.engine.commands]
        assert kinds.index(engine.Play) < kinds.index(engine.StartRecording)
        await until_recorded(stage)

    assert one(scene(scenario)).duration_s == pytest.approx(1.0, abs=0.01)


def test_the_engine_cannot_record(scene, tmp_path):
    async def scenario(stage):
        call = stage.call("bob", RecordingStart(), Talk("we go on"))
        await stage.until_sent(engine.StartRecording, call.id)
        order = stage.sent(engine.StartRecording, call.id)[0]
        stage.engine._legs[call.id].recording = None
        stage.engine.tell(engine.RecordingFinished(call.id, order.recording_id, 0.0, "nothing more can be written: the disk is full"))
        await call.wait()
        await until_recorded(stage)
        assert stage.outcomes(call.id)[-1] == ("talk", "done")

    recording = one(scene(scenario))
    assert (recording.status, recording.end_reason) == (RecordingStatus.FAILED, "error")
    assert "disk is full" in recording.error
    assert files(tmp_path) == []


def test_a_disk_that_is_full_afterwards_keeps_what_was_written(scene, tmp_path, monkeypatch):
    def full(_self, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(soundfile.SoundFile, "write", full)

    async def scenario(stage):
        call = stage.call("bob", RecordingStart(), Sleep(2000))
        await call.wait()
        await until_recorded(stage)

    recording = one(scene(scenario))
    assert (recording.status, recording.error, recording.filename) == (RecordingStatus.FAILED, "No space left on device", "")
    assert files(tmp_path) == [UNFINISHED]


def test_no_folder_no_recording(scene, tmp_path):
    (tmp_path / "rec").write_text("a file")

    async def scenario(stage):
        call = stage.call("bob", RecordingStart(), Talk("we go on"))
        await call.wait()
        assert stage.outcomes(call.id) == [("recording_start", "failed"), ("talk", "done")]

    scene(scenario)


def test_what_a_process_that_is_gone_has_left_is_finished(scene, tmp_path):
    lost = Recording("0f1e2d3c-0000-4000-8000-000000000001", "c" * 8, START, format="ogg")
    workshop = Workshop(tmp_path / "rec")
    workshop.open(lost)
    for name in engine.recording_files(workshop.stretch(lost.id, 1)):
        with open(name, "wb") as file:  # noqa: PTH123 - a test
            file.write(media.wav.header(0, RATE_HZ) + tone(440, 1.0, RATE_HZ).tobytes())
    note = tmp_path / "rec" / UNFINISHED / lost.id / "recording.json"
    note.write_text(note.read_text().replace('"owner":"', '"owner":"1'))
    stranger = tmp_path / "rec" / UNFINISHED / ".." / UNFINISHED / "stranger"
    stranger.mkdir()

    async def scenario(stage):
        await until_listed(stage, lost.id)
        found = await stage.switch.recordings.wait(lost.id)
        assert (found.duration_s, found.error) == (1.0, "its process was gone")

    scene(scenario)
    assert (tmp_path / "rec" / f"{lost.id}.ogg").exists()
    assert stranger.exists()


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "", ".", "a/b", "0F1E2D3C-0000-4000-8000-000000000001", "0f1e2d3c-0000-4000-8000-000000000001\n"]
)
def test_a_path_never_leaves_the_folder(tmp_path, name):
    workshop = Workshop(tmp_path / "rec")
    with pytest.raises(ValueError, match="no id"):
        workshop.target(Recording(name, "c", START))
    with pytest.raises(ValueError, match="no id"):
        workshop.stretch(name, 1)


# ----------------------------------------------------------------------------------------------- what users ask for


def test_a_handler_records(scene, tmp_path):
    async def scenario(stage):
        call = stage.call("bob", Sleep(20_000))
        await asyncio.sleep(0.1)
        del call  # the list runs; a second call is handled below

        @stage.switch.on_call(to="1000")
        async def reception(incoming):
            await incoming.answer()
            recording = await incoming.start_recording(format="mp3", channels="stereo")
            await asyncio.sleep(1)
            await incoming.pause_recording()
            await asyncio.sleep(1)
            await incoming.resume_recording()
            await asyncio.sleep(1)
            stopped = await incoming.stop_recording()
            assert stopped.id == recording.id
            done = await stage.switch.recordings.wait(recording.id)
            assert done.duration_s == pytest.approx(2.0, abs=0.001)
            assert stage.switch.recordings.path(done) == tmp_path / "rec" / f"{recording.id}.mp3"

        stage.engine.offer("1000")
        await until_recorded(stage)

    scene(scenario)


def test_recordings_are_listed_and_deleted(scene, tmp_path):
    async def scenario(stage):
        for _ in range(3):
            await stage.call("bob", RecordingStart(), Sleep(1000)).wait()
        await until_recorded(stage, 3)
        recordings = stage.switch.recordings
        page = await recordings.list(2)
        rest = await recordings.list(2, page.next_page_token)
        assert [recording.id for recording in (*page.result, *rest.result)] == [recording.id for recording in reversed(recorded(stage))]
        assert (await recordings.list(2, rest.next_page_token)).to_json() == {"result": [], "next_page_token": ""}
        assert (await recordings.list(10, user_id=7)).result == ()
        deleted = await recordings.delete(page.result[0].id)
        assert deleted.tm_delete is not None
        assert len(files(tmp_path)) == 2
        for bad in (page.result[0].id, "nobody", "../x"):
            with pytest.raises(LookupError):
                await recordings.get(bad)

    scene(scenario)


def test_bad_options_are_named():
    with pytest.raises(InvalidRequest) as refusal:
        parse_actions(
            [
                {"type": "recording_start", "option": {"format": "aiff", "end_of_silence": -1, "beep_start": 1, "chanels": 2}},
                {"type": "recording_start", "option": {"format": "aiff", "end_of_silence": -1, "beep_start": 1}},
                {"type": "echo", "option": {"duration": "long"}},
                {"type": "mute", "option": {"direction": "left"}},
            ]
        )
    text = str(refusal.value)
    for expected in (
        "did you mean 'channels'",
        "actions[1].option.format",
        "actions[1].option.end_of_silence_s",
        "actions[1].option.beep_start",
    ):
        assert expected in text
    assert "actions[2].option.duration_ms" in text
    assert "actions[3].option.direction" in text


def test_voipbins_names_are_taken():
    (action,) = parse_actions(
        [
            {
                "type": "recording_start",
                "option": {"format": "wav", "end_of_silence": 3, "end_of_key": "none", "duration": 60, "beep_start": True},
            }
        ]
    )
    assert action == RecordingStart(end_of_silence_s=3, end_of_key="", duration_s=60, beep_start=True)


# ------------------------------------------------------------------------------------------------ echo, mute, hold


def test_echo_mute_and_hold_are_orders_to_the_engine(scene, tmp_path):
    music = write_wav(tmp_path / "music.wav")

    async def scenario(stage):
        call = stage.call("bob", Echo(2000), Mute(), Unmute(), Hold(str(music)), Sleep(5000), Unhold())
        await call.wait()
        assert [outcome for _, outcome in stage.outcomes(call.id)] == ["done"] * 6
        kinds = (engine.Bridge, engine.Unbridge, engine.Mute, engine.Hold, engine.Play, engine.StopPlay)
        given = [command for command in stage.engine.commands if isinstance(command, kinds)]
        play_id = next(command.play_id for command in given if isinstance(command, engine.Play))
        assert [command for command in given if not isinstance(command, engine.Play)] == [
            engine.Bridge(call.id, call.id),
            engine.Unbridge(call.id, call.id),
            engine.Mute(call.id, "in"),
            engine.Mute(call.id, "both", is_muted=False),
            engine.Hold(call.id),
            engine.StopPlay(call.id, play_id),
            engine.Hold(call.id, is_held=False),
        ]
        own, played = stage.engine.heard[call.id]
        assert (own.peer_id, own.end_s - own.start_s) == (call.id, pytest.approx(2.0))
        assert played.end_s - played.start_s == pytest.approx(5.0)

    scene(scenario)


def test_music_that_is_not_there_is_refused_before_the_call(scene):
    async def scenario(stage):
        with pytest.raises(InvalidRequest, match="music"):
            stage.call("bob", Hold("nowhere.wav"))

    scene(scenario)
