"""The project's own set: how people and machines answer, spoken by 20 voices of eSpeak, with the noise of lines, through mu-law."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import espeakng_loader
import numpy as np
import soxr

import media.wav
from media import tones
from sipcore.testing import g711

RATE_HZ = 8000
HUMAN = (
    "Hello?",
    "Hello.",
    "Yes?",
    "Hi, this is Bob.",
    "Yeah, who is it?",
    "Good morning.",
    "Smith.",
    "Hello, Anna speaking.",
    "Bakery Miller, hello?",
    "Speaking.",
)
MACHINE = (
    "Hi, you have reached the voicemail of Bob Smith. Please leave a message after the tone.",
    "The person you are calling is not available right now. Please try again later, or leave a message.",
    "Hello. This is the Miller family. We are not at home at the moment. Leave your name and number after the beep.",
    "Your call has been forwarded to an automatic voice message system. At the tone, please record your message.",
    "Thank you for calling Acme. Our office is closed. Our opening hours are nine to five.",
    "Hey, it's Anna. I can't come to the phone. You know what to do.",
)
VOICES = (
    *("en-us", "en", "en-gb-scotland", "en-gb-x-rp"),
    *(f"en-us+{variant}" for variant in ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7")),
    *(f"en+{variant}" for variant in ("f2", "f4", "m3", "m5")),
)
BEEPS_HZ = (440.0, 1000.0, 1400.0)

_RETRIEVAL = 1
_RATE, _MAX_TEXT = 1, 500
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Speaker:
    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._rate_hz = self._library.espeak_Initialize(_RETRIEVAL, 0, espeakng_loader.get_data_path().encode(), 0)
        self._pieces: list[np.ndarray] = []
        self._callback = _CALLBACK(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: ctypes._Pointer[ctypes.c_short], count: int, _events: object) -> int:
        if count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, voice: str, text: str, words_per_minute: int) -> np.ndarray:
        self._pieces.clear()
        if self._library.espeak_SetVoiceByName(voice.encode()):
            raise SystemExit(f"eSpeak has no voice {voice}")
        self._library.espeak_SetParameter(_RATE, words_per_minute, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, 1, None, None)
        self._library.espeak_Synchronize()
        return soxr.resample(np.concatenate(self._pieces).astype(np.float64), self._rate_hz, RATE_HZ)


def _greetings() -> Iterator[tuple[str, int, str, str]]:
    for voice in VOICES:
        for kind, texts in (("human", HUMAN), ("machine", MACHINE)):
            for number, text in enumerate(texts):
                yield kind, number, voice, text


def make(folder: Path, seed: int = 20) -> int:
    """Write the set; returns how many. The same seed makes the same files."""
    random = np.random.default_rng(seed)
    speaker, written = _Speaker(), 0
    for kind, number, voice, text in _greetings():
        speech = speaker.say(voice, text, int(random.integers(140, 190)))
        if kind == "machine":
            beep = tones.tone(float(random.choice(BEEPS_HZ)), 0.4, RATE_HZ).astype(np.float64)
            speech = np.concatenate((speech, np.zeros(RATE_HZ // 2), beep))
        before = np.zeros(int(random.integers(100, 1200)) * RATE_HZ // 1000)
        line = np.concatenate((before, speech, np.zeros(4 * RATE_HZ))) * 10 ** (random.uniform(-12, 0) / 20)
        line += random.normal(0, 10 ** (random.uniform(-70, -38) / 20) * 32768, len(line))
        samples = g711.decode_mu_law(g711.encode_mu_law(np.clip(line, -32768, 32767).astype(np.int16)))
        (folder / kind).mkdir(parents=True, exist_ok=True)
        media.wav.write(folder / kind / f"{voice.replace('+', '-')}-{number}.wav", samples, RATE_HZ)
        written += 1
    return written
