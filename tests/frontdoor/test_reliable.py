"""100rel when it is off: nobody is told of it, and who requires it is refused before anybody is asked (RFC 3262)."""

from __future__ import annotations

import pytest

from .routing import PORTS, SDP, STRANGER, TRUNK, ask, of_worker, place, request, router_with, sent, status, to_flow

ALL = "replaces, 100rel, timer, norefersub"


@pytest.mark.parametrize(("has_100rel", "promised"), [(True, "100rel, timer, norefersub"), (False, "timer, norefersub")])
def test_what_is_promised(has_100rel, promised):
    router = router_with(has_100rel=has_100rel)
    assert to_flow(router.from_outside(request("OPTIONS"), TRUNK, 0.0)).get("Supported") == promised
    assert sent(router.from_worker(of_worker(extra=[f"Supported: {ALL}"]), PORTS[1], 0.0)).get("Supported") == promised


def test_who_requires_it_is_refused_with_420():
    router = router_with(has_100rel=False)
    refusal = to_flow(router.from_outside(request(body=SDP, extra=["Require: timer, 100REL"]), TRUNK, 0.0))
    assert (refusal.status, refusal.get("Unsupported")) == (420, "100rel")
    assert status(router.from_outside(request(extra=["Require: 100rel"], branch="z9hG4bK2"), STRANGER, 0.0)) == 403


def test_who_only_could_is_taken():
    assert place(router_with(has_100rel=False), request(body=SDP, extra=["Supported: 100rel"])).get("Supported") == "100rel"
    assert ask(router_with(), request(body=SDP, extra=["Require: 100rel"]))
