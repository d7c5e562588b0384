"""What a user writes to a call, in the order of writing: checked, brought to the line's rate piece by piece, told when it is played."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from media.resampling import StreamResampler
from sipcore.errors import InvalidState, QueueFull
from sipcore.liveaudio.line import AudioFrame, AudioLine
from sipcore.liveaudio.reading import check_rate

if TYPE_CHECKING:
    import numpy.typing as npt

Audio = Any
"""16-bit samples in one dimension, floats from -1 to 1, 16-bit little-endian bytes, or an `AudioFrame`."""

PIECE_S: Final = 0.1
"""So much is made ready for the line at once: ten minutes in one array must not hold up the event loop."""
_AHEAD_S: Final = 0.16
"""So much the line has, 60 ms of it in the engine already."""
_BUFFERED_S: Final = 1.0
"""A generator is asked for more when less than this of it waits."""
STREAM_MAX_S: Final = 0.1
"""Shorter arrays are taken for parts of one stream: the filter goes on from one to the next, and its end waits for a pause."""
_PAUSE_TICKS: Final = 2
_SPARE_SAMPLES: Final = 2
"""At rates that 50 does not divide frames are not all of one length."""
_FULL_SCALE: Final = 32767
_NOTHING: Final = np.zeros(0, np.int16)


def as_samples(audio: Audio) -> npt.NDArray[np.int16]:
    """Audio of any accepted form as 16-bit samples; floats beyond -1 to 1 are clipped.

    Raises:
        TypeError, ValueError: it is none; says what it is instead.
    """
    if isinstance(audio, AudioFrame):
        audio = audio.samples
    if isinstance(audio, np.ndarray) and audio.dtype == np.int16 and audio.ndim == 1:  # most often
        plain: npt.NDArray[np.int16] = audio
        return plain
    if isinstance(audio, bytes | bytearray | memoryview):
        data = bytes(audio)
        if len(data) % 2:
            raise ValueError(f"audio in bytes is 16-bit samples: {len(data)} bytes are no whole number of them")
        return np.frombuffer(data, "<i2").astype(np.int16, copy=False)
    if not isinstance(audio, np.ndarray):
        raise TypeError(f"audio is a numpy array, bytes, or an asynchronous iterator of them, not {type(audio).__name__}")
    if audio.ndim != 1:
        raise ValueError(f"audio has one dimension, one channel: not the shape {audio.shape}")
    if audio.dtype not in (np.float32, np.float64):
        raise TypeError(f"audio is int16, or float32 or float64 from -1 to 1, not {audio.dtype}")
    if not np.isfinite(audio).all():
        first = int(np.flatnonzero(~np.isfinite(audio))[0])
        raise ValueError(f"sample {first} of the audio is {audio[first]}")
    scaled: npt.NDArray[np.int16] = np.rint(np.clip(audio, -1.0, 1.0) * _FULL_SCALE).astype(np.int16)
    return scaled


class Writing:
    """One `write`: an array, or what a generator has given so far.

    Attributes:
        done: True when it is played, False when it was dropped.
    """

    def __init__(self, rate_hz: int, done: asyncio.Future[bool], samples: npt.NDArray[np.int16] | None) -> None:
        self.rate_hz = rate_hz
        self.done = done
        self.is_complete = samples is not None
        self.is_stream = samples is None or len(samples) < STREAM_MAX_S * rate_hz
        self.line_start: int | None = None
        """What the line had been given before it; `None`: nothing of it yet."""
        self.puller: asyncio.Task[None] | None = None
        self.has_room = asyncio.Event() if samples is None else None
        self.error: Exception | None = None
        self.on_cancel: Callable[[asyncio.Future[bool]], None] | None = None
        """What `done` calls; not when it is settled here, which spares the event loop a turn for each frame."""
        self._has_begun = False
        self._pieces: deque[npt.NDArray[np.int16]] = deque() if samples is None else deque([samples])
        self.waiting_samples = 0 if samples is None else len(samples)

    @property
    def waiting_s(self) -> float:
        """What the line has not been given yet."""
        return self.waiting_samples / self.rate_hz

    async def room(self) -> None:
        """Of a generator: until some of what it gave is taken."""
        assert self.has_room is not None
        self.has_room.clear()
        await self.has_room.wait()

    def take_rate(self, rate_hz: int) -> None:
        """What a frame says; raises `ValueError` when it was another one before."""
        if self.rate_hz != rate_hz and self._has_begun:
            raise ValueError(f"the generator gave a frame of {rate_hz} Hz among audio of {self.rate_hz} Hz")
        check_rate(rate_hz)
        self.rate_hz = rate_hz

    def add(self, samples: npt.NDArray[np.int16]) -> None:
        """More of it."""
        self._has_begun = True
        self._pieces.append(samples)
        self.waiting_samples += len(samples)

    def take(self, size: int) -> npt.NDArray[np.int16] | None:
        """The next samples, at most so many; `None`: there are none now."""
        if not self._pieces:
            return None
        piece = self._pieces.popleft()
        if len(piece) > size:
            self._pieces.appendleft(piece[size:])
            piece = piece[:size]
        self.waiting_samples -= len(piece)
        if self.has_room is not None and self.waiting_s < _BUFFERED_S:
            self.has_room.set()
        return piece

    def settle(self, *, is_played: bool, error: Exception | None = None) -> None:
        """It is over."""
        if self.puller is not None:
            self.puller.cancel()
        if self.done.done():
            return
        if self.on_cancel is not None:
            self.done.remove_done_callback(self.on_cancel)
        if error is None:
            self.done.set_result(is_played)
            return
        self.done.set_exception(error)
        if isinstance(error, InvalidState):
            self.done.exception()  # the end of the call is no news for who does not wait


class WritingQueue:
    """What waits to be played on one call.

    Attributes:
        line: Where it goes; `None` while there is none.
    """

    def __init__(self, max_queued_s: float) -> None:
        self.line: AudioLine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._max_queued_s = max_queued_s
        self._waiting: deque[Writing] = deque()
        """Not handed over to the line yet, the first one in part."""
        self._handed: deque[Writing] = deque()
        """Handed over, and not played."""
        self._resampler: tuple[int, int, StreamResampler] | None = None
        """With its two rates; has samples of a stream in it that are not out yet."""

    @property
    def is_empty(self) -> bool:
        """Whether all is played."""
        return not self._waiting and not self._handed

    @property
    def waiting_s(self) -> float:
        """Seconds that the line has not been given yet."""
        return sum(writing.waiting_s for writing in self._waiting)

    def add(self, audio: Audio, rate_hz: int) -> Writing:
        """Queue this.

        Raises:
            TypeError, ValueError: it is no audio.
            QueueFull: too much waits already.
        """
        check_rate(rate_hz)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = self._loop.create_future()
        if not isinstance(audio, np.ndarray | AudioFrame) and isinstance(audio, AsyncIterable):
            writing = Writing(rate_hz, done, None)
            writing.puller = self._loop.create_task(self._pull(writing, aiter(audio)))
        else:
            samples = as_samples(audio)
            self._check_room(len(samples) / rate_hz)
            writing = Writing(rate_hz, done, samples)
        self._waiting.append(writing)
        writing.on_cancel = lambda done: self._drop(writing) if done.cancelled() else None
        done.add_done_callback(writing.on_cancel)
        self.feed()
        return writing

    def _check_room(self, written_s: float) -> None:
        waiting_s = self.waiting_s if self._waiting else 0.0
        if waiting_s + written_s > self._max_queued_s:
            raise QueueFull(waiting_s, written_s, self._max_queued_s)

    async def _pull(self, writing: Writing, source: AsyncIterator[Audio]) -> None:
        """Take from a generator what there is room for."""
        try:
            async for audio in source:
                if isinstance(audio, AudioFrame):
                    writing.take_rate(audio.rate_hz)
                samples = as_samples(audio)
                self._check_room(len(samples) / writing.rate_hz)
                writing.add(samples)
                self.feed()
                while writing.waiting_s >= _BUFFERED_S:
                    await writing.room()
        except Exception as error:  # noqa: BLE001 - told to who waits, when what came before is played
            writing.error = error
        finally:
            writing.is_complete = True
            if (close := getattr(source, "aclose", None)) is not None:
                with contextlib.suppress(Exception):
                    await close()

    def feed(self) -> None:
        """Give the line what it needs now; to be said once a tick."""
        line = self.line
        if line is None or not line.rate_hz:
            return
        while self._waiting and line.queued_samples < _AHEAD_S * line.rate_hz:
            writing = self._waiting[0]
            piece = writing.take(round(PIECE_S * writing.rate_hz))
            if piece is None and not writing.is_complete:
                break
            if writing.line_start is None:
                writing.line_start = line.written_samples
            samples = _NOTHING if piece is None else self._resampled(piece, writing.rate_hz, line)
            if writing.is_complete and not writing.waiting_samples:
                self._finish(self._waiting.popleft(), samples, line)
            else:
                line.put(samples, goes_on=True)
        if (self._resampler is not None or line.is_waiting) and line.idle_ticks >= _PAUSE_TICKS:
            line.put(self._rest())  # nothing has followed

    def _resampled(self, piece: npt.NDArray[np.int16], rate_hz: int, line: AudioLine) -> npt.NDArray[np.int16]:
        """At the line's rate; the first of a stream is filled up in front to whole frames, so that none has a hole."""
        rates = (rate_hz, line.rate_hz)
        if self._resampler is not None and self._resampler[:2] == rates:
            return self._resampler[2].feed(piece)
        rest = self._rest()
        if rate_hz == line.rate_hz:
            return np.concatenate((rest, piece)) if len(rest) else piece
        resampler = StreamResampler(*rates)
        self._resampler = (*rates, resampler)
        lead = np.zeros(round(resampler.latency_s * line.rate_hz) + _SPARE_SAMPLES, np.int16)
        return np.concatenate((rest, lead, resampler.feed(piece)))

    def _rest(self) -> npt.NDArray[np.int16]:
        resampler, self._resampler = self._resampler, None
        return _NOTHING if resampler is None else resampler[2].flush()

    def _finish(self, writing: Writing, samples: npt.NDArray[np.int16], line: AudioLine) -> None:
        """Hand over the last of it, but for what the resampler keeps for the next one."""
        is_followed = bool(self._waiting) and self._waiting[0].rate_hz == writing.rate_hz
        goes_on = is_followed or (writing.is_stream and writing.puller is None)
        if not goes_on and self._resampler is not None:
            samples = np.concatenate((samples, self._rest()))
        self._handed.append(writing)
        line.put(samples, lambda is_played: self._played(writing, is_played=is_played), goes_on=goes_on)

    def _played(self, writing: Writing, *, is_played: bool) -> None:
        if writing in self._handed:
            self._handed.remove(writing)
            writing.settle(is_played=is_played, error=writing.error)

    def _drop(self, writing: Writing) -> None:
        """Nobody waits for it any more: what of it is not in the engine is dropped, unless something else has followed it already."""
        if writing.puller is not None:
            writing.puller.cancel()
        has_followed = bool(self._waiting) and self._waiting[0] is not writing and self._waiting[0].line_start is not None
        is_last = writing in self._waiting or (bool(self._handed) and self._handed[-1] is writing and not has_followed)
        for writings in (self._waiting, self._handed):
            if writing in writings:
                writings.remove(writing)
        if is_last and writing.line_start is not None and self.line is not None:
            self._resampler = None
            self.line.clear(writing.line_start)

    def clear(self) -> float:
        """Drop all that is not in the engine yet; how many seconds that was."""
        dropped_s = self.waiting_s
        self._resampler = None
        while self._waiting:
            self._waiting.popleft().settle(is_played=False)
        if self.line is not None and self.line.rate_hz:
            dropped_s += self.line.clear() / self.line.rate_hz
        return dropped_s

    def end(self, error: Exception) -> None:
        """Nothing can be played any more."""
        self.line = self._resampler = None
        for writings in (self._waiting, self._handed):
            while writings:
                writings.popleft().settle(is_played=False, error=error)
