"""Live audio of the fake engine: a far end that says what a test gives it, and keeps what it hears; a real socket, the loop's time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from sipcore.liveaudio import audiowire

if TYPE_CHECKING:
    import socket

    import numpy.typing as npt


class Voice:
    """What one far end says, from when it is given: silence before and after."""

    def __init__(self, rate_hz: int = 8000) -> None:
        self.rate_hz = rate_hz
        self.spoken: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        """Still to be said."""
        self.heard: list[npt.NDArray[np.int16]] = []
        """What was written to it, 20 ms each."""

    def say(self, samples: npt.NDArray[np.int16]) -> None:
        """Say this after all that is being said."""
        self.spoken = np.concatenate((self.spoken, samples))

    def next_frame(self) -> npt.NDArray[np.int16]:
        """The next 20 ms."""
        size = self.rate_hz // audiowire.TICKS_PER_S
        frame, self.spoken = self.spoken[:size], self.spoken[size:]
        return np.pad(frame, (0, size - len(frame)))


class FakeTap:
    """The engine's end of one line: a tick in 20 ms, as PJSIP's bridge has it."""

    def __init__(self, address: str, voice: Voice, has_media: Callable[[], bool], *, hears_near: bool = False) -> None:
        self._sock: socket.socket | None = audiowire.connect(address)
        self._voice = voice
        self._has_media = has_media
        self._hears_near = hears_near
        self._loop = asyncio.get_running_loop()
        self._tick = self._taken = 0
        self._timer = self._loop.call_later(audiowire.TICK_S, self._turn)

    def close(self) -> None:
        """The leg is over. Idempotent."""
        self._timer.cancel()
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _turn(self) -> None:
        self._timer = self._loop.call_at(self._timer.when() + audiowire.TICK_S, self._turn)
        frame = self._voice.next_frame() if self._has_media() else np.zeros(self._voice.rate_hz // audiowire.TICKS_PER_S, np.int16)
        heard = len(self._voice.heard)
        try:
            self._hear()
            near = (self._voice.heard[heard:] or [np.zeros_like(frame)])[0] if self._hears_near else frame[:0]
            self._send(np.concatenate((frame, near)))
        except OSError:
            self.close()

    def _hear(self) -> None:
        assert self._sock is not None
        if not self._has_media():
            return
        try:
            packet = self._sock.recv(audiowire.MAX_PACKET_BYTES)
        except BlockingIOError:
            return
        if not packet:
            raise BrokenPipeError
        self._taken = (self._taken + 1) % audiowire.WRAP
        self._voice.heard.append(np.frombuffer(packet, np.int16))

    def _send(self, frame: npt.NDArray[np.int16]) -> None:
        assert self._sock is not None
        self._tick = (self._tick + 1) % audiowire.WRAP
        try:
            self._sock.send(audiowire.HEAD.pack(self._tick, self._taken) + frame.tobytes())
        except BlockingIOError:
            return
