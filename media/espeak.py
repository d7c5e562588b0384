"""Speech by espeak-ng through pyttsx3, in child processes of its own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from .cancel import Cancellation
from .errors import SynthesisFailed
from .espeak_child import LIBRARIES
from .espeak_pool import EspeakPool
from .espeak_process import Answer
from .language import normalise
from .manner import PLAIN, Manner
from .sentences import sentences
from .synthesizer import Speech
from .text import chunks
from .wav import Samples

_CHILD = Path(__file__).with_name("espeak_child.py")
_VARIANTS = {"female": "+f3", "male": "+m3", "neutral": ""}
"""espeak-ng's voice variants. Every voice is male by itself; f3 doubles the pitch and shifts the formants."""


_WORDS_PER_MINUTE = 200
_WORDS_PER_MINUTE_RANGE = (80, 450)
_PITCH, _PITCH_MAX = 50, 99
_PITCH_STEP_UP, _PITCH_STEP_DOWN = 0.012, 0.0062
"""espeak-ng's pitch goes from 0 to 99, and each step changes it by this much of the usual one, as measured."""


def prosody(manner: Manner) -> dict[str, int]:
    """espeak-ng's own figures for a manner; what it cannot do is as near as it gets."""
    low, high = _WORDS_PER_MINUTE_RANGE
    change = manner.pitch - 1
    steps = round(change / (_PITCH_STEP_UP if change > 0 else _PITCH_STEP_DOWN))
    return {
        "rate": min(max(round(_WORDS_PER_MINUTE * manner.rate), low), high),
        "pitch": min(max(_PITCH + steps, 0), _PITCH_MAX),
    }


class EspeakSynthesizer:
    """The engine that is always there: no apt package, no network, a hundred languages, robotic.

    ``processes`` children at most work at once, started when first needed, each request bounded by ``timeout_s`` per 500
    characters. ``library`` is ``auto``, ``system`` (Debian's) or ``packaged`` (PyPI's); :mod:`media.espeak_child` tells how
    it is chosen. ``command`` replaces the child program, for tests.
    """

    def __init__(
        self,
        *,
        processes: int = 2,
        timeout_s: float = 10.0,
        recycle_after: int = 500,
        library: str = "auto",
        command: Sequence[str] | None = None,
    ) -> None:
        if library not in LIBRARIES:
            raise ValueError(f"library is {library!r}; expected one of {', '.join(LIBRARIES)}")
        # -P: neither the working directory nor the directory of the program may shadow a module.
        program = [sys.executable, "-P", str(_CHILD), library] if command is None else command
        self._pool = EspeakPool(program, size=processes, timeout_s=timeout_s, recycle_after=recycle_after, on_greeting=self._on_greeting)
        self._greeting_lock = threading.Lock()
        self._version = ""
        self._voices: dict[str, str] = {}
        self._languages: dict[str, str] = {}

    @property
    def name(self) -> str:
        """``espeak-ng``."""
        return "espeak-ng"

    @property
    def version(self) -> str:
        """Versions of espeak-ng and pyttsx3. The first call starts a child.

        Raises:
            SynthesisFailed: it cannot be started.
        """
        self._greet()
        return self._version

    def languages(self) -> Mapping[str, str]:
        """Return tag -> English name. The first call starts a child and raises like :attr:`version`."""
        self._greet()
        return MappingProxyType(self._languages)

    def render(self, text: str, language: str, gender: str, cancellation: Cancellation, manner: Manner = PLAIN) -> Speech:
        """Speak ``text`` in chunks of at most 500 characters. Nothing in it is taken for markup."""
        self._greet()
        voice = self._voices[language] + _VARIANTS[gender]
        parts: list[Samples] = []
        rate_hz = 0
        for chunk in chunks(text):
            answer = self._pool.ask({"text": chunk, "voice": voice, **prosody(manner)}, cancellation)
            samples, rate_hz = self._decode(answer)
            parts.append(samples)
        return Speech(np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16), rate_hz)

    def stream(self, text: str, language: str, gender: str, cancellation: Cancellation, manner: Manner = PLAIN) -> Iterator[Speech]:
        """Speak sentence by sentence."""
        for sentence in sentences(text):
            yield self.render(sentence, language, gender, cancellation, manner)

    def close(self) -> None:
        """Stop the children."""
        self._pool.close()

    def _greet(self) -> None:
        with self._greeting_lock:
            if not self._voices:
                self._pool.start_one(Cancellation())

    def _decode(self, answer: Answer) -> tuple[Samples, int]:
        rate_hz = answer.message.get("rate_hz")
        if not isinstance(rate_hz, int) or rate_hz <= 0 or len(answer.payload) % 2:
            raise SynthesisFailed(self.name, "the child answered nonsense")
        return np.frombuffer(answer.payload, dtype="<i2").astype(np.int16), rate_hz

    def _on_greeting(self, answer: Answer) -> None:
        """Learn voices and version. A voice goes by its language tag and by its file's name: ``gmw/en`` is en-gb and en."""
        voices: dict[str, str] = {}
        names: dict[str, str] = {}
        listed = answer.message.get("voices") or []
        for tags in ([(voice["id"].rpartition("/")[2], voice) for voice in listed], [(voice["language"], voice) for voice in listed]):
            for tag, voice in tags:
                if tag and normalise(tag) not in voices:
                    voices[normalise(tag)] = voice["id"]
                    names[normalise(tag)] = voice["name"].strip()
        if not voices:
            raise SynthesisFailed(self.name, "it has no voices")
        self._version, self._languages, self._voices = str(answer.message["version"]), names, voices
