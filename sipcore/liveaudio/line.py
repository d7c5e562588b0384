"""Call control's end of the live audio of one leg: what the far end says as numpy, and numpy for the far end to hear.

Everything here is driven by the packets of the engine, one in 20 ms; there is no clock and no task of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sipcore.errors import QueueFull
from sipcore.liveaudio import audiowire
from sipcore.liveaudio.audiowire import HEAD, SAMPLE_BYTES, WRAP

if TYPE_CHECKING:
    import numpy.typing as npt

log = logging.getLogger(__name__)

AHEAD_PACKETS: Final = 3
"""So many wait in the engine: what a delay of our event loop may last without being heard, and what `clear` cannot take back."""

DEFAULT_MAX_QUEUED_S: Final = 600.0

OnPlayed = Callable[[bool], None]
"""Told whether something was played."""


@dataclass(frozen=True, slots=True)
class AudioFrame:
    """20 ms of audio: 16-bit samples; one column for each side where both are wanted, first what the far end says.

    `position` counts samples since the reading began, those that were lost included; `lost` is how many of them are missing just before
    this frame. `near` is what the far end hears, on lines that carry it; frames of `AsyncCall.audio` have it among their samples.
    """

    position: int
    samples: npt.NDArray[np.int16]
    lost: int = 0
    rate_hz: int = 0
    near: npt.NDArray[np.int16] | None = None

    @property
    def time_s(self) -> float:
        """Where it begins, in seconds since the reading began."""
        return self.position / self.rate_hz


class AudioLine:
    """The live audio of one leg. Used on the event loop only.

    Args:
        on_frame: Gets every frame, as it comes.
        on_end: Called once, when the engine has ended the audio: the leg is over. Not after `close`.
        hears_near: Whether frames have what the far end hears, too; as in `engine.OpenAudio`.
        max_queued_s: How much audio may wait to be played.

    Attributes:
        address: For `engine.OpenAudio`.
        rate_hz: Samples a second; 0 before the first frame.
        error: Why the audio could not begin; empty when it could.
        lost: Samples of the far end that were lost because our event loop did not read.
        underruns: Ticks that were silent in the middle of what was written because our event loop came too late.
        silent_ticks: So many there were in all for which the engine had nothing to play.
        idle_ticks: So many in a row up to now for which there was nothing to play.
    """

    def __init__(
        self,
        on_frame: Callable[[AudioFrame], None],
        on_end: Callable[[], None] = lambda: None,
        *,
        hears_near: bool = False,
        max_queued_s: float = DEFAULT_MAX_QUEUED_S,
    ) -> None:
        self.error = ""
        self.hears_near = hears_near
        self.lost = 0
        self.underruns = 0
        self.silent_ticks = 0
        self.idle_ticks = 0
        self._on_frame = on_frame
        self._on_end = on_end
        self._max_queued_s = max_queued_s
        self._listener = audiowire.AudioListener()
        self.address = self._listener.address
        self._sock: socket.socket | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._listener.fileno(), self._accept)
        self.rate_hz = 0
        self._frame_bytes = 0
        self._tick = self._taken = 0
        self._queue = bytearray()
        """Written, and not sent yet."""
        self._goes_on = False
        self._sent: deque[int] = deque()
        """For each packet that waits in the engine: how many samples of what was written it carries."""
        self._written = self._played = 0
        """Samples, since the line opened."""
        self._marks: deque[tuple[int, OnPlayed]] = deque()
        self._is_closed = False
        _lines.add(self)

    @property
    def is_closed(self) -> bool:
        """Whether nothing comes any more."""
        return self._is_closed

    @property
    def queued_samples(self) -> int:
        """Written, and not played yet."""
        return self._written - self._played

    @property
    def is_waiting(self) -> bool:
        """Whether a part of a frame waits for what follows it."""
        return self._goes_on and bool(self._queue)

    @property
    def written_samples(self) -> int:
        """All that was written, but for what was cleared."""
        return self._written

    @property
    def played_samples(self) -> int:
        """Of all that was written, how much the engine has taken to play."""
        return self._played

    # ------------------------------------------------------------------------------------------------- writing

    def write(self, samples: npt.NDArray[np.int16], *, goes_on: bool = False, at_once: bool = False) -> asyncio.Future[bool]:
        """As `put`; done when it is played."""
        done = self._loop.create_future()
        self.put(samples, lambda is_played: _settle(done, is_played=is_played), goes_on=goes_on, at_once=at_once)
        return done

    def put(
        self, samples: npt.NDArray[np.int16], on_played: OnPlayed | None = None, *, goes_on: bool = False, at_once: bool = False
    ) -> None:
        """Let the far end hear this after all that was written before.

        Args:
            samples: 16-bit, at `rate_hz`.
            on_played: Called once: with True when it is played; with False when it was cleared, or the line has ended before.
            goes_on: Whether more will follow without a pause: then what is no whole frame waits for it, and is not filled up with silence.
            at_once: Whether the engine gets it now, if it has room, and not after its next tick: 20 ms earlier, where frames are written.

        Raises:
            TypeError: these are not 16-bit samples, or not in one dimension.
            QueueFull: too much waits already; nothing of this is taken.
        """
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise TypeError(f"audio is one-dimensional int16, not {samples.ndim}-dimensional {samples.dtype}")
        if self._is_closed:
            if on_played is not None:
                on_played(False)  # noqa: FBT003
            return
        rate_hz, size = self.rate_hz or 8000, len(samples)
        if self.queued_samples + size > self._max_queued_s * rate_hz:
            raise QueueFull(self.queued_samples / rate_hz, size / rate_hz, self._max_queued_s)
        self._goes_on = goes_on
        self._queue += samples.tobytes()
        self._written += size
        if size:
            self.idle_ticks = 0
        if on_played is not None:
            if not size and not self.queued_samples:
                on_played(True)  # noqa: FBT003
            else:
                self._marks.append((self._written, on_played))
        if at_once and self._sock is not None and self._frame_bytes:
            self._top_up()

    def clear(self, since: int = 0) -> int:
        """Drop what was written and is not in the engine yet; returns how many samples those were. At most 60 ms are still heard.

        Args:
            since: Keep what was written before, as counted by `written_samples`.
        """
        unsent = self._written - len(self._queue) // SAMPLE_BYTES
        dropped = max(0, self._written - max(since, unsent))
        del self._queue[len(self._queue) - dropped * SAMPLE_BYTES :]
        self._written -= dropped
        while self._marks and self._marks[-1][0] > self._written:
            self._marks.pop()[1](False)  # noqa: FBT003
        return dropped

    def _top_up(self) -> None:
        """Keep the engine supplied. The last packet of all is filled up with silence."""
        while self._queue and len(self._sent) < AHEAD_PACKETS:
            if len(self._queue) < self._frame_bytes and (self._goes_on or len(self._sent) > 1):
                return  # more may be written before this is needed
            packet = bytes(self._queue[: self._frame_bytes])
            if not self._send(packet.ljust(self._frame_bytes, b"\0")):
                return
            del self._queue[: len(packet)]
            self._sent.append(len(packet) // SAMPLE_BYTES)

    def _send(self, packet: bytes) -> bool:
        assert self._sock is not None
        try:
            self._sock.send(packet)
        except BlockingIOError:
            return False
        except OSError:  # the reader sees the end, after the last packets
            return False
        return True

    def _taken_by_engine(self, packets: int, ticks: int) -> None:
        for _ in range(min(packets, len(self._sent))):
            self._played += self._sent.popleft()
        self.silent_ticks += max(0, ticks - packets)
        if self._queue and not self._sent and self._played:
            self.underruns += max(0, ticks - packets)
        self.idle_ticks = 0 if packets or self._sent else self.idle_ticks + ticks
        while self._marks and self._marks[0][0] <= self._played:
            self._marks.popleft()[1](True)  # noqa: FBT003

    # ------------------------------------------------------------------------------------------------- reading

    def _accept(self) -> None:
        try:
            sock = self._listener.accept()
        except OSError:
            return
        if sock is None:
            log.warning("another user has connected to the audio of a call, and was sent away")
            return
        self._stop_listening()
        self._sock = sock
        self._loop.add_reader(sock.fileno(), self._read)

    def _read(self) -> None:
        """One packet; when more wait the loop comes back."""
        assert self._sock is not None
        try:
            packet = self._sock.recv(audiowire.MAX_PACKET_BYTES)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if len(packet) <= HEAD.size:
            self.end()
        else:
            self._take(packet)

    def _take(self, packet: bytes) -> None:
        tick, taken = HEAD.unpack_from(packet)
        if not self._frame_bytes:
            self._frame_bytes = (len(packet) - HEAD.size) >> self.hears_near
            self.rate_hz = self._frame_bytes // SAMPLE_BYTES * audiowire.TICKS_PER_S
        ticks = (tick - self._tick) % WRAP
        self._tick = tick
        self._taken_by_engine((taken - self._taken) % WRAP, ticks)
        self._taken = taken
        self._top_up()
        size = self._frame_bytes // SAMPLE_BYTES
        samples = np.frombuffer(packet, np.int16, size, HEAD.size)
        near = np.frombuffer(packet, np.int16, size, HEAD.size + self._frame_bytes) if self.hears_near else None
        lost = (ticks - 1) * size
        self.lost += lost
        self._on_frame(AudioFrame((tick - 1) * size, samples, lost, self.rate_hz, near))

    # ------------------------------------------------------------------------------------------------- the end

    def close(self) -> None:
        """End the audio; the leg goes on. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        self._stop_listening()
        if self._sock is not None:
            self._loop.remove_reader(self._sock.fileno())
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)  # a process that was forked from this one may still have it
            self._sock.close()
            self._sock = None
        while self._marks:
            self._marks.popleft()[1](False)  # noqa: FBT003
        self._queue.clear()

    def end(self, error: str = "") -> None:
        """The audio is over, or cannot begin: then `error` says why. Idempotent."""
        if not self._is_closed:
            self.error = error
            self.close()
            self._on_end()

    def abandon(self) -> None:
        """In a process that was forked: close our copies. The event loop's are the parent's too, and stay as they are."""
        self._is_closed = True
        self._listener.close()
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _stop_listening(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()


_lines: weakref.WeakSet[AudioLine] = weakref.WeakSet()


def _let_go_of_inherited() -> None:
    """In a process that was forked: the lines are its parent's, who would lose packets to it."""
    for line in tuple(_lines):
        line.abandon()


os.register_at_fork(after_in_child=_let_go_of_inherited)


def _settle(done: asyncio.Future[bool], *, is_played: bool) -> None:
    if not done.done():
        done.set_result(is_played)
