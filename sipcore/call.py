"""The state of one call: the table, and the only rules that move a call through it.

Rule 1: everything that decides the status of a call, who ended it and why stands in this file.
Rule 2: this file has no clock, no I/O and no memory; time comes in as an argument, the new record goes out.

The table is VoIPBin's. Whatever it does not list is refused, same-to-same included::

    dialing     -> ringing | progressing | canceling | terminating | hangup
    ringing     -> progressing | canceling | terminating | hangup
    progressing -> terminating | hangup
    terminating -> hangup
    canceling   -> hangup

What *we* ask for and the table refuses raises `InvalidState`: that is a mistake of the caller. What the far end, the
network or PJSIP does never raises: an input that does not fit is dropped and the record stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from sipcore.errors import InvalidState
from sipcore.record import CallRecord


class Status(StrEnum):
    """Where a call is."""

    DIALING = "dialing"
    RINGING = "ringing"
    PROGRESSING = "progressing"
    TERMINATING = "terminating"
    CANCELING = "canceling"
    HANGUP = "hangup"


class HangupReason(StrEnum):
    """Why a call ended; set once, never empty on a finished call."""

    NORMAL = "normal"
    BUSY = "busy"
    NOANSWER = "noanswer"
    CANCEL = "cancel"
    TIMEOUT = "timeout"
    DIALOUT = "dialout"
    FAILED = "failed"
    AMD = "amd"
    """A machine has answered."""


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.DIALING: frozenset({Status.RINGING, Status.PROGRESSING, Status.CANCELING, Status.TERMINATING, Status.HANGUP}),
    Status.RINGING: frozenset({Status.PROGRESSING, Status.CANCELING, Status.TERMINATING, Status.HANGUP}),
    Status.PROGRESSING: frozenset({Status.TERMINATING, Status.HANGUP}),
    Status.TERMINATING: frozenset({Status.HANGUP}),
    Status.CANCELING: frozenset({Status.HANGUP}),
    Status.HANGUP: frozenset(),
}

LIVE = frozenset(status for status in Status if TRANSITIONS[status])
UNANSWERED = frozenset({Status.DIALING, Status.RINGING})
WORKING = UNANSWERED | {Status.PROGRESSING}
"""Nobody on our side has asked for the end yet."""
_LOCAL_ENDINGS = frozenset({Status.TERMINATING, Status.CANCELING})

# RFC 3261 §21.4, §21.6, both ways: what the far end sends us, and what we send a caller. A 408 of the far end counts as "nobody picked
# up" only once it had said that it rings.
_BUSY = frozenset({486, 600})
_NO_ANSWER = frozenset({480, 603})
_REQUEST_TIMEOUT = 408
_CANCELLED = 487
_SERVER_FAILURE = 5

# ------------------------------------------------------------------------------------------------------- inputs


@dataclass(frozen=True, slots=True)
class Rang:
    """The far end sent a provisional answer that names a dialog: 180, 181, 182, 183."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The far end answered our INVITE with a 2xx, or has acknowledged ours."""

    sip_code: int = 200
    sip_phrase: str = "OK"


@dataclass(frozen=True, slots=True)
class HangupAsked:
    """We want the call to end, for this reason: `normal`, or `cancel`, `dialout`, `timeout`; `reason_of_refusal` for a caller we refuse."""

    reason: HangupReason = HangupReason.NORMAL


@dataclass(frozen=True, slots=True)
class Ended:
    """The leg is over. `sip_code` 0: no SIP message ended it. `is_failure`: something of ours or the network broke."""

    sip_code: int = 0
    sip_phrase: str = ""
    q850_cause: int | None = None
    is_failure: bool = False


Input = Rang | Answered | HangupAsked | Ended

# -------------------------------------------------------------------------------------------------------- rules


def can(status: Status, to: Status) -> bool:
    """Whether the table lists this step."""
    return to in TRANSITIONS[status]


def advance(record: CallRecord, given: Input, now: datetime) -> CallRecord:
    """The record after one input at time `now`; the same object when the input changes nothing.

    Raises:
        InvalidState: `HangupAsked` of a call that is ending or over already.
    """
    match given:
        case Rang():
            return _moved(record, Status.RINGING, now, tm_ringing=now)
        case Answered():
            answer = {"sip_code": given.sip_code, "sip_phrase": given.sip_phrase}
            return _moved(record, Status.PROGRESSING, now, tm_progressing=now, **answer)
        case HangupAsked():
            return _asked(record, given, now)
        case Ended():
            return _ended(record, given, now)
        case _:
            assert_never(given)


def ending_for(record: CallRecord) -> Status:
    """The status a local hang-up leads to: an outgoing call that is not answered is cancelled, any other terminated."""
    is_cancel = record.direction == "outgoing" and record.status in UNANSWERED
    return Status.CANCELING if is_cancel else Status.TERMINATING


def reason_of_refusal(sip_code: int) -> HangupReason:
    """Why a call from outside is over that we refuse with this code: `busy`, `noanswer`, `failed` for our own faults, or `normal`."""
    if sip_code in _BUSY:
        return HangupReason.BUSY
    if sip_code in _NO_ANSWER or sip_code == _REQUEST_TIMEOUT:
        return HangupReason.NOANSWER
    return HangupReason.FAILED if sip_code // 100 == _SERVER_FAILURE else HangupReason.NORMAL


def _moved(record: CallRecord, to: Status, now: datetime, **changes: object) -> CallRecord:
    if not can(Status(record.status), to):
        return record
    return replace(record, status=to, tm_update=now, **changes)  # type: ignore[arg-type]


def _asked(record: CallRecord, asked: HangupAsked, now: datetime) -> CallRecord:
    to = ending_for(record)
    if not can(Status(record.status), to):
        raise InvalidState(record.id, record.status, "hangup")
    reason = asked.reason
    if to is Status.CANCELING and reason is HangupReason.NORMAL:
        reason = HangupReason.CANCEL
    return replace(record, status=to, hangup_reason=reason, tm_update=now)


def _ended(record: CallRecord, ended: Ended, now: datetime) -> CallRecord:
    if not can(Status(record.status), Status.HANGUP):
        return record
    was_local = record.status in _LOCAL_ENDINGS
    keeps_answer = record.tm_progressing is not None and ended.sip_code == 0
    return replace(
        record,
        status=Status.HANGUP,
        hangup_by="local" if was_local else "remote",
        hangup_reason=record.hangup_reason or _reason(record, ended),
        sip_code=record.sip_code if keeps_answer else ended.sip_code,
        sip_phrase=record.sip_phrase if keeps_answer else ended.sip_phrase,
        q850_cause=ended.q850_cause,
        tm_update=now,
        tm_hangup=now,
    )


def _reason(record: CallRecord, ended: Ended) -> HangupReason:
    """Why a call that we did not end is over."""
    status = Status(record.status)
    if ended.is_failure:
        return HangupReason.FAILED
    if status is Status.PROGRESSING:
        return HangupReason.NORMAL
    if record.direction == "incoming" and ended.sip_code == _CANCELLED:
        return HangupReason.NORMAL  # the caller gave up; `cancel` is our own
    if ended.sip_code in _BUSY:
        return HangupReason.BUSY
    if ended.sip_code in _NO_ANSWER or (ended.sip_code == _REQUEST_TIMEOUT and status is Status.RINGING):
        return HangupReason.NOANSWER
    return HangupReason.FAILED
