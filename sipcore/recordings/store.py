"""The table of recordings, in the database of the calls. Lists as `sipcore.store` lists calls."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from sipcore.record import format_time, parse_time
from sipcore.recordings.recording import Recording, RecordingPage, RecordingStatus
from sipcore.tables import page_query, put_statement

_TIMES = ("tm_create", "tm_start", "tm_end", "tm_update", "tm_delete")
_TEXTS = ("reference_id", "type", "status", "format", "channels", "end_reason", "error")

_metadata = sa.MetaData()
_recordings = sa.Table(
    "recordings",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("user_id", sa.Integer, nullable=False),
    *(sa.Column(name, sa.String, nullable=False) for name in (*_TEXTS, *_TIMES)),
    sa.Column("duration_s", sa.Float, nullable=False),
    sa.Column("size_bytes", sa.Integer, nullable=False),
    sa.Index("recordings_by_time", "tm_create"),
    sa.Index("recordings_by_user_and_time", "user_id", "tm_create"),
)
_PUT = put_statement(_recordings)


class RecordingTable:
    """The recordings of one store. Use from its thread."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        with engine.begin() as connection:
            _metadata.create_all(connection)

    def put(self, recording: Recording) -> None:
        """Keep it, new or changed."""
        with self._engine.begin() as connection:
            connection.execute(_PUT, _to_row(recording))

    def get(self, recording_id: str) -> Recording | None:
        """The recording of this id, `None` when there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_recordings).where(_recordings.c.id == recording_id)).mappings().first()
        return None if row is None else _from_row(row)

    def delete(self, recording_id: str) -> None:
        """Forget it."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(_recordings).where(_recordings.c.id == recording_id))

    def list(self, page_size: int, page_token: str | None = None, user_id: int | None = None) -> RecordingPage:
        """One page of those made before `page_token`; `page_size` over 100 is 100."""
        query = page_query(_recordings, page_size, page_token, user_id)
        with self._engine.connect() as connection:
            result = tuple(_from_row(row) for row in connection.execute(query).mappings())
        return RecordingPage(result, format_time(result[-1].tm_create) if result else "")


def _to_row(recording: Recording) -> dict[str, Any]:
    row: dict[str, Any] = {f.name: getattr(recording, f.name) for f in fields(recording)}
    row |= {name: format_time(row[name]) for name in _TIMES}
    row["status"] = str(recording.status)
    return row


def _from_row(row: Any) -> Recording:
    values = dict(row) | {name: parse_time(row[name]) for name in _TIMES}
    return Recording(**(values | {"status": RecordingStatus(row["status"])}))
