"""What became of one call of a load test, from its events. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sipcore import events
from sipcore.quality import Quality, quality_of
from sipcore.record import CallRecord

_OURS: Final = {"dialout", "cancel"}
"""Reasons that say more than the 487 to our CANCEL."""


@dataclass(frozen=True, slots=True)
class LoadedCall:
    """One call. Durations are milliseconds from the INVITE unless they say otherwise, `None` when it has not happened."""

    number: int
    """From 1."""
    destination: str
    started_s: float
    """When it began, in seconds after the begin of the test."""
    late_ms: float
    """How much later it began than was planned."""
    call_id: str = ""
    ended_s: float = 0.0
    """When it was over, in seconds after the begin of the test."""
    setup_ms: float | None = None
    """The far end rang (180, 183), or answered without."""
    answer_ms: float | None = None
    first_audio_ms: float | None = None
    """First RTP packet of the far end, from the answer; 0 for one that came before."""
    sip_code: int = 0
    hangup_by: str = ""
    talked_s: float = 0.0
    failure: str = ""
    """Why it is one that failed: `486 Busy Here`, `dialout`, `play failed: ...`; empty: it did not."""
    quality: Quality | None = None

    @property
    def is_answered(self) -> bool:
        """Whether the far end answered."""
        return self.answer_ms is not None

    @property
    def is_silent(self) -> bool:
        """Whether it was answered, and no RTP came."""
        return self.is_answered and (self.quality is None or self.quality.received == 0)


class Observation:
    """Watches the events of one call."""

    def __init__(self) -> None:
        self._dialed: datetime | None = None
        self._rang: datetime | None = None
        self._answered: datetime | None = None
        self._failed_action = ""

    def see(self, event: events.CallEvent) -> None:
        """The next event."""
        match event:
            case events.CallDialing():
                self._dialed = event.at
            case events.CallRinging():
                self._rang = self._rang or event.at
            case events.CallAnswered():
                self._answered = event.at
            case events.ActionFinished(outcome="failed"):
                self._failed_action = self._failed_action or f"{event.type} failed: {event.detail}"
            case _:
                pass

    def result(self, begun: LoadedCall, record: CallRecord, ended_s: float, first_audio_at: datetime | None) -> LoadedCall:
        """What became of the call that began as `begun`, now that it is over."""
        first_audio = None if first_audio_at is None or self._answered is None else max(first_audio_at, self._answered)
        return LoadedCall(
            begun.number,
            begun.destination,
            begun.started_s,
            begun.late_ms,
            record.id,
            ended_s,
            setup_ms=_ms(self._dialed, self._rang or self._answered),
            answer_ms=_ms(self._dialed, self._answered),
            first_audio_ms=_ms(self._answered, first_audio),
            sip_code=record.sip_code,
            hangup_by=str(record.hangup_by),
            talked_s=record.duration_s,
            failure=self._failure(record),
            quality=None if record.statistics is None else quality_of(record.statistics),
        )

    def _failure(self, record: CallRecord) -> str:
        if self._answered is None:
            reason = str(record.hangup_reason)
            if reason in _OURS:
                return reason
            return f"{record.sip_code} {record.sip_phrase}".strip() if record.sip_code else _because(reason, record)
        if str(record.hangup_reason) != "normal":
            return _because(f"{record.hangup_reason} after the answer", record)
        return self._failed_action


def _because(reason: str, record: CallRecord) -> str:
    return f"{reason}: {record.sip_phrase}" if record.sip_phrase else reason


def _ms(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else round((end - start).total_seconds() * 1000, 3)
