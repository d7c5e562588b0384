from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.pjsip.siptext import q850_cause_of, readable, status_of, uri_parameter


@given(st.text())
def test_any_text_is_survived(text):
    status_of(text)
    uri_parameter(text, "transport")
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
    assert uri_parameter("sip:a@b:5060;Transport=TLS;lr", "transport") == "tls"
    assert uri_parameter("<sip:a@b>;transport=tcp", "transport") == ""


@given(st.binary())
def test_readable_text_can_be_sent(data):
    text = readable(data.decode("utf-8", "surrogateescape"))
    assert text == data.decode("utf-8", "replace")
    text.encode()
