"""Humans and machines, made of bursts of noise and tones: what decides, and when."""

from __future__ import annotations

import numpy as np
import pytest

from media import tones
from media.amd import AmdSettings, AnswerDetector, Answerer, BeepDetector, MessageEnd

RATE_HZ = 8000
RANDOM = np.random.default_rng(5)


def noise(duration_s: float, dbfs: float) -> np.ndarray:
    return RANDOM.normal(0, 10 ** (dbfs / 20) * 32768, round(duration_s * RATE_HZ))


def word(duration_s: float = 0.3) -> np.ndarray:
    """Loud, and no tone."""
    return noise(duration_s, -20)


def line(*parts: np.ndarray, noise_dbfs: float = -65.0) -> np.ndarray:
    """These one after the other, on a line with noise, and six seconds of nothing after them."""
    whole = np.concatenate((*parts, np.zeros(6 * RATE_HZ)))
    return np.clip(whole + RANDOM.normal(0, 10 ** (noise_dbfs / 20) * 32768, len(whole)), -32768, 32767).astype(np.int16)


def quiet(duration_s: float) -> np.ndarray:
    return np.zeros(round(duration_s * RATE_HZ))


def judged(samples: np.ndarray, piece: int = 160, **settings: int):
    detector = AnswerDetector(RATE_HZ, AmdSettings(**settings))
    for start in range(0, len(samples), piece):
        if verdict := detector.feed(samples[start : start + piece]):
            return verdict
    return detector.give_up()


def talk(words: int, gap_s: float = 0.15) -> list[np.ndarray]:
    return [part for _ in range(words) for part in (word(), quiet(gap_s))]


@pytest.mark.parametrize("noise_dbfs", [-75, -60, -45, -38])
@pytest.mark.parametrize("piece", [160, 77, 1000])
def test_a_word_and_a_pause_is_a_human(noise_dbfs, piece):
    verdict = judged(line(quiet(0.5), word(0.4), noise_dbfs=noise_dbfs), piece)
    assert (verdict.answerer, verdict.reason, verdict.words) == (Answerer.HUMAN, "pause", 1)
    assert verdict.initial_silence_ms == pytest.approx(500, abs=40)
    assert verdict.greeting_ms == pytest.approx(400, abs=40)
    assert verdict.silence_ms == pytest.approx(800, abs=20)
    assert verdict.took_ms == pytest.approx(1700, abs=40)


def test_a_word_at_the_first_moment():
    assert judged(line(word(0.4))).answerer == Answerer.HUMAN


@pytest.mark.parametrize("noise_dbfs", [-75, -60, -45, -38])
def test_who_talks_on_is_a_machine(noise_dbfs):
    verdict = judged(line(quiet(0.5), *talk(12), noise_dbfs=noise_dbfs))
    assert (verdict.answerer, verdict.reason) == (Answerer.MACHINE, "long_greeting")
    assert verdict.took_ms == pytest.approx(2380, abs=60)  # the fifth word takes it beyond 1700
    assert judged(line(*talk(12)), greeting_ms=10_000, words=4).reason == "many_words"


def test_short_pauses_do_not_end_a_greeting_and_long_ones_do():
    parts = (word(), quiet(0.6), word(), quiet(0.6), word())
    assert judged(line(*parts)).answerer == Answerer.MACHINE
    assert judged(line(*parts), silence_ms=500).answerer == Answerer.HUMAN


def test_silence_and_steady_noise_are_nobody():
    for dbfs in (-90, -50, -30):
        verdict = judged(line(quiet(1), noise_dbfs=dbfs))
        assert (verdict.answerer, verdict.reason, verdict.took_ms) == (Answerer.NOTSURE, "initial_silence", 2500)
        assert verdict.words == 0


def test_clicks_are_no_words():
    clicks = [part for _ in range(20) for part in (word(0.03), quiet(0.2))]
    assert judged(line(*clicks)).reason == "initial_silence"


def test_no_decision_in_time():
    verdict = judged(line(word(), quiet(0.2), word()), longest_ms=500, silence_ms=5000)
    assert (verdict.answerer, verdict.reason, verdict.took_ms) == (Answerer.NOTSURE, "too_long", 500)


def test_audio_that_ends():
    detector = AnswerDetector()
    assert detector.give_up().answerer == Answerer.NOTSURE
    assert AnswerDetector().feed(np.zeros(0, np.int16)) is None


def test_one_verdict_only():
    detector = AnswerDetector(RATE_HZ)
    verdict = detector.feed(line(word(0.4)))
    assert verdict is not None
    assert detector.feed(line(*talk(20))) is verdict
    assert detector.give_up() is verdict


@pytest.mark.parametrize("hz", [440.0, 1000.0, 1400.0, 2100.0])
def test_a_beep_is_a_machine(hz):
    verdict = judged(line(quiet(0.5), tones.tone(hz, 0.4, RATE_HZ)))
    assert (verdict.answerer, verdict.reason) == (Answerer.MACHINE, "beep")
    assert verdict.beep_hz == pytest.approx(hz, abs=10)


def test_what_is_no_beep():
    for samples in (
        line(*talk(10)),
        line(tones.tone(1000.0, 0.1, RATE_HZ)),
        line(tones.tone(440.0, 1.0, RATE_HZ) // 2 + tones.tone(480.0, 1.0, RATE_HZ) // 2),
        line(tones.tone(770.0, 1.0, RATE_HZ) // 2 + tones.tone(1336.0, 1.0, RATE_HZ) // 2),
        line(8000 * np.sin(2 * np.pi * np.cumsum(np.linspace(500, 1500, RATE_HZ)) / RATE_HZ)),
    ):
        assert BeepDetector(RATE_HZ).feed(samples) == 0.0


@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_the_message_ends_with_its_beep(rate_hz):
    end = MessageEnd(rate_hz)
    assert not end.feed(np.concatenate([np.repeat(part, rate_hz // RATE_HZ) for part in talk(20)]).astype(np.int16))
    assert not end.feed(tones.tone(1000.0, 0.4, rate_hz))
    assert end.feed(np.zeros(rate_hz // 5, np.int16))


def test_a_machine_without_a_beep_ends_with_silence():
    end = MessageEnd(RATE_HZ)
    assert not end.feed(np.concatenate(talk(20)).astype(np.int16))
    assert not end.feed(np.zeros(2 * RATE_HZ, np.int16))
    assert end.feed(np.zeros(2 * RATE_HZ, np.int16))
