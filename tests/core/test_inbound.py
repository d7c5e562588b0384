"""Who calls whom, and which rule takes the call: pure."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.actions import Answer, Connect
from sipcore.addresses import Address, parse_address
from sipcore.config import make_config
from sipcore.engine import Offer
from sipcore.errors import ConfigError
from sipcore.inbound import ANONYMOUS, Rule, call_type, choose, is_anonymous, lenient_address, parties


def offer(to="sip:+821000@192.0.2.1", source="sip:+8210@192.0.2.9", name="", trunk="", username="", headers=()) -> Offer:
    return Offer("id", to, source, name, to, "192.0.2.9:5060", "udp", trunk, username, headers)


@pytest.mark.parametrize(
    ("uri", "kind", "target"),
    [
        ("sip:+8210@x.example", "tel", "+8210"),
        ("sip:+8210;ext=7@x.example;user=phone", "tel", "+8210"),
        ("sip:+82-10(3)@x.example", "tel", "+82103"),
        ("tel:+82-10-3;phone-context=x", "tel", "+82103"),
        ("sip:1000@198.51.100.1:5060", "sip", "1000@198.51.100.1:5060"),
        ("sip:bob@x.example;transport=tcp;lr?Subject=a", "sip", "bob@x.example"),
        ("sips:bob@x.example", "sip", "bob@x.example"),
        ("sip:anonymous@anonymous.invalid", "sip", "anonymous@anonymous.invalid"),
        ("sip:198.51.100.1:5060", "sip", "198.51.100.1:5060"),
        ("tel:1000", "sip", "1000"),
        ("nonsense", "sip", "nonsense"),
        ('sip:a<b>"c\\d\x07 e@x', "sip", "abcde@x"),
        ("", "sip", "anonymous@anonymous.invalid"),
        ("sip:" + "x" * 300 + "@y.example", "sip", "x" * 255),
    ],
)
def test_lenient_addresses(uri, kind, target):
    address = lenient_address(uri)
    assert (address.type, address.target) == (kind, target)


@given(st.text(max_size=400), st.text(max_size=200))
def test_any_text_makes_a_harmless_address(uri, name):
    address = lenient_address(uri, name)
    assert address.target
    assert len(address.target) <= 255
    assert len(address.name) <= 128
    assert not any(character in address.target + address.name for character in "\r\n\x00")
    if address.type == "tel":
        assert parse_address(address).target == address.target


def test_anonymous():
    assert parse_address(ANONYMOUS) == ANONYMOUS
    assert is_anonymous(parties(offer(source="sip:anonymous@anonymous.invalid", name="Anonymous")).source)
    assert is_anonymous(lenient_address("sip:Anonymous@x.example"))
    assert not is_anonymous(lenient_address("sip:+8210@x.example"))


PAI = (("P-Asserted-Identity", '"Ann \\"A\\" Smith" <sip:+491234@carrier.example;user=phone>, <tel:+491234>'),)


@pytest.mark.parametrize(
    ("given_offer", "source"),
    [
        (offer(headers=PAI, name="Someone"), Address("tel", "+8210", "Someone")),
        (offer(headers=PAI, trunk="carrier"), Address("tel", "+491234", 'Ann "A" Smith')),
        (offer(headers=(*PAI, ("Privacy", "user;id")), trunk="carrier"), Address("tel", "+8210")),
        (offer(headers=(("p-asserted-identity", "tel:+491234"),), trunk="carrier", name="N"), Address("tel", "+491234", "N")),
        (offer(headers=PAI, username="alice"), Address("sip", "alice@192.0.2.9")),
        (offer(source="sip:no-host", username="alice"), Address("sip", "alice@phone.invalid")),
    ],
    ids=["stranger", "trunk", "privacy", "bare", "phone", "phone without host"],
)
def test_source(given_offer, source):
    assert parties(given_offer).source == source


def test_phone_with_a_caller_id():
    assert parties(offer(username="alice"), Address("tel", "+4930")).source == Address("tel", "+4930")


@pytest.mark.parametrize(
    ("rule", "given_offer", "takes"),
    [
        (Rule(), offer(), True),
        (Rule(to="+821000"), offer(), True),
        (Rule(to="+82*"), offer(), True),
        (Rule(to="*1000"), offer(), True),
        (Rule(to="+8?1?00"), offer(), True),
        (Rule(to="+82"), offer(), False),
        (Rule(to="821000"), offer(), False),
        (Rule(to="bob"), offer("sip:bob@x.example"), True),
        (Rule(to="Bob"), offer("sip:bob@x.example"), False),
        (Rule(to="bob@x.*"), offer("sip:bob@x.example"), True),
        (Rule(to="bob@y.*"), offer("sip:bob@x.example"), False),
        (Rule(to="[a-z]*"), offer("sip:bob@x.example"), False),
        (Rule(source="+8210"), offer(), True),
        (Rule(source="anonymous"), offer(source="sip:anonymous@anonymous.invalid"), True),
        (Rule(trunk="carrier"), offer(trunk="carrier"), True),
        (Rule(trunk="carrier"), offer(), False),
        (Rule(trunk="?*"), offer(), False),
        (Rule(phone="ali*"), offer(username="alice"), True),
        (Rule(phone="?*"), offer(), False),
    ],
)
def test_patterns(rule, given_offer, takes):
    assert rule.takes(given_offer, parties(given_offer)) is takes


def test_many_stars_are_no_trap():
    rule = Rule(to="*a" * 100 + "*b")
    given_offer = offer("sip:" + "a" * 240 + "@x.example")
    started = time.thread_time()
    assert not rule.takes(given_offer, parties(given_offer))
    assert time.thread_time() - started < 0.5


def test_first_rule_wins():
    rules = [Rule(to="2*"), Rule(to="1*"), Rule()]
    given_offer = offer("sip:1000@x.example")
    assert choose(rules, given_offer, parties(given_offer)) is rules[1]
    assert choose(rules[:1], given_offer, parties(given_offer)) is None


@pytest.mark.parametrize(
    ("given_offer", "kind"),
    [
        (offer(), "flow"),
        (offer("sip:bob@x.example", trunk="carrier"), "flow"),
        (offer("sip:bob@x.example"), "sip-service"),
        (offer("sip:bob@x.example", username="alice"), "sip-service"),
        (offer(username="alice"), "flow"),
    ],
)
def test_type(given_offer, kind):
    assert call_type(given_offer, parties(given_offer)) == kind


def test_legs():
    assert Rule(actions=(Answer(),)).legs_needed == 1
    assert Rule(actions=(Connect(["+8210", "+8211"]),)).legs_needed == 3
    assert Rule(handler=lambda _: None, handler_legs=4).legs_needed == 4


def test_configured_rules():
    config = make_config({"inbound": [{"to": "+82*", "actions": [{"type": "answer"}, {"type": "talk", "option": {"text": "hi"}}]}]})
    [rule] = config.inbound
    assert (rule.to, rule.source, rule.trunk, rule.phone) == ("+82*", "*", "*", "*")
    assert [action.type for action in rule.actions] == ["answer", "talk"]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({}, r"inbound\[0\].actions"),
        ({"actions": []}, r"inbound\[0\].actions"),
        ({"actions": "answer"}, r"inbound\[0\].actions: must be a list"),
        ({"actions": [{"type": "anser"}]}, r"inbound\[0\].actions: \[0\].type: unknown action type 'anser'; did you mean 'answer'"),
        ({"actions": [{"type": "answer"}], "to": ""}, r"inbound\[0\].to"),
        ({"actions": [{"type": "answer"}], "form": "x"}, r"inbound\[0\].form: unknown key"),
    ],
)
def test_faults_of_configured_rules(rule, said):
    with pytest.raises(ConfigError, match=said):
        make_config({"inbound": [rule]})
