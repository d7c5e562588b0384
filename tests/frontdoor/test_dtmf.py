"""Digits in INFO, as workers get them."""

import pytest

from sipcore.frontdoor.dtmf import write_plainly
from sipcore.frontdoor.message import Message


@pytest.mark.parametrize(
    ("kind", "body", "written"),
    [
        ("application/dtmf", "7", "Signal=7\r\nDuration=160\r\n"),
        ("application/dtmf", " #\r\n", "Signal=#\r\nDuration=160\r\n"),
        ("Application/DTMF; charset=utf-8", "11", "Signal=#\r\nDuration=160\r\n"),
        ("application/dtmf-relay", "Signal=10\r\nDuration=250\r\n", "Signal=*\r\nDuration=250\r\n"),
        ("application/dtmf-relay", "signal= a \nduration = 90", "Signal=A\r\nDuration=90\r\n"),
        ("application/dtmf-relay", "Signal=1\r\n", "Signal=1\r\nDuration=160\r\n"),
        ("application/dtmf-relay", "Signal=16\r\n", "Signal=16\r\nDuration=160\r\n"),
    ],
)
def test_digits_are_written_in_one_way(kind, body, written):
    info = Message("INFO sip:a@b SIP/2.0", [], body.encode())
    info.append("Content-Type", kind)
    write_plainly(info)
    assert (info.get("Content-Type"), info.body.decode()) == ("application/dtmf-relay", written)


@pytest.mark.parametrize("kind", ["application/media_control+xml", "text/plain", None])
def test_other_bodies_stay(kind):
    info = Message("INFO sip:a@b SIP/2.0", [], b"5")
    if kind:
        info.append("Content-Type", kind)
    write_plainly(info)
    assert (info.get("Content-Type"), info.body) == (kind, b"5")
