"""`conference_join`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, TypeAlias, TypedDict

from pydantic import AfterValidator, ConfigDict, Field

from sipcore.actions.base import CLOSED, Action, unless_variable
from sipcore.actions.digits import Keys
from sipcore.conferences.record import check_name

MAX_STAY_S = 86_400

Name: TypeAlias = Annotated[str, AfterValidator(unless_variable(check_name))]
Flag: TypeAlias = Annotated[bool, Field(strict=True)]
Choice: TypeAlias = Annotated[bool | None, Field(strict=True)]


class ConferenceOptions(TypedDict, total=False):
    """The options of `ConferenceJoin` beside which conference it is."""

    moderator: bool
    muted: bool
    end_when_moderator_leaves: bool
    entry_tone: bool | None
    exit_tone: bool | None
    leave_key: str
    max_duration_s: float
    record: bool


@dataclass(frozen=True, slots=True)
class ConferenceJoin(Action):
    """Join a conference, until the call leaves it; the next action follows then, unless the call is over.

    A name that no conference of this user has makes one, which is over when all have left; `POST /v1.0/conferences` and
    `switch.conferences.create` make one that stays. A caller who is not answered yet is answered. Fails when there is no conference of
    this id, and when it is full. The variables `conference.id` and `conference.name` say which it is, and `conference.left_by` afterwards
    why the call has left: `key`, `duration`, `kicked` or `ended`. Keys that were pressed meanwhile are forgotten.

    Attributes:
        conference: Its name, at most 100 characters, or its id.
        moderator: Whether this call leads it; see `end_when_moderator_leaves`.
        muted: Whether nobody hears the call, from the beginning until it is unmuted.
        end_when_moderator_leaves: The conference is over when its last moderator leaves; once a join has said so, it stays so.
        entry_tone: Whether the others hear a tone when this call comes; not said: as the conference or the configuration has it.
        exit_tone: The same when it goes.
        leave_key: Keys with which the call leaves: `#`, `*#`, `any`; empty: none.
        max_duration_s: The call leaves after so long, in seconds; 0: it may stay.
        record: Whether the conference is recorded from now on, if it is not already, until all have left.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "conference_join"
    aliases: ClassVar[Mapping[str, str]] = {"conference_id": "conference"}
    conference: Name
    moderator: Flag = False
    muted: Flag = False
    end_when_moderator_leaves: Flag = False
    entry_tone: Choice = None
    exit_tone: Choice = None
    leave_key: Keys = ""
    max_duration_s: Annotated[float, Field(ge=0, le=MAX_STAY_S, strict=True)] = 0.0
    record: Flag = False
