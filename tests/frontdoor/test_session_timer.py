"""Session timers below our minimum: 422 before anybody is asked (RFC 4028)."""

from __future__ import annotations

import pytest

from sipcore.frontdoor.message import parse
from sipcore.frontdoor.router import ToFlow
from sipcore.frontdoor.session_timer import too_short

from .routing import SDP, STRANGER, TRUNK, ask, only, place, request, router_with, status


def refused(least_s: int, *extra: str) -> tuple[tuple[str, str], ...]:
    return too_short(parse(request(extra=extra)), least_s)


@pytest.mark.parametrize(
    ("least_s", "extra", "min_se"),
    [
        (90, ("Supported: timer", "Session-Expires: 89"), "90"),
        (90, ("Supported: timer", "Session-Expires: 0"), "90"),
        (90, ("Supported: timer", "Session-Expires: 90"), ""),
        (90, ("k: 100rel , TIMER", "x: 30;refresher=uac"), "90"),
        (90, ("Supported: 100rel", "Require: timer", "Session-Expires: 30"), "90"),
        (300, ("Supported: timer", "Session-Expires: 299;refresher=uas"), "300"),
        (300, ("Supported: timer", "Session-Expires: 300"), ""),
        (30, ("Supported: timer", "Session-Expires: 60"), "90"),
        (90, ("Supported: timer", "Session-Expires: 100", "Min-SE: 200;x=1"), "200"),
        (90, ("Supported: timer", "Min-SE: 200"), ""),
        (90, ("Supported: timer",), ""),
        (0, ("Supported: timer", "Session-Expires: 1"), ""),
    ],
)
def test_what_is_too_short(least_s, extra, min_se):
    assert refused(least_s, *extra) == ((("Min-SE", min_se),) if min_se else ())


def test_who_does_not_know_timers_is_not_refused():
    """A proxy has put it in: 422 would end a call that nobody could repeat."""
    message = parse(request(extra=("Supported: 100rel", "Session-Expires: 30;refresher=uas")))
    assert too_short(message, 120) == ()
    assert message.get_all("Session-Expires") == ["120;refresher=uas"]


def test_the_router_refuses_it_before_it_asks():
    router = router_with(session_min_se_s=120)
    short = request(body=SDP, extra=["Supported: timer", "Session-Expires: 119"])
    refusal = only(router.from_outside(short, TRUNK, 1.0), ToFlow)
    assert parse(refusal.data).status == 422
    assert parse(refusal.data).get_all("Min-SE") == ["120"]
    again = only(router.from_outside(short, TRUNK, 1.5), ToFlow)
    assert again.data == refusal.data, "a retransmission gets the same, without a word of it remembered"
    longer = request(body=SDP, cseq=2, branch="z9hG4bKfar2", extra=["Supported: timer", "Session-Expires: 120", "Min-SE: 120"])
    assert ask(router, longer)


def test_a_stranger_is_refused_as_a_stranger():
    steps = router_with(session_min_se_s=90).from_outside(request(extra=["Supported: timer", "Session-Expires: 30"]), STRANGER, 1.0)
    assert status(steps) == 403


def test_a_raised_interval_reaches_the_worker():
    invite = place(router_with(session_min_se_s=90), request(body=SDP, extra=["Session-Expires: 30"]))
    assert invite.get("Session-Expires") == "90"
