"""What many scenarios have in common."""

from __future__ import annotations

from typing import Final

from sipcore.testing.scenarios.scenario import Variable
from sipcore.testing.scenarios.steps import Label, Match, Media, Receive, Step, receive, send

HAS_MEDIA: Final = Match("", "m=audio [1-9]")
PROVISIONAL: Final[tuple[Receive, ...]] = (receive(100, optional=True), receive(180, optional=True), receive(183, optional=True))
SHORT: Final = {"pause_ms": Variable("300", "length of each pause; empty: what `sipp -d` says")}


def code(default: int, summary: str) -> dict[str, Variable]:
    """A variable `code`."""
    return {"code": Variable(str(default), summary)}


def invite(*headers: str, sdp: Media = "sendrecv") -> tuple[Step, ...]:
    """Call until the 2xx and its ACK."""
    return (send("INVITE", *headers, sdp=sdp), *PROVISIONAL, receive(200, HAS_MEDIA), send("ACK"))


def hang_up() -> tuple[Step, ...]:
    """BYE and its 200."""
    return (send("BYE"), receive(200))


def be_hung_up() -> tuple[Step, ...]:
    """BYE of the other side."""
    return (receive("BYE"), send(200))


def answer(*headers: str) -> tuple[Step, ...]:
    """200 with SDP, ACK."""
    return (send(200, *headers, sdp="sendrecv"), receive("ACK"))


def ask(what: str, *headers: str, sdp: Media = "", expect: int = 200, body: str = "", body_type: str = "") -> tuple[Step, ...]:
    """A request within the dialog, and its answer; of an INVITE also the ACK."""
    request = send(what, *headers, sdp=sdp, body=body, body_type=body_type)
    if what != "INVITE":
        return (request, receive(expect))
    return (request, receive(100, optional=True), receive(expect), send("ACK"))


def notify(state: str, fragment: str) -> tuple[Step, ...]:
    """Tell who has sent a REFER how it goes (RFC 3515 §2.4.5)."""
    headers = ("Event: refer", f"Subscription-State: {state}")
    return (send("NOTIFY", *headers, body=fragment, body_type="message/sipfrag"), receive(200))


def be_told() -> tuple[Step, ...]:
    """NOTIFYs until the one that ends the subscription."""
    final = Match("Subscription-State", "terminated", "final")
    return (
        receive("NOTIFY", final),
        Label("told"),
        send(200, when="final", go="all_told"),
        receive("NOTIFY", final, go="told"),  # no `Jump`: a NOTIFY that comes while SIPp is at one is unexpected
        Label("all_told"),
    )
