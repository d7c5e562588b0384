"""The ladder diagram: whose arrow goes where, what stands on it, and that nothing of it can hurt a terminal."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipcore.ladder import draw_ladder
from sipcore.sip_summary import summarize
from sipcore.wire import TracedMessage

US, ALICE, BOB = "198.51.100.1:5060", "203.0.113.9:61234", "192.0.2.10:5060"
SDP = "v=0\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"


def request(method, cseq=1, headers="", body=""):
    return f"{method} sip:x@y SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nCSeq: {cseq} {method}\r\n{headers}\r\n{body}"


def response(status, cseq="1 INVITE", headers="", body=""):
    return f"SIP/2.0 {status}\r\nVia: SIP/2.0/UDP a\r\nCSeq: {cseq}\r\n{headers}\r\n{body}"


def sent(at, text, remote=BOB, **more):
    return TracedMessage(1_700_000_000.0 + at, True, "udp", US, remote, text, **more)


def got(at, text, remote=BOB, **more):
    return TracedMessage(1_700_000_000.0 + at, False, "udp", US, remote, text, **more)


WITH_SDP = "Content-Type: application/sdp\r\n"
OUTGOING = [
    sent(0, request("INVITE", headers=WITH_SDP, body=SDP)),
    sent(0.5, request("INVITE", headers=WITH_SDP, body=SDP)),
    got(0.51, response("180 Ringing")),
    got(1.25, response("200 OK", headers=WITH_SDP, body=SDP + "a=sendonly\r\n")),
    sent(1.251, request("ACK")),
    got(61.5, request("BYE", 7, 'Reason: Q.850;cause=16;text="Normal"\r\n')),
    sent(61.501, response("200 OK", "7 BYE")),
]


def test_an_outgoing_call():
    assert draw_ladder(OUTGOING, 71).splitlines() == [
        "time       us 198.51.100.1:5060                         192.0.2.10:5060",
        "+0.000     |--- INVITE (1, PCMU PCMA) ------------------------------->|",
        "+0.500     |--- INVITE again (1, PCMU PCMA) ------------------------->|",
        "+0.510     |<-- 180 Ringing (1 INVITE) -------------------------------|",
        "+1.250     |<-- 200 OK (1 INVITE, PCMU PCMA, sendonly) ---------------|",
        "+1.251     |--- ACK (1) --------------------------------------------->|",
        "+61.500    |<-- BYE (7, Q.850 cause 16) ------------------------------|",
        "+61.501    |--- 200 OK (7 BYE) -------------------------------------->|",
    ]


def test_the_caller_is_left_of_us_and_who_we_call_is_right():
    lines = draw_ladder(
        [got(0, request("INVITE"), ALICE), sent(0.1, request("INVITE"), BOB), got(0.2, response("200 OK"), BOB)], 90
    ).splitlines()
    title, first, second, third = lines
    assert [title.index(name) for name in (ALICE, US, BOB)] == sorted(title.index(name) for name in (ALICE, US, BOB))
    assert first.index(">") < second.index("---")
    assert second.rstrip().endswith(">|")
    assert third.index("<") == second.index("---")
    for line in lines[1:]:
        assert [at for at, letter in enumerate(line) if letter == "|"] == [11, 50, 89]


def test_parties_without_room_share_a_column_and_are_named():
    messages = [sent(at, request("INVITE", at), f"192.0.2.{at}:5060") for at in range(20)]
    lines = draw_ladder(messages, 100).splitlines()
    assert lines[0].endswith("others")
    assert "192.0.2.19:5060 INVITE" in lines[-1]
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("width", [0, 60, 61, 79, 80, 100, 133, 250])
@pytest.mark.parametrize("parties", [1, 2, 3, 5, 12])
def test_no_line_is_wider_than_asked(width, parties):
    name = "2001:0db8:0000:0000:0000:0000:0000:{}"
    messages = [got(at, response("200 " + "long phrase " * 30), f"[{name.format(at)}]:5060", missing=at) for at in range(parties)]
    lines = draw_ladder(messages, width).splitlines()
    assert max(map(len, lines)) <= max(width, 60)
    arrows = [line for line in lines[1:] if not line.startswith("...")]
    assert len({tuple(line.rpartition("|")[:1][0].count("|") for line in arrows)}) == 1
    assert len({len(line) for line in arrows}) == 1


def test_only_the_same_bytes_the_same_way_are_again():
    invite = request("INVITE")
    lines = draw_ladder(
        [sent(0, invite), sent(1, invite, ALICE), got(2, invite), sent(3, request("INVITE", 2)), sent(4, invite)]
    ).splitlines()
    assert ["again" in line for line in lines[1:]] == [False, False, False, False, True]


def test_a_gap_is_told():
    lines = draw_ladder([sent(0, request("INVITE")), sent(9, request("BYE", 2), missing=12)]).splitlines()
    assert lines[2] == "...        (12 messages were not kept)"
    assert "BYE" in lines[3]


def test_two_addresses_of_ours_are_one_column():
    other = TracedMessage(1_700_000_001.0, True, "tcp", "198.51.100.1:44321", BOB, request("BYE"))
    lines = draw_ladder([OUTGOING[0], other]).splitlines()
    assert f"us {US} ..." in lines[0]
    assert lines[1].count("|") == lines[2].count("|") == 2


def test_no_messages():
    assert draw_ladder([]) == "no messages\n"


def test_time_that_goes_back_is_shown_so():
    assert draw_ladder([sent(1, request("INVITE")), got(0.5, response("100 Trying"))]).splitlines()[2].startswith("-0.500 ")


EVIL = "\x1b[2J\x1b]0;owned\x07\r\n\t\0\x7f\x9b31m\u202e\u200b\ud7ff\ufeff|`````<script>"


@pytest.mark.parametrize(
    "text",
    [
        f"SIP/2.0 200 {EVIL}\r\nCSeq: 1 {EVIL}\r\nReason: {EVIL};cause=1\r\n\r\n",
        f"{EVIL} sip:x SIP/2.0\r\n\r\n",
        f"REFER x SIP/2.0\r\nCSeq: 1\x1b[31m REFER\r\nRefer-To: <{EVIL}>\r\nSubscription-State: {EVIL}\r\n\r\n",
        f"INVITE x SIP/2.0\r\nContent-Type: application/sdp\r\n\r\nm=audio {EVIL} RTP\x1b 0\r\na=rtpmap:0 PC\x1bMU/8000\r\n",
        f"NOTIFY x SIP/2.0\r\nContent-Type: {EVIL}\r\n\r\n{EVIL}",
        "NOTIFY x SIP/2.0\r\nContent-Type: message/sipfrag\r\n\r\nSIP/2.0 200 \x1b[31m",
    ],
)
def test_nothing_but_printable_ascii_reaches_the_terminal(text):
    shown = draw_ladder([got(0, text, f"192.0.2.1:5060{EVIL}"), TracedMessage(1.0, True, EVIL, US + EVIL, BOB, text)])
    assert all(" " <= letter <= "~" or letter == "\n" for letter in shown)
    assert len(shown.splitlines()) == 3


@given(st.lists(st.tuples(st.text(max_size=200), st.text(max_size=30), st.booleans()), max_size=8), st.integers(-5, 200))
@settings(max_examples=100, deadline=None)
def test_any_text_can_be_drawn(rows, width):
    shown = draw_ladder([TracedMessage(float(at), way, "udp", remote, remote, text) for at, (text, remote, way) in enumerate(rows)], width)
    assert all(" " <= letter <= "~" or letter == "\n" for letter in shown)
    assert max(map(len, shown.splitlines())) <= max(60, width)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (request("REFER", 3, "Refer-To: <sip:carol@x?Replaces=abc>\r\n"), ("REFER", "3, to sip:carol@x")),
        (request("REFER", 3, "r: sip:carol@x\r\n"), ("REFER", "3, to sip:carol@x")),
        (
            request(
                "NOTIFY",
                4,
                "Subscription-State: terminated;reason=noresource\r\nc: message/sipfrag;version=2.0\r\n",
                "SIP/2.0 486 Busy\r\n",
            ),
            ("NOTIFY", "4, terminated, SIP/2.0 486 Busy"),
        ),
        (request("INFO", 5, "Content-Type: application/dtmf-relay\r\n", "Signal=*\r\n"), ("INFO", "5, application/dtmf-relay")),
        (request("CANCEL", 1, "Reason:\r\n SIP ; cause = 200\r\n"), ("CANCEL", "1, SIP cause 200")),
        (response("486 Busy Here", headers="Reason: SIP\r\n"), ("486 Busy Here", "1 INVITE, SIP")),
        ("SIP/2.0 200\r\n\r\n", ("200", "")),
        ("", ("?", "")),
        ("OPTIONS sip:x SIP/2.0\nCSeq: 9 OPTIONS\n\n", ("OPTIONS", "9")),
    ],
)
def test_what_is_said_of_a_message(text, expected):
    assert summarize(text) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (SDP, "PCMU PCMA"),
        (SDP + "a=inactive\r\n", "PCMU PCMA, inactive"),
        (SDP.replace("t=0 0", "t=0 0\r\na=sendonly"), "PCMU PCMA, sendonly"),
        (SDP.replace("t=0 0", "t=0 0\r\na=sendonly") + "a=recvonly\r\n", "PCMU PCMA, recvonly"),
        (SDP + "m=video 5000 RTP/AVP 99\r\na=rtpmap:99 VP8/90000\r\na=inactive\r\n", "PCMU PCMA"),
        (SDP.replace("RTP/AVP", "RTP/SAVP"), "PCMU PCMA, SRTP"),
        (SDP.replace("192.0.2.1", "0.0.0.0"), "PCMU PCMA, hold (0.0.0.0)"),
        (SDP.replace("audio 4000", "audio 0"), "audio refused"),
        ("v=0\r\nm=image 1 udptl t38\r\n", "SDP without audio"),
        ("v=0\r\nm=audio 4 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n", "no codec"),
        (
            "v=0\r\nm=audio 4 RTP/AVP 96 97 98 99 100 101 102\r\n" + "".join(f"a=rtpmap:{n} C{n}/8000\r\n" for n in range(96, 103)),
            "C96 C97 C98 C99 C100 C101 ...",
        ),
        ("v=0\r\nm=audio \r\n", "no codec"),
    ],
)
def test_what_is_said_of_sdp(body, expected):
    assert summarize(request("INVITE", headers=WITH_SDP, body=body)) == ("INVITE", f"1, {expected}")
    mixed = f"--x\r\nContent-Type: application/sdp\r\n\r\n{body}"
    if body.startswith("v=0\r\n"):
        assert summarize(request("INVITE", headers="Content-Type: multipart/mixed;boundary=x\r\n", body=mixed)) == (
            "INVITE",
            f"1, {expected}",
        )
