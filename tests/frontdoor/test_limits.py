from __future__ import annotations

import pytest

from sipcore.frontdoor.limits import SourceLimits, Verdict, is_scanner
from sipcore.frontdoor.message import parse


def test_a_burst_passes_then_the_rate_holds() -> None:
    limits = SourceLimits(rate=10.0, burst=3)
    assert [limits.take("a", 0.0) for _ in range(5)] == [Verdict.PASS] * 3 + [Verdict.DROP_AND_TELL, Verdict.DROP]
    assert limits.take("a", 0.1) is Verdict.PASS
    assert limits.take("a", 0.1) is Verdict.DROP


def test_sources_do_not_share() -> None:
    limits = SourceLimits(rate=1.0, burst=1)
    assert limits.take("a", 0.0) is Verdict.PASS
    assert limits.take("b", 0.0) is Verdict.PASS
    assert limits.take("a", 0.0) is Verdict.DROP_AND_TELL


def test_in_the_long_run_a_flood_gets_the_rate_and_no_more() -> None:
    limits = SourceLimits(rate=100.0, burst=200)
    passed = sum(limits.take("a", tick / 2_000) is Verdict.PASS for tick in range(20_000))  # 2,000 a second for 10 s
    assert passed == pytest.approx(200 + 10 * 100, abs=2)


def test_a_source_is_told_of_again_after_it_was_quiet() -> None:
    limits = SourceLimits(rate=1.0, burst=2)
    assert [limits.take("a", 0.0) for _ in range(3)][-1] is Verdict.DROP_AND_TELL
    assert [limits.take("a", 10.0) for _ in range(3)][-1] is Verdict.DROP_AND_TELL


def test_a_clock_that_goes_back_gives_nothing() -> None:
    limits = SourceLimits(rate=1.0, burst=1)
    limits.take("a", 100.0)
    assert limits.take("a", 0.0) is not Verdict.PASS


def test_memory_is_bounded_and_the_active_are_kept() -> None:
    limits = SourceLimits(rate=1.0, burst=1, max_sources=100)
    for number in range(10_000):
        limits.take(f"192.0.2.{number}", 0.0)
        limits.take("busy", 0.0)
    assert len(limits) == 100
    assert limits.take("busy", 0.0) is Verdict.DROP


def test_a_scanner_is_told_of_once_and_has_no_tokens_left() -> None:
    limits = SourceLimits(rate=1.0, burst=5)
    assert limits.ban("a", 0.0) is Verdict.DROP_AND_TELL
    assert limits.ban("a", 0.0) is Verdict.DROP
    assert limits.take("a", 0.0) is Verdict.DROP


@pytest.mark.parametrize(
    ("agent", "is_one"), [("friendly-scanner", True), ("SIPVicious/0.3", True), ("sipcli/v1.8", True), ("Grandstream", False)]
)
def test_scanners_by_their_name(agent: str, is_one: bool) -> None:
    head = f"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\nUser-Agent: {agent}\r\n\r\n".encode()
    assert is_scanner(parse(head)) is is_one
    assert not is_scanner(parse(head.replace(b"OPTIONS sip:100@192.0.2.1 SIP/2.0", b"SIP/2.0 200 OK")))
    assert not is_scanner(parse(b"OPTIONS sip:100@192.0.2.1 SIP/2.0\r\n\r\n"))
