"""Actions that begin, join, pass on and end calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from sipcore.actions.base import CLOSED, Action, CheckedAddress, header_text, listed
from sipcore.addresses import Address, parse_address

MAX_DESTINATIONS = 100


@dataclass(frozen=True, slots=True)
class Connect(Action):
    """Ring every destination at once and bridge the first that answers.

    The caller hears ringback until then; a call from outside that is not answered yet is answered when the other side is. Ends when the
    other side hangs up, when all refuse, or after `timeout_s` without an answer; the call then goes on with its next action.

    Attributes:
        destinations: Who to ring.
        source: Caller id of the new legs; the call's own source by default. Text is turned into an `Address` when the list is checked.
        timeout_s: How long to ring, in seconds.
        trunk: The trunk to call through, by name; chosen by destination by default.
        unchained: VoIPBin's option: True lets a bridged leg live on when this call hangs up. Accepted as False only.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "connect"
    destinations: Annotated[Sequence[CheckedAddress], BeforeValidator(listed), Field(min_length=1, max_length=MAX_DESTINATIONS)]
    source: CheckedAddress | None = None
    timeout_s: Annotated[float, Field(gt=0, le=600, strict=True)] = 60.0
    unchained: Literal[False] = False
    trunk: Annotated[str, Field(max_length=64)] = ""

    @property
    def addresses(self) -> tuple[Address, ...]:
        """`destinations`, parsed."""
        return tuple(parse_address(destination) for destination in self.destinations)

    @property
    def source_address(self) -> Address | None:
        """`source`, parsed."""
        return None if self.source is None else parse_address(self.source)


@dataclass(frozen=True, slots=True)
class Answer(Action):
    """Answer a call from outside; done when it is answered, at once when it already is.

    What `talk` and `play` before it say is early media: the caller hears it, and nobody is charged (RFC 3960).
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "answer"


@dataclass(frozen=True, slots=True)
class Reject(Action):
    """Refuse a call from outside that is not answered, which ends it. Fails on any other call.

    Attributes:
        code: The final SIP answer: 486 busy, 480 unavailable, 603 declined, 404, ...
        phrase: Its text; the usual one by default.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "reject"
    code: Annotated[int, Field(ge=400, le=699, strict=True)] = 486
    phrase: Annotated[str, AfterValidator(header_text)] = ""


@dataclass(frozen=True, slots=True)
class Transfer(Action):
    """Ask the far end to call somebody else in our place (REFER, RFC 5589 §6); when it has done so, the call is hung up.

    Fails with the far end's code when it will not, or cannot; the call then goes on with its next action.

    Attributes:
        target: Who is to be called.
        timeout_s: How long to wait for the outcome, in seconds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "transfer"
    target: CheckedAddress
    timeout_s: Annotated[float, Field(gt=0, le=600, strict=True)] = 60.0

    @property
    def address(self) -> Address:
        """`target`, parsed."""
        return parse_address(self.target)
