"""Recordings of real calls, heard: who said what, on which channel, in which format."""

from __future__ import annotations

import pytest
import soundfile

from media.measure import best_match, rms_dbfs, tone_level_db
from sipcore import Echo, Hold, Play, RecordingFinished, RecordingPause, RecordingResume, RecordingStart, Sleep, Talk
from sipcore.testing.phone import Phone

from .listening import ALIKE, RATE_HZ, assert_ended, burst, spoken, write_burst

LEFT, RIGHT = 0, 1


def test_stereo_has_each_party_on_its_side(open_switch, tmp_path):
    song = write_burst(tmp_path / "song.wav", 2.0)
    with Phone(name="bob") as bob, open_switch(recordings_dir=tmp_path / "rec") as switch:
        bob.tone(700)
        told = []
        switch.listen(lambda event: told.append(event) if isinstance(event, RecordingFinished) else None)
        call = switch.calls.create(destination=bob.uri, actions=[RecordingStart(channels="stereo"), Play(["song.wav"]), Sleep(300)])
        record = call.wait(timeout_s=15)
        recording = switch.recordings.wait(record.recording_ids[0], timeout_s=10)
    assert_ended(record, "local", "normal", 200, "OK")
    assert [event.recording for event in told] == [recording]
    assert (recording.end_reason, recording.error) == ("hangup", "")
    both, rate_hz = soundfile.read(tmp_path / "rec" / recording.filename, dtype="int16")
    assert rate_hz == RATE_HZ
    assert 2.2 < recording.duration_s == len(both) / RATE_HZ < 3.5
    assert best_match(both[:, RIGHT], song, RATE_HZ).correlation > ALIKE
    assert tone_level_db(both[RATE_HZ : 2 * RATE_HZ, LEFT], 700, RATE_HZ) > -14
    assert tone_level_db(both[RATE_HZ : 2 * RATE_HZ, RIGHT], 700, RATE_HZ) < -40
    assert best_match(both[:, LEFT], song, RATE_HZ).correlation < 0.3


def test_what_an_echo_says_and_hears_is_sample_aligned(open_switch, tmp_path):
    """The far end hears itself: what it said and what it heard are the same samples, one tick of the bridge apart at most."""
    write_burst(tmp_path / "voice.wav", 2.0)
    with Phone(name="bob") as bob, open_switch(recordings_dir=tmp_path / "rec") as switch:
        bob.play(tmp_path / "voice.wav")
        call = switch.calls.create(destination=bob.uri, actions=[RecordingStart(channels="stereo"), Echo(2500)])
        recording = switch.recordings.wait(call.wait(timeout_s=15).recording_ids[0], timeout_s=10)
    both, _ = soundfile.read(tmp_path / "rec" / recording.filename, dtype="int16")
    match = best_match(both[:, RIGHT], both[:, LEFT], RATE_HZ)
    assert match.correlation > 0.9
    assert match.delay_s == 0.0


def test_mono_has_both_and_a_pause_has_nothing(open_switch, tmp_path):
    song = write_burst(tmp_path / "song.wav", 1.0)
    write_burst(tmp_path / "secret.wav", 1.0)
    with Phone(name="bob") as bob, open_switch(recordings_dir=tmp_path / "rec") as switch:
        bob.tone(700, level_dbfs=-30.0)
        steps = [RecordingStart("flac"), Play(["song.wav"]), RecordingPause(), Play(["secret.wav"]), RecordingResume(), Play(["song.wav"])]
        call = switch.calls.create(destination=bob.uri, actions=steps)
        recording = switch.recordings.wait(call.wait(timeout_s=15).recording_ids[0], timeout_s=10)
    mono, _ = soundfile.read(tmp_path / "rec" / recording.filename, dtype="int16")
    assert mono.ndim == 1
    assert 1.8 < recording.duration_s < 2.9
    assert best_match(mono, song, RATE_HZ).correlation > 0.5
    assert best_match(mono, burst("secret.wav", 1.0), RATE_HZ).correlation < 0.3
    assert tone_level_db(mono, 700, RATE_HZ) > -34


