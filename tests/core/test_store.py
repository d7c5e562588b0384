"""The call store: what goes in comes out, paging loses nothing, and the death of a process leaves no live call behind."""

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from sipcore.addresses import Address
from sipcore.call import HangupReason, Status
from sipcore.engine import RtpStatistics
from sipcore.errors import ConfigError
from sipcore.record import CallRecord, format_time
from sipcore.store import CallStore, process_identity
from sipcore.store import _calls as calls_table

T0 = datetime(2030, 1, 1, tzinfo=UTC)
NOW = T0 + timedelta(hours=1)


def record(number: int, **changes) -> CallRecord:
    fresh = CallRecord(f"c{number}", Address("tel", "+821"), Address("sip", "b@h", "Zoë"), T0 + timedelta(microseconds=number))
    return replace(fresh, **changes)


def over(number: int) -> CallRecord:
    return record(number, status=Status.HANGUP, hangup_by="remote", hangup_reason=HangupReason.BUSY, tm_update=NOW, tm_hangup=NOW)


@pytest.fixture
def store():
    store = CallStore(":memory:")
    yield store
    store.close()


def test_what_goes_in_comes_out(store):
    full = replace(
        over(1), chained_call_ids=("a", "b"), recording_ids=("r",), sip_code=486, sip_phrase="Busy Here", q850_cause=17,
        tm_ringing=T0, tm_progressing=T0, statistics=RtpStatistics("PCMU/8000", tx_packets=5, rx_jitter_ms=1.5), user_id=7,
    )  # fmt: skip
    store.put(full)
    assert store.get("c1") == full
    assert store.get("c1").to_json() == full.to_json()
    store.put(record(2))
    assert store.get("c2") == record(2)
    assert store.get("none") is None


def test_put_again_replaces(store):
    store.put(record(1))
    store.put(over(1))
    assert store.list().result == (over(1),)


def test_newest_time(store):
    assert store.newest_time() is None
    store.put(record(5))
    store.put(record(3))
    assert store.newest_time() == record(5).tm_create


def test_by_user(store):
    store.put(record(1))
    store.put(record(2, user_id=2))
    assert [row.id for row in store.list(user_id=2).result] == ["c2"]


def test_page_size_over_100_is_100(store):
    for number in range(105):
        store.put(record(number))
    page = store.list(101)
    assert len(page.result) == 100
    assert page.next_page_token == format_time(page.result[-1].tm_create)
    assert [row.id for row in store.list(101, page.next_page_token).result] == ["c4", "c3", "c2", "c1", "c0"]


def test_default_page_and_empty_page(store):
    assert store.list().to_json() == {"result": [], "next_page_token": ""}
    for number in range(12):
        store.put(record(number))
    assert len(store.list().result) == 10


@settings(max_examples=30, deadline=None)
@given(st.sets(st.integers(0, 3_000_000), max_size=25), st.integers(1, 30), st.integers(0, 5))
def test_paging_loses_and_doubles_nothing(numbers, page_size, arriving):
    store = CallStore(":memory:")
    try:
        for number in numbers:
            store.put(record(number))
        seen: list[str] = []
        token = None
        while True:
            page = store.list(page_size, token)
            seen += [row.id for row in page.result]
            if not page.next_page_token:
                assert page.result == ()
                break
            token = page.next_page_token
            for late in range(arriving):  # calls that come while somebody pages are newer than every page
                store.put(record(4_000_000 + len(seen) * 10 + late))
        assert seen == [f"c{number}" for number in sorted(numbers, reverse=True)]
    finally:
        store.close()


def test_survives_in_a_file(tmp_path):
    first = CallStore(tmp_path / "deep" / "calls.sqlite")
    first.put(over(1))
    first.close()
    second = CallStore(str(tmp_path / "deep" / "calls.sqlite"))
    assert second.list().result == (over(1),)
    second.close()


def test_is_a_wal_that_others_read_meanwhile(tmp_path):
    store = CallStore(tmp_path / "calls.sqlite")
    store.put(record(1))
    reader = sqlite3.connect(tmp_path / "calls.sqlite")
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert reader.execute("SELECT count(*) FROM calls").fetchone() == (1,)
    reader.close()
    store.close()


# ------------------------------------------------------------------------------------------------- other processes

