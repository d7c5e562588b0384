"""Who has answered: a human or a machine? Told by how the first seconds sound, not by what is said.

A human says a word or two and waits; a machine talks on, and beeps. Everything is measured again with each 20 ms over all that was heard
so far, so that the noise of the line is known by its quietest tenth even when somebody speaks from the first moment. Pure: time is the
count of samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .wav import Samples

_FRAME_S: Final = 0.02
_FRAME_MS: Final = 20
_FULL_SCALE: Final = 32768.0
_SILENT_DBFS: Final = -96.0

_NOISE_SHARE: Final = 10
"""Percentile of the frames that is taken for the noise of the line: speech has so many dips."""
_OVER_NOISE_DB: Final = 9.0
_UNDER_PEAK_DB: Final = 26.0
"""Weak parts of a word, and no echo or breath, lie so far below the loudest frame."""
_QUIETEST_DBFS: Final = -46.0
"""Less is no speech, however quiet the line is."""

_BURST_FRAMES: Final = 4
"""A click is shorter than 80 ms, a syllable is not."""
_GAP_FRAMES: Final = 5
"""Within a word there is no silence of 100 ms, so that one ends it."""


class Answerer(StrEnum):
    """What has answered."""

    HUMAN = "human"
    MACHINE = "machine"
    NOTSURE = "notsure"


@dataclass(frozen=True, slots=True)
class AmdSettings:
    """What is taken for what; all in milliseconds.

    Attributes:
        longest_ms: After so long without a decision: not sure.
        initial_silence_ms: Nobody has said anything for so long: not sure.
        greeting_ms: Who talks for so long is a machine, short pauses included.
        silence_ms: So long a pause ends a greeting; who pauses before `greeting_ms` is a human.
        words: Who says so many words in one greeting is a machine.
    """

    longest_ms: int = 5000
    initial_silence_ms: int = 2500
    greeting_ms: int = 1700
    silence_ms: int = 800
    words: int = 6


@dataclass(frozen=True, slots=True)
class Verdict:
    """What has answered, why that is believed, and all that was measured.

    `reason` is `pause`, `long_greeting`, `many_words`, `beep`, `initial_silence` or `too_long`. `words` are bursts of sound; `beep_hz` is 0
    without a beep.
    """

    answerer: Answerer
    reason: str
    took_ms: int
    initial_silence_ms: int
    greeting_ms: int
    silence_ms: int
    words: int
    noise_dbfs: float
    speech_dbfs: float
    beep_hz: float = 0.0


@dataclass(frozen=True, slots=True)
class _Greeting:
    """The first utterance, in frames."""

    first: int
    end: int
    words: int


class AnswerDetector:
    """Decides once. Feed it what the far end says, from the answer on, in pieces of any size."""

    def __init__(self, rate_hz: int = 8000, settings: AmdSettings = AmdSettings()) -> None:
        self._settings = settings
        self._frames = _Frames(rate_hz)
        self._beep = BeepDetector(rate_hz)
        self._levels: list[float] = []
        self.verdict: Verdict | None = None

    def feed(self, samples: Samples) -> Verdict | None:
        """The verdict, as soon as there is one; later calls change nothing."""
        for frame in self._frames.cut(samples):
            if self.verdict is not None:
                break
            self._levels.append(_level_dbfs(frame))
            beep_hz = self._beep.feed(frame)
            self.verdict = self._judge(beep_hz)
        return self.verdict

    def give_up(self) -> Verdict:
        """No more audio comes: the verdict by what there is."""
        if self.verdict is None:
            self.verdict = self._measured(Answerer.NOTSURE, "too_long", *self._greeting())
        return self.verdict

    def _judge(self, beep_hz: float) -> Verdict | None:
        limits, took_ms = self._settings, len(self._levels) * _FRAME_MS
        greeting, noise, speech = self._greeting()
        found: tuple[Answerer, str] | None = None
        if beep_hz:
            found = Answerer.MACHINE, "beep"
        elif greeting is None:
            if took_ms >= limits.initial_silence_ms:
                found = Answerer.NOTSURE, "initial_silence"
        elif (greeting.end - greeting.first) * _FRAME_MS >= limits.greeting_ms:
            found = Answerer.MACHINE, "long_greeting"
        elif greeting.words >= limits.words:
            found = Answerer.MACHINE, "many_words"
        elif (len(self._levels) - greeting.end) * _FRAME_MS >= limits.silence_ms:
            found = Answerer.HUMAN, "pause"
        if found is None and took_ms >= limits.longest_ms:
            found = Answerer.NOTSURE, "too_long"
        return None if found is None else replace(self._measured(*found, greeting, noise, speech), beep_hz=beep_hz)

    def _measured(self, answerer: Answerer, reason: str, greeting: _Greeting | None, noise: float, speech: float) -> Verdict:
        so_far = len(self._levels)
        heard = greeting or _Greeting(so_far, so_far, 0)
        return Verdict(
            answerer,
            reason,
            took_ms=so_far * _FRAME_MS,
            initial_silence_ms=heard.first * _FRAME_MS,
            greeting_ms=(heard.end - heard.first) * _FRAME_MS,
            silence_ms=(so_far - heard.end) * _FRAME_MS,
            words=heard.words,
            noise_dbfs=round(noise, 1),
            speech_dbfs=round(speech, 1),
        )

    def _greeting(self) -> tuple[_Greeting | None, float, float]:
        """The first utterance, the level of the noise, and that of the speech."""
        levels = np.array(self._levels or [_SILENT_DBFS])
        noise = float(np.percentile(levels, _NOISE_SHARE))
        loudest = float(levels.max())
        threshold = max(_QUIETEST_DBFS, noise + _OVER_NOISE_DB, loudest - _UNDER_PEAK_DB)
        is_loud = levels >= threshold
        bursts = _bursts(is_loud)
        if not bursts:
            return None, noise, _SILENT_DBFS
        speech = float(levels[is_loud].mean())
        words, (first, end) = 1, bursts[0]
        for begin, until in bursts[1:]:
            if (begin - end) * _FRAME_MS >= self._settings.silence_ms:
                break
            words, end = words + 1, until
        return _Greeting(first, end, words), noise, speech


def _bursts(is_loud: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of loud frames, first and end: short gaps closed, clicks left out."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], is_loud, [False])).astype(np.int8)))
    runs: list[tuple[int, int]] = []
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and first - runs[-1][1] < _GAP_FRAMES:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((first, end))
    return [(first, end) for first, end in runs if end - first >= _BURST_FRAMES]


# ----------------------------------------------------------------------------------------------------------- beeps

_BEEP_FRAMES: Final = 7
"""140 ms: beeps are 200 ms and longer, and no vowel keeps its pitch so well for so long."""
_BEEP_HZ: Final = (350.0, 2600.0)
_BEEP_DBFS: Final = -38.0
_BEEP_SHARE: Final = 0.9
"""Of the energy, in the strongest tone alone."""
_BEEP_DRIFT_HZ: Final = 12.0
_BEEP_DRIFT_DB: Final = 4.0


class BeepDetector:
    """Finds a tone that stands alone and does not move."""

    def __init__(self, rate_hz: int = 8000) -> None:
        self._frames = _Frames(rate_hz)
        self._rate_hz = rate_hz
        self._window = np.hanning(self._frames.size)
        self._tones: list[tuple[float, float]] = []

    def feed(self, samples: Samples) -> float:
        """The frequency of a beep that has been there for 140 ms now; 0.0: there is none."""
        found = 0.0
        for frame in self._frames.cut(samples):
            found = self._look(frame) or found
        return found

    def _look(self, frame: Samples) -> float:
        level = _level_dbfs(frame)
        tone = self._tone(frame) if level >= _BEEP_DBFS else 0.0
        if not tone:
            self._tones.clear()
            return 0.0
        self._tones = [*self._tones, (tone, level)][-_BEEP_FRAMES:]
        if len(self._tones) < _BEEP_FRAMES:
            return 0.0
        inner = np.array(self._tones)[1:-1]  # it begins and ends within a frame
        drift_hz, drift_db = np.ptp(inner, axis=0)
        return float(inner[:, 0].mean()) if drift_hz <= _BEEP_DRIFT_HZ and drift_db <= _BEEP_DRIFT_DB else 0.0

    def _tone(self, frame: Samples) -> float:
        power = np.abs(np.fft.rfft(frame * self._window)) ** 2
        peak = int(np.argmax(power[2:-2])) + 2
        if power[peak - 2 : peak + 3].sum() < _BEEP_SHARE * power[1:].sum():
            return 0.0
        left, mid, right = np.log(power[peak - 1 : peak + 2] + 1e-9)
        curve = left - 2 * mid + right
        hz = float((peak + (0.5 * (left - right) / curve if curve else 0.0)) * self._rate_hz / self._frames.size)
        return hz if _BEEP_HZ[0] <= hz <= _BEEP_HZ[1] else 0.0


_MESSAGE_OVER_S: Final = 3.0
"""So long a silence after a greeting: this machine does not beep, or did before."""


class MessageEnd:
    """Tells when a machine has said all it has to say: after its beep, or after a long silence."""

    def __init__(self, rate_hz: int = 8000) -> None:
        self._frames = _Frames(rate_hz)
        self._beep = BeepDetector(rate_hz)
        self._is_beeping = False
        self._quiet = 0
        self._loudest_dbfs = _SILENT_DBFS

    def feed(self, samples: Samples) -> bool:
        """Whether it is over now."""
        is_over = False
        for frame in self._frames.cut(samples):
            is_over = self._look(frame) or is_over
        return is_over

    def _look(self, frame: Samples) -> bool:
        level = _level_dbfs(frame)
        self._loudest_dbfs = max(level, self._loudest_dbfs)
        if self._beep.feed(frame):
            self._is_beeping = True
        elif self._is_beeping:
            return True
        is_quiet = level < max(_QUIETEST_DBFS, self._loudest_dbfs - _UNDER_PEAK_DB)
        self._quiet = self._quiet + 1 if is_quiet else 0
        return self._quiet * _FRAME_S >= _MESSAGE_OVER_S


class _Frames:
    """Cuts what comes into pieces of 20 ms."""

    def __init__(self, rate_hz: int) -> None:
        self.size = round(_FRAME_S * rate_hz)
        self._rest: Samples = np.zeros(0, np.int16)

    def cut(self, samples: Samples) -> list[Samples]:
        """The pieces that are complete now."""
        if not len(self._rest) and len(samples) == self.size:
            return [samples]
        joined = np.concatenate((self._rest, samples))
        count = len(joined) // self.size
        self._rest = joined[count * self.size :]
        return [joined[start : start + self.size] for start in range(0, count * self.size, self.size)]


def _level_dbfs(frame: Samples) -> float:
    power = float(np.mean(frame.astype(np.float64) ** 2)) / _FULL_SCALE**2
    return max(_SILENT_DBFS, 10 * float(np.log10(power))) if power else _SILENT_DBFS
