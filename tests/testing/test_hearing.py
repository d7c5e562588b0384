"""What the assertions on audio find, miss and say: no network, no phone."""

import io
import itertools
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from speech import sentences, to_int16

from media.measure import Span
from sipcore.testing import (
    assert_digits,
    assert_heard,
    assert_no_gaps,
    assert_not_clipped,
    assert_not_heard,
    assert_silence,
    assert_tone,
    capture_of,
    g711,
    pictures_in,
    quality,
)
from sipcore.testing.hearing import Capture
from sipcore.testing.phone.rtp import ReceivedPacket

RATE_HZ = 8000


def mu_law(wave):
    return g711.decode_mu_law(g711.encode_mu_law(to_int16(wave))) / np.float32(32768)


def a_law(wave):
    return g711.decode_a_law(g711.encode_a_law(to_int16(wave))) / np.float32(32768)


def gsm(wave):
    file = io.BytesIO()
    soundfile.write(file, wave, RATE_HZ, format="RAW", subtype="GSM610")
    file.seek(0)
    return soundfile.read(file, format="RAW", subtype="GSM610", samplerate=RATE_HZ, channels=1, dtype="float32")[0]


def wideband(wave):
    """As G.722 leaves it, roughly: 16 kHz, a filter at 7 kHz, noise 25 dB below."""
    wide = soxr.resample(wave, RATE_HZ, 16000)
    noise = np.random.default_rng(5).standard_normal(len(wide)) * wide.std() * 10 ** (-25 / 20)
    return soxr.resample(wide + noise, 16000, RATE_HZ)


CODECS = {"mu_law": mu_law, "a_law": a_law, "gsm": gsm, "wideband": wideband}


def tone(hz, seconds, level=0.25):
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