OTHER = """
import sys
from tests.core.test_store import CallStore, record, over
store = CallStore(sys.argv[1])
store.put(record(1)); store.put(over(2))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """Another process with one live call and one finished call in `calls.sqlite`."""
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER, str(tmp_path / "calls.sqlite")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path.cwd(),
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


@pytest.mark.slow
def test_live_call_of_a_living_process_is_left_alone(tmp_path, other):
    store = CallStore(tmp_path / "calls.sqlite")
    assert store.close_lost_calls(NOW) == 0
    assert store.get("c1") == record(1)
    store.close()


@pytest.mark.slow
def test_live_call_of_a_killed_process_is_closed_as_failed(tmp_path, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    store = CallStore(tmp_path / "calls.sqlite")
    assert store.close_lost_calls(NOW) == 1
    lost = store.get("c1")
    assert (lost.status, lost.hangup_by, lost.hangup_reason) == ("hangup", "remote", "failed")
    assert lost.tm_update == lost.tm_hangup == NOW
    assert store.get("c2") == over(2)
    assert store.close_lost_calls(NOW) == 0
    store.close()


def test_two_stores_of_one_process(tmp_path):
    first, second = CallStore(tmp_path / "calls.sqlite"), CallStore(tmp_path / "calls.sqlite")
    first.put(record(1))
    assert second.close_lost_calls(NOW) == 0
    assert second.get("c1") == record(1)
    first.close()
    assert second.close_lost_calls(NOW) == 1
    second.close()


def test_pid_that_is_used_again_is_another_process(tmp_path, store):
    assert process_identity(os.getpid()).startswith(f"{os.getpid()}:")
    assert process_identity(2**22 + 1) == ""
    store._owner = f"{os.getpid()}:1:1"
    store.put(record(1))
    store._owner = f"{os.getpid()}:2:1"
    assert store.close_lost_calls(NOW) == 1


# ------------------------------------------------------------------------------------------------------- cannot open


def test_paths_that_cannot_be_a_store(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "text.sqlite").write_text("this is no database, whatever its name says\n" * 100)
    for location in (tmp_path, tmp_path / "file" / "calls.sqlite", tmp_path / "text.sqlite", "/proc/none/calls.sqlite"):
        with pytest.raises(ConfigError, match="cannot be opened") as refusal:
            CallStore(location)
        assert refusal.value.faults[0].path == "store"
        assert str(location) in str(refusal.value)


def test_two_processes_that_take_the_same_microsecond_lose_nothing(tmp_path):
    one, other = CallStore(tmp_path / "calls.sqlite"), CallStore(tmp_path / "calls.sqlite")
    first, second = record(1), replace(record(2), tm_create=record(1).tm_create)
    assert first.tm_create == second.tm_create
    one.put(first)
    other.put(second)
    other.put(replace(second, status="ringing"))
    kept = one.list().result
    assert [call.id for call in kept] == [second.id, first.id]
    assert kept[0].status == "ringing"
    assert kept[0].tm_create > kept[1].tm_create
    one.close()
    other.close()


@pytest.mark.parametrize(
    "changes",
    [{}, {"statistics": RtpStatistics("PCMU/8000", tx_packets=5, rx_jitter_ms=1.5), "chained_call_ids": ("a", "b"), "q850_cause": 17}],
)
def test_rows_are_as_the_table_would_write_them(tmp_path, changes):
    """A store that was begun before rows went to the driver whole has the same rows."""
    written = replace(over(1), recording_ids=("r",), sip_phrase="Zoë", **changes)
    store = CallStore(tmp_path / "calls.sqlite")
    store.put_all([written])
    store.close()
    file = sqlite3.connect(tmp_path / "calls.sqlite")
    columns = [name for _, name, *_ in file.execute("PRAGMA table_info(calls)")]
    row = dict(zip(columns, file.execute("SELECT * FROM calls").fetchone(), strict=True))
    file.close()
    by_table = calls_table.insert().compile(dialect=sqlite.dialect())
    values = {name: getattr(written, name, row["owner"]) for name in columns}
    values |= {name: format_time(value) for name, value in values.items() if name.startswith("tm_")}
    values |= {name: getattr(written, name).to_json() for name in ("source", "destination")}
    values["statistics"] = None if written.statistics is None else asdict(written.statistics)
    processors = by_table._bind_processors
    assert row == {name: processors[name](value) if name in processors else value for name, value in values.items()}
