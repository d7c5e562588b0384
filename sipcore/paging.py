"""The arguments of every listing: how many, and after which."""

from __future__ import annotations

import re
from datetime import datetime

from sipcore.errors import Fault, InvalidRequest

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)


def check_paging(page_size: object, page_token: object) -> None:
    """Refuse what is no page size, or no `next_page_token`.

    Raises:
        InvalidRequest: naming it.
    """
    if isinstance(page_size, bool) or not isinstance(page_size, int) or page_size < 1:
        raise InvalidRequest([Fault("page_size", f"must be a number from 1 to 100, not {page_size!r}")])
    if page_token and not (isinstance(page_token, str) and _is_time(page_token)):
        raise InvalidRequest([Fault("page_token", f"{page_token!r} is not a next_page_token")])


def _is_time(text: str) -> bool:
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text.ljust(26, "0") if "." in text else text)
    except ValueError:
        return False
    return True
