"""Volume, beeps and keys as prepared audio."""

from __future__ import annotations

import numpy as np
import pytest

from media import AudioLibrary, Cancelled, tones, wav
from media.dtmf_detector import DtmfDetector
from media.measure import tone_level_db

RATE_HZ = 8000


@pytest.fixture
def library(tmp_path):
    opened = AudioLibrary(tmp_path / "cache", tmp_path)
    yield opened
    opened.close()


def tone(tmp_path, level_dbfs: float, duration_s: float = 1.0):
    wav.write(tmp_path / "a.wav", tones.tone(600.0, duration_s, RATE_HZ, level_dbfs=level_dbfs), RATE_HZ)
    return "a.wav"


@pytest.mark.parametrize("volume_db", [-40.0, -6.0, 0.5, 12.0])
def test_louder_and_quieter(library, tmp_path, volume_db):
    audio = library.stream(tone(tmp_path, -20.0, 20.0))
    changed = library.louder(audio, volume_db)
    samples, _ = wav.read(changed.path)
    assert changed.path != audio.path
    assert changed.duration_s == audio.duration_s
    assert tone_level_db(samples[-RATE_HZ:], 600.0, RATE_HZ) == pytest.approx(-20.0 + volume_db, abs=0.5)
    assert library.louder(audio, volume_db).path == changed.path


def test_as_it_is(library, tmp_path):
    audio = library.stream(tone(tmp_path, -20.0))
    assert library.louder(audio, 0.0) is audio


def test_what_is_too_loud_is_clipped_and_never_wrapped(library, tmp_path):
    audio = library.stream(tone(tmp_path, -3.0))
    samples, _ = wav.read(library.louder(audio, 20.0).path)
    before, _ = wav.read(audio.path)
    assert np.abs(samples.astype(np.int32)).max() >= 32767
    assert (np.sign(samples[before != 0]) == np.sign(before[before != 0])).all()


def test_beep(library):
    samples, rate_hz = wav.read(library.beep(800.0, 0.5, -8.0).path)
    assert (len(samples), rate_hz) == (4000, RATE_HZ)
    assert tone_level_db(samples[400:3600], 800.0, RATE_HZ) == pytest.approx(-20.0, abs=0.3)
    assert abs(int(samples[0])) < 20
    assert abs(int(samples[-1])) < 20


def test_digit_tones(library):
    samples, _ = wav.read(library.digit_tones("159D*#", 0.1, 0.06).path)
    assert len(samples) == round(6 * 0.16 * RATE_HZ)
    assert "".join(press.digit for press in DtmfDetector(RATE_HZ).feed(samples)) == "159D*#"
    assert np.abs(samples.astype(np.int32)).max() < 32767
    with pytest.raises(KeyError):
        tones.dtmf("x", 0.1, 0.1, RATE_HZ)


def test_a_closed_library(tmp_path):
    library = AudioLibrary(tmp_path / "cache", tmp_path)
    audio = library.stream(tone(tmp_path, -20.0))
    library.close()
    for work in (lambda: library.louder(audio, 3.0), library.beep, lambda: library.digit_tones("1", 0.1, 0.1)):
        with pytest.raises(Cancelled):
            work()
