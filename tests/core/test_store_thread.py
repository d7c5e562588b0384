"""The store's thread: what is written when, and what a read sees."""

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sipcore.addresses import Address
from sipcore.record import CallRecord
from sipcore.store import CallStore
from sipcore.store_thread import StoreThread

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RECORD = CallRecord("a", Address("tel", "+15550001"), Address("tel", "+15550002"), NOW)


@pytest.fixture
async def thread():
    store = StoreThread(":memory:")
    await store.open(NOW)
    yield store
    await store.close()


@pytest.fixture
def writes(monkeypatch):
    seen = []
    seen_one = threading.Event()
    put_all = CallStore.put_all

    def noted(self, records):
        seen.append([(record.id, record.status) for record in records])
        seen_one.set()
        return put_all(self, records)

    async def first():
        assert await asyncio.to_thread(seen_one.wait, 10)
        return seen

    monkeypatch.setattr(CallStore, "put_all", noted)
    return first


async def test_a_read_sees_what_was_kept_before_it(thread):
    thread.keep(RECORD)
    assert await thread.get("a") == RECORD
    thread.keep(replace(RECORD, status="ringing"))
    page = await thread.list(10, None)
    assert [record.status for record in page.result] == ["ringing"]


async def test_the_changes_of_a_short_call_are_written_once(thread, writes):
    for status in ("dialing", "ringing", "hangup"):
        thread.keep(replace(RECORD, status=status))
        await asyncio.sleep(0)
    thread.keep(replace(RECORD, id="b", tm_create=NOW.replace(second=6)))
    assert await writes() == [[("a", "hangup"), ("b", "dialing")]]


async def test_closing_writes_what_waits(tmp_path):
    thread = StoreThread(str(tmp_path / "calls.sqlite"))
    await thread.open(NOW)
    thread.keep(RECORD)
    await thread.close()
    again = CallStore(str(tmp_path / "calls.sqlite"))
    found = again.get("a")
    again.close()
    assert found == RECORD
