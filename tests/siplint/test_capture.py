"""SIP lint on a capture file."""

from __future__ import annotations

import struct

import pytest

from sipcore.pcap import make_pcap
from sipcore.testing.sip_capture import read_sip
from sipcore.wire import TracedMessage

from .dialogs import BEGAN_AT, THEM, US, Dialog, sdp, whole


def captured(tmp_path, messages):
    (tmp_path / "call.pcap").write_bytes(make_pcap(messages))
    return tmp_path / "call.pcap"


def test_what_was_written_is_read(tmp_path):
    capture = read_sip(captured(tmp_path, whole().messages))
    assert capture.us == US
    assert [(message.text, message.is_sent, message.remote) for message in capture.messages] == [
        (message.text, message.is_sent, message.remote) for message in whole().messages
    ]
    assert capture.lint() == ()


def test_whose_side_it_is_can_be_said(tmp_path):
    path = captured(tmp_path, whole().ask(6, "BYE", 3).reply(6.1, "481 No Call", "3 BYE").messages)
    assert [(finding.rule, finding.is_ours) for finding in read_sip(path).lint()] == [("bye-once", True)]
    assert [(finding.rule, finding.is_ours) for finding in read_sip(path, THEM).lint()] == [("bye-once", False)]
    assert read_sip(path, THEM.partition(":")[0]).messages == read_sip(path, THEM).messages
    with pytest.raises(ValueError, match=r"has no SIP of 192\.0\.2\.77; there are 192\.0\.2\.1:5060, 192\.0\.2\.9:5070"):
        read_sip(path, "192.0.2.77")


def test_media_after_the_bye(tmp_path):
    dialog = Dialog().ask(0, "INVITE", 1, is_new=True, body=sdp(host="192.0.2.1")).reply(1, "200 OK", "1 INVITE", body=sdp())
    dialog.ask(1.1, "ACK", 1).ask(5, "BYE", 2).reply(5.1, "200 OK", "2 BYE")
    media = [TracedMessage(BEGAN_AT + at, False, "udp", "192.0.2.1:4000", "192.0.2.9:4000", "\x00" * 20) for at in (2, 6, 6.02)]
    capture = read_sip(captured(tmp_path, [*dialog.messages, *media]))
    assert len(capture.packets) == 3
    assert [str(finding) for finding in capture.lint()] == [
        "message 4: rtp-after-bye: 2 packets of media from 192.0.2.9:4000 until 1.02 s after the BYE (RFC 3261 §15.1, by the far end)"
    ]


def test_secrets_of_a_capture_are_blanked(tmp_path):
    dialog = Dialog().ask(0, "INVITE", 1, is_new=True, Authorization='Digest username="bob", response="0123456789abcdef"')
    (message,) = read_sip(captured(tmp_path, dialog.messages)).messages
    assert "0123456789abcdef" not in message.text


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "neither pcap nor pcapng"), (b"GIF89a" * 9, "neither"), (make_pcap([]), "no SIP over UDP"), (make_pcap([])[:20], "neither")],
)
def test_what_is_no_capture_is_told(tmp_path, data, why):
    (tmp_path / "x.pcap").write_bytes(data)
    with pytest.raises(ValueError, match=why):
        read_sip(tmp_path / "x.pcap")


def test_a_capture_that_was_cut_off(tmp_path):
    data = make_pcap(whole().messages)
    (tmp_path / "x.pcap").write_bytes(data[: len(data) - 100])
    assert len(read_sip(tmp_path / "x.pcap").messages) in {6, 7}
    (tmp_path / "y.pcap").write_bytes(data[:24] + struct.pack("<IIII", 1, 1, 0xFFFFFFF, 0xFFFFFFF))
    with pytest.raises(ValueError, match="broken"):
        read_sip(tmp_path / "y.pcap")
