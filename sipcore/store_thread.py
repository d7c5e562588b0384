"""The one thread that owns the call store; everything it is asked runs there, in order."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from sipcore.conferences.record import Conference
from sipcore.conferences.store import ConferenceTable
from sipcore.errors import SwitchClosed
from sipcore.record import CallRecord, Page
from sipcore.recordings.store import RecordingTable
from sipcore.store import CallStore

log = logging.getLogger(__name__)
Result = TypeVar("Result")

RETRY_S = 5.0
"""From a write that failed (disk full, file locked) to the next try."""

GATHER_S = 0.05
"""From the first change to its write: a short call changes four times within it, and its record is written once, together with others'."""


class StoreThread:
    """The store, for the event loop: a read sees every write that was asked for before it."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._store: CallStore | None = None
        self._thread = ThreadPoolExecutor(1, "sipcore-store")
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._unwritten: dict[str, CallRecord] = {}
        self._retry: asyncio.TimerHandle | None = None

    async def open(self, now: datetime) -> datetime | None:
        """Open the store, close the calls of processes that are gone, and return the newest `tm_create`.

        Raises:
            ConfigError: the file cannot be opened.
        """

        def opened() -> datetime | None:
            self._store = CallStore(self._location)
            if lost := self._store.close_lost_calls(now):
                log.warning("%d calls of a process that is gone were closed as failed", lost)
            return self._store.newest_time()

        return await self._run(opened)

    def keep(self, record: CallRecord) -> None:
        """Write the record soon. A write that fails is logged and tried again; the call goes on.

        What is asked for within `GATHER_S` is written together, each call as it was last.
        """
        _ = self._opened
        with self._lock:
            is_first = not self._unwritten
            self._unwritten[record.id] = record
        if is_first:
            self._loop.call_later(GATHER_S, self._start_writing)

    async def get(self, call_id: str) -> CallRecord | None:
        """The record, `None` when there is none."""
        store = self._opened
        return await self._run(lambda: self._written_first(store).get(call_id))

    async def list(self, page_size: int, page_token: str | None, user_id: int | None = None) -> Page:
        """One page of records, newest first; of everybody when `user_id` is `None`."""
        store = self._opened
        return await self._run(lambda: self._written_first(store).list(page_size, page_token, user_id))

    async def ask_recordings(self, work: Callable[[RecordingTable], Result]) -> Result:
        """Read or write recordings; in the order of the asking."""
        store = self._opened
        return await self._run(lambda: work(store.recordings))

    def keep_conference(self, conference: Conference) -> None:
        """Write a conference, after all that was asked for before. One that cannot be written is logged."""
        writing = self._loop.run_in_executor(self._thread, self._opened.conferences.put, conference)
        writing.add_done_callback(lambda done: _tell_failure(done, conference.id))

    async def ask_conferences(self, work: Callable[[ConferenceTable], Result]) -> Result:
        """Read or write conferences; in the order of the asking."""
        store = self._opened
        return await self._run(lambda: work(store.conferences))

    async def take_over_conferences(self, now: datetime) -> Sequence[Conference]:
        """The lasting conferences of processes that are gone; they are ours now."""
        store = self._opened
        return await self._run(lambda: store.take_over_conferences(now))

    async def close(self) -> None:
        """Finish every write, then close. Idempotent."""
        if self._store is not None:
            if self._retry is not None:
                self._retry.cancel()
            store, self._store = self._store, None
            await self._run(lambda: self._write(store))
            await self._run(store.close)
        self._thread.shutdown()

    def _start_writing(self) -> None:
        self._retry = None
        if self._store is not None:
            self._loop.run_in_executor(self._thread, self._write, self._store).add_done_callback(self._written)

    def _write(self, store: CallStore) -> bool:
        """Write what is waiting; what cannot be written waits on, unless a newer record of the call came meanwhile."""
        with self._lock:
            records, self._unwritten = self._unwritten, {}
        if not records:
            return True
        failures = store.put_all(list(records.values()))
        for call_id, error in failures.items():
            log.error("call %s: its record could not be written: %s", call_id, error)
        with self._lock:
            self._unwritten = {call_id: records[call_id] for call_id in failures} | self._unwritten
        return not failures

    def _written_first(self, store: CallStore) -> CallStore:
        self._write(store)
        return store

    def _written(self, writing: asyncio.Future[bool]) -> None:
        if not writing.cancelled() and not writing.result() and self._retry is None:
            self._retry = self._loop.call_later(RETRY_S, self._start_writing)

    @property
    def _opened(self) -> CallStore:
        if self._store is None:
            raise SwitchClosed("the switch was closed")
        return self._store

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await self._loop.run_in_executor(self._thread, work)


def _tell_failure(writing: asyncio.Future[None], conference_id: str) -> None:
    if not writing.cancelled() and (error := writing.exception()) is not None:
        log.error("conference %s: it could not be written: %s", conference_id, error)
