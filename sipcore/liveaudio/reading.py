"""What a user reads of a call's live audio: frames of 20 ms at the rate that was asked for, gaps marked. Needs no event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal, Self, get_args

import numpy as np

from media.resampling import StreamResampler
from sipcore.liveaudio.audiowire import TICKS_PER_S
from sipcore.liveaudio.line import AudioFrame

if TYPE_CHECKING:
    import numpy.typing as npt

Tap = Literal["far", "near", "both"]
"""What the far end says, what it hears, or both as two columns, in this order."""

MIN_RATE_HZ: Final = 8000
MAX_RATE_HZ: Final = 48_000


def check_rate(rate_hz: object) -> None:
    """Raise `TypeError` or `ValueError` for a sampling rate that cannot be."""
    if not isinstance(rate_hz, int) or isinstance(rate_hz, bool):
        raise TypeError(f"rate_hz is a whole number of samples a second, not {type(rate_hz).__name__}")
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise ValueError(f"rate_hz is {rate_hz}: {MIN_RATE_HZ} to {MAX_RATE_HZ} can be had")


def check_tap(tap: object) -> None:
    """Raise `ValueError` for a side that there is not."""
    if tap not in get_args(Tap):
        raise ValueError(f'tap is {tap!r}: "far", "near" or "both"')


class Framer:
    """Frames of a line as those of one reader; knows what is missing between them. Pure.

    A tick at a rate that 50 does not divide, 11,025 Hz for one, has a sample more now and then.
    """

    def __init__(self, rate_hz: int, tap: Tap) -> None:
        self._rate_hz = rate_hz
        self._tap = tap
        self._base_tick: int | None = None
        """Of the line, where the reading began."""
        self._taken_ticks = self._given_ticks = self._missing_from = 0
        self._resamplers: list[StreamResampler] | None = None
        self._made: list[npt.NDArray[np.int16]] = []
        self._made_size = 0

    def take(self, frame: AudioFrame) -> list[AudioFrame]:
        """One frame of the line in; those that are ready."""
        tick = frame.position // len(frame.samples)
        if self._base_tick is None:
            self._base_tick = tick
            if frame.rate_hz != self._rate_hz:
                self._resamplers = [StreamResampler(frame.rate_hz, self._rate_hz) for _ in range(2 if self._tap == "both" else 1)]
        number = tick - self._base_tick
        if self._resamplers is None and self._tap == "far":
            return [self._as_it_is(frame, number)]
        ready = self._gap(number) if number != self._taken_ticks else []
        self._taken_ticks = number + 1
        self._keep(self._wanted(frame))
        return ready + self._ready()

    def _as_it_is(self, frame: AudioFrame, number: int) -> AudioFrame:
        size = len(frame.samples)
        lost = (number - self._taken_ticks) * size
        self._taken_ticks = number + 1
        if not self._base_tick and lost == frame.lost and frame.near is None:
            return frame
        return AudioFrame(number * size, frame.samples, lost, self._rate_hz)

    def _wanted(self, frame: AudioFrame) -> npt.NDArray[np.int16]:
        if self._tap == "far":
            sides: tuple[npt.NDArray[np.int16], ...] = (frame.samples,)
        else:
            near = frame.near if frame.near is not None else np.zeros_like(frame.samples)
            sides = (near,) if self._tap == "near" else (frame.samples, near)
        if self._resamplers is not None:
            sides = tuple(resampler.feed(side) for resampler, side in zip(self._resamplers, sides, strict=True))
        return _columns(sides)

    def _gap(self, number: int) -> list[AudioFrame]:
        """Ticks up to this one are missing: what was held back comes first."""
        if self._resamplers is not None:
            self._keep(_columns(tuple(resampler.flush() for resampler in self._resamplers)))
        ready = self._ready()
        self._made.clear()
        self._made_size = 0
        self._missing_from = self._given_ticks
        self._given_ticks = number
        return ready

    def _keep(self, samples: npt.NDArray[np.int16]) -> None:
        self._made.append(samples)
        self._made_size += len(samples)

    def _ready(self) -> list[AudioFrame]:
        ready = []
        while self._made_size >= (size := self._edge(self._given_ticks + 1) - self._edge(self._given_ticks)) and self._made_size:
            made = self._made[0] if len(self._made) == 1 else np.concatenate(self._made)
            self._made, self._made_size = [made[size:]], len(made) - size
            position = self._edge(self._given_ticks)
            ready.append(AudioFrame(position, made[:size], position - self._edge(self._missing_from), self._rate_hz))
            self._given_ticks += 1
            self._missing_from = self._given_ticks
        return ready

    def _edge(self, tick: int) -> int:
        """The first sample of a tick."""
        return -(-tick * self._rate_hz // TICKS_PER_S)


def _columns(sides: tuple[npt.NDArray[np.int16], ...]) -> npt.NDArray[np.int16]:
    return sides[0] if len(sides) == 1 else np.column_stack(sides)


class Inbox:
    """Frames of a line that one reader has not read yet: the oldest give way. Filled on the event loop, emptied anywhere."""

    def __init__(self, max_frames: int, wake: Callable[[], None]) -> None:
        self.is_abandoned = self.is_over = False
        self.error: Exception | None = None
        self._frames: deque[AudioFrame] = deque(maxlen=max_frames)
        self._wake = wake

    def put(self, frame: AudioFrame) -> None:
        """One more."""
        self._frames.append(frame)
        self._wake()

    def take(self) -> AudioFrame | None:
        """The oldest; `None` when there is none."""
        return self._frames.popleft() if self._frames else None

    def end(self, error: Exception | None) -> None:
        """No more will come."""
        self.error = error
        self.is_over = True
        self._wake()


class _Reading:
    """What both readers share."""

    def __init__(self, inbox: Inbox, rate_hz: int, tap: Tap) -> None:
        self._inbox = inbox
        self._framer = Framer(rate_hz, tap)
        self._ready: deque[AudioFrame] = deque()
        self.rate_hz = rate_hz
        self.lost = 0
        """Samples that were lost until now, because nobody read them in time or the machine was too slow."""

    def close(self) -> None:
        """Read no more. Idempotent; a reader that nobody has any longer is closed too."""
        self._inbox.is_abandoned = True
        self._inbox.end(None)

    def __del__(self) -> None:
        if (inbox := getattr(self, "_inbox", None)) is not None:
            inbox.is_abandoned = True

    def _next(self) -> AudioFrame | None:
        """What there is now."""
        while not self._ready:
            if self._inbox.is_abandoned or (raw := self._inbox.take()) is None:
                return None
            self._ready.extend(self._framer.take(raw))
        frame = self._ready.popleft()
        self.lost += frame.lost
        return frame

    @property
    def _is_over(self) -> bool:
        """Whether nothing comes any more; raises why, when that is no usual end."""
        if self._inbox.is_over and self._inbox.error is not None:
            raise self._inbox.error
        return self._inbox.is_over


class _News:
    """Wakes who waits; `asyncio.Event` asks the kernel for the process id each time. Knows nothing of the reader, who would live on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: list[asyncio.Future[None]] = []

    def tell(self) -> None:
        """There is something."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def next(self) -> asyncio.Future[None]:
        """Done when it is told, from now on."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiter)
        return waiter


class AsyncAudioReader(_Reading):
    """Frames as they come, ending with the call; see `AsyncCall.audio`. For `async for`."""

    def __init__(self, make_inbox: Callable[[Callable[[], None]], Inbox], rate_hz: int, tap: Tap) -> None:
        self._news = _News()
        super().__init__(make_inbox(self._news.tell), rate_hz, tap)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AudioFrame:
        """The next 20 ms."""
        while (frame := self._next()) is None:
            if self._is_over:
                raise StopAsyncIteration
            await self._news.next()
        return frame


class AudioReader(_Reading):
    """The same for synchronous code, in any one thread; see `Call.audio`. For `for`."""

    def __init__(self, make_inbox: Callable[[Callable[[], None]], Inbox], rate_hz: int, tap: Tap) -> None:
        self._changed = threading.Event()
        super().__init__(make_inbox(self._changed.set), rate_hz, tap)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> AudioFrame:
        """The next 20 ms."""
        while (frame := self._next()) is None:
            if self._is_over:
                raise StopIteration
            self._changed.wait()
            self._changed.clear()
        return frame
