from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.frontdoor.grammar import Malformed, quote, split_list, split_params, unquote
from sipcore.frontdoor.message import CSeq, Header, Message, NameAddr, Uri, Via, parse

INVITE = (
    b"INVITE sip:1000@198.51.100.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport\r\n"
    b'v: SIP/2.0/TCP [2001:db8::1]:5070;branch=z9hG4bKb, SIP / 2.0 / UDP c.example : 5080;branch="x,y"\r\n'
    b"f: <sip:alice@example.com>;tag=1\r\n"
    b"To: sip:bob@example.com\r\n"
    b"i: abc\r\n"
    b"CSEQ: 1 INVITE\r\n"
    b"x-Thing: one\r\n"
    b"X-THING: two\r\n"
    b"Content-Length: 4\r\n"
    b"\r\n"
    b"bodyand more"
)


def test_compact_forms_and_any_case_are_the_same_header() -> None:
    message = parse(INVITE)
    assert [header.name for header in message.headers[:6]] == ["Via", "Via", "From", "To", "Call-ID", "CSeq"]
    assert message.get("call-id") == message.get("I") == "abc"
    assert message.get("nothing") is None


def test_unknown_headers_keep_their_spelling_and_are_found_by_any() -> None:
    message = parse(INVITE)
    assert message.headers[6] == Header("x-Thing", "one")
    assert message.get("X-Thing") == "one"
    assert message.get_all("x-thing") == ["one", "two"]


def test_via_lists_are_split_but_not_inside_quotes() -> None:
    assert [Via.parse(value).host for value in parse(INVITE).get_all("via")] == ["192.0.2.1", "2001:db8::1", "c.example"]


def test_a_body_longer_than_its_length_is_cut() -> None:
    assert parse(INVITE).body == b"body"


