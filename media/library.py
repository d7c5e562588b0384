"""The one door to the package: text, file or URL in, ready WAV out."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soxr

from . import tones, wav
from .cache import Cache, PreparedAudio, cache_key
from .cancel import Cancellation
from .decode import decode
from .errors import Cancelled, EmptyText, NotAudio, UnknownGender
from .espeak import EspeakSynthesizer
from .fetch import fetch
from .language import match_language
from .limits import Limits
from .local_file import hash_file, open_file
from .manner import PLAIN, SILENT_DB
from .script import Utterance, script, whole
from .ssml import Pause, Spoken
from .synthesizer import GENDERS, Speech, Synthesizer, streamed
from .text import check_text
from .url import is_url, parse_url, shown
from .wav import Samples

_SILENT_PEAK = 32
"""-60 dBFS: a text of which no more than this was made has not been spoken."""


_MAX_SPOKEN = 1024
"""Texts whose audio is found without a thread."""


class AudioLibrary:
    """Prepares audio in ``cache_dir`` at ``rate_hz``. Every method blocks and may be called from any thread.

    ``media_root`` bounds local files and resolves relative paths; None is the working directory at this moment.
    ``allow_private_urls`` false keeps URLs, and what they redirect to, away from this machine and its networks.
    ``synthesizer`` is an espeak-ng of its own by default; whichever it is, :meth:`close` closes it.
    ``cache_max_bytes`` gives way to entries used in the last five minutes.

    Bad input raises :class:`media.MediaError` only; OSError is left for a cache directory that cannot be written. One thing
    cannot be cut short: the system's look-up of a host name, which :meth:`close` then waits for.
    """

    def __init__(
        self,
        cache_dir: Path,
        media_root: Path | None = None,
        *,
        rate_hz: int = 8000,
        allow_private_urls: bool = True,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        synthesizer: Synthesizer | None = None,
        cache_max_bytes: int = 1 << 30,
    ) -> None:
        self._cache = Cache(cache_dir, rate_hz, max_bytes=cache_max_bytes)
        self._root = (media_root or Path.cwd()).resolve()
        self._rate_hz = rate_hz
        self._allow_private = allow_private_urls
        self._limits = limits
        self._synthesizer: Synthesizer = synthesizer or EspeakSynthesizer()
        self._closing = threading.Event()
        self._changed = threading.Condition()
        self._at_work = 0
        self._spoken: dict[tuple[Utterance, str], str] = {}
        self.speech_hits = 0
        """Texts that were in the cache already."""
        self.speech_misses = 0
        """Texts that had to be spoken."""

    def check_speech(self, text: str, language: str = "en-US", gender: str = "female") -> None:
        """Refuse what :meth:`speech` would refuse. Fast; the first call may start the synthesizer to learn its languages (0.2 s).

        Raises:
            SpeechError: EmptyText, TextTooLong, UnspeakableText, BadSsml, UnknownLanguage, UnknownGender, SynthesisFailed.
            Cancelled: the library is closed.
        """
        with self._work(None):
            check_text(text, self._limits.text_max_chars)
            self._checked_language(whole(text, language, self._limits.pauses_max_s).language, gender)

    def check_stream(self, url: str) -> None:
        """Refuse what is known to fail without reading: scheme, private address in the URL, path outside the root, missing file.

        Raises:
            StreamError: UrlRefused, PathRefused, FileMissing, NotAudio (an empty file), TooLarge.
            Cancelled: the library is closed.
        """
        with self._work(None):
            if is_url(url):
                parse_url(url, allow_private=self._allow_private)
            else:
                open_file(url, self._root, self._limits).close()

    def speech(self, text: str, language: str = "en-US", gender: str = "female", cancel: threading.Event | None = None) -> PreparedAudio:
        """Return ``text``, plain or SSML (:mod:`media.ssml`), spoken. Milliseconds when cached, about 30 ms a sentence when not.

        Raises:
            SpeechError: as :meth:`check_speech`; EmptyText also when the engine makes nothing but silence of the text.
            Cancelled: ``cancel`` was set, or the library closed.
        """
        check_text(text, self._limits.text_max_chars)
        return self.utter(whole(text, language, self._limits.pauses_max_s), gender, cancel)

    def utterances(self, text: str, language: str = "en-US") -> tuple[Utterance, ...]:
        """Return ``text`` in parts for :meth:`utter`, in order, so that the first can be heard while the others are made. Fast.

        Raises:
            SpeechError: EmptyText, TextTooLong, UnspeakableText, BadSsml.
        """
        check_text(text, self._limits.text_max_chars)
        return script(text, language, self._limits.pauses_max_s)

    def utter(self, utterance: Utterance, gender: str = "female", cancel: threading.Event | None = None) -> PreparedAudio:
        """Return one part of a text spoken. Raises like :meth:`speech`."""
        with self._work(cancel) as cancellation:
            tag = self._checked_language(utterance.language, gender)
            key = self._key_of_speech(utterance, tag, gender)
            self._note_spoken(utterance, gender, key)
            if (ready := self._cache.get(key)) is not None:
                self._count_speech(is_hit=True)
                return ready
            with self._cache.exclusive(key, cancellation):
                ready = self._cache.get(key)
                self._count_speech(is_hit=ready is not None)
                return ready or self._cache.put(key, self._rendered(utterance, tag, gender, cancellation))

    def spoken(self, utterance: Utterance, gender: str = "female") -> PreparedAudio | None:
        """What :meth:`utter` returns, if it was asked for lately and its file is there: at once, without a thread. None: ask it."""
        key = self._spoken.get((utterance, gender))
        if key is None or self._closing.is_set() or (ready := self._cache.recall(key)) is None:
            return None
        self._count_speech(is_hit=True)
        return ready

    def _note_spoken(self, utterance: Utterance, gender: str, key: str) -> None:
        with self._changed:
            self._spoken[utterance, gender] = key
            if len(self._spoken) > _MAX_SPOKEN:
                del self._spoken[next(iter(self._spoken))]

    @property
    def rate_hz(self) -> int:
        """Of everything that is made."""
        return self._rate_hz

    def speech_stream(
        self, text: str, language: str = "en-US", gender: str = "female", cancel: threading.Event | None = None
    ) -> Iterator[Samples]:
        """Yield ``text`` spoken, each piece as soon as the engine has made it; nothing of it is kept. Raises like :meth:`speech`."""
        cancellation = Cancellation(cancel, self._closing)
        for utterance in self.utterances(text, language):
            tag = self._checked_language(utterance.language, gender)
            for part in utterance.parts:
                if isinstance(part, Pause):
                    yield tones.silence(part.duration_s, self._rate_hz)
                    continue
                pieces = streamed(self._synthesizer, part.text, tag, gender, cancellation, part.manner)
                while (speech := self._next(pieces, cancel)) is not None:
                    yield from _at_volume(self._at_our_rate(speech), part.manner.volume_db)

    def _next(self, pieces: Iterator[Speech], cancel: threading.Event | None) -> Speech | None:
        with self._work(cancel):  # not while nobody asks for the next one
            return next(pieces, None)

    def stream(self, url: str, cancel: threading.Event | None = None) -> PreparedAudio:
        """Return the audio of an http(s) URL or of a file under the media root. The source is read on every call, decoded once.

        Raises:
            StreamError: any of them; the message names the source.
            Cancelled: ``cancel`` was set, or the library closed.
        """
        with self._work(cancel) as cancellation:
            name = shown(url)
            if is_url(url):
                download = fetch(url, self._cache.directory, self._limits, cancellation, allow_private=self._allow_private)
                with download.file as file:
                    return self._decoded(file, download.sha256, name, cancellation)
            with open_file(url, self._root, self._limits) as file:
                return self._decoded(file, hash_file(file, cancellation), name, cancellation)

    def louder(self, audio: PreparedAudio, volume_db: float, cancel: threading.Event | None = None) -> PreparedAudio:
        """Return the same sound louder, or quieter; as it is at 0 dB.

        Raises:
            Cancelled: ``cancel`` was set, or the library closed.
        """
        if volume_db == 0.0:
            return audio
        with self._work(cancel) as cancellation:
            key = cache_key(kind="louder", of=audio.path.stem, volume_db=volume_db, rate_hz=self._rate_hz)
            with self._cache.exclusive(key, cancellation):
                return self._cache.get(key) or self._cache.put(key, tones.amplified(wav.read(audio.path)[0], volume_db))

    def beep(self, frequency_hz: float = 1000.0, duration_s: float = 0.4, volume_db: float = 0.0) -> PreparedAudio:
        """Return a short tone.

        Raises:
            Cancelled: the library is closed.
        """
        key = cache_key(kind="beep", hz=frequency_hz, seconds=duration_s, volume_db=volume_db, rate_hz=self._rate_hz)
        return self._made(key, lambda: tones.beep(frequency_hz, duration_s, self._rate_hz, volume_db=volume_db))

    def digit_tones(self, digits: str, duration_s: float, interval_s: float) -> PreparedAudio:
        """Return keys as tones, each followed by silence (:func:`media.tones.dtmf`).

        Raises:
            Cancelled: the library is closed.
        """
        key = cache_key(kind="digits", digits=digits, seconds=(duration_s, interval_s), rate_hz=self._rate_hz)
        return self._made(key, lambda: tones.dtmf(digits, duration_s, interval_s, self._rate_hz))

    def ringback(self) -> PreparedAudio:
        """Return six seconds of North American ringback, to be played in a loop (:func:`media.tones.ringback`).

        Raises:
            Cancelled: the library is closed.
        """
        with self._work(None) as cancellation:
            key = cache_key(
                kind="ringback",
                hz=tones.RINGBACK_HZ,
                seconds=(tones.RINGBACK_ON_S, tones.RINGBACK_OFF_S),
                dbm0=tones.RINGBACK_DBM0,
                rate_hz=self._rate_hz,
            )
            with self._cache.exclusive(key, cancellation):
                return self._cache.get(key) or self._cache.put(key, [tones.ringback(self._rate_hz)])

    def close(self) -> None:
        """Cancel what is at work, stop the synthesizer and wait until neither process nor temporary file of ours is left. Idempotent."""
        self._closing.set()
        self._synthesizer.close()
        with self._changed:
            while self._at_work:
                self._changed.wait()

    def _made(self, key: str, make: Callable[[], Samples]) -> PreparedAudio:
        with self._work(None) as cancellation, self._cache.exclusive(key, cancellation):
            return self._cache.get(key) or self._cache.put(key, [make()])

    @contextmanager
    def _work(self, cancel: threading.Event | None) -> Iterator[Cancellation]:
        with self._changed:
            if self._closing.is_set():
                raise Cancelled
            self._at_work += 1
        cancellation = Cancellation(cancel, self._closing)
        try:
            cancellation.check()
            yield cancellation
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    def _count_speech(self, *, is_hit: bool) -> None:
        with self._changed:
            if is_hit:
                self.speech_hits += 1
            else:
                self.speech_misses += 1

    def _key_of_speech(self, utterance: Utterance, tag: str, gender: str) -> str:
        engine = self._synthesizer
        match utterance.parts:
            case (Spoken(text, manner),) if manner == PLAIN:
                said: object = text
            case parts:
                said = [
                    part.duration_s if isinstance(part, Pause) else (part.text, part.manner.rate, part.manner.pitch, part.manner.volume_db)
                    for part in parts
                ]
        return cache_key(
            kind="speech", text=said, language=tag, gender=gender, engine=engine.name, version=engine.version, rate_hz=self._rate_hz
        )

    def _rendered(self, utterance: Utterance, tag: str, gender: str, cancellation: Cancellation) -> list[Samples]:
        """What the engine makes of it, at our rate.

        Raises:
            EmptyText: nothing but silence, and it is all of its text.
        """
        made: list[Samples] = []
        peak = 0
        for part in utterance.parts:
            if isinstance(part, Pause):
                made.append(tones.silence(part.duration_s, self._rate_hz))
                continue
            samples = self._at_our_rate(self._synthesizer.render(part.text, tag, gender, cancellation, part.manner))
            peak = max(peak, int(np.abs(samples.astype(np.int32)).max(initial=0)))
            made.extend(_at_volume(samples, part.manner.volume_db))
        if peak <= _SILENT_PEAK and utterance.is_alone:
            raise EmptyText(" ".join(part.text for part in utterance.parts if isinstance(part, Spoken)))
        return made

    def _checked_language(self, language: str, gender: str) -> str:
        if gender not in GENDERS:
            raise UnknownGender(gender, GENDERS)
        return match_language(language, self._synthesizer.languages())

    def _at_our_rate(self, speech: Speech) -> Samples:
        if speech.rate_hz == self._rate_hz or not len(speech.samples):
            return speech.samples
        wave = speech.samples.astype(np.float32) / (tones.FULL_SCALE + 1)
        return tones.to_int16(soxr.resample(wave, speech.rate_hz, self._rate_hz, quality="HQ"))

    def _decoded(self, file: BinaryIO, sha256: str, name: str, cancellation: Cancellation) -> PreparedAudio:
        key = cache_key(kind="stream", sha256=sha256, rate_hz=self._rate_hz)
        with self._cache.exclusive(key, cancellation):
            if (ready := self._cache.get(key)) is not None:
                return ready
            return self._cache.put(key, self._unchanged(file, name, cancellation))

    def _unchanged(self, file: BinaryIO, name: str, cancellation: Cancellation) -> Iterator[Samples]:
        """Decode; refuse at the end when the file was written to since it was opened and hashed."""
        before = os.fstat(file.fileno())
        yield from decode(file, name, self._rate_hz, self._limits, cancellation)
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise NotAudio(name, "the file was changed while it was read")


def _at_volume(samples: Samples, volume_db: float) -> Iterable[Samples]:
    if volume_db == SILENT_DB:
        return [np.zeros_like(samples)]
    return tones.amplified(samples, volume_db) if volume_db else [samples]
