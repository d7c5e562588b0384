"""The record of a call: what the user sees, and what is kept.

Twenty keys are fixed by the VoIPBin call resource, in this order, always all present: an unset time is `""`, an unset id the nil UUID, an
unset list `[]`. Beside them the record keeps what a support engineer asks for first: the SIP answer, the Q.850 cause, the RTP numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sipcore.addresses import Address
from sipcore.engine import RtpStatistics
from sipcore.quality import Quality, quality_of

NIL_ID = "00000000-0000-0000-0000-000000000000"
_TIME_CHARS = len("2021-02-04 04:44:20.904662")


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, at one moment. Times are UTC, `None` when it has not happened."""

    id: str
    source: Address
    destination: Address
    tm_create: datetime
    user_id: int = 1
    flow_id: str = NIL_ID
    conf_id: str = NIL_ID
    type: str = "flow"
    master_call_id: str = NIL_ID
    chained_call_ids: tuple[str, ...] = ()
    recording_id: str = NIL_ID
    recording_ids: tuple[str, ...] = ()
    status: str = "dialing"
    direction: str = "outgoing"
    hangup_by: str = ""
    hangup_reason: str = ""
    """While a local hang-up is under way this names its reason already; public only once the call is over."""
    tm_update: datetime | None = None
    tm_progressing: datetime | None = None
    tm_ringing: datetime | None = None
    tm_hangup: datetime | None = None
    sip_code: int = 0
    """The final answer to our INVITE, or of the far end's request; 0 when there was none."""
    sip_phrase: str = ""
    q850_cause: int | None = None
    """ITU-T Q.850 cause from a Reason header (RFC 3326), when one came."""
    statistics: RtpStatistics | None = None
    """What the RTP stream did; `None` until the end, or when there was no stream."""

    @property
    def quality(self) -> Quality | None:
        """How good the call was to hear; `None` until the end, or when there was no stream."""
        return None if self.statistics is None else quality_of(self.statistics)

    @property
    def is_over(self) -> bool:
        """Whether the call has reached `hangup`; nothing changes any more then."""
        return self.tm_hangup is not None

    @property
    def duration_s(self) -> float:
        """Answered time in seconds, 0.0 when the call was never answered or is not over."""
        if self.tm_progressing is None or self.tm_hangup is None:
            return 0.0
        return (self.tm_hangup - self.tm_progressing).total_seconds()

    def _repr_html_(self) -> str:
        from sipcore.call_page import draw_call  # which knows records

        return draw_call(self, self.quality)

    def to_json(self) -> dict[str, Any]:
        """The twenty keys of the call resource, in its order."""
        return {
            "id": self.id,
            "user_id": self.user_id,
            "flow_id": self.flow_id,
            "conf_id": self.conf_id,
            "type": self.type,
            "master_call_id": self.master_call_id,
            "chained_call_ids": list(self.chained_call_ids),
            "recording_id": self.recording_id,
            "recording_ids": list(self.recording_ids),
            "source": self.source.to_json(),
            "destination": self.destination.to_json(),
            "status": str(self.status),
            "direction": self.direction,
            "hangup_by": self.hangup_by,
            "hangup_reason": str(self.hangup_reason) if self.is_over else "",
            "tm_create": format_time(self.tm_create),
            "tm_update": format_time(self.tm_update),
            "tm_progressing": format_time(self.tm_progressing),
            "tm_ringing": format_time(self.tm_ringing),
            "tm_hangup": format_time(self.tm_hangup),
        }


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the call list, newest first. `next_page_token` is empty only when `result` is."""

    result: tuple[CallRecord, ...]
    next_page_token: str

    def to_json(self) -> dict[str, Any]:
        """The listing of the call resource."""
        return {"result": [record.to_json() for record in self.result], "next_page_token": self.next_page_token}


def format_time(moment: datetime | None) -> str:
    """`YYYY-MM-DD HH:MM:SS.ffffff` in UTC, `""` for `None`."""
    if moment is None:
        return ""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(" ", "microseconds")[:_TIME_CHARS]


def parse_time(text: str) -> datetime | None:
    """The inverse of `format_time`.

    Raises:
        ValueError: the text is not a time of this form.
    """
    if not text:
        return None
    if len(text) != _TIME_CHARS or text[10] != " ":
        raise ValueError(f"{text!r} is not a time like 2021-02-04 04:44:20.904662")
    return datetime.fromisoformat(f"{text}+00:00")  # a page of calls has 500 times, and strptime takes 25 us for each
