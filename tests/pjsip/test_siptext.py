from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.pjsip.siptext import contact_uri_of, header_of, is_supported, q850_cause_of, readable, status_of


@given(st.text())
def test_any_text_is_survived(text):
    status_of(text)
    contact_uri_of(f"SIP/2.0 302 Moved\r\nContact: {text}\r\n\r\n")
    header_of(text, "X")
    cause = q850_cause_of(f"BYE sip:x SIP/2.0\r\nReason: {text}\r\n\r\n")
    assert cause is None or 0 <= cause <= 127


@pytest.mark.parametrize(
    ("header", "cause"),
    [
        ('Reason: Q.850;cause=16;text="Terminated"', 16),
        ('reason :SIP;cause=200;text="a, b", q.850 ; cause = 31', 31),
        ("Reason: SIP;cause=486", None),
        ("Reason: Q.850;cause=999", None),
        ("Reason: Q.850;text=x", None),
        ("Reason: SIP;cause=600\r\nReason: Q.850;cause=1", 1),
        ("X-Reason: Q.850;cause=3", None),
    ],
)
def test_q850_cause(header, cause):
    assert q850_cause_of(f"BYE sip:x@y SIP/2.0\r\nVia: z\r\n{header}\r\nContent-Length: 0\r\n\r\n") == cause
    assert q850_cause_of(f"BYE sip:x@y SIP/2.0\r\nVia: z\r\n\r\n{header}\r\n") is None


def test_status_and_parameters():
    assert status_of("SIP/2.0 486 Busy Here\r\nVia: x") == (486, "Busy Here")
    assert status_of("SIP/2.0 200\r\n") == (200, "")
    assert status_of("INVITE sip:x SIP/2.0") is None


@given(st.binary())
def test_readable_text_can_be_sent(data):
    text = readable(data.decode("utf-8", "surrogateescape"))
    assert text == data.decode("utf-8", "replace")
    text.encode()


@pytest.mark.parametrize(
    ("message", "value"),
    [
        ("INVITE sip:a SIP/2.0\r\nX-Sipcore-Call: abc\r\n\r\n", "abc"),
        ("INVITE sip:a SIP/2.0\r\nx-sipcore-call :\r\n abc\r\n\r\n", "abc"),
        ("INVITE sip:a SIP/2.0\r\n\r\nX-Sipcore-Call: abc\r\n", ""),
        ("INVITE sip:a SIP/2.0\r\nX-Sipcore-Call: first\r\nX-Sipcore-Call: second\r\n\r\n", "first"),
    ],
)
def test_a_header(message, value):
    assert header_of(message, "X-Sipcore-Call") == value


@pytest.mark.parametrize(
    ("contact", "uri"),
    [
        ('Contact: "A, B" <sip:a@b;transport=tcp>;q=0.7, <sip:c@d>', "sip:a@b;transport=tcp"),
        ("m: sip:a@b:5070;q=0.7", "sip:a@b:5070"),
        ("Contact: *", ""),
        ("X-Contact: <sip:a@b>", ""),
    ],
)
def test_the_first_contact(contact, uri):
    assert contact_uri_of(f"SIP/2.0 302 Moved\r\n{contact}\r\n\r\n") == uri


@pytest.mark.parametrize(
    ("headers", "is_known"),
    [
        ("Supported: timer, Replaces", True),
        ("k:replaces", True),
        ("Supported: timer\r\nSupported:\r\n replaces", True),
        ("Supported: norefersub,timer", False),
        ("Require: replaces\r\nX-Supported: replaces", False),
        ("To: x\r\n\r\nSupported: replaces", False),
    ],
)
def test_what_the_far_end_knows(headers, is_known):
    assert is_supported(f"INVITE sip:a SIP/2.0\r\n{headers}\r\n\r\n", "replaces") is is_known
