"""Draw the pictures of testing.md: an announcement of which a second went missing, as the assertion shows it.

python docs/make_testing_pictures.py [folder]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import soxr
from PIL import Image

from media.cancel import Cancellation
from media.espeak import EspeakSynthesizer
from sipcore.testing import assert_heard, g711, pictures_in
from sipcore.testing.hearing import Capture

RATE_HZ = 8000
TEXT = "Welcome to the company. Please hold the line, we will be with you shortly."


def main(folder: Path) -> None:
    """Make the assertion fail, and keep its picture."""
    wave = speech()
    wanted = Capture(wave, RATE_HZ, "welcome.wav")
    heard = np.concatenate([np.zeros(4000, np.float32), wave * 0.4])
    heard[14000:25000] = 0
    coded = g711.decode_mu_law(g711.encode_mu_law(np.rint(heard * 32767).astype(np.int16))).astype(np.float32) / 32768
    with tempfile.TemporaryDirectory() as scratch, pictures_in(Path(scratch)):
        try:
            assert_heard(Capture(coded, RATE_HZ, "the call"), wanted)
        except AssertionError as failure:
            print(str(failure).partition("\n")[0])
        (picture,) = Path(scratch).glob("*.png")
        with Image.open(picture) as image:
            image.convert("RGB").quantize(64).save(folder / "hearing-failure.png", optimize=True)


def speech() -> np.ndarray:
    """The announcement at 8 kHz, full scale 1."""
    synthesizer = EspeakSynthesizer()
    try:
        spoken = synthesizer.render(TEXT, "en-us", "female", Cancellation())
    finally:
        synthesizer.close()
    wave = soxr.resample(spoken.samples.astype(np.float32) / 32768, spoken.rate_hz, RATE_HZ)
    return (wave / np.abs(wave).max() * 0.7).astype(np.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
