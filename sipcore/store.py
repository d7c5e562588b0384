"""The call store: every record, kept in SQLite so that it survives the process.

One thread owns the connection and is the only writer; WAL lets other processes read meanwhile. Listing follows the call resource: newest
first, rows strictly older than the page token, and `tm_create` is unique, so that paging loses nothing.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.pool import StaticPool

from sipcore.addresses import Address
from sipcore.conferences.record import Conference
from sipcore.conferences.store import ConferenceTable
from sipcore.engine import RtpStatistics
from sipcore.errors import ConfigError, Fault
from sipcore.record import CallRecord, Page, format_time, parse_time
from sipcore.recordings.store import RecordingTable
from sipcore.tables import page_query, put_statement

DEFAULT_PAGE_SIZE = 10
MAX_SAME_TIMES = 1000
_TIMES = ("tm_create", "tm_update", "tm_progressing", "tm_ringing", "tm_hangup")

_json: Final = json.JSONEncoder().encode
"""As SQLAlchemy writes it: a file that an older sipcore has begun is gone on with in one form."""

_numbers = itertools.count(1)
_open_here: set[str] = set()
"""The owners that are open stores of this process."""

_metadata = sa.MetaData()
_calls = sa.Table(
    "calls",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("user_id", sa.Integer, nullable=False),
    *(sa.Column(name, sa.String, nullable=False) for name in ("flow_id", "conf_id", "type", "master_call_id")),
    sa.Column("chained_call_ids", sa.JSON, nullable=False),
    sa.Column("recording_id", sa.String, nullable=False),
    sa.Column("recording_ids", sa.JSON, nullable=False),
    sa.Column("source", sa.JSON, nullable=False),
    sa.Column("destination", sa.JSON, nullable=False),
    *(sa.Column(name, sa.String, nullable=False) for name in ("status", "direction", "hangup_by", "hangup_reason")),
    *(sa.Column(name, sa.String, nullable=False) for name in _TIMES),
    sa.Column("sip_code", sa.Integer, nullable=False),
    sa.Column("sip_phrase", sa.String, nullable=False),
    sa.Column("q850_cause", sa.Integer),
    sa.Column("statistics", sa.JSON),
    sa.Column("owner", sa.String, nullable=False, comment="who keeps a live call: pid, its start time, and the store of that process"),
    sa.Index("calls_by_time", "tm_create", unique=True),
    sa.Index("calls_by_user_and_time", "user_id", "tm_create"),
    sa.Index("calls_live", "status", sqlite_where=sa.text("status != 'hangup'")),
)

_PUT = put_statement(_calls)
_PUT_SQL = str(_PUT.compile(dialect=sqlite.dialect()))
"""With a place for each column, in the order of the table: the driver is given whole rows, of which SQLAlchemy would build one by one."""


class CallStore:
    """The calls of one switch. Use from one thread.

    Args:
        location: A file, or `":memory:"`.

    Raises:
        ConfigError: the file cannot be opened, or is no database.
    """

    def __init__(self, location: str | Path) -> None:
        self._owner = f"{process_identity(os.getpid())}:{next(_numbers)}"
        try:
            self._engine = _opened(location)
            self.recordings = RecordingTable(self._engine)
            self.conferences = ConferenceTable(self._engine, self._owner)
        except (OSError, sa.exc.DBAPIError) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "orig", None) or error
            raise ConfigError([Fault("store", f"{location} cannot be opened: {reason}")]) from None
        _open_here.add(self._owner)

    def close_lost_calls(self, now: datetime) -> int:
        """End, as `failed`, the calls whose process or store is gone; returns how many there were."""
        live = sa.select(_calls.c.owner).where(_calls.c.status != "hangup").distinct()
        with self._engine.begin() as connection:
            lost = [owner for owner in connection.scalars(live) if not _is_alive(owner)]
            ended = {
                "status": "hangup",
                "hangup_by": "remote",
                "hangup_reason": "failed",
                "tm_update": format_time(now),
                "tm_hangup": format_time(now),
            }
            change = sa.update(_calls).where(_calls.c.status != "hangup", _calls.c.owner.in_(lost)).values(ended)
            return connection.execute(change).rowcount

    def take_over_conferences(self, now: datetime) -> Sequence[Conference]:
        """End those whose process is gone; returns the lasting ones, which are ours now."""
        return self.conferences.take_over(_is_alive, now)

    def newest_time(self) -> datetime | None:
        """The largest `tm_create` kept; new calls must come after it."""
        with self._engine.connect() as connection:
            return parse_time(connection.scalar(sa.select(sa.func.max(_calls.c.tm_create))) or "")

    def put(self, record: CallRecord) -> None:
        """Keep the record, new or changed."""
        for later in range(MAX_SAME_TIMES):
            created = format_time(record.tm_create + later * timedelta(microseconds=1))
            try:
                with self._engine.begin() as connection:
                    connection.exec_driver_sql(_PUT_SQL, _to_row(record, created, self._owner))
            except sa.exc.IntegrityError:  # another process that writes to this file took the same microsecond
                continue
            return
        raise OverflowError(f"{MAX_SAME_TIMES} calls were created at {created}")

    def put_all(self, records: Sequence[CallRecord]) -> dict[str, Exception]:
        """Keep several records, new or changed, in one transaction if that can be.

        Returns:
            Why a record could not be written, by its id; one that cannot be written keeps no other back.
        """
        try:
            with self._engine.begin() as connection:
                rows = [_to_row(record, format_time(record.tm_create), self._owner) for record in records]
                connection.exec_driver_sql(_PUT_SQL, rows)
        except (sa.exc.DBAPIError, OverflowError):
            return self._put_each(records)
        return {}

    def _put_each(self, records: Sequence[CallRecord]) -> dict[str, Exception]:
        failures: dict[str, Exception] = {}
        for record in records:
            try:
                self.put(record)
            except (sa.exc.DBAPIError, OverflowError) as error:
                failures[record.id] = error
        return failures

    def get(self, call_id: str) -> CallRecord | None:
        """The record of this id, `None` when there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_calls).where(_calls.c.id == call_id)).first()
        return None if row is None else _from_row(row)

    def list(self, page_size: int = DEFAULT_PAGE_SIZE, page_token: str | None = None, user_id: int | None = None) -> Page:
        """One page of calls created before `page_token`; `page_size` over 100 is 100."""
        query = page_query(_calls, page_size, page_token, user_id)
        with self._engine.connect() as connection:
            result = tuple(_from_row(row) for row in connection.execute(query))
        return Page(result, format_time(result[-1].tm_create) if result else "")

    def close(self) -> None:
        """Write everything out and let go of the file."""
        _open_here.discard(self._owner)
        self._engine.dispose()


