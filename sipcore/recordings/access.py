"""The recordings of a switch, as the user handles them: look up, wait for, list, delete."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from sipcore.config import Config
from sipcore.errors import InvalidState, RecordingNotFound
from sipcore.events import CallEvent, ConferenceRecordingFinished, RecordingFinished
from sipcore.exchange import Exchange
from sipcore.paging import check_paging
from sipcore.recordings.files import Workshop
from sipcore.recordings.recording import Recording, RecordingPage
from sipcore.store import DEFAULT_PAGE_SIZE
from sipcore.store_thread import StoreThread


class RecordingsHost(Protocol):
    """What the recordings need of their switch."""

    config: Config
    store: StoreThread

    @property
    def exchange(self) -> Exchange:
        """Raises `SwitchClosed` while the switch is not open."""


class AsyncRecordings:
    """The recordings of a switch: `get`, `list`, `wait`, `path`, `delete`."""

    def __init__(self, switch: RecordingsHost) -> None:
        self._switch = switch

    async def get(self, recording_id: str, *, user_id: int | None = None) -> Recording:
        """A recording, that runs or is over; with `user_id` only of this user's.

        Raises:
            RecordingNotFound: no recording has this id.
        """
        found = await self._switch.exchange.recorder.get(recording_id)
        if found is None or user_id not in {None, found.user_id}:
            raise RecordingNotFound(recording_id)
        return found

    async def wait(self, recording_id: str, timeout_s: float | None = None) -> Recording:
        """The recording, when it is over and its file is there.

        Raises:
            RecordingNotFound: no recording has this id.
            TimeoutError: it is not over in `timeout_s` seconds; it goes on.
        """
        news = asyncio.Event()

        def listen(event: CallEvent) -> None:
            if isinstance(event, RecordingFinished | ConferenceRecordingFinished):
                news.set()

        stop = self._switch.exchange.listen(listen)
        try:
            async with asyncio.timeout(timeout_s):
                while not (recording := await self.get(recording_id)).is_over:
                    await news.wait()
                    news.clear()
        finally:
            stop()
        return recording

    async def list(self, page_size: int = DEFAULT_PAGE_SIZE, page_token: str | None = None, *, user_id: int | None = None) -> RecordingPage:
        """One page of recordings, newest first; see `AsyncCalls.list`.

        Raises:
            InvalidRequest: the size is less than 1, or the token is no time.
        """
        check_paging(page_size, page_token)
        _ = self._switch.exchange
        return await self._switch.store.ask_recordings(lambda table: table.list(page_size, page_token or None, user_id))

    def path(self, recording: Recording) -> Path:
        """Where the file of a recording is; there is one when it has a `filename`."""
        return Workshop(self._switch.config.recordings_dir).target(recording)

    async def delete(self, recording_id: str, *, user_id: int | None = None) -> Recording:
        """Delete a recording and its file; what it was.

        Raises:
            RecordingNotFound: no recording has this id.
            InvalidState: it is not over.
        """
        recording = await self.get(recording_id, user_id=user_id)
        if not recording.is_over:
            raise InvalidState(recording.reference_id, str(recording.status), "delete of its recording")
        return await self._switch.exchange.recorder.delete(recording)
