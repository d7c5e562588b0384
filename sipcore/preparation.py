"""The audio of one call, made ready ahead of time: while the call is dialling and ringing, the next pieces first.

Only a few pieces of one call are on their way at once, so that a list with a hundred slow URLs does not keep the other calls waiting.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from media import AudioLibrary, PreparedAudio
from sipcore.actions import Action, Connect, Play, Talk

PIECES_AT_ONCE = 2
"""Of one call: the one that plays next, and the one after it."""

Work = Callable[[], PreparedAudio]


class Kind(StrEnum):
    """What the work waits for; each kind has threads of its own."""

    SPEECH = "speech"
    STREAM = "stream"


class MediaHost(Protocol):
    """Where the work is done."""

    library: AudioLibrary

    def in_background(self, work: Work, kind: Kind) -> asyncio.Future[PreparedAudio]:
        """Run blocking work on a thread of this kind."""


class Piece:
    """One file to play, on its way or ready."""

    def __init__(self, work: Work, kind: Kind, places: asyncio.Semaphore, host: MediaHost) -> None:
        self._work, self._kind, self._places, self._host = work, kind, places, host
        self.task = asyncio.create_task(self._made())
        self.task.add_done_callback(_retrieve)

    async def path(self) -> str:
        """Where the file is, when it is there; made again if the cache has lost it meanwhile.

        Raises:
            MediaError: it cannot be made.
            OSError: the cache cannot be written.
        """
        audio = await asyncio.shield(self.task)
        if not audio.path.exists():
            audio = await self._made()
        return str(audio.path)

    async def _made(self) -> PreparedAudio:
        async with self._places:
            return await self._host.in_background(self._work, self._kind)


class Preparation:
    """All the audio that an action list needs."""

    def __init__(self, actions: Sequence[Action], host: MediaHost) -> None:
        self._cancel = threading.Event()
        self._places = asyncio.Semaphore(PIECES_AT_ONCE)
        self._host = host
        self._pieces: dict[int, list[Piece]] = {}
        for index, action in enumerate(actions):
            match action:
                case Talk():
                    self._pieces[index] = [self._speech(action)]
                case Play():
                    self._pieces[index] = [self._stream(url) for url in action.stream_urls]
                case Connect():
                    self._pieces[index] = [Piece(host.library.ringback, Kind.SPEECH, self._places, host)]

    def pieces(self, index: int) -> list[Piece]:
        """What action number `index` plays, in order; of a `connect` the ringback; other actions play nothing."""
        return self._pieces.get(index, [])

    async def stop(self) -> None:
        """Nobody needs it any more: end what is on its way."""
        self._cancel.set()
        tasks = [piece.task for pieces in self._pieces.values() for piece in pieces]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _speech(self, talk: Talk) -> Piece:
        library, cancel = self._host.library, self._cancel
        return Piece(lambda: library.speech(talk.text, talk.language, talk.gender, cancel), Kind.SPEECH, self._places, self._host)

    def _stream(self, url: str) -> Piece:
        library, cancel = self._host.library, self._cancel
        return Piece(lambda: library.stream(url, cancel), Kind.STREAM, self._places, self._host)


def _retrieve(task: asyncio.Task[PreparedAudio]) -> None:
    """A failure that nobody waits for is no news: the action that needs the audio gets it from `path`."""
    if not task.cancelled():
        task.exception()