@pytest.mark.parametrize("length", [b"13", b"-1", b"+4", b"4 4", b"0x4", b"", b"4_0", "٤".encode(), b"99999999999999999999999"])
def test_a_length_that_lies_is_refused_and_can_be_answered(length: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse(INVITE.replace(b"Content-Length: 4", b"Content-Length: " + length))
    assert caught.value.sip_code == 400
    assert caught.value.message is not None
    assert caught.value.message.get("Call-ID") == "abc"


@pytest.mark.parametrize("data", [b"", b"x", b"\r\n\r\n", bytes(range(256)), b"INVITE sip:a SIP/2.0\r\nVia: x\r\n", b"\0" * 65_507])
def test_what_is_no_message_gets_no_answer(data: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        parse(data)
    assert caught.value.sip_code == 0


@pytest.mark.parametrize("byte", [b"\0", b"\x07", b"\r", b"\n", b"\x1b", b"\x7f"])
def test_control_characters_are_refused_in_headers_only(byte: bytes) -> None:
    with pytest.raises(Malformed, match="control"):
        parse(INVITE.replace(b"abc", b"a" + byte + b"c"))
    assert parse(INVITE.replace(b"body", b"b" + byte + b"dy")).body == b"b" + byte + b"dy"


def test_bytes_that_are_not_utf8_survive() -> None:
    data = INVITE.replace(b"two", b"J\xfcrgen \xc3\xa9")
    assert b"J\xfcrgen \xc3\xa9" in parse(data).to_bytes()


def test_folded_lines_are_one_value() -> None:
    message = parse(INVITE.replace(b"one\r\n", b"one\r\n\t  and a half\r\n"))
    assert message.get("x-thing") == "one and a half"


def test_a_line_without_colon_is_refused() -> None:
    with pytest.raises(Malformed, match="colon") as caught:
        parse(INVITE.replace(b"X-THING: two", b"X-THING two"))
    assert caught.value.sip_code == 400


def test_to_bytes_corrects_the_length() -> None:
    message = parse(INVITE)
    message.body = b"longer than before"
    assert parse(message.to_bytes()).body == b"longer than before"
    assert message.to_bytes().count(b"Content-Length") == 1


def test_set_replaces_every_line_where_the_first_one_stood() -> None:
    message = parse(INVITE)
    message.set("X-Thing", "three")
    assert message.get_all("x-thing") == ["three"]
    assert message.headers[6] == Header("X-Thing", "three")
    message.set("Max-Forwards", "70")
    assert message.headers[-1] == Header("Max-Forwards", "70")


def test_prepend_and_append_keep_lines_of_a_name_together() -> None:
    message = parse(INVITE)
    message.prepend("Via", "top")
    message.append("via", "bottom")
    assert message.headers[0] == Header("Via", "top")
    assert message.get_all("Via")[-1] == "bottom"
    assert message.headers[3] == Header("Via", "bottom")


def test_replace_first_changes_one_value_of_a_list() -> None:
    message = Message("SIP/2.0 200 OK", [Header("Via", "a, b"), Header("Via", "c")])
    message.replace_first("Via", None)
    assert message.get_all("Via") == ["b", "c"]
    message.replace_first("Via", "d")
    assert message.get_all("Via") == ["d", "c"]
    message.replace_first("Via", None)
    message.replace_first("Via", None)
    assert message.headers == []
    message.replace_first("Via", "e")
    assert message.headers == []


def test_replace_first_takes_a_header_that_is_no_list_as_a_whole() -> None:
    message = Message("SIP/2.0 200 OK", [Header("Warning", "a, b")])
    message.replace_first("Warning", "c")
    assert message.get_all("Warning") == ["c"]


def test_a_copy_shares_nothing() -> None:
    message = parse(INVITE)
    other = message.copy()
    other.request_uri = "sip:other@example.com"
    other.headers[0] = Header("Via", "changed")
    other.remove("From")
    assert message.start == "INVITE sip:1000@198.51.100.1 SIP/2.0"
    assert message.get("From") is not None
    assert message.headers[0].value != "changed"


def test_a_status_line() -> None:
    message = parse(b"SIP/2.0 180 Is ringing\r\n\r\n")
    assert (message.is_request, message.status, message.reason, message.method) == (False, 180, "Is ringing", "")
    assert parse(b"SIP/2.0 1e2 x\r\n\r\n").status == 0


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("sip:a@h", "h", None),
        ("sip:h:5070", "h", 5070),
        ("sip:[2001:db8::10:5070]", "2001:db8::10:5070", None),
        ("sip:[2001:db8::10]:5070", "2001:db8::10", 5070),
        ("sips:u:p@h:1;a;b=c?x=y", "h", 1),
        ("SIP:user;par=u%40x@h;lr", "h", None),
        ("tel:+1-201-555;phone-context=x", "", None),
    ],
)
def test_uris_survive_a_round_trip(text: str, host: str, port: int | None) -> None:
    uri = Uri.parse(text)
    assert (uri.host, uri.port) == (host, port)
    assert str(uri).lower() == text.lower()


def test_the_parts_of_a_uri() -> None:
    uri = Uri.parse("sip:u;x=1:p@h;lr;Transport=TCP?A=b")
    assert (uri.user, uri.password, uri.headers) == ("u;x=1", "p", "A=b")
    assert (uri.param("lr"), uri.param("transport"), uri.param("maddr")) == ("", "TCP", None)


@pytest.mark.parametrize("text", ["sip:", "sip:a@", "sip:@h", "sip:a@b@c", "sip:h:0", "sip:h:65536", "sip:h:x", "sip:[::1", "sip:[::1]x"])
def test_bad_uris(text: str) -> None:
    with pytest.raises(Malformed):
        Uri.parse(text)


def test_another_scheme_is_416() -> None:
    with pytest.raises(Malformed) as caught:
        Uri.parse("http://x")
    assert caught.value.sip_code == 416


@pytest.mark.parametrize(
    ("text", "name", "user", "tag"),
    [
        ('"A \\"q\\" <x>" <sip:a@h;p=1>;tag=t', 'A "q" <x>', "a", "t"),
        ("Bob B <sip:b@h>;tag=t;x", "Bob B", "b", "t"),
        ("sip:c@h;tag=t", "", "c", "t"),
        ("<tel:+123;phone-context=a>", "", "+123", ""),
    ],
)
def test_name_addrs(text: str, name: str, user: str, tag: str) -> None:
    address = NameAddr.parse(text)
    assert isinstance(address.uri, Uri)
    assert (address.name, address.uri.user, address.tag) == (name, user, tag)
    assert NameAddr.parse(str(address)) == address


