"""Speech for the tests of the ears: some sentences of espeak-ng at 8 kHz, full scale 1."""

import functools

import numpy as np
import soxr

from media.cancel import Cancellation
from media.espeak import EspeakSynthesizer

TEXTS = (
    "Welcome to the company. Please hold the line, we will be with you shortly.",
    "Your call is important to us. Press one for sales, two for support.",
    "The number you have dialled is not in service.",
    "Good morning. Our office is open from nine to five, Monday to Friday.",
)


@functools.cache
def sentences():
    """`{(number, gender): samples}`; a peak of 0.5."""
    synthesizer = EspeakSynthesizer()
    try:
        return {
            (number, gender): _at_8k(synthesizer.render(text, "en-us", gender, Cancellation()))
            for number, text in enumerate(TEXTS)
            for gender in ("female", "male")
        }
    finally:
        synthesizer.close()


def _at_8k(speech):
    wave = soxr.resample(speech.samples.astype(np.float32) / 32768, speech.rate_hz, 8000)
    return wave / np.abs(wave).max() / 2


def to_int16(wave):
    return np.rint(np.clip(wave, -1, 1) * 32767).astype(np.int16)
