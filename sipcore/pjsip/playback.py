"""Files played to a leg by PJSIP's own C player: no Python runs per frame."""

from __future__ import annotations

import time
import wave
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pjsua2 as pj

from sipcore.engine import Play

from .siptext import readable

MAX_PLAYERS: Final = 30
"""PJSIP's table holds 32; those that wait for their burial count."""

BURIAL_DELAY_S: Final = 0.25
"""From the stop of a player to its destruction: ten frames of the bridge, so that neither its clock nor its event thread still has it."""

_MIN_DURATION_S: Final = 0.02  # PJSIP wants one whole frame
_RATES_HZ: Final = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000)


class PlaybackError(Exception):
    """The file cannot be played; the text is for `PlaybackFinished.error`."""


def check_file(path: str) -> None:
    """Look at the header before PJSIP does: an odd one aborts the process there.

    Raises:
        PlaybackError: not a 16-bit PCM mono WAV of at least 20 ms.
    """
    try:
        if not Path(path).is_file():  # a FIFO would block the owner thread
            raise PlaybackError(f"no such file: {path}")
        with wave.open(path, "rb") as wav:
            shape = (wav.getnchannels(), wav.getsampwidth(), wav.getframerate())
            frames = wav.getnframes()
    except (OSError, EOFError, wave.Error, ValueError) as error:
        raise PlaybackError(f"not a WAV file: {path}: {error}") from None
    if shape[:2] != (1, 2) or shape[2] not in _RATES_HZ:
        raise PlaybackError(f"{path} has {shape[0]} channels of {shape[1] * 8} bits at {shape[2]} Hz: only 16-bit mono is played")
    if frames < shape[2] * _MIN_DURATION_S:
        raise PlaybackError(f"{path} is shorter than {_MIN_DURATION_S * 1000:.0f} ms")


class FilePlayer(pj.AudioMediaPlayer):  # type: ignore[misc]
    """One file, once or in a loop, from its first sample.

    Attributes:
        play: The command it carries out.
    """

    def __init__(self, play: Play, on_end: Callable[[FilePlayer], None]) -> None:
        super().__init__()
        self.play = play
        self._on_end = on_end
        self._sink: Any = None
        self._ears: list[Any] = []
        self.createPlayer(play.path, 0 if play.loop else pj.PJMEDIA_FILE_NO_LOOP)

    def send_to(self, sink: Any) -> None:
        """Play to this media; again after a re-INVITE has replaced the leg's stream."""
        self.startTransmit(sink)
        self._sink = sink

    def stop(self) -> None:
        """Be silent from the next frame on. The leg's media must still be there, see `forget_sink`."""
        if self._sink is not None:
            self.stopTransmit(self._sink)
            self._sink = None
        for ear in tuple(self._ears):
            self.stop_ear(ear)

    def send_to_ear(self, ear: Any) -> None:
        """Play to the recorder of the leg too, or to whatever hears with it."""
        self.startTransmit(ear)
        self._ears.append(ear)

    def stop_ear(self, ear: Any) -> None:
        """Play to it no longer, before it is destroyed."""
        if ear in self._ears:
            self._ears.remove(ear)
            self.stopTransmit(ear)

    def forget_sink(self) -> None:
        """The leg's media is gone, and with it PJSIP's connection to it."""
        self._sink = None

    def onEof2(self) -> None:
        """End of the file, or of one round of a loop. On PJSIP's `ev_thread`: only tells the owner thread."""
        try:
            if not self.play.loop:
                self._on_end(self)
        except BaseException:  # noqa: BLE001, S110 - nothing may leave a callback, see `guard`
            pass


class PlayerPool:
    """Creates players and buries them: never inside a callback, never while the bridge may still read them."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._ended: deque[FilePlayer] = deque()
        self._graves: deque[tuple[float, FilePlayer]] = deque()
        self._live = 0

    def create(self, play: Play) -> FilePlayer:
        """A player that is not connected yet.

        Raises:
            PlaybackError: the file is not one PJSIP can play, or too many players are in use.
        """
        if self._live >= MAX_PLAYERS:
            raise PlaybackError(f"more than {MAX_PLAYERS} files at once in one worker")
        check_file(play.path)
        try:
            player = FilePlayer(play, self._end)
        except pj.Error as error:
            raise PlaybackError(f"{play.path}: {readable(error.reason)}") from None
        self._live += 1
        return player

    def _end(self, player: FilePlayer) -> None:  # on ev_thread
        self._ended.append(player)
        self._wake()

    def take_ended(self) -> list[FilePlayer]:
        """Players whose file came to its end since the last call."""
        ended = []
        while self._ended:
            ended.append(self._ended.popleft())
        return ended

    def bury(self, player: FilePlayer) -> None:
        """Destroy a stopped player in a while."""
        self._graves.append((time.monotonic() + BURIAL_DELAY_S, player))

    def dig(self) -> float | None:
        """Destroy those whose time has come. Not inside a callback. Returns when the next is due (monotonic), `None` without one."""
        now = time.monotonic()
        while self._graves and self._graves[0][0] <= now:
            self._graves.popleft()
            self._live -= 1
        return self._graves[0][0] if self._graves else None

    def clear(self) -> None:
        """Destroy all, at the end of the worker."""
        self._ended.clear()
        self._graves.clear()