def packets_of(wave, *, without=(), late_ms=None):
    """RTP of 20 ms each, with these numbers missing, these later than they should be."""
    payloads = g711.encode_mu_law(to_int16(wave))
    late_ms = late_ms or {}
    return tuple(
        ReceivedPacket(n * 0.02 + late_ms.get(n, 0) / 1000, n, n * 160, False, 0, 1, payloads[n * 160 : (n + 1) * 160])
        for n in range(len(payloads) // 160)
        if n not in without
    )


def call(wave, **more):
    return Capture(mu_law(wave), RATE_HZ, "the call", packets_of(wave, **more), None, "PCMU")


@settings(max_examples=40, deadline=None)
@given(
    which=st.sampled_from(sorted(sentences())),
    codec=st.sampled_from(sorted(CODECS)),
    gain_db=st.floats(-26, 3),
    delay_s=st.floats(0, 3),
    is_inverted=st.booleans(),
)
def test_finds_the_delay_whatever_gain_and_codec(which, codec, gain_db, delay_s, is_inverted):
    wave = sentences()[which]
    silence = np.zeros(round(delay_s * RATE_HZ))
    sent = np.concatenate([silence, wave * 10 ** (gain_db / 20) * (-1 if is_inverted else 1), np.zeros(800)])
    found = assert_heard(CODECS[codec](sent), wave)
    assert found.delay_s == pytest.approx(len(silence) / RATE_HZ, abs=0.005)
    assert found.correlation > 0.9
    assert not found.missing


@pytest.mark.slow
def test_other_words_and_other_voices_are_told_apart():
    correlations = {}
    for one, other in itertools.islice(itertools.permutations(sentences(), 2), 0, None, 5):
        with pytest.raises(AssertionError, match="nothing like it") as failure:
            assert_heard(sentences()[one], sentences()[other], min_coverage=0.3)
        correlations[one, other] = float(str(failure.value).split("correlation ")[1].split()[0])
    assert max(correlations.values()) < 0.6


def test_a_reference_of_another_rate_and_format(tmp_path):
    wave = sentences()[0, "male"]
    soundfile.write(tmp_path / "reference.flac", np.stack([soxr.resample(wave, 8000, 44100)] * 2, axis=1), 44100)
    soundfile.write(tmp_path / "heard.wav", mu_law(np.concatenate([np.zeros(4000), wave])), 8000)
    assert assert_heard(tmp_path / "heard.wav", tmp_path / "reference.flac").delay_s == pytest.approx(0.5, abs=0.002)


def test_a_receiver_that_slips():
    """Its jitter buffer put 40 ms in, and left 20 ms out."""
    wave = sentences()[1, "male"]
    heard = np.concatenate([wave[:8000], np.zeros(320), wave[8000:20000], wave[20160:]])
    found = assert_heard(mu_law(heard), wave)
    assert [round(slip) for _, slip in found.slips_ms] == [40, -20]


def test_says_which_part_was_not_heard():
    wave = sentences()[0, "female"]
    heard = np.concatenate([np.zeros(4000), wave])
    heard[4000 + 9600 : 4000 + 19200] = sentences()[3, "male"][:9600]
    with pytest.raises(AssertionError, match=r"its part between 1\.\d0 s and 2\.\d0 s was not heard") as failure:
        assert_heard(mu_law(heard), wave)
    assert "from 0.500 s" in str(failure.value)


def test_what_was_not_heard_is_not_in_other_speech_or_in_nothing():
    heard = np.concatenate([np.zeros(4000), sentences()[0, "female"], sentences()[3, "male"]])
    assert_not_heard(mu_law(heard), sentences()[0, "male"])
    assert_not_heard(mu_law(heard), sentences()[3, "female"])
    assert_not_heard(np.zeros(0), sentences()[0, "male"])
    with pytest.raises(ValueError, match="silent"):
        assert_not_heard(heard, np.zeros(800))


@pytest.mark.parametrize("part", [1.0, 0.7])
def test_what_should_not_have_been_heard_is_told_with_its_time(part):
    wave = sentences()[0, "female"]
    heard = np.concatenate([np.zeros(4000), 0.3 * wave[: round(part * len(wave))], np.zeros(2000)])
    with pytest.raises(AssertionError, match=r"from 0\.(499|500|501) s: correlation (0\.[89]|1\.0)"):
        assert_not_heard(mu_law(heard), wave)


def test_one_missing_second_is_told_however_alike_the_rest_is():
    wave = np.concatenate([sentences()[key] for key in sorted(sentences())])
    heard = wave.copy()
    heard[80000:96000] = 0
    with pytest.raises(AssertionError, match=r"its part between 1\d\.\d\d s and 1[12]\.\d\d s"):
        assert_heard(heard, wave)
    assert_heard(heard, wave, max_missing_s=3.0)


def test_only_the_beginning_came():
    wave = sentences()[0, "male"]
    with pytest.raises(AssertionError, match="did not hear"):
        assert_heard(wave[: len(wave) // 2], wave)


def test_references_that_say_nothing(tmp_path):
    with pytest.raises(ValueError, match="is silent"):
        assert_heard(tone(1000, 1), np.zeros(8000))
    with pytest.raises(AssertionError, match="got no audio at all"):
        assert_heard(np.zeros(0), tone(1000, 1))
    with pytest.raises(FileNotFoundError, match="no sound file"):
        assert_heard(tone(1000, 1), tmp_path / "none.wav")
    (tmp_path / "text.wav").write_text("hello")
    with pytest.raises(ValueError, match="is not a sound file"):
        capture_of(tmp_path / "text.wav")
    with pytest.raises(TypeError, match="heard in a int"):
        capture_of(3)
    with pytest.raises(ValueError, match="one channel"):
        capture_of(np.zeros((2, 100)))
    with pytest.raises(ValueError, match="not uint8"):
        capture_of(np.zeros(100, np.uint8))


def test_channels(tmp_path):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(440, 1), tone(1000, 1)], axis=1), RATE_HZ)
    assert_tone(capture_of(path, channel=0), 440)
    assert_tone(capture_of(path, channel=1), 1000)
    with pytest.raises(ValueError, match="2 channels"):
        capture_of(path, channel=2)


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_tones(codec):
    heard = CODECS[codec](np.concatenate([np.zeros(4000), tone(697, 0.4), np.zeros(2000)]))
    found = assert_tone(heard, 697, min_s=0.4)
    assert (found.start_s, found.end_s) == (pytest.approx(0.5, abs=0.03), pytest.approx(0.9, abs=0.03))
    with pytest.raises(AssertionError, match=r"but for 0\.4\d? s|but for 0\.3\d s"):
        assert_tone(heard, 697, min_s=0.5)


