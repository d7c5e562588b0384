"""What is told of the legs of an action when it is over."""

from __future__ import annotations

from collections.abc import Iterable

from sipcore.call import Status
from sipcore.events import LegResult
from sipcore.record import CallRecord


def leg_results(records: Iterable[CallRecord]) -> tuple[LegResult, ...]:
    """How each leg ended; the reason is empty while it is not over."""
    return tuple(_leg_result(record) for record in records)


def _leg_result(record: CallRecord) -> LegResult:
    reason = str(record.hangup_reason) or ("" if record.status != Status.HANGUP else "normal")
    return LegResult(record.id, str(record.destination), record.tm_progressing is not None, reason, record.sip_code)
