"""The rules of `check`, one by one: a message that keeps all of them, and the least change that breaks one."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.frontdoor.grammar import Malformed
from sipcore.frontdoor.message import Message, parse
from sipcore.frontdoor.wellformed import check

HEADERS = {
    "Via": "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport",
    "Max-Forwards": "70",
    "From": '"Alice" <sip:alice@example.com>;tag=1',
    "To": "<sip:bob@example.com>",
    "Call-ID": "abc@192.0.2.1",
    "CSeq": "1 INVITE",
    "Contact": "<sip:alice@192.0.2.1:5060>",
}
SDP = (
    "v=0|o=- 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 192.0.2.1|t=0 0|"
    "m=audio 4000 RTP/AVP 0 97|a=rtpmap:97 iLBC/8000|a=fmtp:97 mode=30|a=ptime:20|"
)


def request(method: str = "INVITE", uri: str = "sip:1000@198.51.100.1", body: bytes = b"", extra: str = "", **changed: str | None) -> bytes:
    """A good request; `Call_ID="..."` changes a header, `None` leaves it out."""
    headers = HEADERS | {"CSeq": f"1 {method}"} | {name.replace("_", "-"): value for name, value in changed.items()}
    lines = [f"{method} {uri} SIP/2.0", *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    lines += [extra] if extra else []
    return ("\r\n".join(lines) + f"\r\nContent-Length: {len(body)}\r\n\r\n").encode("utf-8", "surrogateescape") + body


def response(status: str = "200 OK", body: bytes = b"", **changed: str | None) -> bytes:
    return request(body=body, **changed).replace(b"INVITE sip:1000@198.51.100.1 SIP/2.0", f"SIP/2.0 {status}".encode())


def sdp_request(sdp: str, **changed: str | None) -> bytes:
    return request(body=sdp.replace("|", "\r\n").encode(), Content_Type="application/sdp", **changed)


def refusal(data: bytes) -> Malformed:
    with pytest.raises(Malformed) as caught:
        check(parse(data))
    return caught.value


def code(data: bytes) -> int:
    return refusal(data).sip_code


def test_good_messages_pass() -> None:
    for data in (request(), response(), response("183 "), sdp_request(SDP), request("BYE", To="<sip:b@h>;tag=2"), request("FOO")):
        check(parse(data))


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call_ID", "CSeq"])
def test_each_mandatory_header_is_there(name: str) -> None:
    assert code(request(**{name: None})) == 400


def test_max_forwards_may_be_left_out() -> None:
    check(parse(request(Max_Forwards=None)))


@pytest.mark.parametrize("name", ["From", "To", "Call-ID", "CSeq", "Max-Forwards"])
def test_and_only_once(name: str) -> None:
    assert code(request(extra=f"{name}: {HEADERS[name]}")) == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"CSeq": "1 BYE"},
        {"CSeq": "2147483648 INVITE"},
        {"CSeq": "-1 INVITE"},
        {"CSeq": "INVITE"},
        {"Max_Forwards": "256"},
        {"Max_Forwards": "x"},
        {"Call_ID": ""},
        {"Call_ID": "a b"},
        {"Call_ID": "x" * 257},
        {"From": "<sip:alice@example.com>;tag="},
        {"From": "<sip:alice@example.com>;tag=a=b"},
        {"From": "<sip:alice@example.com>;tag=" + "x" * 257},
        {"From": "<sip:alice@example.com>;tag=1;tag=2"},
        {"From": "<sip:a@h?X=y>;tag=1"},
        {"From": "Alice, B <sip:a@h>;tag=1"},
        {"To": "<http://example.com>"},
        {"To": "bob"},
        {"To": "<>"},
        {"To": "<sip:b@h>;"},
        {"Via": "SIP/2.0/UDP 192.0.2.1:0"},
        {"Via": "SIP/2.0/UDP 192.0.2.256"},
        {"Via": "SIP/2.0/UDP h;rport=65536"},
        {"Via": "SIP/2.0/UDP h;received=a b"},
        {"Via": "SIP/2.0/UDP h;ttl=256"},
        {"Via": "SIP/2.0/UDP h;branch"},
        {"Via": "SIP/2.0/UD P h"},
        {"Contact": "<sip:a@h:65536>"},
        {"Contact": "<sip:a@[::1>"},
        {"Contact": "<sip:a@[::1%25eth0]>"},
        {"Contact": "<sip:a b@h>"},
        {"Contact": "<sip:a%0d@h>"},
        {"Contact": "<sip:a%zz@h>"},
        {"Contact": "<sip:é@h>"},
        {"Contact": "<sip:a@h;x=\">"},
        {"Contact": "<sip:a@h;lr;LR>"},
        {"Contact": "<sip:a@h>;expires=-1"},
        {"Contact": "sip:a@h?X=y"},
        {"Contact": "<sip:a@" + "h" * 300 + ">"},
        {"Contact": "<sip:a@h..h>"},
        {"Contact": "<sip:a@-h>"},
        {"Record_Route": "sip:h;lr"},
        {"Record_Route": "<tel:+1>"},
        {"Route": "<sip:h;maddr=x y>"},
        {"Expires": "4294967296"},
        {"Session_Expires": "x;refresher=uas"},
        {"RAck": "1 1"},
        {"RAck": "1 x INVITE"},
        {"Supported": ",".join(["x"] * 33)},
        {"X_Long": "x" * 8_193},
        {"Require": "100rel,,"},
        {"Content_Type": "application"},
        {"Contact": "*"},
        {"Contact": "<mailto:a@h>"},
        {"Contact": "<tel:+1>"},
        {"Event": "refer;;"},
        {"Event": "a b"},
        {"Subscription_State": ""},
        {"Session_Expires": "90;refresher=a b"},
        {"WWW_Authenticate": "Digest"},
        {"WWW_Authenticate": 'Digest realm="a'},
        {"WWW_Authenticate": 'Digest realm="a" nonce="b"'},
        {"WWW_Authenticate": f'Digest realm="{"x" * 600}"'},
    ],
)  # fmt: skip
def test_values_that_break_the_grammar(changed: dict[str, str]) -> None:
    assert code(request(**changed)) == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"CSeq": "2147483647 INVITE"},
        {"From": "<sip:alice@example.com>"},
        {"From": "sip:alice@example.com;tag=1"},
        {"From": "Alice B. <tel:+1-201;phone-context=a.example>;tag=1"},
        {"From": '"Jos\udcff, \\"x\\"" <sip:*21#@h>;tag=1'},
        {"To": "<sip:b@h;user=phone>;x=\"a;b\""},
        {"Via": "SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bKa;rport=5;received=2001:db8::9"},
        {"Via": "SIP/2.0/UDP my_host.example.;branch=z9hG4bKa"},
        {"Subscription_State": "active;expires=60"},
        {"Event": "refer;id=1"},
        {"WWW_Authenticate": 'Digest realm="a, b", nonce="c=d", algorithm=MD5, qop="auth,auth-int", Digest realm="x"'},
        {"Contact": "<sip:a@h;ob;transport=tcp>;+sip.instance=\"<urn:uuid:0>\";q=0.5"},
        {"Route": "<sip:h;lr>, <sip:[::1]:5060;lr>"},
        {"Session_Expires": "1800;refresher=uas"},
        {"Retry_After": "5 (later);duration=3"},
        {"RAck": "1 1 INVITE"},
        {"Require": "100rel, timer"},
    ],
)  # fmt: skip
def test_values_that_are_unusual_but_good(changed: dict[str, str]) -> None:
    check(parse(request(**changed)))


@pytest.mark.parametrize("header", ["Record_Route", "Route", "Contact", "From", "To", "Refer_To"])
@pytest.mark.parametrize("name", ["hide", "HIDE", "h%69de", "%68%69%64%65"])
def test_private_uri_parameters_are_refused_however_they_are_written(header: str, name: str) -> None:
    assert refusal(request(**{header: f"<sip:h;lr;{name}>"})).reason == "private URI parameter"


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sips:a@h", 416),
        ("http://h", 416),
        ("a", 416),
        ("sip:a@h?X=y", 400),
        ("<sip:a@h>", 400),
        ("sip:a@h ", 400),
        ("sip:a@h;hide", 400),
        ("tel:xyz", 400),
        ("sip:" + "a" * 1_100 + "@h", 414),
    ],
)
def test_request_uris(uri: str, expected: int) -> None:
    assert code(request(uri=uri)) == expected


def test_versions_and_methods() -> None:
    assert code(request().replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1)) == 505
    assert code(request().replace(b" SIP/2.0\r\n", b" HTTP/1.1\r\n", 1)) == 400
    assert code(request("IN<VITE")) == 400


@pytest.mark.parametrize("header", ["Require", "Proxy_Require"])
def test_unknown_extensions_are_named(header: str) -> None:
    error = refusal(request(**{header: "100rel, replaces, x"}))
    assert (error.sip_code, error.headers) == (420, (("Unsupported", "replaces, x"),))


def test_extensions_mean_nothing_in_cancel_and_ack() -> None:
    check(parse(request("CANCEL", Require="x")))
    check(parse(request("ACK", Require="x", To="<sip:b@h>;tag=1")))


def test_an_ack_without_to_tag_is_dropped() -> None:
    assert code(request("ACK")) == 0


def test_a_bad_response_is_dropped_and_says_when_only_its_body_is_bad() -> None:
    error = refusal(response(CSeq="x"))
    assert (error.sip_code, error.in_body) == (0, False)
    error = refusal(response(body=b"x", Content_Type="application/sdp"))
    assert (error.sip_code, error.in_body) == (0, True)
    for status in ("99 x", "700 x", "2000 x", "x", "20 x"):
        assert code(response(status)) == 0


def test_counts() -> None:
    via = f"Via: {HEADERS['Via']}"
    check(parse(request(extra="\r\n".join([via] * 69))))
    assert code(request(extra="\r\n".join([via] * 70))) == 400
    assert code(request(extra="\r\n".join(["Route: <sip:h;lr>"] * 65))) == 400
    assert code(request(extra="\r\n".join(["X-A: 1"] * 1_000))) == 400
    assert code(request(From="<sip:a@h>" + ";a=1" * 40)) == 400


def test_what_the_network_may_bring() -> None:
    assert code(request(X="x" * 65_000)) == 400
    with pytest.raises(Malformed) as caught:
        parse(request(extra="X-A: 1\r\n" * 9_000 + "X-A: 1"))
    assert caught.value.sip_code == 0
    assert code(request(Via=None)) == 400


def test_header_names_are_tokens() -> None:
    assert code(request(extra="X A: 1")) == 400
    assert code(request(extra=": 1")) == 400


# ------------------------------------------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("v=0|", "", 400),
        ("v=0|", "v=1|", 400),
        ("v=0|", "v=0|v=0|", 400),
        ("s=-|", "", 400),
        ("o=- 1 1 IN IP4 192.0.2.1", "o=- 1 1 IN", 400),
        ("t=0 0", "t 0 0", 400),
        ("t=0 0", "", 400),
        ("t=0 0", "T=0 0", 400),
        ("t=0 0", "t=\0", 400),
        ("m=audio 4000", "m=audio 65536", 400),
        ("m=audio 4000", "m=audio -1", 400),
        ("m=audio 4000 RTP/AVP 0 97", "m=audio 4000 RTP/AVP", 400),
        ("m=audio 4000 RTP/AVP 0 97", "m=audio 4000 RTP/AVP 0" + " 1" * 32, 400),
        ("RTP/AVP 0 97", "RTP/AVP 0 128", 400),
        ("RTP/AVP 0 97", "RTP/SAVP 0 x", 400),
        ("iLBC/8000", "iLBC", 400),
        ("iLBC/8000", "iLBC/0", 400),
        ("iLBC/8000", "iLBC/384001", 400),
        ("iLBC/8000", "iLBC/8000/0", 400),
        ("rtpmap:97", "rtpmap:128", 400),
        ("ptime:20", "ptime:0", 400),
        ("ptime:20", "ptime:1001", 400),
        ("ptime:20", "maxptime:65536000", 400),
        ("ptime:20", "ptime:x", 400),
        ("ptime:20", "rtcp:65536", 400),
        ("mode=30", "mode=25", 488),
        ("mode=30", "mode=", 488),
        ("mode=30", "x=1; MODE = 0", 488),
        ("mode=30", "mode=30;mode=31", 488),
        ("a=fmtp:97 mode=30", "a=fmtp:097\tmode=25", 488),
        ("iLBC/8000|a=fmtp:97 mode=30", "x/8000|a=rtpmap:97 ILBC/8000|a=fmtp:97 mode=2", 488),
        ("c=IN IP4 192.0.2.1|", "", 400),
        ("c=IN IP4 192.0.2.1", "c=IN IP4", 400),
        ("c=IN IP4 192.0.2.1", "c=XX IP4 192.0.2.1", 400),
        ("c=IN IP4 192.0.2.1", "c=IN IP4 media.example.com", 488),
        ("c=IN IP4 192.0.2.1", "c=IN IP4 224.2.0.1/127", 488),
        ("c=IN IP4 192.0.2.1", "c=IN IP4 192.0.2.256", 488),
        ("c=IN IP4 192.0.2.1", "c=IN IP6 2001:db8::1", 488),
        ("t=0 0|", "b=AS:x|t=0 0|", 400),
        ("t=0 0|", "b=AS:1|" * 5 + "t=0 0|", 488),
        ("a=ptime:20|", "a=x|" * 65, 488),
        ("a=ptime:20|", "a=crypto:1 x|" * 9, 488),
        ("a=ptime:20|", "m=audio 0 RTP/AVP 0|" * 16, 488),
    ],
)
def test_sdp_that_is_refused(old: str, new: str, expected: int) -> None:
    assert old in SDP
    error = refusal(sdp_request(SDP.replace(old, new)))
    assert (error.sip_code, error.in_body) == (expected, True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("s=-", "s="),
        ("|", "\n"),
        ("mode=30", "mode=20"),
        ("iLBC/8000|a=fmtp:97 mode=30", "AMR/8000/1|a=fmtp:97 mode-set=7;mode-change-period=2"),
        ("a=rtpmap:97 iLBC/8000|a=fmtp:97 mode=30", "a=rtpmap:0 PCMU|a=rtpmap:97 speex/32000|a=fmtp:97 mode=3"),
        ("c=IN IP4 192.0.2.1", "c=IN IP4 0.0.0.0"),
        ("c=IN IP4 192.0.2.1|t=0 0|m=audio 4000 RTP/AVP 0 97", "t=0 0|m=audio 4000 RTP/AVP 0 97|c=IN IP4 192.0.2.1"),
        ("a=ptime:20|", "a=ptime:20|m=image 0 udptl t38|c=IN IP6 ::1|"),
        ("a=ptime:20|", "a=ptime:20|m=image 5000/2 udptl t38|||"),
        ("t=0 0", "b=AS:64|t=0 0"),
    ],
)
def test_sdp_that_is_good(old: str, new: str) -> None:
    assert old in SDP
    check(parse(sdp_request(SDP.replace(old, new))))


def test_a_refused_address_says_why() -> None:
    error = refusal(sdp_request(SDP.replace("IP4 192.0.2.1|t", "IP6 ::1|t")))
    assert error.headers == (("Warning", '301 sipcore "media over IPv6 is not supported"'),)


@pytest.mark.parametrize("text", ["Signal=5\r\nDuration=160", "Signal= *\n", "signal = 11\r\n\r\n"])
def test_dtmf_in_info(text: str) -> None:
    check(parse(request("INFO", body=text.encode(), Content_Type="application/dtmf-relay")))


@pytest.mark.parametrize(
    "text", ["Signal\r\n", "Duration=160", "Signal=17", "Signal=55", "Signal=5\r\nDuration=", "Signal=5\r\nDuration=9999999", "é"]
)
def test_bad_dtmf_in_info(text: str) -> None:
    assert code(request("INFO", body=text.encode(), Content_Type="application/dtmf-relay")) == 400


def test_a_single_key_in_info() -> None:
    check(parse(request("INFO", body=b"5\r\n", Content_Type="application/dtmf")))
    assert code(request("INFO", body=b"\r\n", Content_Type="application/dtmf")) == 400


def test_types_of_bodies() -> None:
    assert refusal(request(body=b"x", Content_Type="text/plain")).headers == (("Accept", "application/sdp"),)
    check(parse(request(body=b"x", Content_Type="text/plain", Content_Disposition="render;handling=optional")))
    check(parse(request("MESSAGE", body=b"x", Content_Type="text/plain; charset=utf-8")))
    assert code(request(body=b"x", Content_Type="application/sdp", Content_Encoding="gzip")) == 415
    assert code(request(body=b"x")) == 400


PART = "--b\r\nContent-Type: application/sdp\r\nContent-ID: <1@h>\r\n\r\n" + SDP.replace("|", "\r\n") + "\r\n"


def multipart(body: str, kind: str = "multipart/mixed;boundary=b") -> bytes:
    return request(body=body.encode(), Content_Type=kind)


def test_sdp_in_a_part_is_checked_as_well() -> None:
    check(parse(multipart(PART + "--b--\r\n")))
    check(parse(multipart("preamble\r\n" + PART + PART + "--b--", 'multipart/related;boundary="b"')))
    assert code(multipart(PART.replace("mode=30", "mode=25") + "--b--\r\n")) == 488


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PART, "multipart/mixed;boundary=b"),
        (PART + "--b--", "multipart/mixed"),
        (PART + "--b--", 'multipart/mixed;boundary=""'),
        (PART + "--b--", "multipart/mixed;boundary=c"),
        ("--b--", "multipart/mixed;boundary=b"),
        (PART * 9 + "--b--", "multipart/mixed;boundary=b"),
        (PART.replace("<1@h>", "<>") + "--b--", "multipart/mixed;boundary=b"),
        (PART.replace("<1@h>", "<") + "--b--", "multipart/mixed;boundary=b"),
        (PART.replace("<1@h>", "") + "--b--", "multipart/mixed;boundary=b"),
        (PART.replace("Content-ID", "Content ID") + "--b--", "multipart/mixed;boundary=b"),
        (PART.replace("Content-ID", "Content-Length") + "--b--", "multipart/mixed;boundary=b"),
        (PART.replace("Content-ID", "X-\0") + "--b--", "multipart/mixed;boundary=b"),
        (PART.replace("\r\n\r\n", "\r\n") + "--b--", "multipart/mixed;boundary=b"),
    ],
)
def test_bad_multipart(body: str, kind: str) -> None:
    assert code(multipart(body, kind)) == 400


def test_multipart_is_not_nested() -> None:
    assert code(multipart(PART.replace("application/sdp", "multipart/mixed;boundary=c") + "--b--")) == 415


_WHERE = st.sampled_from([*HEADERS, "Route", "Content-Type", "Require", "RAck", "Session-Expires", "Refer-To"])


@given(
    _WHERE,
    st.text(max_size=60),
    st.binary(max_size=120),
    st.sampled_from(["sdp", "dtmf-relay", "dtmf"]),
    st.sampled_from(["INVITE", "INFO"]),
)
def test_nothing_but_malformed_is_raised(name: str, value: str, body: bytes, kind: str, method: str) -> None:
    head = {"Content-Type": f"application/{kind}"} | {name: (HEADERS.get(name) or "") + value}
    data = request(method, body=b"v=0\r\no=- 1 1 IN IP4 h\r\ns=-\r\n" + body, **{key.replace("-", "_"): text for key, text in head.items()})
    with contextlib.suppress(Malformed):
        check(parse(data))


@given(st.data())
def test_what_passes_has_no_second_reading(data: st.DataObject) -> None:
    """Every one-byte change of a good message is refused, or what is sent on is read the same again."""
    good = sdp_request(SDP, Record_Route="<sip:192.0.2.7;lr>")
    position = data.draw(st.integers(0, len(good) - 1))
    changed = good[:position] + bytes([data.draw(st.integers(0, 255))]) + good[position + 1 :]
    try:
        message = parse(changed)
        check(message)
    except Malformed:
        return
    again: Message = parse(message.to_bytes())
    check(again)
    assert (again.start, again.body) == (message.start, message.body)
    assert {header.name: header.value for header in again.headers} | {"Content-Length": ""} == {
        header.name: header.value for header in message.headers
    } | {"Content-Length": ""}


@pytest.mark.parametrize("padding", [b"\r\n", b"\0\0\0\0", b"  \r\n"])
def test_padding_behind_a_message_is_no_body(padding: bytes) -> None:
    check(parse(request().replace(b"Content-Length: 0\r\n", b"") + padding))
    assert code(request().replace(b"Content-Length: 0\r\n", b"") + b"text") == 400


def test_contacts_of_other_schemes_where_nobody_calls_them_back() -> None:
    check(parse(request("REGISTER", Contact="*")))
    check(parse(request("REGISTER", Contact="<mailto:a@h>")))
    check(parse(response("302 Moved", Contact="<mailto:a@h>, <sip:b@h>")))
    assert code(request("REGISTER", Contact="*, <sip:a@h>")) == 400
    assert code(response("302 Moved", Contact="*")) == 0


@pytest.mark.parametrize(
    ("fragment", "is_good"),
    [
        (b"SIP/2.0 200 OK", True),
        (b"SIP/2.0 180 Ringing\r\nContact: <sip:a@h>\r\n", True),
        (b"SIP/2.0 486 ", True),
        (b"SIP/2.0 700 x", False),
        (b"SIP/2.0 20", False),
        (b"SIP/2.0 200\0", False),
        (b"OK", False),
        (b"SIP/2.0 200 " + b"x" * 2_048, False),
    ],
)
def test_what_a_notify_tells_of_a_transfer(fragment: bytes, is_good: bool) -> None:
    data = request("NOTIFY", body=fragment, Content_Type="message/sipfrag;version=2.0", To="<sip:b@h>;tag=t")
    if is_good:
        check(parse(data))
    else:
        assert code(data) == 400
