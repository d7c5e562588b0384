"""The `[[trunks]]` tables: what they take, and what is said of mistakes."""

from __future__ import annotations

import pytest

from sipcore.addresses import Address, SipUri
from sipcore.config import load_config, make_config
from sipcore.config_trunks import TrunkConfig
from sipcore.errors import ConfigError

FIRST = {"name": "a", "addresses": ["192.0.2.1"]}

GOOD = {
    "name": ("Acme.eu-1", "Acme.eu-1"),
    "addresses": (
        ["a.example", "192.0.2.1:5070", "sip:b.example;transport=tls", "[2001:DB8::1]:5062", "sip:[::1];transport=tcp"],
        (
            SipUri("a.example"),
            SipUri("192.0.2.1", port=5070),
            SipUri("b.example", transport="tls"),
            SipUri("[2001:db8::1]", port=5062),
            SipUri("[::1]", transport="tcp"),
        ),
    ),
    "transport": ("tcp", "tcp"),
    "username": ("acme", "acme"),
    "realm": ("acme.example", "acme.example"),
    "registrar": ("reg.example:5070", SipUri("reg.example", port=5070)),
    "expires_s": (600, 600),
    "retry_s": (5, 5),
    "contact_user": ("line1", "line1"),
    "default": (True, True),
    "prefixes": (["+", "+82", "+1212"], ("+", "+82", "+1212")),
    "strip": (3, 3),
    "prepend": ("0011", "0011"),
    "from_domain": ("acme.example", "acme.example"),
    "from_user": ("acme", "acme"),
    "caller_id": ("+821028286521", Address("tel", "+821028286521")),
    "p_asserted_identity": (True, True),
    "headers": ({"X-Account": "7", "Privacy": "none"}, {"X-Account": "7", "Privacy": "none"}),
    "codecs": (["pcma", "ILBC", "Speex"], ("PCMA/8000", "iLBC/8000", "speex/8000")),
    "dtmf": ("info", "info"),
    "srtp": ("required", "required"),
    "max_calls": (30, 30),
    "calls_per_second": (0.5, 0.5),
    "sources": (["192.0.2.0/24", "198.51.100.7"], ("192.0.2.0/24", "198.51.100.7/32")),
    "redirects": (2, 2),
    "allows_refer": (True, True),
}


def faults_of(*trunks, **more) -> dict[str, str]:
    with pytest.raises(ConfigError) as refusal:
        make_config({"trunks": list(trunks)} | more)
    return {fault.path: fault.message for fault in refusal.value.faults}


def test_every_key_is_tried_here():
    assert set(GOOD) | {"password", "registers"} == set(TrunkConfig.model_fields)


@pytest.mark.parametrize("key", GOOD)
def test_every_key_is_taken(key):
    given, value = GOOD[key]
    (trunk,) = make_config({"trunks": [FIRST | {key: given}]}).trunks
    assert getattr(trunk, key) == value


def test_from_a_file(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text(
        "[[trunks]]\nname = 'acme'\naddresses = ['a.example']\nregister = true\nusername = 'u'\npassword = 'op3n'\n"
        "[trunks.headers]\nX-A = '1'\n"
    )
    (trunk,) = load_config(file).trunks
    assert (trunk.registers, trunk.password.get_secret_value(), trunk.headers) == (True, "op3n", {"X-A": "1"})
    assert "op3n" not in repr(load_config(file))


@pytest.mark.parametrize(
    ("key", "value", "path", "said"),
    [
        ("name", "a b", "name", "not a name"),
        ("name", "", "name", "not a name"),
        ("addresses", [], "addresses", "must have 1 to 16 addresses"),
        ("addresses", ["sip:u@h"], "addresses[0]", "not a user"),
        ("addresses", ["h", "h:0"], "addresses[1]", "not a port"),
        ("addresses", ["[fe80::g]"], "addresses[0]", "not an IPv6 address"),
        ("addresses", ["[::1]x"], "addresses[0]", "is not [address]"),
        ("addresses", ["h;transport=sctp"], "addresses[0]", "unknown transport"),
        ("addresses", ["h\r\nX: y"], "addresses[0]", "control characters"),
        ("addresses", [5], "addresses[0]", "must be a string"),
        ("transport", "sctp", "transport", "'udp'"),
        ("username", "a\nb", "username", "control character"),
        ("realm", "a\x00", "realm", "control character"),
        ("expires_s", 5, "expires_s", "60"),
        ("contact_user", "a@b", "contact_user", "user part"),
        ("from_user", "a b", "from_user", "user part"),
        ("prefixes", ["82"], "prefixes[0]", "E.164"),
        ("strip", -1, "strip", "0"),
        ("prepend", "0\r", "prepend", "in front of a number"),
        ("prepend", "a@b", "prepend", "in front of a number"),
        ("from_domain", "a>b", "from_domain", "not a host name"),
        ("caller_id", "tel:12ab", "caller_id", "E.164"),
        ("headers", {"X Y": "1"}, "headers", "not the name"),
        ("headers", {"X-A": "1\r\nX-B: 2"}, "headers", "control character"),
        ("headers", {"from": "x"}, "headers", "written by the switch"),
        ("headers", {"v": "x"}, "headers", "written by the switch"),
        ("headers", {"X-Sipcore-Call": "x"}, "headers", "written by the switch"),
        ("codecs", ["G729"], "codecs[0]", "not one of PCMU"),
        ("dtmf", "tones", "dtmf", "'info'"),
        ("srtp", "yes", "srtp", "'optional'"),
        ("max_calls", -1, "max_calls", "0"),
        ("calls_per_second", -1, "calls_per_second", "0"),
        ("sources", ["h.example"], "sources[0]", "not an address or a network"),
        ("redirects", 99, "redirects", "5"),
        ("register", True, "", "register needs a username"),
        ("adresses", ["h"], "adresses", "did you mean addresses?"),
        ("registers", True, "registers", "did you mean register?"),
    ],
)
def test_wrong_values_say_where_and_why(key, value, path, said):
    faults = faults_of(FIRST | {key: value})
    assert list(faults) == [f"trunks[0].{path}".removesuffix(".")]
    assert said in next(iter(faults.values()))


def test_trunks_that_contradict_each_other():
    account = {"register": True, "username": "u"}
    faults = faults_of(
        FIRST | account | {"default": True, "prefixes": ["+1"]},
        FIRST | account | {"default": True, "prefixes": ["+2", "+1"]},
        {"name": "default", "addresses": ["h"]},
        trunk="sip:h",
    )
    assert faults == {
        "trunks": 'the key trunk makes a trunk named "default" already',
        "trunks[1].name": "is the same as in trunks[0]",
        "trunks[1].contact_user": "is the same as in trunks[0]",
        "trunks[1].default": "is the same as in trunks[0]",
        "trunks[1].prefixes": "+1 is a prefix of a already",
    }


def test_the_file_stands_in_front_of_contradictions_too(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("[[trunks]]\nname = 'a'\naddresses = ['h']\n[[trunks]]\nname = 'a'\naddresses = ['h']\n")
    with pytest.raises(ConfigError) as refusal:
        load_config(file)
    assert [fault.path for fault in refusal.value.faults] == [f"{file}: trunks[1].name"]
