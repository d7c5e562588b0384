"""The steps of a scenario: what one party sends, expects and waits for, one after the other.

    steps = (
        send("INVITE", sdp="sendrecv"),
        receive(180, optional=True),
        receive(200),
        send("ACK"),
        pause(),
        send("BYE"),
        receive(200),
    )

Who a message goes to, its tags, branches, CSeq and routes follow from the steps before it. `${name}` in any text is a variable of the
scenario; `[local_ip]` and the like are SIPp's own words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Media = Literal["", "sendrecv", "sendonly", "recvonly", "inactive"]

PAUSE: Final = "${pause_ms}"


@dataclass(frozen=True, slots=True)
class Match:
    """A header of a message that is received has to look so, or is tried for it.

    With `name` the message is taken either way, and a step with `when=name` asks later whether it looked so.
    """

    header: str
    """`Subscription-State`; empty: anywhere in the message."""
    pattern: str
    """A POSIX extended regular expression."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request (a method) or a response (a status code) to the request received last, or to the one kept under `answers`."""

    what: str
    sdp: Media = ""
    """The direction in the SDP; empty: none is sent."""
    headers: tuple[str, ...] = ()
    """Further header lines."""
    body: str = ""
    """Instead of SDP, with its type in `body_type`."""
    body_type: str = ""
    phrase: str = ""
    answers: str = ""
    tag: str = ""
    """Added to our tag: another fork of the same request."""
    has_credentials: bool = False
    """Answers the challenge received last with the scenario's `username` and `password`."""
    when: str = ""
    """With `go`: jump only if this match of a message before was one."""
    go: str = ""
    """The label to go on at."""
    is_repeated: bool = True
    """Whether SIPp sends a request or final answer again until it is answered (RFC 3261 §17)."""

    @property
    def is_response(self) -> bool:
        """Whether it is one: `what` is a status code or a variable for one."""
        return not self.what.isalpha()


@dataclass(frozen=True, slots=True)
class Receive:
    """Expect a request (a method) or a response (a status code)."""

    what: str
    optional: bool = False
    """It may come before the next one that is not optional."""
    keep: str = ""
    """Keep the request under this name: it is answered later, after others have come."""
    matches: tuple[Match, ...] = ()
    timeout_ms: str = ""
    """Fail, or go on at `on_timeout`, when it does not come for so long."""
    on_timeout: str = ""
    go: str = ""
    """The label to go on at when it comes."""
    is_challenge: bool = False
    """The response asks for credentials."""

    @property
    def is_response(self) -> bool:
        """Whether it is one."""
        return not self.what.isalpha()


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so many milliseconds; empty: for as long as `sipp -d` says. What the other side sends again meanwhile is absorbed."""

    ms: str = PAUSE


@dataclass(frozen=True, slots=True)
class Label:
    """A place to go to."""

    name: str


@dataclass(frozen=True, slots=True)
class Jump:
    """Go on at a label."""

    to: str


@dataclass(frozen=True, slots=True)
class PlayDigits:
    """Press keys as RFC 4733 events. SIPp does so through a raw socket: it has to be root, or have CAP_NET_RAW."""

    digits: str


@dataclass(frozen=True, slots=True)
class PlayFile:
    """Send a file of encoded audio without a header (8000 bytes a second for G.711) as RTP, `times` over, -1: until the end."""

    path: str
    times: str = "1"


Step = Send | Receive | Pause | Label | Jump | PlayDigits | PlayFile


def send(
    what: str | int,
    *headers: str,
    sdp: Media = "",
    body: str = "",
    body_type: str = "",
    phrase: str = "",
    answers: str = "",
    tag: str = "",
    has_credentials: bool = False,
    when: str = "",
    go: str = "",
    is_repeated: bool = True,
) -> Send:
    """See `Send`."""
    return Send(str(what), sdp, headers, body, body_type, phrase, answers, tag, has_credentials, when, go, is_repeated)


def receive(
    what: str | int,
    *matches: Match,
    optional: bool = False,
    keep: str = "",
    timeout_ms: int | str = "",
    on_timeout: str = "",
    go: str = "",
    is_challenge: bool = False,
) -> Receive:
    """See `Receive`."""
    return Receive(str(what), optional, keep, matches, str(timeout_ms), on_timeout, go, is_challenge)


def pause(ms: int | str = PAUSE) -> Pause:
    """See `Pause`."""
    return Pause(str(ms))
