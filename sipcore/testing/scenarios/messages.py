"""The SIP messages of a scenario as text: what each has to say follows from those before it (RFC 3261 §8, §12, §13, §17)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from sipcore.testing.scenarios.steps import Receive, Send

PHRASES: Final = {
    "100": "Trying", "180": "Ringing", "181": "Call Is Being Forwarded", "182": "Queued", "183": "Session Progress", "202": "Accepted",
    "407": "Proxy Authentication Required", "420": "Bad Extension", "422": "Session Interval Too Small", "423": "Interval Too Brief",
    "480": "Temporarily Unavailable", "481": "Call Does Not Exist", "482": "Loop Detected", "484": "Address Incomplete", "486": "Busy Here",
    "487": "Request Terminated", "488": "Not Acceptable Here", "491": "Request Pending", "500": "Server Internal Error",
    "600": "Busy Everywhere", "603": "Decline", "604": "Does Not Exist Anywhere", "606": "Not Acceptable",
}  # fmt: skip
_IN_DIALOG: Final = {"ACK", "BYE", "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "CANCEL"}
"""Requests that a tag in To belongs to already, or that never get one of ours."""


def phrase_of(status: str) -> str:
    """The usual reason phrase."""
    if status in PHRASES:
        return PHRASES[status]
    return HTTPStatus(int(status)).phrase if status.isdigit() and int(status) in set(HTTPStatus) else "Answer"


@dataclass(slots=True)
class Dialog:
    """What the messages so far have settled."""

    is_caller: bool
    cseq: int = 0
    invite_cseq: int = 0
    branches: dict[int, str] = field(default_factory=dict)
    """By CSeq."""
    is_open: bool = False
    """Whether there is a dialog: a caller has a 2xx, or a reliable provisional answer, to its INVITE, the called side an ACK."""
    last_final: str = ""
    """The last answer to our INVITE that was not provisional."""
    has_answered: bool = False
    method: str = ""
    """Of the request received last."""
    kept: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Methods of the requests that were kept, and whether there was a dialog when they came."""
    awaits_ack: bool = False
    """Whether our INVITE is not acknowledged yet."""
    sdp_version: int = 0
    sdp_direction: str = ""
    was_open: bool = False
    """Whether there was a dialog already when the last INVITE was sent."""

    def heard(self, step: Receive) -> None:
        """A message comes in."""
        if step.is_response:
            is_final = not step.what.startswith("1")
            if is_final and not step.optional:
                self.last_final = step.what
            self.is_open = self.is_open or (self.invite_cseq > 0 and (step.what.startswith("2") or self.is_reliable(step)))
            return
        self.method = step.what
        if step.keep:
            self.kept[step.keep] = (step.what, self.is_open)
        self.is_open = self.is_open or (step.what in {"ACK", "PRACK"} and (self.has_answered or step.what == "PRACK"))

    @staticmethod
    def is_reliable(step: Receive) -> bool:
        """Whether it is a provisional answer that is acknowledged (RFC 3262)."""
        return any(match.header == "RSeq" for match in step.matches)

    def request(self, step: Send) -> list[str]:
        """The head of a request."""
        is_new = step.what not in {"ACK", "CANCEL"}
        if is_new:
            self.cseq += 1
            self.branches[self.cseq] = f"z9hG4bK-[pid]-[call_number]-{step.what.lower()}{self.cseq}"
        if step.what == "INVITE":
            self.invite_cseq = self.cseq
        number = self.cseq if is_new else self.invite_cseq
        is_ack_of_refusal = step.what == "ACK" and not self.last_final.startswith("2")
        is_refused_outside = is_ack_of_refusal and not self.was_open
        is_within = not self.is_caller or (self.is_open and step.what != "CANCEL" and not is_refused_outside)
        branch = self.branches[number] if is_new or step.what == "CANCEL" or is_ack_of_refusal else f"{self.branches[number]}-ack"
        self.awaits_ack = step.what == "INVITE" or (self.awaits_ack and step.what != "ACK")
        if step.what == "INVITE":
            self.was_open = self.is_open
        lines = [
            f"{step.what} {'[next_url]' if is_within else 'sip:${user}@[remote_ip]:[remote_port]'} SIP/2.0",
            f"Via: SIP/2.0/${{transport}} [local_ip]:[local_port];branch={branch};rport",
            *(["[routes]"] if is_within else []),
            "Max-Forwards: 70",
            *self._parties(has_peer_tag=is_within or is_ack_of_refusal),
            "Call-ID: [call_id]",
            f"CSeq: {number} {step.what}",
            f"Contact: <sip:{self._user}@[local_ip]:[local_port];transport=${{transport}}>",
        ]
        if step.has_credentials:
            lines.append("[authentication${account}]")
        if step.what == "INVITE" and number == 1:
            lines.append("${extra}")
        return [*lines, *step.headers]

    @property
    def _user(self) -> str:
        return "${from_user}" if self.is_caller else "sipp"

    def _parties(self, *, has_peer_tag: bool) -> list[str]:
        if self.is_caller:
            return [
                "From: <sip:${from_user}@[local_ip]:[local_port]>;tag=[pid]uac[call_number]",
                f"To: <sip:${{user}}@[remote_ip]:[remote_port]>{'[peer_tag_param]' if has_peer_tag else ''}",
            ]
        return ["From:[$callee];tag=[pid]uas[call_number]", "To:[$caller]"]

    def response(self, step: Send) -> list[str]:
        """The head of a response."""
        method, was_open = self.kept[step.answers] if step.answers else (self.method, self.is_open)
        is_within = was_open or method in _IN_DIALOG
        tag = "" if is_within and method != "CANCEL" else f";tag=[pid]uas[call_number]{step.tag}"
        if step.what == "100":
            tag = ""
        if method == "INVITE" and step.what.startswith("2"):
            self.has_answered = True
        via, from_, to, cseq = "[last_Via:]", "[last_From:]", "[last_To:]", "[last_CSeq:]"
        if step.answers:
            via, from_, to, cseq = (f"{name}:[${step.answers}_{name.lower()}]" for name in ("Via", "From", "To", "CSeq"))
        is_of_invite = method == "INVITE" and step.what != "100"
        return [
            f"SIP/2.0 {step.what} {step.phrase or phrase_of(step.what)}",
            via,
            from_,
            to + tag,
            "[last_Call-ID:]",
            cseq,
            *(["[last_Record-Route:]"] if is_of_invite and not is_within and not step.answers else []),
            *(
                [f"Contact: <sip:{self._user}@[local_ip]:[local_port];transport=${{transport}}>"]
                if is_of_invite and step.what < "3"
                else []
            ),
            *(["${extra}"] if is_of_invite and not is_within and not step.what.startswith("1") else []),
            *step.headers,
        ]

    def body(self, step: Send) -> tuple[str, str]:
        """Type and text of the body; both empty: none."""
        if not step.sdp:
            return step.body_type, step.body
        if (self.sdp_version, step.sdp) != (self.sdp_version, self.sdp_direction):  # RFC 3264 §8: another SDP, another version
            self.sdp_version, self.sdp_direction = self.sdp_version + 1, step.sdp
        return "application/sdp", "\n".join(_sdp(step.sdp, self.sdp_version))


def _sdp(direction: str, version: int) -> Sequence[str]:
    return (
        "v=0",
        f"o=sipp 1 {version} IN IP[local_ip_type] [local_ip]",
        "s=-",
        "c=IN IP[media_ip_type] [media_ip]",
        "t=0 0",
        "m=audio ${rtp_port} RTP/AVP ${payload} ${dtmf_payload}",
        "a=rtpmap:${payload} ${codec}",
        "a=rtpmap:${dtmf_payload} telephone-event/8000",
        "a=fmtp:${dtmf_payload} 0-15",
        f"a={direction}",
    )