def test_another_tone_is_told_with_its_time():
    heard = mu_law(np.concatenate([tone(697, 0.4), tone(770, 1.0)]))
    with pytest.raises(AssertionError, match=r"expected 697 Hz, heard 770 Hz from 0\.4 s"):
        assert_tone(heard, 697, min_s=1.0)
    with pytest.raises(AssertionError, match=r"770\.0 Hz"):
        assert_tone(heard, 697)
    with pytest.raises(AssertionError, match="silence"):
        assert_tone(np.zeros(8000), 697, min_s=0.1)
    with pytest.raises(ValueError, match="frequency"):
        assert_tone(heard, 0)


def test_two_tones_at_once_and_none_in_noise_or_speech():
    assert_tone(mu_law(tone(440, 2) + tone(480, 2)), 440, min_s=1.9)
    assert_tone(mu_law(tone(440, 2) + tone(480, 2)), 480, min_s=1.9)
    noise = np.random.default_rng(1).standard_normal(40000) * 0.1
    for heard in (noise, sentences()[0, "male"]):
        with pytest.raises(AssertionError, match="did not hear 440 Hz"):
            assert_tone(heard, 440, min_s=0.2)


def test_silence():
    assert_silence(np.zeros(0))
    assert_silence(np.random.default_rng(1).standard_normal(8000) * 0.001)
    with pytest.raises(AssertionError, match=r"between 1\.00 s and 1\.50 s, up to -12\.\d dBFS"):
        assert_silence(np.concatenate([np.zeros(8000), tone(500, 0.5), np.zeros(8000)]))


def test_digits_in_the_audio():
    rows, columns = (697, 770, 852, 941), (1209, 1336, 1477)
    pairs = {"1": (0, 0), "2": (0, 1), "3": (0, 2), "#": (3, 2)}
    keys = [tone(rows[row], 0.1) + tone(columns[column], 0.1) for row, column in (pairs[key] for key in "123#")]
    heard = mu_law(np.concatenate([part for key in keys for part in (np.zeros(800), key)]))
    assert_digits(heard, "123#")
    with pytest.raises(AssertionError, match=r"'123#', not '13#': key 2 is '2' at 0\.3\d s instead of '3'"):
        assert_digits(heard, "13#")
    with pytest.raises(AssertionError, match=r"key 5, '4', is missing after 0\.7\d s"):
        assert_digits(heard, "123#4")
    with pytest.raises(AssertionError, match=r"'#' at 0\.7\d s is one too many"):
        assert_digits(heard, "123")


def test_gaps_between_packets():
    wave = sentences()[0, "male"]
    assert_no_gaps(call(wave))
    with pytest.raises(AssertionError, match=r"a gap of 220 ms at 1\.98 s; allowed are 60 ms"):
        assert_no_gaps(call(wave, without=range(100, 110)))


def test_gaps_against_a_reference():
    for wave in sentences().values():
        assert_no_gaps(gsm(wave * 0.3), reference=wave)
        assert_no_gaps(mu_law(wave))
    wave = sentences()[0, "male"]
    heard = np.concatenate([np.zeros(4000), wave])
    heard[12000:13600] = 0
    with pytest.raises(AssertionError, match=r"a gap of (1[0-9]|2[01])0 ms at 1\.(49|50) s"):
        assert_no_gaps(mu_law(heard), reference=wave)


def test_a_cut_in_a_sound_file_alone():
    steady = tone(300, 2) * (1 + 0.3 * tone(3, 2))
    steady[8000:9600] = 0
    with pytest.raises(AssertionError, match=r"a gap of 200 ms at 1\.00 s"):
        assert_no_gaps(steady)


