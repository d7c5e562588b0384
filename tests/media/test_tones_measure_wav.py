"""Tones, the measurements that tests listen with, and the file format."""

import struct
import wave as stdlib_wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media import measure, tones, wav

RATE = 8000


def noise(seconds: float, seed: int = 1, level: float = 3000.0):
    return (np.random.default_rng(seed).standard_normal(round(seconds * RATE)) * level).clip(-32768, 32767).astype(np.int16)


def mu_law(samples):
    """Through G.711 mu-law and back."""
    x = np.clip(samples.astype(float) / 32768, -1, 1)
    code = np.rint(127 * np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256)) / 127
    return np.rint(np.sign(code) * (256 ** np.abs(code) - 1) / 255 * 32767).astype(np.int16)


@pytest.mark.parametrize("hz", [50.0, 440.0, 1004.0, 3400.0])
@pytest.mark.parametrize("level", [-40.0, -12.0, 0.0])
def test_a_tone_measures_as_it_was_made(hz, level):
    made = tones.tone(hz, 1.0, RATE, level_dbfs=level)
    assert measure.tone_level_db(made, hz, RATE) == pytest.approx(level, abs=0.1)
    assert measure.rms_dbfs(made) == pytest.approx(level, abs=0.1)
    assert measure.dominant_hz(made, RATE) == pytest.approx(hz, abs=0.5)
    assert measure.tone_to_rest_db(made, hz, RATE) > 40
    assert measure.tone_level_db(made, hz * 1.1 + 20, RATE) < level - 40


def test_what_does_not_fit_is_clipped_and_never_wraps():
    loud = tones.tone([400.0, 410.0], 1.0, RATE, level_dbfs=0.0)
    assert loud.max() == 32767
    assert loud.min() == -32768
    assert np.abs(np.diff(loud.astype(int))).max() < 25000
    assert list(tones.to_int16(np.array([2.0, -2.0, np.nan, np.inf, -np.inf, 0.5]))) == [32767, -32768, 0, 32767, -32768, 16384]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_ringback_is_north_american(rate):
    ring = tones.ringback(rate)
    assert len(ring) == 6 * rate
    on = ring[: 2 * rate]
    for hz in (440, 480):
        assert measure.tone_level_db(on, hz, rate) == pytest.approx(-22.17, abs=0.2)
    assert measure.silent_spans(ring, rate) == [measure.Span(2.0, 6.0)]
    assert abs(int(ring[0])) < 50  # no click where the loop begins
    assert abs(int(on[-1])) < 50


@pytest.mark.parametrize("delay", [0.0, 0.125, 0.9])
def test_a_recording_is_found_whatever_gain_and_codec(delay):
    reference = noise(2.0)
    heard = mu_law(np.concatenate([tones.silence(delay, RATE), reference // 5, tones.silence(0.3, RATE)]))
    match = measure.best_match(heard, reference, RATE)
    assert match.correlation > 0.98
    assert match.delay_s == pytest.approx(delay)
    assert measure.snr_db(heard, reference, RATE) > 25


def test_a_recording_is_found_when_either_is_cut():
    reference = noise(3.0)
    assert measure.best_match(reference[RATE:], reference, RATE).delay_s == pytest.approx(-1.0)
    assert measure.best_match(reference[RATE : 2 * RATE], reference, RATE).correlation > 0.99
    late = measure.best_match(np.concatenate([noise(1.0, seed=2), reference[:RATE]]), reference, RATE)
    assert late.correlation > 0.99
    assert late.delay_s == pytest.approx(1.0)


def test_another_recording_is_not_found():
    assert abs(measure.best_match(noise(3.0, seed=1), noise(2.0, seed=2), RATE).correlation) < 0.2
    assert measure.snr_db(noise(1.0, seed=1), noise(1.0, seed=2), RATE) < -5
    assert measure.best_match(-noise(1.0), noise(1.0), RATE).correlation == pytest.approx(-1.0, abs=1e-6)


def test_a_half_heard_recording_is_told_from_a_whole_one():
    reference = noise(2.0)
    heard = reference.copy()
    heard[:RATE] = 0
    assert measure.best_match(heard, reference, RATE).correlation == pytest.approx(2**-0.5, abs=0.05)


@pytest.mark.parametrize("samples", [np.zeros(0, np.int16), np.zeros(1000, np.int16)])
def test_silence_and_nothing_are_measured_too(samples):
    assert measure.rms_dbfs(samples) == -np.inf
    assert measure.tone_level_db(samples, 440, RATE) == -np.inf
    assert measure.tone_to_rest_db(samples, 440, RATE) == -np.inf
    assert measure.dominant_hz(samples, RATE) == 0.0
    assert measure.best_match(samples, noise(1), RATE) == measure.Match(0.0, 0.0)
    assert measure.best_match(noise(1), samples, RATE) == measure.Match(0.0, 0.0)
    assert measure.snr_db(samples, noise(1), RATE) == -np.inf


def test_tone_to_rest_counts_noise_and_other_tones():
    mixed = tones.tone(440.0, 1.0, RATE, level_dbfs=-10).astype(int) + tones.tone(1000.0, 1.0, RATE, level_dbfs=-20)
    assert measure.tone_to_rest_db(mixed, 440.0, RATE) == pytest.approx(10, abs=0.3)
    assert measure.tone_to_rest_db(mixed, 1000.0, RATE) == pytest.approx(-10, abs=0.3)


def test_silent_spans_are_found_with_their_edges():
    sound = tones.tone(300.0, 0.5, RATE)
    heard = np.concatenate([tones.silence(0.2, RATE), sound, tones.silence(0.05, RATE), sound, tones.silence(0.4, RATE)])
    assert measure.silent_spans(heard, RATE) == [measure.Span(0.0, 0.2), measure.Span(1.25, 1.65)]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-32768, 32767), min_size=1, max_size=400), st.lists(st.integers(-32768, 32767), min_size=1, max_size=400))
def test_correlation_is_never_beyond_one(heard, reference):
    match = measure.best_match(np.array(heard, np.int16), np.array(reference, np.int16), RATE)
    assert -1.0001 <= match.correlation <= 1.0001


def test_a_wav_is_what_others_read(tmp_path):
    samples = noise(0.5)
    wav.write(tmp_path / "a.wav", samples, RATE)
    assert (tmp_path / "a.wav").stat().st_size == 44 + 2 * len(samples)
    with stdlib_wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, RATE, len(samples))
    read, rate = wav.read(tmp_path / "a.wav")
    assert rate == RATE
    assert np.array_equal(read, samples)
    assert wav.read_info(tmp_path / "a.wav").duration_s == 0.5


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-2],
        lambda data: data + b"\0",
        lambda data: data[:20],
        lambda data: b"",
        lambda data: b"RIFX" + data[4:],
        lambda data: data[:22] + struct.pack("<H", 2) + data[24:],
        lambda data: data[:24] + struct.pack("<I", 0) + data[28:],
        lambda data: data[:20] + struct.pack("<H", 7) + data[22:],
    ],
)
def test_any_other_wav_is_refused(tmp_path, spoil):
    path = tmp_path / "a.wav"
    wav.write(path, noise(0.1), RATE)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(wav.BadWav):
        wav.read_info(path)
    with pytest.raises(wav.BadWav):
        wav.read(path)


def test_a_link_is_not_read(tmp_path):
    wav.write(tmp_path / "a.wav", noise(0.1), RATE)
    (tmp_path / "b.wav").symlink_to("a.wav")
    with pytest.raises(OSError, match="symbolic"):
        wav.read_info(tmp_path / "b.wav")
