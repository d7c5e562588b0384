"""What the tables of the store have in common: rows are kept by id and listed newest first by `tm_create`."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import Insert
from sqlalchemy.dialects.sqlite import insert as upsert

MAX_PAGE_SIZE: Final = 100


def put_statement(table: sa.Table) -> Insert:
    """Keeps a row, new or changed; `tm_create` stays as it was first. To be made once: building it takes longer than running it."""
    insert = upsert(table)
    changed = {column.name: insert.excluded[column.name] for column in table.columns if column.name != "tm_create"}
    return insert.on_conflict_do_update(index_elements=["id"], set_=changed)


def page_query(table: sa.Table, page_size: int, page_token: str | None, user_id: int | None) -> sa.Select[Any]:
    """The rows of one page: created before `page_token`, newest first, of everybody when `user_id` is `None`."""
    query = sa.select(table).order_by(table.c.tm_create.desc()).limit(min(page_size, MAX_PAGE_SIZE))
    if page_token:
        query = query.where(table.c.tm_create < page_token)
    if user_id is not None:
        query = query.where(table.c.user_id == user_id)
    return query
