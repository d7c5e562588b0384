"""What is known of a recording: the resource that the user sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sipcore.record import format_time


class RecordingStatus(StrEnum):
    """Where a recording is in its life."""

    RECORDING = "recording"
    STOPPING = "stopping"
    """Nothing is recorded any more, its file is being made."""
    ENDED = "ended"
    FAILED = "failed"
    """There is no file; `error` says why."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording, at one moment. Times are UTC, `None` when it has not happened."""

    id: str
    reference_id: str
    """The call, or the conference."""
    tm_create: datetime
    user_id: int = 1
    type: str = "call"
    """`call` or `conference`."""
    status: RecordingStatus = RecordingStatus.RECORDING
    format: str = "wav"
    channels: str = "mono"
    tm_start: datetime | None = None
    tm_end: datetime | None = None
    tm_update: datetime | None = None
    tm_delete: datetime | None = None
    duration_s: float = 0.0
    """Of the file, pauses not counted."""
    size_bytes: int = 0
    end_reason: str = ""
    """`stopped`, `hangup`, `silence`, `key`, `duration`, `size`, or `error`."""
    error: str = ""

    @property
    def filename(self) -> str:
        """Its file in the folder of recordings; empty while there is none, and when nothing was recorded."""
        return f"{self.id}.{self.format}" if self.status == RecordingStatus.ENDED and self.size_bytes else ""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it changes any more."""
        return self.status in {RecordingStatus.ENDED, RecordingStatus.FAILED}

    def to_json(self) -> dict[str, Any]:
        """VoIPBin's twelve keys of a recording, then ours."""
        return {
            "id": self.id,
            "user_id": self.user_id,
            "type": self.type,
            "reference_id": self.reference_id,
            "status": str(self.status),
            "format": self.format,
            "filename": self.filename,
            "tm_start": format_time(self.tm_start),
            "tm_end": format_time(self.tm_end),
            "tm_create": format_time(self.tm_create),
            "tm_update": format_time(self.tm_update),
            "tm_delete": format_time(self.tm_delete),
            "channels": self.channels,
            "duration_s": round(self.duration_s, 3),
            "size_bytes": self.size_bytes,
            "end_reason": self.end_reason,
            "error": self.error,
        }


@dataclass(frozen=True, slots=True)
class RecordingPage:
    """One page of the list of recordings, newest first. `next_page_token` is empty only when `result` is."""

    result: tuple[Recording, ...]
    next_page_token: str

    def to_json(self) -> dict[str, Any]:
        """As a page of calls."""
        return {"result": [recording.to_json() for recording in self.result], "next_page_token": self.next_page_token}
