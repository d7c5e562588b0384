"""A file that is written beside the one who has the audio."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import soundfile

import media.mix_file
from media import wav
from media.mix_file import MixFile
from media.recording import finish
from media.tones import tone

RATE_HZ = 8000
FRAMES = tone(500.0, 3.0, RATE_HZ).reshape(-1, 160)


@pytest.fixture
def faults():
    return []


def test_all_that_is_written_is_there(tmp_path, faults):
    file = MixFile(tmp_path / "mix.wav", 10**6, faults.append)
    for frame in FRAMES:
        file.write(frame, RATE_HZ)
    file.close()
    samples, rate_hz = wav.read(tmp_path / "mix.wav")
    assert rate_hz == RATE_HZ
    assert np.array_equal(samples, FRAMES.ravel())
    assert not faults


def test_nothing_written_is_no_file(tmp_path, faults):
    MixFile(tmp_path / "mix.wav", 10**6, faults.append).close()
    assert not (tmp_path / "mix.wav").exists()
    assert finish([(tmp_path / "mix.wav",)], tmp_path / "a.wav", "wav", is_stereo=False).size_bytes == 0


def test_what_a_killed_process_leaves_can_be_played(tmp_path, faults):
    file = MixFile(tmp_path / "mix.wav", 10**6, faults.append)
    for frame in FRAMES[:120]:
        file.write(frame, RATE_HZ)
    while (tmp_path / "mix.wav").stat().st_size < wav.HEADER_BYTES + 2 * 2 * RATE_HZ if (tmp_path / "mix.wav").exists() else True:
        threading.Event().wait(0.005)
    assert wav.parse_header((tmp_path / "mix.wav").read_bytes()).frames == 2 * RATE_HZ
    made = finish([(tmp_path / "mix.wav",)], tmp_path / "a.flac", "flac", is_stereo=False)
    assert made.duration_s >= 2
    assert soundfile.info(tmp_path / "a.flac").duration == made.duration_s
    file.close()


def test_it_ends_where_it_may_be_no_larger(tmp_path, faults):
    file = MixFile(tmp_path / "mix.wav", 3200, faults.append)
    for frame in FRAMES:
        file.write(frame, RATE_HZ)
    file.close()
    assert faults == ["size"]
    assert wav.read_info(tmp_path / "mix.wav").frames == 1600


def test_a_disk_that_hangs(tmp_path, faults, monkeypatch):
    go = threading.Event()
    real = media.mix_file.header

    def slow(*given):
        go.wait(10)
        return real(*given)

    monkeypatch.setattr(media.mix_file, "header", slow)
    file = MixFile(tmp_path / "mix.wav", 10**7, faults.append)
    for _ in range(1600):
        file.write(FRAMES[0], RATE_HZ)
    assert faults == ["the disk is too slow"]
    go.set()
    file.close()
    assert wav.read_info(tmp_path / "mix.wav").frames >= 1500 * 160
