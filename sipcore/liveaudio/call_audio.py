"""The live audio of one call for its users: any number of readers, one queue of what is written, a line while somebody needs it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Final, Protocol

import numpy as np

from media import AudioLibrary
from sipcore.errors import ActionFailed, InvalidState, SwitchClosed
from sipcore.liveaudio.audiowire import TICKS_PER_S
from sipcore.liveaudio.line import AudioFrame, AudioLine
from sipcore.liveaudio.reading import AsyncAudioReader, AudioReader, Inbox, Tap, check_rate, check_tap
from sipcore.liveaudio.writing import Audio, WritingQueue

DEFAULT_RATE_HZ: Final = 8000
DEFAULT_MAX_QUEUED_S: Final = 900.0
DEFAULT_MAX_UNREAD_S: Final = 5.0
_IDLE_TICKS: Final = 2 * TICKS_PER_S
"""A line that nobody needs is kept for so long."""
_END_WAIT_S: Final = 1.0
"""From the end of a line to the news that its call is over; without that it was the audio alone that ended."""


class _Lineage:
    """How often this process was forked from another since it was started: cheaper to look at than the process id, which the kernel has."""

    forks = 0


def _forked() -> None:
    _Lineage.forks += 1


os.register_at_fork(after_in_child=_forked)


class Writer(Protocol):
    """A call that can be written to."""

    def write(self, audio: Audio, rate_hz: int) -> asyncio.Future[bool]:
        """See `AsyncCall.write`."""


async def written(call: Writer, audio: Audio, rate_hz: int) -> bool:
    """What `Call.write` does: as `AsyncCall.write`, played to its end, and iterables may be usual ones."""
    if isinstance(audio, Iterable) and not isinstance(audio, np.ndarray | bytes | bytearray | memoryview | str):
        audio = _from_thread(iter(audio))
    return await call.write(audio, rate_hz)


async def _from_thread(source: Iterator[Audio]) -> AsyncIterator[Audio]:
    """Ask an iterator on a thread, as long as it may think about its next piece."""
    end = object()
    while (piece := await asyncio.to_thread(next, source, end)) is not end:
        yield piece


async def spoken(library: AudioLibrary, text: str, language: str, gender: str) -> AsyncIterator[AudioFrame]:
    """A text, each piece as soon as the engine has made it, on a thread."""
    cancel = threading.Event()
    pieces = library.speech_stream(text, language, gender, cancel)
    position = 0
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield AudioFrame(position, piece, rate_hz=library.rate_hz)
            position += len(piece)
    finally:
        cancel.set()


class AudioHost(Protocol):
    """What the audio needs of its call."""

    @property
    def id(self) -> str:
        """The call id."""

    @property
    def status(self) -> str:
        """How far the call is."""

    @property
    def is_up(self) -> bool:
        """Whether there can be audio."""

    def ring(self, *, early_media: bool = False) -> None:
        """Open the audio to a caller who is not answered."""

    def open_audio(self, on_frame: Callable[[AudioFrame], None], on_end: Callable[[], None], *, hears_near: bool = False) -> AudioLine:
        """A line."""


class _Tapped:
    """One line, and who reads it."""

    def __init__(self, audio: CallAudio, host: AudioHost, *, hears_near: bool) -> None:
        self.inboxes: list[Inbox] = []
        self.idle_ticks = 0
        self._audio = audio
        self.line = host.open_audio(self._take, self._end, hears_near=hears_near)

    def _take(self, frame: AudioFrame) -> None:
        has_left = False
        for inbox in self.inboxes:
            inbox.put(frame)
            has_left |= inbox.is_abandoned
        if has_left:
            self.inboxes = [inbox for inbox in self.inboxes if not inbox.is_abandoned]
        self._audio.tick(self)

    def _end(self) -> None:
        self._audio.line_ended(self)

    def end(self, error: Exception | None) -> None:
        """Tell the readers."""
        inboxes, self.inboxes = self.inboxes, []
        for inbox in inboxes:
            inbox.end(error)


class CallAudio:
    """Reading and writing on one call; on the event loop, but for the reading of `AudioReader`."""

    def __init__(self, host: AudioHost, max_queued_s: float = DEFAULT_MAX_QUEUED_S, max_unread_s: float = DEFAULT_MAX_UNREAD_S) -> None:
        self._host = host
        self._max_unread_frames = max(1, round(max_unread_s * TICKS_PER_S))
        self._queue = WritingQueue(max_queued_s)
        self._tapped: list[_Tapped] = []
        self._ended: dict[_Tapped, asyncio.TimerHandle] = {}
        """By the engine, a moment ago."""
        self._is_over = False
        self._forks = _Lineage.forks

    # ------------------------------------------------------------------------------------------------- reading

    def read(self, rate_hz: int, tap: Tap) -> AsyncAudioReader:
        """See `AsyncCall.audio`."""
        self._check_reading(rate_hz, tap)
        return AsyncAudioReader(lambda wake: self._inbox(tap, wake), rate_hz, tap)

    def read_in_thread(self, rate_hz: int, tap: Tap) -> AudioReader:
        """See `Call.audio`."""
        self._check_reading(rate_hz, tap)
        return AudioReader(lambda wake: self._inbox(tap, wake), rate_hz, tap)

    def _check_reading(self, rate_hz: int, tap: Tap) -> None:
        self._check_process()
        check_rate(rate_hz)
        check_tap(tap)
        if not self._is_over and not self._host.is_up:
            raise InvalidState(self._host.id, self._host.status, "audio")

    def _inbox(self, tap: Tap, wake: Callable[[], None]) -> Inbox:
        inbox = Inbox(self._max_unread_frames, wake)
        if self._is_over:
            inbox.end(None)
        else:
            self._line_for(hears_near=tap != "far").inboxes.append(inbox)
        return inbox

    # ------------------------------------------------------------------------------------------------- writing

    @property
    def queued_s(self) -> float:
        """What is written and not played yet, in seconds."""
        line = self._queue.line
        return self._queue.waiting_s + (line.queued_samples / line.rate_hz if line is not None and line.rate_hz else 0.0)

    def write(self, audio: Audio, rate_hz: int) -> asyncio.Future[bool]:
        """See `AsyncCall.write`."""
        self._check_process()
        if self._is_over or not self._host.is_up:
            raise InvalidState(self._host.id, self._host.status, "write")
        if isinstance(audio, AudioFrame):
            rate_hz = audio.rate_hz
        writing = self._queue.add(audio, rate_hz)
        if self._queue.line is None:
            self._host.ring(early_media=True)
            self._queue.line = self._line_for(hears_near=False).line
            self._queue.feed()
        return writing.done

    def clear(self) -> float:
        """See `AsyncCall.clear`."""
        self._check_process()
        return self._queue.clear()

    def _check_process(self) -> None:
        if _Lineage.forks != self._forks:
            raise SwitchClosed("this process was forked from the one the call belongs to, and cannot have its audio")

    # --------------------------------------------------------------------------------------------------- lines

    def _line_for(self, *, hears_near: bool) -> _Tapped:
        for tapped in self._tapped:
            if tapped.line.hears_near or not hears_near:
                return tapped
        tapped = _Tapped(self, self._host, hears_near=hears_near)
        self._tapped.append(tapped)
        return tapped

    def tick(self, tapped: _Tapped) -> None:
        """20 ms have passed on a line."""
        is_writing = tapped.line is self._queue.line
        if is_writing:
            self._queue.feed()
        if tapped.inboxes or (is_writing and not self._queue.is_empty):
            tapped.idle_ticks = 0
            return
        tapped.idle_ticks += 1
        if tapped.idle_ticks >= _IDLE_TICKS:
            self._forget(tapped)
            tapped.line.close()

    def _forget(self, tapped: _Tapped) -> None:
        if tapped in self._tapped:
            self._tapped.remove(tapped)
        if tapped.line is self._queue.line:
            self._queue.line = None

    def line_ended(self, tapped: _Tapped) -> None:
        """By the engine: most often the call is over, and we are about to hear of it."""
        self._forget(tapped)
        if self._is_over:
            return
        self._ended[tapped] = asyncio.get_running_loop().call_later(_END_WAIT_S, self._give_up, tapped)

    def _give_up(self, tapped: _Tapped) -> None:
        del self._ended[tapped]
        why = tapped.line.error or "the live audio has ended before the call"
        tapped.end(ActionFailed(self._host.id, "audio", why))
        if self._queue.line is None:
            self._queue.end(ActionFailed(self._host.id, "write", why))

    def end(self) -> None:
        """The call is over."""
        if self._is_over:
            return
        self._is_over = True
        self._queue.end(InvalidState(self._host.id, "hangup", "write"))
        for timer in self._ended.values():
            timer.cancel()
        for tapped in (*self._tapped, *self._ended):
            tapped.end(None)
        self._tapped.clear()
        self._ended.clear()
