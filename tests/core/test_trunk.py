"""From an address to what stands in the INVITE, over which trunk."""

from __future__ import annotations

import hashlib

import pytest

from sipcore.addresses import Address, parse_address
from sipcore.config import make_config
from sipcore.engine import Account, Register
from sipcore.errors import InvalidRequest
from sipcore.trunk import Trunks, door_phones
from sipcore.wire import DoorTrunk

ALICE, BOB = Address("tel", "+821028286521", 'Al "A" Lice'), Address("tel", "+821021656521")


def trunks_of(*tables, **settings) -> Trunks:
    return Trunks.of(make_config({"trunks": list(tables)} | settings), "192.0.2.7")


def table(name: str, *addresses: str, **more) -> dict:
    return {"name": name, "addresses": list(addresses) or [f"{name}.example"]} | more


def chosen(trunks: Trunks, destination: str, name: str = "") -> str | None:
    trunk = trunks.choose(parse_address(destination), name)
    return trunk and trunk.name


def test_number_goes_to_the_trunk():
    trunks = trunks_of(trunk="sip:trunk.example:5080;transport=tcp", username="acme", password="op3n-s3same")
    dial = trunks.dial("c", "g", ALICE, BOB)
    assert dial.request_uri == "sip:+821021656521@trunk.example:5080;transport=tcp"
    assert dial.from_uri == '"Al \\"A\\" Lice" <sip:+821028286521@trunk.example>'
    assert dial.account == Account("acme", "op3n-s3same")
    assert dial.targets == ("trunk.example:5080;transport=tcp",)
    assert (dial.headers, dial.codecs, dial.call_id, dial.group_id) == ((), (), "c", "g")
    assert "op3n-s3same" not in repr(dial)


def test_direct_target_gets_no_credentials():
    trunks = trunks_of(trunk="sip:trunk.example", username="acme", password="op3n-s3same", p_asserted_identity=True)
    dial = trunks.dial("c", "g", ALICE, parse_address("sip:bob@pbx.example:5070"))
    assert dial.request_uri == "sip:bob@pbx.example:5070"
    assert (dial.account, dial.headers, dial.targets) == (Account(), (), ())


def test_sip_target_at_the_trunk_uses_the_trunk():
    trunks = trunks_of(trunk="sip:trunk.example", username="acme", password="op3n-s3same", p_asserted_identity=True)
    dial = trunks.dial("c", "g", ALICE, parse_address("sip:100@trunk.example"))
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
        ({"caller_id": "tel:+8210"}, "tel:+8210"),
    ],
)
def test_who_calls_when_nobody_said(settings, source):
    trunks = trunks_of(**settings)
    assert str(trunks.source(trunks.get("default"))) == source


def test_a_trunk_has_a_caller_id_of_its_own():
    trunks = trunks_of(table("a", caller_id="+821"), table("b", username="bee"), caller_id="tel:+8210")
    assert [str(trunks.source(trunks.get(name))) for name in ("a", "b", "none")] == ["tel:+821", "tel:+8210", "tel:+8210"]
    assert str(trunks_of(table("b", username="bee")).source(trunks.get("b"))) == "sip:bee@b.example"


def test_from_header_has_no_port_and_transport():
    identity = trunks_of().identity(parse_address("sip:alice@192.0.2.3:5070;transport=tcp"), None)
    assert str(identity) == "sip:alice@192.0.2.3"


@pytest.mark.parametrize("target", ["sip:100@trunk.example:9999", "sip:100@trunk.example;transport=tcp", "sip:100@other.example"])
def test_another_port_of_the_trunks_host_gets_no_credentials(target):
    trunks = trunks_of(trunk="sip:trunk.example", username="acme", password="op3n-s3same", p_asserted_identity=True)
    dial = trunks.dial("c", "g", ALICE, parse_address(target))
    assert (dial.account.username, dial.account.password, dial.headers) == ("", "", ())


# -------------------------------------------------------------------------------------------------------- choosing


@pytest.mark.parametrize(
    ("destination", "name"),
    [
        ("+12125550100", "us"),
        ("+12025550100", "us-dc"),
        ("+821021656521", "rest"),
        ("sip:9@us.example", "us"),
        ("sip:9@rest.example:5070", None),
        ("sip:9@elsewhere.example", None),
    ],
)
def test_the_longest_prefix_then_the_default(destination, name):
    trunks = trunks_of(table("us", prefixes=["+1"]), table("us-dc", prefixes=["+1202", "+12"][:1]), table("rest", default=True))
    assert chosen(trunks, destination) == name


@pytest.mark.parametrize(
    ("tables", "settings", "name"),
    [
        ([table("a"), table("b", default=True)], {"trunk": "sip:h"}, "b"),
        ([table("a")], {"trunk": "sip:h"}, "default"),
        ([table("a", prefixes=["+99"]), table("b"), table("c")], {}, "b"),
    ],
)
def test_which_is_the_default(tables, settings, name):
    assert chosen(trunks_of(*tables, **settings), "+8210") == name


def test_by_name():
    trunks = trunks_of(table("acme"), table("backup"))
    assert chosen(trunks, "+8210", "backup") == "backup"
    with pytest.raises(InvalidRequest) as refusal:
        trunks.choose(BOB, "bakup", "actions[0].option.")
    assert [str(fault) for fault in refusal.value.faults] == ["actions[0].option.trunk: no trunk is named 'bakup'; did you mean backup?"]


