"""The audio of one call, made ready ahead of time: while the call is dialling and ringing, the next pieces first.

Only a few pieces of one call are on their way at once, so that a list with a hundred slow URLs does not keep the other calls waiting.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Protocol

from media import AudioLibrary, MediaError, PreparedAudio, Utterance
from sipcore.actions import Action, Beep, Connect, Hold, Play, RecordingStart, Talk, Transfer

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
    """One file to play, on its way or ready: `ready` is what `work` would make, where that is known already."""

    def __init__(self, work: Work, kind: Kind, places: asyncio.Semaphore, host: MediaHost, ready: PreparedAudio | None = None) -> None:
        self._work, self._kind, self._places, self._host = work, kind, places, host
        self.task: asyncio.Future[PreparedAudio]
        if ready is not None:
            self.task = asyncio.get_running_loop().create_future()
            self.task.set_result(ready)
        else:
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
        self._actions: dict[int, Action] = {}
        for index, action in enumerate(actions):
            self.add(index, action)

    def add(self, index: int, action: Action) -> None:
        """Make the audio of one more action ready, unless that was done for the same one; another one of this index gives way."""
        if self._actions.get(index) == action:
            return
        self._actions[index] = action
        for piece in self._pieces.pop(index, ()):
            piece.task.cancel()
        match action:
            case Talk():
                self._pieces[index] = self._sentences(action)
            case Play():
                self._pieces[index] = [self._stream(url, action.volume_db) for url in action.stream_urls]
            case Beep():
                self._pieces[index] = [self._beep(action)]
            case RecordingStart(beep_start=True):
                self._pieces[index] = [self._beep(Beep())]
            case Hold(music=music) if music:
                self._pieces[index] = [self._stream(music)]
            case Connect():
                self._pieces[index] = self._sounds_of_connect(action)
            case Transfer(consultation=Connect() as connect):
                self._pieces[index] = self._sounds_of_connect(connect)

    def pieces(self, index: int) -> list[Piece]:
        """What action number `index` plays, in order; of a `connect` see `performing.connecting`; other actions play nothing."""
        return self._pieces.get(index, [])

    async def stop(self) -> None:
        """Nobody needs it any more: end what is on its way."""
        self._cancel.set()
        tasks = [piece.task for pieces in self._pieces.values() for piece in pieces]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _sounds_of_connect(self, connect: Connect) -> list[Piece]:
        """The ringback tone, then the ringback of its own and the question, where it has them."""
        pieces = [Piece(self._host.library.ringback, Kind.SPEECH, self._places, self._host)]
        if connect.ringback:
            pieces.append(self._stream(connect.ringback))
        if (confirm := connect.confirm) is not None:
            pieces.append(self._speech(Talk(confirm.text, confirm.language, confirm.gender)))
        return pieces

    def _sentences(self, talk: Talk) -> list[Piece]:
        """A piece for each sentence, so that the first is heard while the others are made."""
        library, cancel = self._host.library, self._cancel

        def piece(utterance: Utterance) -> Piece:
            ready = library.spoken(utterance, talk.gender) if talk.volume_db == 0.0 else None
            return self._spoken(lambda: library.louder(library.utter(utterance, talk.gender, cancel), talk.volume_db, cancel), ready)

        try:
            return [piece(utterance) for utterance in library.utterances(talk.text, talk.language)]
        except MediaError:
            return [self._speech(talk)]  # which says what is wrong when its turn comes

    def _spoken(self, work: Work, ready: PreparedAudio | None = None) -> Piece:
        return Piece(work, Kind.SPEECH, self._places, self._host, ready)

    def _speech(self, talk: Talk) -> Piece:
        """All of it in one piece."""
        library, cancel = self._host.library, self._cancel

        def spoken() -> PreparedAudio:
            return library.louder(library.speech(talk.text, talk.language, talk.gender, cancel), talk.volume_db, cancel)

        return self._spoken(spoken)

    def _beep(self, beep: Beep) -> Piece:
        library = self._host.library
        return Piece(
            lambda: library.beep(beep.frequency_hz, beep.duration_ms / 1000, beep.volume_db), Kind.SPEECH, self._places, self._host
        )

    def _stream(self, url: str, volume_db: float = 0.0) -> Piece:
        library, cancel = self._host.library, self._cancel
        return Piece(lambda: library.louder(library.stream(url, cancel), volume_db, cancel), Kind.STREAM, self._places, self._host)


def _retrieve(task: asyncio.Future[PreparedAudio]) -> None:
    """A failure that nobody waits for is no news: the action that needs the audio gets it from `path`."""
    if not task.cancelled():
        task.exception()