@pytest.mark.parametrize("codec", ["mu_law", "a_law", "gsm"])
@pytest.mark.parametrize("turned_down", [1.0, 0.2])
def test_clipping(codec, turned_down):
    for wave in sentences().values():
        assert_not_clipped(CODECS[codec](wave * 1.8 * turned_down))
        if codec == "gsm":
            continue  # it makes flat tops round again
        with pytest.raises(AssertionError, match=r"is clipped from \d\.\d\d s to \d\.\d\d s: \d+ flat peaks at "):
            assert_not_clipped(CODECS[codec](np.clip(wave * 2 * 10 ** (9 / 20), -1, 1) * turned_down))


def test_tones_and_noise_are_not_clipped():
    for wave in (tone(1000, 1, 0.9), tone(200, 1, 0.9), tone(697, 1) + tone(1209, 1), np.random.default_rng(2).standard_normal(8000) * 0.1):
        assert_not_clipped(mu_law(wave))


def test_quality_by_the_packets():
    wave = np.concatenate([sentences()[0, "male"]] * 3)
    good = quality(call(wave))
    assert (good.lost, good.late, good.loss_percent, good.codec) == (0, 0, 0.0, "PCMU")
    assert good.mos > 4.2
    lossy = quality(call(wave, without=range(3, len(wave) // 160, 10)))
    assert lossy.loss_percent == pytest.approx(10, abs=0.5)
    assert lossy.burst_ratio == pytest.approx(1, abs=0.01)
    assert lossy.mos < good.mos - 0.7
    bursty = quality(call(wave, without=[n for n in range(3, len(wave) // 160) if n % 40 < 4]))
    assert bursty.burst_ratio == pytest.approx(3.5, abs=0.2)
    assert bursty.mos < lossy.mos
    late = quality(call(wave, late_ms=dict.fromkeys(range(3, len(wave) // 160, 10), 100)))
    assert (late.lost, late.mos) == (0, pytest.approx(lossy.mos, abs=0.05))
    assert late.jitter_ms > 5
    with pytest.raises(ValueError, match="a sound file needs a reference"):
        quality(wave)


@pytest.mark.slow
def test_a_minute_takes_no_longer_than_a_moment():
    """Generous: the machine may be busy; see docs/testing.md for what it takes."""
    minute = np.tile(np.concatenate(list(sentences().values())), 3)[: 60 * RATE_HZ].astype(np.float32)
    for check in (
        lambda: assert_heard(minute, minute),
        lambda: assert_not_clipped(minute),
        lambda: assert_no_gaps(minute, reference=minute),
        lambda: assert_tone(np.tile(tone(1000, 1), 60), 1000, min_s=50),
    ):
        started = time.process_time()
        check()
        assert time.process_time() - started < 3


@pytest.mark.slow
def test_the_picture_of_a_failure(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.delenv("SIPCORE_PICTURES")
    wave = sentences()[0, "male"]
    with pictures_in(tmp_path / "pictures"), pytest.raises(AssertionError, match="picture: ") as failure:
        assert_heard(call(wave, without=range(50)), sentences()[3, "female"], min_coverage=0.5)
    path = str(failure.value).partition("picture: ")[2]
    assert path.startswith(str(tmp_path / "pictures" / "test_the_picture_of_a_failure"))
    assert Path(path).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    with pictures_in(None), pytest.raises(AssertionError) as failure:
        assert_silence(wave)
    assert "picture" not in str(failure.value)
    (tmp_path / "file").touch()
    with pictures_in(tmp_path / "file"), pytest.raises(AssertionError, match=r"\(no picture: .*file"):
        assert_silence(wave)


def test_a_failure_says_that_the_telephone_itself_was_held_up():
    disturbed = Capture(np.zeros(8000, dtype=np.float32), 8000, "bob", held_up=(Span(0.1, 0.15), Span(2.2, 2.489)))
    with pytest.raises(AssertionError, match=r"the telephone itself was held up for 289 ms at 2\.20 s, one of 2 times: its process"):
        assert_tone(disturbed, 440, min_s=0.5)
