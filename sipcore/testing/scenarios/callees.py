"""Scenarios that are called by the thing under test."""

from __future__ import annotations

from typing import Final

from sipcore.testing.scenarios.parts import HAS_MEDIA, answer, ask, be_hung_up, be_told, code, hang_up, notify
from sipcore.testing.scenarios.scenario import Scenario, Variable
from sipcore.testing.scenarios.steps import Match, Pause, PlayFile, Step, pause, receive, send

_INVITE: Final = receive("INVITE")
_NONCE: Final = 'Digest realm="sipp.test", nonce="[pid]c[call_number]", algorithm=MD5, qop="auth"'
_DELAY: Final = {"delay_ms": Variable("700", "how late")}
_REFER_TO: Final = {"refer_to": Variable("sip:other@127.0.0.1", "whom the other side is to call")}
_ANSWERED: Final[tuple[Step, ...]] = (_INVITE, *answer())
_RINGING: Final[tuple[Step, ...]] = (_INVITE, send(180), pause())

CALLEES: Final = (
    Scenario("uas-answer", "rings for the pause, answers, and is hung up", (*_RINGING, *answer(), *be_hung_up())),
    Scenario("uas-answer-bye", "answers at once, and hangs up after the pause", (*_ANSWERED, pause(), *hang_up())),
    Scenario("uas-busy", "is busy: 486", (_INVITE, send(486), receive("ACK"))),
    Scenario(
        "uas-refuse",
        "rings for the pause, and refuses",
        (*_RINGING, send("${code}", phrase="${phrase}"), receive("ACK")),
        {**code(603, "the refusal"), "phrase": Variable("Refused", "its reason phrase")},
    ),
    Scenario(
        "uas-retry-after",
        "has no time: 503 with Retry-After",
        (_INVITE, send(503, "Retry-After: ${retry_after_s}"), receive("ACK")),
        {"retry_after_s": Variable("5", "when to come back, in seconds")},
    ),
    Scenario(
        "uas-redirect",
        "is somewhere else: 302 with Contact",
        (_INVITE, send(302, "Contact: <${contact}>"), receive("ACK")),
        {"contact": Variable("sip:other@127.0.0.1", "where")},
    ),
    Scenario("uas-silent", "answers nothing at all", (_INVITE, pause())),
    Scenario(
        "uas-no-answer",
        "rings, and must be given up: CANCEL, 487",
        (
            receive("INVITE", keep="call"),
            send(180),
            receive("CANCEL"),
            send(200),
            send(487, answers="call"),
            receive("ACK"),
        ),
    ),
    Scenario(
        "uas-early-media",
        "opens the audio with 183 and SDP, answers after the pause, and is hung up",
        (_INVITE, send(183, sdp="sendrecv"), pause(), *answer(), *be_hung_up()),
    ),
    Scenario(
        "uas-forked-183",
        "three forks open early media (183, each with a tag of its own), the last one answers; is hung up",
        (
            _INVITE,
            send(183, sdp="sendrecv", tag="a"),
            send(183, sdp="sendrecv", tag="b"),
            send(183, sdp="sendrecv"),
            pause(),
            *answer(),
            *be_hung_up(),
        ),
    ),
    Scenario(
        "uas-late-offer",
        "is called without SDP, offers in the 200, must get the answer in the ACK; is hung up",
        (_INVITE, send(200, sdp="sendrecv"), receive("ACK", HAS_MEDIA), *be_hung_up()),
    ),
    Scenario(
        "uas-hold",
        "answers, puts the caller on hold, takes him back, and is hung up",
        (*_ANSWERED, pause(), *ask("INVITE", sdp="sendonly"), pause(), *ask("INVITE", sdp="sendrecv"), *be_hung_up()),
    ),
    Scenario(
        "uas-expect-hold",
        "answers, is put on hold and taken back, and is hung up",
        (
            *_ANSWERED,
            receive("INVITE", Match("", "a=(sendonly|inactive)")),
            send(200, sdp="recvonly"),
            receive("ACK"),
            receive("INVITE", Match("", "a=sendrecv")),
            send(200, sdp="sendrecv"),
            receive("ACK"),
            *be_hung_up(),
        ),
    ),
    Scenario(
        "uas-glare",
        "answers; its re-INVITE and that of the caller cross, each refuses the other with 491; is hung up",
        (
            *_ANSWERED,
            send("INVITE", sdp="sendrecv", is_repeated=False),  # SIPp takes no request while it repeats one of its own
            receive("INVITE", keep="theirs"),
            send(491, answers="theirs"),
            receive("ACK"),
            receive(491),
            send("ACK"),
            *be_hung_up(),
        ),
    ),
    Scenario(
        "uas-session-timer",
        "answers with a session timer (RFC 4028) that the caller has to refresh, by UPDATE; is hung up",
        (
            _INVITE,
            *answer("Require: timer", "Session-Expires: ${expires_s};refresher=uac"),
            receive("UPDATE", Match("Session-Expires", "[0-9]+")),
            send(200, "Require: timer", "Session-Expires: ${expires_s};refresher=uac"),
            *be_hung_up(),
        ),
        {"expires_s": Variable("90", "the session interval in seconds")},
    ),
    Scenario(
        "uas-422",
        "refuses a session interval as too short (422), answers the second INVITE; is hung up",
        (
            _INVITE,
            send(422, "Min-SE: ${expires_s}"),
            receive("ACK"),
            receive("INVITE", Match("Session-Expires", "${expires_s}")),
            *answer("Require: timer", "Session-Expires: ${expires_s};refresher=uac"),
            *be_hung_up(),
        ),
        {"expires_s": Variable("90", "the shortest interval in seconds")},
    ),
    Scenario(
        "uas-lost-invite",
        "behaves as if the first INVITE was lost: answers nothing until it has come again; is hung up",
        (_INVITE, Pause("${delay_ms}"), *answer(), *be_hung_up()),
        _DELAY,
    ),
    Scenario(
        "uas-give-up",
        "answers, gets no ACK, and hangs up after the pause",
        (_INVITE, send(200, sdp="sendrecv", is_repeated=False), pause(), *hang_up()),
    ),
    Scenario(
        "uas-delayed-bye",
        "answers, is hung up, and answers the BYE late: it is sent again meanwhile",
        (*_ANSWERED, receive("BYE"), Pause("${delay_ms}"), send(200)),
        _DELAY,
    ),
    Scenario("uas-ignore-bye", "answers, is hung up, and never answers the BYE", (*_ANSWERED, receive("BYE"), pause())),
    Scenario(
        "uas-prack",
        "rings reliably, expects PRACK (RFC 3262), answers, and is hung up",
        (
            receive("INVITE", keep="call"),
            send("${ringing}", "Require: 100rel", "RSeq: 7"),
            receive("PRACK", Match("RAck", "7 [0-9]+ INVITE")),
            send(200),
            pause(),
            send(200, sdp="sendrecv", answers="call"),
            receive("ACK"),
            *be_hung_up(),
        ),
        {"ringing": Variable("180", "the provisional answer: 180 or 183")},
    ),
    Scenario(
        "uas-update",
        "answers, changes the media with UPDATE after the pause, and is hung up",
        (*_ANSWERED, pause(), *ask("UPDATE", sdp="recvonly"), *be_hung_up()),
    ),
    Scenario(
        "uas-expect-update",
        "answers, expects UPDATE with SDP, and is hung up",
        (*_ANSWERED, receive("UPDATE", HAS_MEDIA), send(200, sdp="sendonly"), *be_hung_up()),
    ),
    Scenario(
        "uas-digest",
        "wants a digest for the INVITE, answers the second one, and is hung up",
        (
            _INVITE,
            send("${code}", f"${{challenge}}: {_NONCE}"),
            receive("ACK"),
            receive("INVITE", Match("", "uthorization: Digest.*response=")),
            *answer(),
            *be_hung_up(),
        ),
        {**code(401, "the challenge: 401 or 407"), "challenge": Variable("WWW-Authenticate", "its header: Proxy-Authenticate with 407")},
    ),
    Scenario(
        "uas-register",
        "a registrar: wants a digest, and takes the registration",
        (
            receive("REGISTER"),
            send(401, f"WWW-Authenticate: {_NONCE}"),
            receive("REGISTER", Match("Authorization", "Digest .*response=")),
            send(200, "[last_Contact:];expires=${expires_s}"),
        ),
        {"expires_s": Variable("60", "for how long, in seconds")},
    ),
    Scenario("uas-options", "is there: answers OPTIONS", (receive("OPTIONS"), send(200, "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS"))),
    Scenario(
        "uas-transfer",
        "answers, sends REFER after the pause, is told how it goes to its end, and hangs up",
        (*_ANSWERED, pause(), *ask("REFER", "Refer-To: <${refer_to}>", expect=202), *be_told(), *hang_up()),
        _REFER_TO,
    ),
    Scenario(
        "uas-expect-refer",
        "answers, is asked to call somebody else (REFER), tells that it has, and is hung up",
        (
            *_ANSWERED,
            receive("REFER", Match("Refer-To", "sip")),
            send(202),
            *notify("active;expires=60", "SIP/2.0 180 Ringing"),
            *notify("terminated;reason=noresource", "SIP/2.0 ${outcome}"),
            *be_hung_up(),
        ),
        {"outcome": Variable("200 OK", "how the other call went")},
    ),
    Scenario(
        "uas-refuse-refer",
        "answers, refuses REFER, and is hung up",
        (*_ANSWERED, receive("REFER"), send("${code}"), *be_hung_up()),
        code(603, "the refusal"),
    ),
    Scenario(
        "uas-expect-info",
        "answers, expects a key by INFO, and is hung up",
        (*_ANSWERED, receive("INFO", Match("", "Signal= ?${digit}")), send(200), *be_hung_up()),
        {"digit": Variable("5", "the key")},
    ),
    Scenario(
        "uas-play",
        "answers, sends a file of encoded audio as RTP, and is hung up",
        (*_ANSWERED, PlayFile("${audio}", "-1"), *be_hung_up()),
        {"audio": Variable("audio.ulaw", "a file without a header in the codec, 8000 bytes a second for G.711")},
    ),
)
