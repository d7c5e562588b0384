"""What is known of a conference: the resource that the user sees."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sipcore.errors import Fault
from sipcore.record import NIL_ID, format_time

MAX_NAME_CHARS: Final = 100
MAX_DETAIL_CHARS: Final = 1000


class ConferenceStatus(StrEnum):
    """Where a conference is in its life."""

    STARTING = "starting"
    """Nobody has joined yet."""
    PROGRESSING = "progressing"
    TERMINATING = "terminating"
    """It takes nobody any more, and its members are let out."""
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class ConferenceMember:
    """A call that is in a conference."""

    call_id: str
    tm_join: datetime
    is_moderator: bool = False
    is_muted: bool = False
    """The others do not hear it."""

    def to_json(self) -> dict[str, Any]:
        """A member, as it stands in the conference."""
        return {
            "call_id": self.call_id,
            "is_moderator": self.is_moderator,
            "is_muted": self.is_muted,
            "tm_join": format_time(self.tm_join),
        }


@dataclass(frozen=True, slots=True)
class Conference:
    """One conference, at one moment. Times are UTC, `None` when it has not happened."""

    id: str
    name: str
    tm_create: datetime
    user_id: int = 1
    type: str = "conference"
    status: ConferenceStatus = ConferenceStatus.STARTING
    detail: str = ""
    members: tuple[ConferenceMember, ...] = ()
    """In the order in which they came."""
    recording_id: str = NIL_ID
    recording_ids: tuple[str, ...] = ()
    tm_update: datetime | None = None
    tm_delete: datetime | None = None
    """When it was over."""
    is_lasting: bool = True
    """It goes on when it is empty; one that a join has made does not."""
    ends_with_moderator: bool = False
    """It is over when its last moderator leaves."""
    entry_tone: bool = True
    exit_tone: bool = True
    max_members: int = 100

    @property
    def call_ids(self) -> tuple[str, ...]:
        """The calls that are in it, in the order in which they came."""
        return tuple(member.call_id for member in self.members)

    @property
    def is_over(self) -> bool:
        """Whether nothing of it changes any more."""
        return self.status == ConferenceStatus.TERMINATED

    def member(self, call_id: str) -> ConferenceMember | None:
        """The member that this call is."""
        return next((member for member in self.members if member.call_id == call_id), None)

    def to_json(self) -> dict[str, Any]:
        """VoIPBin's twelve keys of a conference, then ours."""
        return {
            "id": self.id,
            "user_id": self.user_id,
            "type": self.type,
            "status": str(self.status),
            "name": self.name,
            "detail": self.detail,
            "call_ids": list(self.call_ids),
            "recording_id": self.recording_id,
            "recording_ids": list(self.recording_ids),
            "tm_create": format_time(self.tm_create),
            "tm_update": format_time(self.tm_update),
            "tm_delete": format_time(self.tm_delete),
            "members": [member.to_json() for member in self.members],
            "end_when_moderator_leaves": self.ends_with_moderator,
            "entry_tone": self.entry_tone,
            "exit_tone": self.exit_tone,
            "max_members": self.max_members,
        }


@dataclass(frozen=True, slots=True)
class ConferencePage:
    """One page of the list of conferences, newest first. `next_page_token` is empty only when `result` is."""

    result: tuple[Conference, ...]
    next_page_token: str

    def to_json(self) -> dict[str, Any]:
        """As a page of calls."""
        return {"result": [conference.to_json() for conference in self.result], "next_page_token": self.next_page_token}


def check_name(text: str) -> str:
    """For a validator: what may be the name, or the id, of a conference.

    Raises:
        ValueError: it is empty, too long, or cannot be printed.
    """
    if not text.strip():
        raise ValueError("must not be empty")
    if len(text) > MAX_NAME_CHARS:
        raise ValueError(f"must have at most {MAX_NAME_CHARS} characters, not {len(text)}")
    if not text.isprintable():
        raise ValueError("must not have control characters")
    return text


def check_text(path: str, value: object, max_chars: int) -> list[Fault]:
    """What is wrong with a text that people read."""
    if not isinstance(value, str):
        return [Fault(path, f"must be a string, not {type(value).__name__}")]
    if len(value) > max_chars:
        return [Fault(path, f"must have at most {max_chars} characters, not {len(value)}")]
    return [] if value.isprintable() else [Fault(path, "must not have control characters")]