def test_parameters_without_brackets_belong_to_the_header() -> None:
    address = NameAddr.parse("sip:c@h;transport=tcp")
    assert isinstance(address.uri, Uri)
    assert address.uri.params == ()
    assert address.param("transport") == "tcp"


@pytest.mark.parametrize("text", ['"open <sip:a@h>', "<sip:a@h", '"x" sip:a@h', "<sip:a@h> x"])
def test_bad_name_addrs(text: str) -> None:
    with pytest.raises(Malformed):
        NameAddr.parse(text)


def test_other_schemes_and_the_star_stay_raw() -> None:
    assert NameAddr.parse("*").uri == "*"
    assert NameAddr.parse("<mailto:a@h>").uri == "mailto:a@h"


def test_via_parameters() -> None:
    via = Via.parse("SIP/2.0/udp h:5061;rport;branch=z9hG4bKx;received=192.0.2.1")
    assert (via.transport, via.sent_by, via.rport, via.branch, via.received) == ("UDP", "h:5061", "", "z9hG4bKx", "192.0.2.1")
    assert str(via.with_param("rport", "5")) == "SIP/2.0/UDP h:5061;rport=5;branch=z9hG4bKx;received=192.0.2.1"
    assert Via.parse("SIP/2.0/UDP h").rport is None


@pytest.mark.parametrize("text", ["", "SIP/2.0/UDP", "SIP/2.0 h", "SIP/3.0/UDP h", "HTTP/2.0/UDP h", "SIP/2.0/UDP h:0", "SIP/2.0/UDP ;x"])
def test_bad_vias(text: str) -> None:
    with pytest.raises(Malformed):
        Via.parse(text)


def test_cseq() -> None:
    assert CSeq.parse("0009  INVITE") == CSeq(9, "INVITE")
    assert str(CSeq(9, "BYE")) == "9 BYE"
    for text in ("", "INVITE", "-1 INVITE", f"{2**31} INVITE"):
        with pytest.raises(Malformed):
            CSeq.parse(text)


@given(st.binary(max_size=600))
def test_parse_raises_nothing_but_malformed(data: bytes) -> None:
    for prefix in (b"", b"INVITE sip:a@b SIP/2.0\r\n", b"SIP/2.0 200 OK\r\nVia: "):
        try:
            message = parse(prefix + data + b"\r\n\r\n")
        except Malformed:
            continue
        for name in ("Via", "Contact", "From", "X"):
            message.get_all(name)


@given(st.text(max_size=80))
def test_values_raise_nothing_but_malformed(text: str) -> None:
    for kind in (Uri, NameAddr, Via, CSeq):
        for prefix in ("", "sip:", '"', "<sip:", "SIP/2.0/UDP ", "1 "):
            try:
                kind.parse(prefix + text)  # type: ignore[attr-defined]
            except Malformed:
                continue


_LINE = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=30).map(lambda text: text.strip(" \t"))
_NAME = st.from_regex(r"[A-Za-z][A-Za-z\-]{0,12}", fullmatch=True)


@given(st.lists(st.tuples(_NAME, _LINE), max_size=8), st.binary(max_size=60))
def test_a_message_comes_back_as_it_was(headers: list[tuple[str, str]], body: bytes) -> None:
    lines = [Header(name, value) for name, value in headers if name.lower() not in ("content-length", "l")]
    first = parse(Message("OPTIONS sip:a@b SIP/2.0", lines, body).to_bytes())
    assert first.body == body
    second = parse(first.to_bytes())
    assert (second.start, second.headers, second.body) == (first.start, first.headers, first.body)
    assert [header.value for header in first.headers[:-1]] == [header.value for header in lines]


@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=40))
def test_a_quoted_name_comes_back_as_it_was(name: str) -> None:
    assert unquote(quote(name)) == name
    assert NameAddr.parse(str(NameAddr(name, Uri("sip", "", "", "h", None)))).name == name


@given(st.lists(st.sampled_from(["a", '"x,y"', "<b,c>", '"\\",";d', "e;f"]), min_size=1))
def test_lists_are_cut_at_their_own_commas(parts: list[str]) -> None:
    assert split_list(", ".join(parts)) == parts


def test_params_of_all_kinds() -> None:
    assert split_params('a=1; b ;c = "x;y" ;') == (("a", "1"), ("b", None), ("c", '"x;y"'), ("", None))
