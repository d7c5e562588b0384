"""Two files of each stretch become one."""

from __future__ import annotations

import errno

import numpy as np
import pytest
import soundfile

from media import Cancelled, wav
from media.measure import tone_level_db
from media.recording import SUBTYPES, Finished, RecordingFailed, SilenceMeter, finish, mix
from media.tones import silence, tone

RATE_HZ = 8000


@pytest.fixture
def pair(tmp_path):
    """Writes one stretch: a tone for each side."""

    def written(name, said, heard, rate_hz=RATE_HZ):
        paths = tmp_path / f"{name}.said.wav", tmp_path / f"{name}.heard.wav"
        for path, samples in zip(paths, (said, heard), strict=True):
            wav.write(path, samples, rate_hz)
        return paths

    return written


@pytest.mark.parametrize("kind", SUBTYPES)
@pytest.mark.parametrize("is_stereo", [True, False])
def test_every_format_has_both_sides(pair, tmp_path, kind, is_stereo):
    target = tmp_path / f"out.{kind}"
    made = finish([pair("1", tone(700, 2.0, RATE_HZ), tone(1200, 2.0, RATE_HZ))], target, kind, is_stereo=is_stereo)
    assert made == Finished(2.0, target.stat().st_size)
    heard, rate_hz = soundfile.read(target)
    assert rate_hz == RATE_HZ or kind == "ogg"  # Opus may be decoded at another rate
    assert len(heard) / rate_hz == pytest.approx(2.0, abs=0.15)
    middle = heard[rate_hz // 2 : rate_hz * 3 // 2]
    sides = (middle[:, 0], middle[:, 1]) if is_stereo else (middle, middle)
    assert tone_level_db(sides[0], 700, rate_hz) > -20
    assert tone_level_db(sides[1], 1200, rate_hz) > -20
    if is_stereo:
        assert tone_level_db(sides[0], 1200, rate_hz) < -40
        assert tone_level_db(sides[1], 700, rate_hz) < -40
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_stretches_follow_each_other_each_as_long_as_its_shorter_side(pair, tmp_path):
    pairs = [
        pair("1", tone(700, 1.0, RATE_HZ), silence(1.02, RATE_HZ)),
        (tmp_path / "gone.said.wav", tmp_path / "gone.heard.wav"),
        pair("2", silence(0.52, RATE_HZ), tone(1200, 0.5, RATE_HZ)),
    ]
    assert finish(pairs, tmp_path / "out.wav", "wav", is_stereo=True).duration_s == 1.5
    both, _ = soundfile.read(tmp_path / "out.wav")
    assert tone_level_db(both[:8000, 0], 700, RATE_HZ) > -15
    assert tone_level_db(both[8000:, 1], 1200, RATE_HZ) > -15
    assert not both[:8000, 1].any()


def test_a_killed_process_is_read_to_its_last_sample(pair, tmp_path):
    said, heard = pair("1", tone(700, 1.0, RATE_HZ), tone(700, 1.0, RATE_HZ))
    for path, cut in ((said, 3), (heard, 0)):
        data = bytearray(path.read_bytes())
        data[4:8] = data[40:44] = b"\0\0\0\0"  # as PJSIP leaves it
        path.write_bytes(data[: len(data) - cut])
    assert finish([(said, heard)], tmp_path / "out.wav", "wav", is_stereo=False).duration_s == (RATE_HZ - 2) / RATE_HZ


@pytest.mark.parametrize("data", [None, b"", b"RIFF", wav.header(0, RATE_HZ)])
def test_nothing_recorded_makes_no_file(tmp_path, data):
    paths = tmp_path / "1.said.wav", tmp_path / "1.heard.wav"
    for path in paths:
        if data is not None:
            path.write_bytes(data)
    assert finish([paths], tmp_path / "out.mp3", "mp3", is_stereo=False) == Finished(0.0, 0)
    assert not (tmp_path / "out.mp3").exists()


def test_the_rate_is_that_of_the_files(pair, tmp_path):
    finish([pair("1", tone(700, 0.5, 16000), tone(700, 0.5, 16000), 16000)], tmp_path / "out.wav", "wav", is_stereo=False)
    assert soundfile.info(tmp_path / "out.wav").samplerate == 16000


def test_a_full_disk_leaves_nothing_behind(pair, tmp_path, monkeypatch):
    def full(_self, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(soundfile.SoundFile, "write", full)
    with pytest.raises(RecordingFailed, match="No space left"):
        finish([pair("1", tone(700, 1.0, RATE_HZ), tone(700, 1.0, RATE_HZ))], tmp_path / "out.wav", "wav", is_stereo=False)
    assert not list(tmp_path.glob("*out*"))


def test_what_was_not_written_whole_is_noticed(pair, tmp_path, monkeypatch):
    write = soundfile.SoundFile.write
    monkeypatch.setattr(soundfile.SoundFile, "write", lambda self, data: write(self, data[:100]))
    with pytest.raises(RecordingFailed, match="disk full"):
        finish([pair("1", tone(700, 1.0, RATE_HZ), tone(700, 1.0, RATE_HZ))], tmp_path / "out.wav", "wav", is_stereo=False)


def test_cancelled(pair, tmp_path):
    with pytest.raises(Cancelled):
        finish(
            [pair("1", tone(700, 1.0, RATE_HZ), tone(700, 1.0, RATE_HZ))],
            tmp_path / "out.wav",
            "wav",
            is_stereo=False,
            is_cancelled=lambda: True,
        )
    assert not list(tmp_path.glob("*out*"))


def test_a_mix_saturates():
    loud = np.array([30000, -30000, 5], np.int16)
    assert mix(loud, loud).tolist() == [32767, -32768, 10]


def test_silence_is_measured_while_the_file_grows(tmp_path):
    path = tmp_path / "growing.wav"
    meter = SilenceMeter(path)
    assert meter.look() == 0.0
    path.write_bytes(wav.header(0, RATE_HZ))
    assert meter.look() == 0.0
    with path.open("ab") as file:
        for samples, silent_s in (
            (silence(0.5, RATE_HZ), 0.5),
            (silence(0.51, RATE_HZ), 1.0),
            (tone(300, 0.5, RATE_HZ), 0.0),
            (tone(300, 1.0, RATE_HZ, level_dbfs=-60), 1.0),
        ):
            file.write(samples.tobytes())
            file.flush()
            assert meter.look() == pytest.approx(silent_s, abs=0.021)
