"""From an address to what stands in the INVITE."""

import pytest

from sipcore.addresses import Address, parse_address
from sipcore.config import make_config
from sipcore.trunk import Outbound

ALICE, BOB = Address("tel", "+821028286521", 'Al "A" Lice'), Address("tel", "+821021656521")


def outbound(**settings) -> Outbound:
    return Outbound.of(make_config(settings), "192.0.2.7")


def test_number_goes_to_the_trunk():
    out = outbound(trunk="sip:trunk.example:5080;transport=tcp", username="acme", password="op3n-s3same")
    dial = out.dial("c", "g", ALICE, BOB)
    assert dial.request_uri == "sip:+821021656521@trunk.example:5080;transport=tcp"
    assert dial.from_uri == '"Al \\"A\\" Lice" <sip:+821028286521@trunk.example>'
    assert (dial.account.username, dial.account.password, dial.account.route_uri) == (
        "acme",
        "op3n-s3same",
        None,
    )
    assert dial.headers == ()
    assert (dial.call_id, dial.group_id) == ("c", "g")
    assert "op3n-s3same" not in repr(dial)
    assert "op3n-s3same" not in repr(make_config({"password": "op3n-s3same"}))


def test_direct_target_gets_no_credentials():
    out = outbound(trunk="sip:trunk.example", username="acme", password="op3n-s3same", p_asserted_identity=True)
    dial = out.dial("c", "g", ALICE, parse_address("sip:bob@pbx.example:5070"))
    assert dial.request_uri == "sip:bob@pbx.example:5070"
    assert (dial.account.username, dial.account.password, dial.headers) == ("", "", ())


def test_sip_target_at_the_trunk_uses_the_trunk():
    out = outbound(trunk="sip:trunk.example", username="acme", password="op3n-s3same", p_asserted_identity=True)
    dial = out.dial("c", "g", ALICE, parse_address("sip:100@trunk.example"))
    assert dial.account.username == "acme"
    assert dial.headers == (("P-Asserted-Identity", "<sip:+821028286521@trunk.example>"),)


@pytest.mark.parametrize(
    ("settings", "source"),
    [
        ({}, "sip:sipcore@192.0.2.7"),
        ({"trunk": "sip:trunk.example"}, "sip:sipcore@trunk.example"),
        ({"trunk": "sip:trunk.example", "username": "acme", "from_domain": "acme.example"}, "sip:acme@acme.example"),
        ({"public_address": "198.51.100.1"}, "sip:sipcore@198.51.100.1"),
        ({"username": "acme@realm"}, "sip:acme%40realm@192.0.2.7"),
        ({"username": 'a "b"?;x'}, "sip:a%20%22b%22%3F%3Bx@192.0.2.7"),
    ],
)
def test_who_calls_when_nobody_said(settings, source):
    out = outbound(**settings)
    assert str(out.default_source()) == source
    assert out.dial("c", "g", out.default_source(), parse_address("sip:b@192.0.2.1")).from_uri == f"<{source}>"


def test_from_header_has_no_port_and_transport():
    identity = outbound().identity_uri(parse_address("sip:alice@192.0.2.3:5070;transport=tcp"))
    assert str(identity) == "sip:alice@192.0.2.3"


@pytest.mark.parametrize("target", ["sip:100@trunk.example:9999", "sip:100@trunk.example;transport=tcp", "sip:100@other.example"])
def test_another_port_of_the_trunks_host_gets_no_credentials(target):
    out = outbound(trunk="sip:trunk.example", username="acme", password="op3n-s3same", p_asserted_identity=True)
    dial = out.dial("c", "g", ALICE, parse_address(target))
    assert (dial.account.username, dial.account.password, dial.headers) == ("", "", ())