def test_a_sip_target_over_a_named_trunk_keeps_its_uri_and_takes_the_trunks_way():
    trunks = trunks_of(table("acme", "192.0.2.1", username="u", password="p"))
    dial = trunks.dial("c", "g", ALICE, parse_address("sip:bob@example.com"), "acme")
    assert (dial.request_uri, dial.targets, dial.account.username) == ("sip:bob@example.com", ("192.0.2.1",), "u")


def test_no_trunk_for_a_number():
    with pytest.raises(InvalidRequest, match=r"destination: no trunk takes \+821021656521"):
        trunks_of(table("us", prefixes=["+1"])).choose(BOB)


# ------------------------------------------------------------------------------------------------ what stands in it


def test_every_address_is_a_target_in_order_with_the_trunks_transport():
    trunks = trunks_of(table("a", "a.example", "192.0.2.1:5070", "b.example;transport=udp", "[2001:db8::1]", transport="tls"))
    dial = trunks.dial("c", "g", ALICE, BOB)
    assert dial.request_uri == "sip:+821021656521@a.example;transport=tls"
    assert dial.targets == (
        "a.example;transport=tls",
        "192.0.2.1:5070;transport=tls",
        "b.example;transport=udp",
        "[2001:db8::1];transport=tls",
    )


def test_the_address_that_was_asked_for_goes_first():
    dial = trunks_of(table("a", "h1", "h2", "h3")).dial("c", "g", ALICE, parse_address("sip:9@h2"))
    assert dial.targets == ("h2", "h1", "h3")


@pytest.mark.parametrize(
    ("rule", "user"),
    [
        ({}, "+821021656521"),
        ({"strip": 1}, "821021656521"),
        ({"strip": 3, "prepend": "0"}, "01021656521"),
        ({"prepend": "9"}, "9+821021656521"),
    ],
)
def test_digits(rule, user):
    assert trunks_of(table("a", **rule)).dial("c", "g", ALICE, BOB).request_uri == f"sip:{user}@a.example"


def test_headers_codecs_srtp_and_realm():
    trunks = trunks_of(table("a", headers={"X-A": "1"}, codecs=["PCMA", "G722"], srtp="required", username="u", password="p", realm="r"))
    dial = trunks.dial("c", "g", ALICE, BOB)
    assert dial.headers == (("X-A", "1"),)
    assert dial.codecs == ("PCMA/8000", "G722/8000")
    assert dial.account == Account("u", "p", "r", srtp="required")


def test_one_from_for_all_and_the_caller_asserted():
    trunks = trunks_of(table("a", from_user="acme", from_domain="acme.example", p_asserted_identity=True, headers={"X-A": "1"}))
    dial = trunks.dial("c", "g", Address("tel", "+8210"), BOB)
    assert dial.from_uri == "<sip:acme@acme.example>"
    assert dial.headers == (("P-Asserted-Identity", "<sip:+8210@acme.example>"), ("X-A", "1"))


# ------------------------------------------------------------------------------------------------- for the engine


def test_registrations():
    trunks = trunks_of(
        table("a", "a1", "a2", username="al ice", password="p", register=True, transport="tcp"),
        table(
            "b", username="b", register=True, registrar="reg.example", contact_user="line", expires_s=600, retry_s=5, from_domain="b.dom"
        ),
        table("c", username="c"),
    )
    assert trunks.registrations() == (
        Register(
            "a",
            "sip:a1;transport=tcp",
            "sip:al%20ice@a1",
            "al%20ice",
            Account("al ice", "p"),
            targets=("a1;transport=tcp", "a2;transport=tcp"),
        ),
        Register("b", "sip:reg.example", "sip:b@b.dom", "line", Account("b"), 600, 5, ("reg.example",)),
    )


def test_sources_of_trunks():
    trunks = trunks_of(
        table("a", "192.0.2.1:5070", "[2001:db8::1]", "a.example", "b.example"),
        table("b", sources=["198.51.100.0/24"]),
        table("c", sources=[], username="u", register=True, realm="r"),
    )
    assert {uri.host for uri in trunks.names_to_resolve()} == {"a.example", "b.example"}
    assert trunks.door_trunks({"a.example": ["192.0.2.5", "192.0.2.1"]}) == (
        DoorTrunk("a", ("192.0.2.1", "2001:db8::1", "192.0.2.5")),
        DoorTrunk("b", ("198.51.100.0/24",)),
        DoorTrunk("c", (), "u", "r"),
    )


def test_a_name_that_does_not_resolve_opens_no_door():
    trunks = trunks_of(table("a", "a.example", username="u", register=True))
    assert trunks.door_trunks({}) == (DoorTrunk("a", ()),)
    assert trunks.door_trunks({"a.example": ["192.0.2.5"]}) == (DoorTrunk("a", ("192.0.2.5",), "u"),)


@pytest.mark.parametrize(
    ("phone", "settings", "realm"),
    [({}, {}, "sipcore"), ({}, {"from_domain": "acme.example"}, "acme.example"), ({"realm": "r"}, {"from_domain": "acme.example"}, "r")],
)
def test_phones_travel_without_their_passwords(phone, settings, realm):
    config = make_config({"phones": [{"username": "desk", "password": "sésame"} | phone]} | settings)
    (door,) = door_phones(config)
    secret = f"desk:{realm}:sésame".encode()
    assert (door.username, door.realm) == ("desk", realm)
    assert (door.ha1_md5, door.ha1_sha256) == (hashlib.md5(secret).hexdigest(), hashlib.sha256(secret).hexdigest())


def test_the_trunks_in_order():
    assert [trunk.name for trunk in trunks_of(table("a"), table("b"), trunk="sip:h")] == ["default", "a", "b"]
