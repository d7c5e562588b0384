"""Actions that begin, join, pass on and end calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Annotated, ClassVar, Literal, TypedDict

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from sipcore.actions.base import CLOSED, Action, CheckedAddress, header_text, listed
from sipcore.addresses import NAME_MAX_CHARS, Address, check_header_text, parse_address
from sipcore.config_trunks import further_headers
from sipcore.errors import InvalidRequest

MAX_DESTINATIONS = 100
MAX_HEADERS = 32
IN_ORDER_RING_S = 20.0
"""How long each of several rings that are rung one after the other."""


def _display_name(value: str) -> str:
    try:
        return check_header_text(value, "", NAME_MAX_CHARS)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Confirm:
    """What whoever answers a `connect` is asked before he is bridged.

    Attributes:
        text: What is said to him.
        digit: The key that accepts; any other key says nothing. Empty: he is only told, and bridged when the text is over.
        timeout_s: How long to wait for it once the text is over, in seconds; then he is hung up.
        language: Of the text, as in `talk`.
        gender: Of the voice, as in `talk`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    text: str
    digit: Annotated[str, Field(pattern=r"^[0-9A-D*#]?$")] = "1"
    timeout_s: Annotated[float, Field(gt=0, le=600, strict=True)] = 10.0
    language: str = "en-US"
    gender: Literal["female", "male", "neutral"] = "female"


@dataclass(frozen=True, slots=True)
class Connect(Action):
    """Ring the destinations and bridge the first that answers.

    The caller hears ringback until then; a call from outside that is not answered yet is answered when the other side is. Ends when the
    other side hangs up, when all refuse, or after `timeout_s` without an answer; the call then goes on with its next action.

    Attributes:
        destinations: Who to ring.
        source: Caller id of the new legs; the call's own source by default. Text is turned into an `Address` when the list is checked.
        timeout_s: How long to ring in all, in seconds.
        unchained: True lets a bridged leg live on when this call hangs up, until its own far end hangs up or its time is over; it is
            not listed in `chained_call_ids` then.
        trunk: The trunk to call through, by name; chosen by destination by default.
        ring: `all` at once, or `in_order`: the next one when one refuses, fails, or has rung for `leg_timeout_s`. In order, a call needs
            room for one more leg only, however many destinations there are.
        leg_timeout_s: How long each destination rings, in seconds; by default as long as all, in order 20 (`ring_in_order_s` in `[flow]` of
            the configuration).
        ringback: What the caller hears meanwhile, a file or URL as in `play`, repeated; the ringback tone by default, and when it
            cannot be had or takes more than a second to come.
        early_media: Whether the caller hears what a ringing leg sends before its answer (announcements of a network), in place of the
            ringback. As long as exactly one leg sends anything.
        confirm: Asks whoever answers before he is bridged: `{"text": "...", "digit": "1", "timeout_s": 10}`. The caller goes on
            hearing ringback, the other legs go on ringing, and the first that accepts is bridged. With an empty `digit` he is only told.
        relay_reason: Whether this call ends when nobody was reached, for the reason the others gave: a caller who waits is refused with
            their code (RFC 3261 §16.7 says whose), an answered call is hung up with their hangup reason.
        source_name: The display name of the caller id.
        anonymous: `yes` hides who calls: From is anonymous (RFC 3323), and trunks with `p_asserted_identity` are told the caller id with
            `Privacy: id` (RFC 3325). `auto` does so for a caller who came in anonymous, `no` never.
        headers: Further headers of the INVITEs, by name; they go before those of the trunk. Headers that SIP needs itself are refused.
        max_duration_s: How long the two may be connected, in seconds; then the other side is hung up, and this call goes on.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "connect"
    destinations: Annotated[Sequence[CheckedAddress], BeforeValidator(listed), Field(min_length=1, max_length=MAX_DESTINATIONS)]
    source: CheckedAddress | None = None
    timeout_s: Annotated[float, Field(gt=0, le=600, strict=True)] = 60.0
    unchained: Annotated[bool, Field(strict=True)] = False
    trunk: Annotated[str, Field(max_length=64)] = ""
    _: KW_ONLY
    ring: Literal["all", "in_order"] = "all"
    leg_timeout_s: Annotated[float, Field(gt=0, le=600, strict=True)] | None = None
    ringback: str = ""
    early_media: Annotated[bool, Field(strict=True)] = False
    confirm: Confirm | None = None
    relay_reason: Annotated[bool, Field(strict=True)] = False
    source_name: Annotated[str, AfterValidator(_display_name)] = ""
    anonymous: Literal["yes", "no", "auto"] = "auto"
    headers: Annotated[Mapping[str, str], Field(max_length=MAX_HEADERS), AfterValidator(further_headers)] = field(default_factory=dict)
    max_duration_s: Annotated[float, Field(gt=0, le=86_400, strict=True)] | None = None

    @property
    def legs_at_once(self) -> int:
        """The most legs that it has up at once."""
        return len(self.destinations) if self.ring == "all" else 1

    def ring_s(self, in_order_s: float = IN_ORDER_RING_S) -> float:
        """How long each destination rings; `in_order_s` where one rings after the other, and nothing else is said."""
        return self.leg_timeout_s or (self.timeout_s if self.ring == "all" else in_order_s)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """`destinations`, parsed."""
        return tuple(parse_address(destination) for destination in self.destinations)

    @property
    def source_address(self) -> Address | None:
        """`source`, parsed."""
        return None if self.source is None else parse_address(self.source)


class ConnectOptions(TypedDict, total=False):
    """The options of `Connect` that only some need, for the signatures of methods."""

    unchained: bool
    ring: Literal["all", "in_order"]
    leg_timeout_s: float | None
    ringback: str
    early_media: bool
    confirm: Confirm | None
    relay_reason: bool
    source_name: str
    anonymous: Literal["yes", "no", "auto"]
    headers: Mapping[str, str]
    max_duration_s: float | None
    id: str


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
    """Hand the far end over to somebody else; when it is with him, the call is hung up.

    Blind, the far end is asked to call him in our place (REFER, RFC 5589 §6). That fails with the far end's code when it will not, or
    cannot; the call then goes on with its next action.

    Attended, we call him first, as `connect` does: the far end hears ringback until he has answered, and then the two hear each other
    through us. The far end is then asked to take our place in his call (REFER with Replaces, RFC 5589 §7.3, RFC 3891), which takes us out
    of it; when it will not, or cannot, they go on through us, and the call is hung up when one of them hangs up. Fails when he does not
    answer, and the call goes on with its next action.

    Attributes:
        target: Who is to be called.
        timeout_s: How long to wait for the outcome of a blind transfer, or for his answer, in seconds.
        attended: Whether we call him first.
        confirm: What he is told and asked before the two hear each other, as in `connect`; only where `attended`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "transfer"
    target: CheckedAddress
    timeout_s: Annotated[float, Field(gt=0, le=600, strict=True)] = 60.0
    _: KW_ONLY
    attended: Annotated[bool, Field(strict=True)] = False
    confirm: Confirm | None = None

    @property
    def address(self) -> Address:
        """`target`, parsed."""
        return parse_address(self.target)

    @property
    def consultation(self) -> Connect | None:
        """How he is called first; `None` where he is not."""
        return Connect([self.target], timeout_s=self.timeout_s, confirm=self.confirm) if self.attended else None