def process_identity(pid: int) -> str:
    """`pid:start time` of a process, so that a pid used again is not taken for the same; empty when it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    return f"{pid}:{stat.rpartition(')')[2].split()[19]}"


def _opened(location: str | Path) -> sa.Engine:
    database = None
    if str(location) != ":memory:":
        path = Path(location).expanduser().resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        database = str(path)
    url = sa.URL.create("sqlite", database=database)
    engine = sa.create_engine(
        url,
        poolclass=StaticPool,
        connect_args={"check_same_thread": False, "timeout": 10},
        json_deserializer=msgspec.json.decode,  # a page of calls has 500 values in JSON
    )
    try:
        with engine.begin() as connection:
            connection.execute(sa.text("PRAGMA journal_mode=WAL"))
            connection.execute(sa.text("PRAGMA synchronous=NORMAL"))
            _metadata.create_all(connection)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _is_alive(owner: str) -> bool:
    process, _, _ = owner.rpartition(":")
    pid = process.partition(":")[0]
    if not pid.isdigit() or process_identity(int(pid)) != process:
        return False
    return int(pid) != os.getpid() or owner in _open_here


def _to_row(record: CallRecord, created: str, owner: str) -> tuple[Any, ...]:
    """What the driver is given, in the order of the table."""
    return (
        record.id,
        record.user_id,
        record.flow_id,
        record.conf_id,
        record.type,
        record.master_call_id,
        _json(record.chained_call_ids),
        record.recording_id,
        _json(record.recording_ids),
        _json(record.source.to_json()),
        _json(record.destination.to_json()),
        str(record.status),
        record.direction,
        record.hangup_by,
        str(record.hangup_reason),
        created,
        format_time(record.tm_update),
        format_time(record.tm_progressing),
        format_time(record.tm_ringing),
        format_time(record.tm_hangup),
        record.sip_code,
        record.sip_phrase,
        record.q850_cause,
        _json(msgspec.to_builtins(record.statistics)),
        owner,
    )


def _from_row(row: sa.Row[Any]) -> CallRecord:
    """A row in the order of the table; by position, since a page has a hundred of them."""
    values: tuple[Any, ...] = tuple(row)
    call_id, user_id, flow_id, conf_id, kind, master_call_id, chained, recording_id, recordings, source, destination, *rest = values
    status, direction, hangup_by, hangup_reason, created, updated, progressing, ringing, hangup, *answer = rest
    sip_code, sip_phrase, q850_cause, statistics, _owner = answer
    return CallRecord(
        id=call_id,
        user_id=user_id,
        flow_id=flow_id,
        conf_id=conf_id,
        type=kind,
        master_call_id=master_call_id,
        chained_call_ids=tuple(chained),
        recording_id=recording_id,
        recording_ids=tuple(recordings),
        source=Address(**source),
        destination=Address(**destination),
        status=status,
        direction=direction,
        hangup_by=hangup_by,
        hangup_reason=hangup_reason,
        tm_create=_known(parse_time(created)),
        tm_update=parse_time(updated),
        tm_progressing=parse_time(progressing),
        tm_ringing=parse_time(ringing),
        tm_hangup=parse_time(hangup),
        sip_code=sip_code,
        sip_phrase=sip_phrase,
        q850_cause=q850_cause,
        statistics=None if statistics is None else RtpStatistics(**statistics),
    )


def _known(moment: datetime | None) -> datetime:
    assert moment is not None, "every call was created at some time"
    return moment
