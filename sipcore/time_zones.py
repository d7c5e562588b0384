"""Time zones by their names in the IANA database: `Europe/Berlin`."""

from __future__ import annotations

import difflib
from zoneinfo import ZoneInfo, available_timezones

from sipcore.errors import InvalidRequest


def time_zone(name: str) -> ZoneInfo:
    """The time zone of this name.

    Raises:
        InvalidRequest: there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found, a path, or a folder of zones
        close = difflib.get_close_matches(name, sorted(available_timezones()), n=1, cutoff=0.5)
        hint = f"; did you mean {close[0]!r}?" if close else ", like 'Europe/Berlin' or 'UTC'"
        raise InvalidRequest(f"{name[:80]!r} is not the name of a time zone{hint}") from None
