"""Whose call an INVITE is."""

from __future__ import annotations

import pytest

from sipcore.frontdoor.sources import Sources, plain_address
from sipcore.wire import DoorTrunk

WIDE = DoorTrunk("wide", ("192.0.2.0/24", "2001:db8::/32"))
NARROW = DoorTrunk("narrow", ("192.0.2.16/28",), contact_user="n")
TWIN = DoorTrunk("twin", ("192.0.2.16/28",), contact_user="t")
LINE = DoorTrunk("line", (), contact_user="line7")
SOURCES = Sources((WIDE, NARROW, TWIN, LINE), ("203.0.113.0/24", "::1/128"))


@pytest.mark.parametrize(
    ("host", "user", "trunk"),
    [
        ("192.0.2.1", "", "wide"),
        ("192.0.2.17", "", "narrow"),
        ("192.0.2.17", "t", "twin"),
        ("192.0.2.17", "line7", "narrow"),
        ("192.0.2.1", "n", "wide"),
        ("203.0.113.1", "line7", "line"),
        ("203.0.113.1", "n", ""),
        ("203.0.113.1", "", ""),
        ("2001:db8::1", "", "wide"),
        ("::ffff:192.0.2.1", "", "wide"),
        ("no address", "", ""),
    ],
)
def test_trunk_by_longest_prefix_then_by_registration(host, user, trunk):
    assert SOURCES.trunk_of(host, user) == trunk


def test_open_networks():
    assert [SOURCES.is_open(host) for host in ("203.0.113.9", "::1", "192.0.2.1", "x")] == [True, True, False, False]


def test_the_cache_is_bounded_and_right():
    sources = Sources((WIDE,), ())
    for low in range(10_000):
        assert not sources.is_trunk(f"10.0.{low // 256}.{low % 256}")
    assert sources.is_trunk("192.0.2.1")
    assert len(sources._cache) <= 4096


def test_scoped_and_bracketed_addresses():
    assert str(plain_address("[fe80::1%eth0]")) == "fe80::1"
    assert plain_address("host.example") is None
