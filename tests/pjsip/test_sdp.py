"""The pure part of codecs and addresses; no PJSIP."""

from __future__ import annotations

import pytest

from sipcore.pjsip import sdp
from sipcore.pjsip.localaddress import caller_host, local_address_towards, next_hop_host

OURS = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=x\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 96 120\r\n"
    "a=rtcp:4001 IN IP4 192.0.2.9\r\n"
    "a=sendrecv\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:96 speex/8000\r\na=fmtp:96 mode=any\r\n"
    "a=rtpmap:120 telephone-event/8000\r\na=fmtp:120 0-16\r\n"
)


def media_line(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("m=audio"))


def test_without_wishes_nothing_changes():
    assert sdp.edited(OURS) == OURS


@pytest.mark.parametrize(
    ("codecs", "payloads"),
    [
        (("PCMA/8000",), "8 120"),
        (("SPEEX/8000", "PCMU/8000"), "96 0 120"),
        (("G722/8000", "PCMA/8000/1"), "8 120"),
        (("G729/8000",), "0 8 96 120"),  # none of ours: better a call than no SDP
    ],
)
def test_selection_and_order_of_an_offer(codecs, payloads):
    text = sdp.edited(OURS, codecs)
    assert media_line(text) == f"m=audio 4000 RTP/AVP {payloads}"
    assert ("a=fmtp:96" in text) is ("96" in payloads.split())
    assert ("a=rtpmap:0 " in text) is ("0" in payloads.split())
    assert "a=rtpmap:120 telephone-event" in text
    assert text.endswith("\r\n")


def test_an_answer_has_the_first_codec_that_both_have():
    offer = "v=0\r\nm=audio 9 RTP/AVP 0 97 8\r\na=rtpmap:97 speex/8000\r\n"
    assert media_line(sdp.edited(OURS, ("G722/8000", "speex/8000", "PCMU/8000"), offer)) == "m=audio 4000 RTP/AVP 96 120"
    assert media_line(sdp.edited(OURS, ("PCMA/8000", "PCMU/8000"), offer)) == "m=audio 4000 RTP/AVP 8 120"


def test_the_address():
    text = sdp.edited(OURS, address="198.51.100.7")
    assert "c=IN IP4 198.51.100.7\r\n" in text
    assert "o=- 1 1 IN IP4 198.51.100.7\r\n" in text
    assert text.count("\r\n") == OURS.count("\r\n")


def test_rtcp_goes_where_rtp_goes():
    assert "a=rtcp:4001 IN IP4 198.51.100.7\r\n" in sdp.edited(OURS, address="198.51.100.7")


@pytest.mark.parametrize(
    ("offer", "codecs", "is_common"),
    [
        ("", ("PCMU/8000",), True),
        ("m=audio 9 RTP/AVP 0\r\n", (), True),
        ("m=audio 9 RTP/AVP 0\r\n", ("pcmu/8000",), True),
        ("m=audio 9 RTP/AVP 0\r\n", ("PCMA/8000",), False),
        ("m=video 9 RTP/AVP 0\r\n", ("PCMU/8000",), False),
        ("m=audio 9 RTP/AVP 99\r\na=rtpmap:99 G722/8000\r\n", ("G722/8000",), True),
    ],
)
def test_what_both_have(offer, codecs, is_common):
    assert sdp.has_common_codec(offer, codecs) is is_common


@pytest.mark.parametrize(
    ("offer", "keys"),
    [
        ("m=audio 9 RTP/AVP 0\n", "off"),
        ("m=audio 9 RTP/AVP 0\na=crypto:1 A inline:x\n", "optional"),
        ("m=audio 9 RTP/SAVP 0\na=crypto:1 A inline:x\n", "required"),
        ("m=audio 0 RTP/SAVP 0\nm=audio 9 RTP/AVP 0\n", "off"),
    ],
)
def test_keys_of_an_offer(offer, keys):
    assert sdp.keys_of(offer) == keys


@pytest.mark.parametrize(
    ("route", "uri", "host"),
    [
        ("sip:127.0.0.1:5;lr;hop=udp-192.0.2.1-5060", "sip:a@192.0.2.2", "192.0.2.1"),
        ("sip:127.0.0.1:5;lr", "sip:a@192.0.2.2:5070;transport=tcp", "192.0.2.2"),
        (None, "sip:192.0.2.2", "192.0.2.2"),
        (None, "sip:a@trunk.example", ""),
        (None, "sip:192.0.2.2@trunk.example", ""),
        ("sip:127.0.0.1:5;lr;hop=tls-[2001:db8::1]-5061", "sip:a@trunk.example", ""),
    ],
)
def test_where_a_call_goes(route, uri, host):
    assert next_hop_host(route, uri) == host


@pytest.mark.parametrize(
    ("vias", "host"),
    [
        (["SIP/2.0/UDP 127.0.0.1:5;branch=x", "SIP/2.0/UDP 10.0.0.1:5060;received=192.0.2.5;rport=9"], "192.0.2.5"),
        (["SIP/2.0/UDP 127.0.0.1:5;branch=x, SIP/2.0/TCP 192.0.2.6"], "192.0.2.6"),
        (["SIP/2.0/UDP 192.0.2.7:5060"], "192.0.2.7"),
        (["SIP/2.0/UDP host.example"], ""),
    ],
)
def test_where_a_call_comes_from(vias, host):
    invite = "".join(["INVITE sip:x SIP/2.0\r\n", *(f"Via: {via}\r\n" for via in vias), "\r\nVia: SIP/2.0/UDP 9.9.9.9\r\n"])
    assert caller_host(invite) == host


def test_our_address_on_the_way():
    assert local_address_towards("127.0.0.1") == "127.0.0.1"
    assert local_address_towards("trunk.example") == ""
    assert local_address_towards("") == ""
