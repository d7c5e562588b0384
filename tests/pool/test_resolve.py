from __future__ import annotations

import pytest

from sipcore import engine
from sipcore.pool.resolve import host_to_look_up, with_address


def dial(uri: str, route: str | None = None) -> engine.Dial:
    return engine.Dial("c", "g", uri, "<sip:a@b>", engine.Account(route_uri=route))


@pytest.mark.parametrize(
    ("uri", "route", "host"),
    [
        ("sip:+82@trunk.example:5060;transport=tcp", None, "trunk.example"),
        ("sip:trunk.example", None, "trunk.example"),
        ("sip:+82@10.0.0.1:5060", None, ""),
        ("sip:x@trunk.example", "sip:10.0.0.1;lr", ""),
        ("sip:x@10.0.0.1", "<sip:proxy.example;lr>", "proxy.example"),
        ("sip:x@trunk.example;transport=TLS", None, ""),
        ("sips:x@trunk.example", None, ""),
        ("sip:x@[::1]:5060", None, ""),
    ],
)
def test_which_host_is_looked_up(uri, route, host):
    assert host_to_look_up(dial(uri, route)) == host


def test_the_address_decides_where_it_goes():
    assert (
        with_address(dial("sip:+82@trunk.example:5070;transport=tcp"), "10.0.0.1").account.route_uri
        == "sip:10.0.0.1:5070;transport=tcp;lr;hide"
    )
    assert with_address(dial("sip:x@trunk.example"), "10.0.0.1").account.route_uri == "sip:10.0.0.1;lr;hide"
    assert with_address(dial("sip:x@y", "<sip:proxy.example:5;lr>"), "10.0.0.1").account.route_uri == "sip:10.0.0.1:5;lr"
    assert with_address(dial("sip:x@trunk.example"), "10.0.0.1").request_uri == "sip:x@trunk.example"
