"""What a caller is told when nobody of those he was to be connected to could be reached."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sipcore.call import HangupReason
from sipcore.record import CallRecord

UNAVAILABLE: Final = 480
BUSY: Final = 486
_GLOBAL_FAILURE: Final = 6
_ABOUT_US: Final = frozenset({401, 407, 420, 421, 422, 494})
"""Refusals of something in our own INVITE, which the caller can do nothing about."""
_OVERLOADED, _SERVER_ERROR = 503, 500


def relayed(records: Iterable[CallRecord]) -> tuple[int, str, HangupReason]:
    """The code, its phrase and the reason that a caller is told for these legs, which all have failed.

    The best of them by RFC 3261 §16.7: any 6xx, else one of the lowest class, the first that came; a 503 is ours to keep, and becomes 500.
    480 when none was refused for a reason of its own.
    """
    refusals = [record for record in records if _is_refusal(record)]
    if not refusals:
        return UNAVAILABLE, "", HangupReason.NOANSWER
    best = min(refusals, key=lambda record: (record.sip_code // 100 != _GLOBAL_FAILURE, record.sip_code // 100, record.tm_update))
    if best.sip_code == _OVERLOADED:
        return _SERVER_ERROR, "", HangupReason.FAILED
    return best.sip_code, best.sip_phrase, HangupReason(best.hangup_reason)


def _is_refusal(record: CallRecord) -> bool:
    is_theirs = record.hangup_by == "remote" and record.tm_progressing is None
    return is_theirs and record.sip_code >= 400 and record.sip_code not in _ABOUT_US