def test_a_bridged_call_is_recorded_with_its_peer(open_switch, tmp_path):
    with Phone(name="bob") as bob, Phone(name="carol") as carol, open_switch(recordings_dir=tmp_path / "rec") as switch:
        bob.tone(700)
        carol.tone(1100)
        carol.hang_up_after(1.5)
        steps = [{"type": "recording_start", "option": {"format": "ogg"}}, {"type": "connect", "option": {"destinations": [carol.uri]}}]
        call = switch.calls.create(destination=bob.uri, actions=steps)
        recording = switch.recordings.wait(call.wait(timeout_s=15).recording_ids[0], timeout_s=10)
    mono, rate_hz = soundfile.read(tmp_path / "rec" / recording.filename)
    end = mono[-rate_hz:]
    assert tone_level_db(end, 700, rate_hz) > -20
    assert tone_level_db(end, 1100, rate_hz) > -20


@pytest.mark.parametrize(("options", "reason"), [({"end_of_silence_s": 1.0}, "silence"), ({"end_of_key": "any"}, "key")])
def test_the_far_end_ends_the_recording(open_switch, tmp_path, options, reason):
    write_burst(tmp_path / "voice.wav", 1.0)
    with Phone(name="bob") as bob, open_switch(recordings_dir=tmp_path / "rec") as switch:
        bob.play(tmp_path / "voice.wav")
        bob.send_digits_after(1.2, "5")
        call = switch.calls.create(destination=bob.uri, actions=[RecordingStart(**options), Sleep(5000)])
        next(event for event in call.events() if isinstance(event, RecordingFinished))
        (recording_id,) = call.record.recording_ids
        recording = switch.recordings.get(recording_id)
        call.hangup()
        call.wait(timeout_s=10)
    assert (recording.end_reason, recording.error) == (reason, "")
    assert (0.9 if reason == "key" else 1.9) < recording.duration_s < 4.5
    mono, _ = soundfile.read(tmp_path / "rec" / recording.filename, dtype="int16")
    assert best_match(mono, burst("voice.wav", 1.0), RATE_HZ).correlation > 0.4, "a busy machine speaks with gaps"


def test_music_on_hold_is_heard_and_recorded(open_switch, tmp_path):
    """The re-INVITE makes the audio of the leg anew: it is recorded all the same."""
    music = write_burst(tmp_path / "music.wav", 1.0)
    with Phone(name="bob") as bob, open_switch(recordings_dir=tmp_path / "rec") as switch:
        bob.tone(700)
        call = switch.calls.create(
            destination=bob.uri,
            actions=[RecordingStart(channels="stereo"), Hold("music.wav"), Sleep(2500), {"type": "unhold"}, Talk("back"), Sleep(300)],
        )
        record = call.wait(timeout_s=15)
        heard = bob.last_call.heard()
    assert_ended(record, "local", "normal", 200, "OK")
    invites = [message for message in bob.last_call.messages if message.text.startswith("INVITE") and "a=sendonly" in message.text]
    assert invites
    assert "a=sendrecv" in [message.text for message in bob.last_call.messages if message.text.startswith("INVITE")][-1]
    assert best_match(heard, music, RATE_HZ).correlation > 0.9
    back = best_match(heard, spoken("back"), RATE_HZ)
    assert back.correlation > 0.9
    assert back.delay_s > best_match(heard, music, RATE_HZ).delay_s, "what is said after unhold is heard"
    assert rms_dbfs(heard[-RATE_HZ // 5 :]) < -50
    (name,) = (path for path in (tmp_path / "rec").iterdir())
    both, _ = soundfile.read(name, dtype="int16")
    assert 2.8 < len(both) / RATE_HZ < 4.5
    assert best_match(both[:, RIGHT], music, RATE_HZ).correlation > 0.9
    assert tone_level_db(both[-RATE_HZ // 4 :, LEFT], 700, RATE_HZ) > -16
