"""Keys out of sound: levels, twist, lengths, noise, codec, and speech that is no key."""

from __future__ import annotations

import numpy as np
import pytest

from media import Cancellation, EspeakSynthesizer, tones
from media.dtmf_detector import DtmfDetector
from media.tones import DTMF_HZ, to_int16
from sipcore.testing import g711

RATE_HZ = 8000
ALL = "0123456789*#ABCD"


def key(digit: str, duration_s: float = 0.05, *, low_db: float = -10.0, high_db: float = -10.0, off: float = 0.0, offset: int = 0):
    """One press between silences; `off` is the error of the frequencies."""
    low, high = (hz * (1 + off) for hz in DTMF_HZ[digit])
    press = tones.tone(low, duration_s, RATE_HZ, level_dbfs=low_db) + tones.tone(high, duration_s, RATE_HZ, level_dbfs=high_db)
    return np.concatenate([np.zeros(400 + offset, np.int16), press, np.zeros(480, np.int16)])


def found(samples, step: int = 160) -> str:
    detector = DtmfDetector(RATE_HZ)
    return "".join(press.digit for start in range(0, len(samples), step) for press in detector.feed(samples[start : start + step]))


def noise(samples: int, level_dbfs: float, seed: int = 1):
    return np.random.default_rng(seed).standard_normal(samples) * 10 ** (level_dbfs / 20) * 32768 / np.sqrt(2)


@pytest.mark.parametrize("step", [1, 20, 160, 10_000_000])
def test_every_key_in_pieces_of_any_size(step):
    samples = tones.dtmf(ALL + "11##", 0.05, 0.05, RATE_HZ)
    assert found(samples if step > 1 else samples[:8000], step) == (ALL + "11##")[: 10 if step == 1 else None]


def test_when_it_began():
    detector = DtmfDetector(RATE_HZ)
    (press,) = detector.feed(key("5", 0.1))
    assert press.digit == "5"
    assert press.at_s == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("offset", range(0, 51, 5))
@pytest.mark.parametrize("digit", ["1", "D", "0", "9"])
def test_forty_milliseconds_are_enough(digit, offset):
    assert found(key(digit, 0.040, offset=offset)) == digit


@pytest.mark.parametrize("duration_s", [0.005, 0.015, 0.023])
def test_a_click_is_no_key(duration_s):
    assert found(np.concatenate([key(digit, duration_s) for digit in ALL])) == ""


@pytest.mark.parametrize("digit", ALL)
@pytest.mark.parametrize(("low_db", "high_db"), [(-6.0, -8.0), (-30.0, -30.0), (-14.0, -10.0), (-10.0, -18.0)])
def test_levels_and_twist(digit, low_db, high_db):
    assert found(key(digit, 0.05, low_db=low_db, high_db=high_db)) == digit


@pytest.mark.parametrize(("low_db", "high_db"), [(-60.0, -60.0), (-5.0, -20.0), (-20.0, -8.0), (-10.0, -100.0), (-100.0, -10.0)])
def test_too_quiet_too_crooked_or_one_tone_only(low_db, high_db):
    assert found(np.concatenate([key(digit, 0.2, low_db=low_db, high_db=high_db) for digit in ALL])) == ""


@pytest.mark.parametrize("off", [-0.015, 0.015])
def test_frequencies_that_are_a_little_wrong(off):
    assert found(np.concatenate([key(digit, 0.06, off=off) for digit in ALL])) == ALL


def test_the_length_of_a_press_does_not_matter():
    assert found(key("7", 5.0)) == "7"
    held = np.concatenate([key("7", 0.1)[:-480], np.zeros(80, np.int16), key("7", 0.1)[400:]])
    assert found(held) == "7", "ten milliseconds of nothing are no end"
    assert found(np.concatenate([key("7", 0.05)[:-480], np.zeros(320, np.int16), key("7", 0.05)[400:]])) == "77"


@pytest.mark.parametrize("seed", range(5))
def test_keys_in_noise(seed):
    clean = np.concatenate([key(digit, 0.07) for digit in ALL])
    noisy = np.clip(clean + noise(len(clean), -25.0, seed), -32768, 32767).astype(np.int16)
    assert found(noisy) == ALL, "15 dB below each tone"


def test_keys_by_mu_law_and_a_law():
    clean = np.concatenate([key(digit, 0.05) for digit in ALL])
    assert found(g711.decode_mu_law(g711.encode_mu_law(clean))) == ALL


@pytest.mark.parametrize("level_dbfs", [-50.0, -30.0, -10.0])
def test_noise_is_no_key(level_dbfs):
    assert found(to_int16(noise(60 * RATE_HZ, level_dbfs) / 32768), 8000) == ""


@pytest.mark.parametrize("hz", [(440.0, 480.0), (350.0, 440.0), (480.0, 620.0), (425.0,), (1000.0,), (697.0, 770.0), (1209.0, 1336.0)])
def test_tones_of_the_network_are_no_keys(hz):
    assert found(tones.tone(hz, 3.0, RATE_HZ, level_dbfs=-12.0)) == ""


@pytest.mark.slow
def test_speech_is_no_key():
    """Talk-off: a few minutes of two voices."""
    text = "Seven sisters sang softly. Who knew you two would do? Oh, we owe a yellow window. Please listen, press one or nine now. " * 6
    synthesizer = EspeakSynthesizer()
    try:
        for gender in ("female", "male"):
            speech = synthesizer.render(text, "en-us", gender, Cancellation())
            at_8_khz = speech.samples[:: max(1, round(speech.rate_hz / RATE_HZ))]
            for loudness_db in (0.0, 12.0):
                assert found(np.concatenate(list(tones.amplified(at_8_khz, loudness_db))), 8000) == ""
    finally:
        synthesizer.close()
