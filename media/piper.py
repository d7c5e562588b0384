"""Speech by Piper: a neural voice of the user's own choice, a file; the other languages stay with another engine.

Needs ``pip install "sipcore[piper]"``. Nothing is downloaded: a voice is ``name.onnx`` with ``name.onnx.json`` beside it.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .cancel import Cancellation
from .errors import Cancelled, SynthesisFailed, VoiceRefused
from .language import normalise
from .manner import PLAIN, Manner
from .sentences import sentences
from .synthesizer import Speech, Synthesizer, streamed
from .wav import Samples

_ENGINE = "piper"
_SENTENCE_GAP_S = 0.12
"""Piper leaves no pause at the end of a sentence; this is what espeak-ng leaves."""


class PiperSynthesizer:
    """The language of one voice by Piper, in this process; all others by ``others``, which is closed with it.

    A voice has the gender that it has. The model is loaded at the first text, and speaks one sentence at a time.
    """

    def __init__(self, voice: Path, others: Synthesizer) -> None:
        """Read what the voice says about itself.

        Raises:
            VoiceRefused: Piper is not installed, a file is missing, or is no voice.
        """
        self._path, self._others = voice, others
        try:
            self._version = f"{importlib.metadata.version('piper-tts')} {_digest(voice)}"
            settings = json.loads(voice.with_name(f"{voice.name}.json").read_text(encoding="utf-8"))
            self._tags = _tags(settings)
        except importlib.metadata.PackageNotFoundError:
            raise VoiceRefused(str(voice), 'needs Piper: pip install "sipcore[piper]"') from None
        except OSError as error:
            raise VoiceRefused(error.filename or str(voice), error.strerror or str(error)) from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise VoiceRefused(f"{voice}.json", f"does not describe a Piper voice: {error!r}") from None
        self._lock = threading.Lock()
        self._is_closed = False
        self._voice: Any = None

    @property
    def name(self) -> str:
        """Both engines: either may speak."""
        return f"{_ENGINE}+{self._others.name}"

    @property
    def version(self) -> str:
        """Of both engines, and of the voice."""
        return f"{self._version} {self._others.version}"

    def languages(self) -> Mapping[str, str]:
        """What the other engine speaks, and the voice's own."""
        return {**self._others.languages(), **self._tags}

    def render(self, text: str, language: str, gender: str, cancellation: Cancellation, manner: Manner = PLAIN) -> Speech:
        """Speak sentence by sentence. Of a higher pitch is what is spoken slowly and then played fast."""
        if language not in self._tags:
            return self._others.render(text, language, gender, cancellation, manner)
        made = list(self.stream(text, language, gender, cancellation, manner))
        return Speech(np.concatenate([speech.samples for speech in made]), made[0].rate_hz) if made else Speech(np.zeros(0, np.int16), 0)

    def stream(self, text: str, language: str, gender: str, cancellation: Cancellation, manner: Manner = PLAIN) -> Iterator[Speech]:
        """The same, each sentence when it is made."""
        if language not in self._tags:
            yield from streamed(self._others, text, language, gender, cancellation, manner)
            return
        for sentence in sentences(text):
            with cancellation.holding(self._lock):
                spoken, rate_hz = self._spoken(sentence, manner)
            samples = np.concatenate([*spoken, np.zeros(round(_SENTENCE_GAP_S * rate_hz), dtype=np.int16)])
            yield Speech(samples, round(rate_hz * manner.pitch))

    def close(self) -> None:
        """Let go of the model, and close the other engine."""
        self._is_closed = True
        self._others.close()
        with self._lock:
            self._voice = None

    def _spoken(self, sentence: str, manner: Manner) -> tuple[list[Samples], int]:
        if self._is_closed:
            raise Cancelled
        try:
            if self._voice is None:
                self._voice = _loaded(self._path)
            from piper import SynthesisConfig

            settings = SynthesisConfig(length_scale=self._voice.config.length_scale * manner.pitch / manner.rate)
            # Two brackets would begin phonemes.
            spoken = [chunk.audio_int16_array for chunk in self._voice.synthesize(sentence.replace("[[", "[ ["), settings)]
            rate_hz: int = self._voice.config.sample_rate
        except Exception as error:  # onnxruntime raises classes of its own, and a voice may be broken in every way
            raise SynthesisFailed(_ENGINE, f"{self._path.name}: {error}") from error
        return spoken, rate_hz


def _loaded(voice: Path) -> Any:
    # onnxruntime would tell its makers about every model that it loads, and keep a database of that in the home directory.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    from piper import PiperVoice  # an extra, and half a second

    return PiperVoice.load(voice)


def _digest(voice: Path) -> str:
    with voice.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _tags(settings: Mapping[str, Any]) -> Mapping[str, str]:
    """The language of a voice, with and without its region: ``de_DE`` is what German is spoken by."""
    language = settings.get("language", {})
    tag = normalise(language.get("code") or settings["espeak"]["voice"])
    name = str(language.get("name_english") or tag)
    if not settings["audio"]["sample_rate"] or not settings["phoneme_id_map"]:
        raise ValueError("no sample_rate, or no phonemes")
    return {tag: name, tag.split("-")[0]: name}
