"""Resampling in pieces: the same sound at the same moment, whatever the rates and however it is cut."""

import numpy as np
import pytest

from media import tones
from media.measure import tone_level_db
from media.resampling import StreamResampler

PAIRS = [(8000, 16_000), (16_000, 8000), (8000, 48_000), (44_100, 8000), (22_050, 16_000), (8000, 11_025), (8000, 47_999), (12_345, 8000)]


def resampled(samples: np.ndarray, from_hz: int, to_hz: int, sizes=(0,)) -> np.ndarray:
    """In pieces of these sizes by turns; 0 for all of it."""
    resampler = StreamResampler(from_hz, to_hz)
    made, at, turn = [], 0, 0
    while at < len(samples):
        size = sizes[turn % len(sizes)] or len(samples)
        made.append(resampler.feed(samples[at : at + size]))
        at, turn = at + size, turn + 1
    return np.concatenate([*made, resampler.flush()])


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_tone_stays_what_and_when_it_is(from_hz, to_hz):
    time_s = np.arange(from_hz // 2) / from_hz
    wave = np.rint(10_000 * np.sin(2 * np.pi * 440 * time_s)).astype(np.int16)
    made = resampled(wave, from_hz, to_hz)
    assert len(made) == -(-len(wave) * to_hz // from_hz)
    expected = 10_000 * np.sin(2 * np.pi * 440 * np.arange(len(made)) / to_hz)
    inner = slice(to_hz // 50, -to_hz // 50)
    assert np.abs(made - expected)[inner].max() < 5  # odd rates have the nearest of 1,024 filters


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_cutting_changes_nothing(from_hz, to_hz):
    noise = np.random.default_rng(1).integers(-20_000, 20_000, from_hz // 4).astype(np.int16)
    whole = resampled(noise, from_hz, to_hz)
    np.testing.assert_array_equal(resampled(noise, from_hz, to_hz, (1, 160, 7, 441, 0)[:-1]), whole)


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_a_sample_is_out_3_ms_after_its_moment(from_hz, to_hz):
    resampler = StreamResampler(from_hz, to_hz)
    assert resampler.latency_s < 0.0032
    frame = np.zeros(from_hz // 50, np.int16)
    made = 0
    for number in range(1, 20):
        made += len(resampler.feed(frame))
        assert number * len(frame) / from_hz - made / to_hz < resampler.latency_s + 1.5 / to_hz


def test_what_would_fold_back_is_gone():
    for hz in (4700, 6000, 12_000, 20_000):
        assert tone_level_db(resampled(tones.tone(hz, 0.5, 48_000), 48_000, 8000)[400:-400], abs((hz + 4000) % 8000 - 4000), 8000) < -70


def test_loud_noise_is_clipped_and_not_wrapped():
    square = np.tile(np.repeat(np.array([32_767, -32_768], np.int16), 20), 50)
    made = resampled(square, 8000, 16_000)
    assert made.max() == 32_767
    assert made.min() == -32_768
    assert made[10:30].min() > 20_000


def test_after_a_flush_it_begins_anew():
    resampler = StreamResampler(8000, 16_000)
    first = np.concatenate((resampler.feed(tones.tone(440, 0.1, 8000)), resampler.flush()))
    second = np.concatenate((resampler.feed(tones.tone(440, 0.1, 8000)), resampler.flush()))
    np.testing.assert_array_equal(first, second)
    assert len(resampler.flush()) == 0
