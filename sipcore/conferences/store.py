"""The table of conferences, in the database of the calls. Lists as `sipcore.store` lists calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from sipcore.conferences.record import Conference, ConferenceMember, ConferencePage, ConferenceStatus
from sipcore.record import NIL_ID, format_time, parse_time
from sipcore.tables import page_query, put_statement

_TIMES = ("tm_create", "tm_update", "tm_delete")
_TEXTS = ("name", "type", "status", "detail", "recording_id")
_FLAGS = ("is_lasting", "ends_with_moderator", "entry_tone", "exit_tone")

_metadata = sa.MetaData()
_conferences = sa.Table(
    "conferences",
    _metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("user_id", sa.Integer, nullable=False),
    *(sa.Column(name, sa.String, nullable=False) for name in (*_TEXTS, *_TIMES)),
    *(sa.Column(name, sa.Boolean, nullable=False) for name in _FLAGS),
    sa.Column("max_members", sa.Integer, nullable=False),
    sa.Column("members", sa.JSON, nullable=False),
    sa.Column("recording_ids", sa.JSON, nullable=False),
    sa.Column("owner", sa.String, nullable=False, comment="who keeps a live conference, as of calls"),
    sa.Index("conferences_by_time", "tm_create"),
    sa.Index("conferences_by_user_and_time", "user_id", "tm_create"),
)
_PUT = put_statement(_conferences)


class ConferenceTable:
    """The conferences of one store. Use from its thread.

    Args:
        owner: Who writes here, as the store of the calls has it.
    """

    def __init__(self, engine: sa.Engine, owner: str) -> None:
        self._engine, self._owner = engine, owner
        with engine.begin() as connection:
            _metadata.create_all(connection)

    def put(self, conference: Conference) -> None:
        """Keep it, new or changed."""
        with self._engine.begin() as connection:
            connection.execute(_PUT, _to_row(conference) | {"owner": self._owner})

    def get(self, conference_id: str) -> Conference | None:
        """The conference of this id, `None` when there is none."""
        with self._engine.connect() as connection:
            row = connection.execute(sa.select(_conferences).where(_conferences.c.id == conference_id)).mappings().first()
        return None if row is None else _from_row(row)

    def list(self, page_size: int, page_token: str | None = None, user_id: int | None = None) -> ConferencePage:
        """One page of those made before `page_token`; `page_size` over 100 is 100."""
        query = page_query(_conferences, page_size, page_token, user_id)
        with self._engine.connect() as connection:
            result = tuple(_from_row(row) for row in connection.execute(query).mappings())
        return ConferencePage(result, format_time(result[-1].tm_create) if result else "")

    def take_over(self, is_alive: Callable[[str], bool], now: datetime) -> Sequence[Conference]:
        """End the conferences whose process is gone, but for lasting ones, which become ours, empty; these are returned."""
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(_conferences).where(_conferences.c.status != "terminated")).mappings().all()
        taken = []
        for row in rows:
            if is_alive(row["owner"]):
                continue
            left = replace(_from_row(row), members=(), recording_id=NIL_ID, tm_update=now)
            if left.is_lasting and left.status != ConferenceStatus.TERMINATING:
                taken.append(left)
            else:
                left = replace(left, status=ConferenceStatus.TERMINATED, tm_delete=now)
            self.put(left)
        return taken


def _to_row(conference: Conference) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(conference, name) for name in ("id", "user_id", "max_members", *_TEXTS, *_FLAGS)}
    row |= {name: format_time(getattr(conference, name)) for name in _TIMES}
    row["status"] = str(conference.status)
    row["recording_ids"] = list(conference.recording_ids)
    row["members"] = [member.to_json() for member in conference.members]
    return row


def _from_row(row: Any) -> Conference:
    values = {name: value for name, value in row.items() if name != "owner"}
    values |= {name: parse_time(row[name]) for name in _TIMES}
    members = tuple(ConferenceMember(**(member | {"tm_join": parse_time(member["tm_join"])})) for member in row["members"])
    return Conference(
        **(values | {"status": ConferenceStatus(row["status"]), "recording_ids": tuple(row["recording_ids"]), "members": members})
    )
