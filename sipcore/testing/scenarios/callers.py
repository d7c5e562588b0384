"""Scenarios that call the thing under test."""

from __future__ import annotations

from typing import Final

from sipcore.testing.scenarios.parts import HAS_MEDIA, PROVISIONAL, ask, be_hung_up, be_told, code, hang_up, invite, notify
from sipcore.testing.scenarios.scenario import Scenario, Variable
from sipcore.testing.scenarios.steps import Match, PlayDigits, PlayFile, pause, receive, send

_REFER_TO: Final = {"refer_to": Variable("sip:other@127.0.0.1", "whom the other side is to call")}
_DIGIT: Final = {"digit": Variable("5", "the key")}
_EXPIRES: Final = {"expires_s": Variable("90", "the session interval in seconds")}

CALLERS: Final = (
    Scenario("uac-call", "calls, and hangs up after the pause", (*invite(), pause(), *hang_up())),
    Scenario("uac-call-expect-bye", "calls; the other side hangs up", (*invite(), *be_hung_up())),
    Scenario(
        "uac-delayed-bye",
        "calls, is hung up, and answers the BYE late: it is sent again meanwhile",
        (*invite(), receive("BYE"), pause("${delay_ms}"), send(200)),
        {"delay_ms": Variable("700", "how late")},
    ),
    Scenario("uac-ignore-bye", "calls, is hung up, and never answers the BYE", (*invite(), receive("BYE"), pause())),
    Scenario(
        "uac-late-offer",
        "calls without SDP: the offer is in the 200, the answer in the ACK (RFC 3264 section 4)",
        (send("INVITE"), *PROVISIONAL, receive(200, HAS_MEDIA), send("ACK", sdp="sendrecv"), pause(), *hang_up()),
    ),
    Scenario(
        "uac-early-media",
        "calls, must hear of early media (183 with SDP) before the answer, and hangs up",
        (
            send("INVITE", sdp="sendrecv"),
            receive(100, optional=True),
            receive(183, HAS_MEDIA),
            receive(200, HAS_MEDIA),
            send("ACK"),
            pause(),
            *hang_up(),
        ),
    ),
    Scenario(
        "uac-cancel",
        "gives up while the other side rings, and expects 487",
        (
            send("INVITE", sdp="sendrecv"),
            receive(100, optional=True),
            receive("${ringing}"),
            pause(),
            send("CANCEL"),
            receive(200),
            receive(487),
            send("ACK"),
        ),
        {"ringing": Variable("180", "the answer to wait for before")},
    ),
    Scenario(
        "uac-expect-refusal",
        "calls, and must be refused",
        (send("INVITE", sdp="sendrecv"), *PROVISIONAL, receive("${code}"), send("ACK")),
        code(486, "the refusal"),
    ),
    Scenario(
        "uac-expect-retry-after",
        "calls, and must be told to come back later: 503 with Retry-After",
        (send("INVITE", sdp="sendrecv"), *PROVISIONAL, receive(503, Match("Retry-After", "[0-9]+")), send("ACK")),
    ),
    Scenario(
        "uac-hold",
        "calls, puts the other side on hold, takes it back, and hangs up",
        (
            *invite(),
            pause(),
            *ask("INVITE", sdp="sendonly"),
            pause(),
            *ask("INVITE", sdp="sendrecv"),
            pause(),
            *hang_up(),
        ),
    ),
    Scenario(
        "uac-glare",
        "calls; its re-INVITE crosses that of the other side and is refused with 491, as it refuses the other; then hangs up",
        (
            *invite(),
            receive("INVITE", keep="theirs"),
            send("INVITE", sdp="sendrecv"),
            receive(491),
            send("ACK"),
            send(491, answers="theirs"),
            receive("ACK"),
            pause(),
            *hang_up(),
        ),
    ),
    Scenario(
        "uac-session-timer",
        "calls with a session timer (RFC 4028), refreshes it with UPDATE after the pause, and hangs up",
        (
            *invite("Supported: timer", "Session-Expires: ${expires_s};refresher=uac", "Min-SE: 90"),
            pause(),
            *ask("UPDATE", "Supported: timer", "Session-Expires: ${expires_s};refresher=uac"),
            pause(),
            *hang_up(),
        ),
        _EXPIRES,
    ),
    Scenario(
        "uac-expect-422",
        "calls with a session interval that is too short, is told so, and calls again with the one it was told",
        (
            send("INVITE", "Supported: timer", "Session-Expires: ${short_s}", sdp="sendrecv"),
            receive(100, optional=True),
            receive(422, Match("Min-SE", "${expires_s}")),
            send("ACK"),
            *invite("Supported: timer", "Session-Expires: ${expires_s}", "Min-SE: ${expires_s}"),
            pause(),
            *hang_up(),
        ),
        {"short_s": Variable("30", "what is too short"), **_EXPIRES},
    ),
    Scenario(
        "uac-lost-ack",
        "calls, and its first ACK is lost: the 200 comes again, then the ACK",
        (send("INVITE", sdp="sendrecv"), *PROVISIONAL, receive(200), pause("${delay_ms}"), send("ACK"), pause(), *hang_up()),
        {"delay_ms": Variable("700", "how late the ACK is; T1 of RFC 3261 is 500")},
    ),
    Scenario(
        "uac-no-ack",
        "calls, and never sends ACK: the other side has to give up with BYE (RFC 3261 section 13.3.1.4: after 32 s)",
        (send("INVITE", sdp="sendrecv"), *PROVISIONAL, receive(200), *be_hung_up()),
    ),
    Scenario(
        "uac-prack",
        "calls, acknowledges reliable ringing with PRACK (RFC 3262), and hangs up",
        (
            send("INVITE", "Supported: 100rel", sdp="sendrecv"),
            receive(100, optional=True),
            receive("${ringing}", Match("RSeq", "[0-9]+", "rseq")),
            send("PRACK", "RAck: [$rseq] 1 INVITE"),
            receive(200),
            receive(200),
            send("ACK"),
            pause(),
            *hang_up(),
        ),
        {"ringing": Variable("180", "the provisional answer: 180 or 183")},
    ),
    Scenario(
        "uac-update",
        "calls, changes the media with UPDATE (RFC 3311) after the pause, and hangs up",
        (*invite(), pause(), *ask("UPDATE", sdp="recvonly"), pause(), *hang_up()),
    ),
    Scenario(
        "uac-digest",
        "calls, answers the challenge of the INVITE with a digest, and hangs up",
        (
            send("INVITE", sdp="sendrecv"),
            receive(100, optional=True),
            receive("${code}", is_challenge=True),
            send("ACK"),
            send("INVITE", sdp="sendrecv", has_credentials=True),
            *PROVISIONAL,
            receive(200),
            send("ACK"),
            pause(),
            *hang_up(),
        ),
        code(401, "the challenge: 401, or 407 of a proxy"),
    ),
    Scenario(
        "uac-register",
        "registers, with a digest",
        (
            send("REGISTER", "Expires: ${expires_s}"),
            receive(100, optional=True),
            receive(401, is_challenge=True),
            send("REGISTER", "Expires: ${expires_s}", has_credentials=True),
            receive(100, optional=True),
            receive(200, Match("Contact", "sip")),
        ),
        {"expires_s": Variable("60", "for how long, in seconds")},
    ),
    Scenario("uac-options", "asks whether the other side is there", (send("OPTIONS", "Accept: application/sdp"), receive(200))),
    Scenario(
        "uac-transfer",
        "calls, sends REFER after the pause, is told how it goes to its end, and hangs up",
        (*invite(), pause(), *ask("REFER", "Refer-To: <${refer_to}>", expect=202), *be_told(), *hang_up()),
        _REFER_TO,
    ),
    Scenario(
        "uac-transfer-refused",
        "calls, sends REFER after the pause, which is refused, and hangs up",
        (*invite(), pause(), send("REFER", "Refer-To: <${refer_to}>"), receive("${code}"), pause(), *hang_up()),
        {**_REFER_TO, **code(603, "the refusal")},
    ),
    Scenario(
        "uac-expect-refer",
        "calls, is asked to call somebody else (REFER), tells that it has, and is hung up",
        (
            *invite(),
            receive("REFER", Match("Refer-To", "sip")),
            send(202),
            *notify("active;expires=60", "SIP/2.0 180 Ringing"),
            *notify("terminated;reason=noresource", "SIP/2.0 ${outcome}"),
            *be_hung_up(),
        ),
        {"outcome": Variable("200 OK", "how the other call went")},
    ),
    Scenario(
        "uac-dtmf-info",
        "calls, presses a key by INFO (application/dtmf-relay) after the pause, and hangs up",
        (
            *invite(),
            pause(),
            *ask("INFO", body="Signal=${digit}\nDuration=160", body_type="application/dtmf-relay"),
            pause(),
            *hang_up(),
        ),
        _DIGIT,
    ),
    Scenario(
        "uac-dtmf-rtp",
        "calls, presses keys as RFC 4733 events after the pause, and hangs up; SIPp has to be root",
        (*invite(), pause(), PlayDigits("${digits}"), pause("${playing_ms}"), *hang_up()),
        {
            "digits": Variable("123", "the keys"),
            "playing_ms": Variable("3000", "how long to wait for them to be sent, a second each"),
            "dtmf_payload": Variable("96", "RTP payload type of telephone-event: SIPp has this one built in"),
        },
    ),
    Scenario(
        "uac-play",
        "calls, sends a file of encoded audio as RTP for the pause, and hangs up",
        (*invite(), PlayFile("${audio}"), pause(), *hang_up()),
        {"audio": Variable("audio.ulaw", "a file without a header in the codec, 8000 bytes a second for G.711")},
    ),
)
