"""What may be dialled, and what must never reach SIP."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.addresses import URI_MAX_CHARS, Address, SipUri, check_header_text, name_addr, parse_address, parse_sip_uri
from sipcore.errors import InvalidRequest


@pytest.mark.parametrize(
    ("given_value", "address"),
    [
        ("tel:+821021656521", Address("tel", "+821021656521")),
        ("+821021656521", Address("tel", "+821021656521")),
        ("TEL:+82 10-2165.6521", Address("tel", "+821021656521")),
        ("+1 (555) 010-0199", Address("tel", "+15550100199")),
        ({"type": "tel", "target": "+821021656521"}, Address("tel", "+821021656521")),
        ({"type": "tel", "target": "+821021656521", "name": "Zoë"}, Address("tel", "+821021656521", "Zoë")),
        (Address("tel", "+821021656521", "Zoë"), Address("tel", "+821021656521", "Zoë")),
        ("sip:bob@192.0.2.1", Address("sip", "bob@192.0.2.1")),
        ("SIP:bob@Example.org:5080;Transport=TCP", Address("sip", "bob@Example.org:5080;transport=tcp")),
        ("sip:192.0.2.1:5080", Address("sip", "192.0.2.1:5080")),
        ("sip:+8210@trunk.example;user=phone", Address("sip", "+8210@trunk.example")),
        ({"type": "sip", "target": "bob@pbx.example;transport=tls"}, Address("sip", "bob@pbx.example;transport=tls")),
        ({"type": "sip", "target": "sip:bob@pbx.example"}, Address("sip", "bob@pbx.example")),
        ("sip:b%2Fob@pbx", Address("sip", "b%2Fob@pbx")),
        ("sip:sip:5060", Address("sip", "sip:5060")),
        ("sip:bob@pbx.example.", Address("sip", "bob@pbx.example.")),
    ],
)
def test_valid(given_value, address):
    assert parse_address(given_value) == address
    assert parse_address(address) == address
    assert parse_address(address.to_json()) == address
    assert parse_address(str(address)).target == address.target


INJECTIONS = [
    "sip:bob@192.0.2.1\r\nX-Evil: yes",
    "sip:bob@192.0.2.1\nX-Evil: yes",
    "sip:bob\r@192.0.2.1",
    "sip:bob\x00@192.0.2.1",
    "sip:bob\t@192.0.2.1",
    "sip:bob\x7f@192.0.2.1",
    "sip:bob\x85@192.0.2.1",
    "sip:bob\u2028@192.0.2.1",
    "sip:bob%0d%0aX-Evil%3a@192.0.2.1",
    "sip:bob%0D@192.0.2.1",
    "sip:bob%00@192.0.2.1",
    "sip:bob%7f@192.0.2.1",
    "sip:bob@192.0.2.1?X=y",
    "sip:bob@192.0.2.1;transport=tcp?Replaces=1",
    "sip:bob?X=y@192.0.2.1",
    "sip:bob@192.0.2.1;lr",
    "sip:bob@192.0.2.1;maddr=203.0.113.1",
    "sip:bob@192.0.2.1;ttl=1",
    "sip:bob@192.0.2.1;method=BYE",
    "sip:bob@192.0.2.1;",
    "sip:bob@192.0.2.1;transport=sctp",
    "sip:bob@192.0.2.1;transport",
    "sip:bob;x=y@192.0.2.1",
    "sip:bob@192.0.2.1>;tag=x",
    "sip:<bob@192.0.2.1",
    'sip:"bob"@192.0.2.1',
    "sip:bob @192.0.2.1",
    "sip:bob@192.0.2.1 ",
    " sip:bob@192.0.2.1",
    "sip:bob@a@192.0.2.1",
    "sip:bob:secret@192.0.2.1",
    "sip:bób@192.0.2.1",
    "sip:bob@exämple.org",
    "sip:bob@192.0.2.1\ud800",
    "sip:\udcff@192.0.2.1",
    "sip:" + "b" * 300 + "@192.0.2.1",
    "sip:bob@" + "a" * 64 + ".example",
    "sip:bob@" + ".".join(["abc"] * 90),
    "sip:",
    "sip:@192.0.2.1",
    "sip:bob@",
    "sip:bob@:5060",
    "sip:bob@192.0.2.1:0",
    "sip:bob@192.0.2.1:65536",
    "sip:bob@192.0.2.1:",
    "sip:bob@192.0.2.1:+5060",
    "sip:bob@192.0.2.1:\u0665\u0660",
    "sip:bob@[2001:db8::1]",
    "sip:bob@-host",
    "sip:bob@a..b",
    "sip:bob@256.1.1.1",
    "sip:bob@127.1",
    "sip:bob@5060",
    "sips:bob@192.0.2.1",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_refused_sip_uris(text):
    with pytest.raises(InvalidRequest) as refusal:
        parse_address(text, "destination")
    assert [fault.path for fault in refusal.value.faults] == ["destination"]
    target = text.removeprefix("sip:")
    if text != target and target != "":
        with pytest.raises(InvalidRequest):
            parse_address({"type": "sip", "target": target}, "destination")
        with pytest.raises(InvalidRequest):
            parse_address(Address("sip", target), "destination")


@pytest.mark.parametrize(
    "text",
    [
        "tel:12ab",
        "tel:12345",
        "tel:+0123",
        "tel:+1",
        "tel:+1234567890123456",
        "tel:",
        "+",
        "+82;ext=1",
        "+82\r\nX: y",
        "+8210\n",
        "+\uff18\uff12\uff11\uff10",
        "tel:+82\ud800",
        "",
        "bob",
        "bob@192.0.2.1",
        "http://example.org",
        "mailto:bob@example.org",
    ],
)
def test_refused_numbers_and_other_schemes(text):
    with pytest.raises(InvalidRequest) as refusal:
        parse_address(text, "destination")
    assert refusal.value.faults[0].path == "destination"


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        (None, ["x"]),
        (5, ["x"]),
        (["+8210"], ["x"]),
        ({}, ["x.type", "x.target"]),
        ({"type": "tel"}, ["x.target"]),
        ({"type": "tel", "target": 5, "name": None}, ["x.target", "x.name"]),
        ({"type": "tel", "target": "+8210", "nmae": ""}, ["x.nmae"]),
        ({"type": "fax", "target": "+8210"}, ["x.type"]),
        ({"type": "tel", "target": "+8210", "name": "a\r\nb"}, ["x.name"]),
        ({"type": "tel", "target": "+8210", "name": "n" * 129}, ["x.name"]),
        ({"type": "tel", "target": "+8210", "name": "\ud800"}, ["x.name"]),
        (Address("tel", 5), ["x.target"]),
        (Address("fax", "+8210"), ["x.type"]),
        (Address("tel", "+8210", "a\nb"), ["x.name"]),
    ],
)
def test_refused_objects_name_every_fault(value, paths):
    with pytest.raises(InvalidRequest) as refusal:
        parse_address(value, "x")
    assert [fault.path for fault in refusal.value.faults] == paths


def test_uri_with_the_scheme_added_is_not_longer_than_pjsip_takes():
    host = ".example"
    longest = "b" * (URI_MAX_CHARS - len(host) - len("sip:a@")) + host
    labels = re.sub("(b{50})", r"\1.", longest)[: len(longest) - len(host)].strip(".") + host
    assert len(str(parse_sip_uri(f"a@{labels}"))) <= URI_MAX_CHARS
    with pytest.raises(InvalidRequest, match="at most 255"):
        parse_sip_uri("u" * (URI_MAX_CHARS - len("@host")) + "@host")


def test_name_addr_quotes_the_name():
    uri = SipUri("192.0.2.1", "bob")
    assert name_addr(uri) == "<sip:bob@192.0.2.1>"
    assert name_addr(uri, 'Bob "\\" B') == '"Bob \\"\\\\\\" B" <sip:bob@192.0.2.1>'


def test_header_text():
    assert check_header_text("ok é 日本", "p") == "ok é 日本"
    for bad in ("a\r\nb", "a\x00", "\x9f", "\ud800", "x" * 513):
        with pytest.raises(InvalidRequest):
            check_header_text(bad, "p")


def test_address_str_and_uri():
    address = parse_address("sip:bob@192.0.2.1:5080;transport=tls")
    assert str(address) == "sip:bob@192.0.2.1:5080;transport=tls"
    assert address.uri == SipUri("192.0.2.1", "bob", 5080, "tls")


PIECES = st.sampled_from(
    ["sip:", "SIP:", "bob", "@", ":", ";", "?", "=", "&", ".", "%", "%0d", "%41", "[", "]", "<", ">", '"', " ", "\r\n", "-", "_", "+",
     "5060", "192.0.2.1", "example", "transport=tcp", "user=phone", "lr", "\ud800", "é", "\u2028", "sip", "/", "'", "(", "\\"]
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(PIECES, max_size=10).map("".join),
    st.text(max_size=40),
    st.text(st.characters(max_codepoint=127), max_size=40).map(lambda text: f"sip:{text}@h"),
)


@given(TEXTS)
def test_whatever_is_accepted_is_safe_and_stable(text):
    try:
        uri = parse_sip_uri(text)
    except InvalidRequest:
        return
    written = str(uri)
    assert written.isascii()
    assert not re.search(r"[\x00-\x20\x7f<>\"?\\]", written)
    assert not re.search(r"%(?:[01][0-9a-fA-F]|7[fF])", written)
    assert len(written) <= URI_MAX_CHARS
    assert parse_sip_uri(written) == uri
    assert parse_sip_uri(uri.bare) == uri
    address = Address("sip", uri.bare)
    assert parse_address(address) == address
    assert address.uri == uri


@given(st.one_of(TEXTS, st.text("+0123456789-.() ;tel:", max_size=24)))
def test_whatever_address_is_accepted_parses_back(text):
    try:
        address = parse_address(text)
    except InvalidRequest:
        return
    assert parse_address(address) == address == parse_address(address.to_json())
    if address.type == "tel":
        assert re.fullmatch(r"\+[1-9][0-9]{1,14}", address.target)
