"""What any text-to-speech engine must offer to be plugged into :class:`media.AudioLibrary`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from .cancel import Cancellation
from .manner import PLAIN, Manner
from .wav import Samples

GENDERS = ("female", "male", "neutral")


@dataclass(frozen=True, slots=True)
class Speech:
    """What an engine made of a text: mono 16-bit samples at the engine's own rate."""

    samples: Samples
    rate_hz: int


class Synthesizer(Protocol):
    """Text to speech. Every method may be called from several threads at once, and may block."""

    @property
    def name(self) -> str:
        """Name of the engine; part of the cache key."""
        ...

    @property
    def version(self) -> str:
        """Anything that changes when the same text may sound different; part of the cache key."""
        ...

    def languages(self) -> Mapping[str, str]:
        """Return the languages spoken: lower-case BCP 47 tag -> name in English. Fast after the first call."""
        ...

    def render(self, text: str, language: str, gender: str, cancellation: Cancellation, manner: Manner = PLAIN) -> Speech:
        """Speak ``text``, which has been checked, in a language of :meth:`languages` with a gender of ``GENDERS``.

        Of ``manner`` pace and pitch are meant; the loudness is changed afterwards.

        Raises:
            SpeechError: in most cases SynthesisFailed.
            Cancelled: ``cancellation`` was set on the way.
        """
        ...

    def close(self) -> None:
        """Stop what runs; later calls fail. May be called twice."""
        ...


@runtime_checkable
class StreamingSynthesizer(Protocol):
    """One that gives what it has made before it has made all."""

    def stream(self, text: str, language: str, gender: str, cancellation: Cancellation, manner: Manner = PLAIN) -> Iterator[Speech]:
        """As :meth:`Synthesizer.render`, in pieces that follow each other without a pause."""
        ...


def streamed(
    engine: Synthesizer, text: str, language: str, gender: str, cancellation: Cancellation, manner: Manner = PLAIN
) -> Iterator[Speech]:
    """What any engine makes, as soon as it gives it away."""
    if isinstance(engine, StreamingSynthesizer):
        yield from engine.stream(text, language, gender, cancellation, manner)
    else:
        yield engine.render(text, language, gender, cancellation, manner)
