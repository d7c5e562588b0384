"""What SIP lint can find, and where each rule is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Rule:
    """One invariant of a dialog."""

    id: str
    section: str
    """Where it is written."""
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that was broken."""

    rule: str
    """The id of the rule, a key of `RULES`."""
    section: str
    index: int
    """Of the message it is about, in what was given to `lint`; -1: of none."""
    time: float
    """Seconds since 1970."""
    text: str
    is_ours: bool
    """Whether the one whose trace it is has broken it, and not the far end."""

    def __str__(self) -> str:
        where = f"message {self.index + 1}: " if self.index >= 0 else ""
        return f"{where}{self.rule}: {self.text} ({self.section}, by {'us' if self.is_ours else 'the far end'})"


_ALL: Final = (
    Rule("ack-missing", "RFC 3261 §13.2.2.4, §17.1.1.3", "each final answer of an INVITE is acknowledged"),
    Rule("ack-cseq", "RFC 3261 §13.2.2.4", "an ACK has the CSeq number of an INVITE that got a final answer"),
    Rule("bye-once", "RFC 3261 §15", "a dialog is ended by one BYE"),
    Rule("bye-missing", "RFC 3261 §15", "a call that is over has ended its dialog"),
    Rule("request-unanswered", "RFC 3261 §8.2.6, §17.2", "each request but ACK gets a final answer"),
    Rule("cseq-order", "RFC 3261 §12.2.1.1", "CSeq rises with each new request of one side"),
    Rule("cseq-method", "RFC 3261 §8.1.1.5", "the method in CSeq is that of the request"),
    Rule("branch-reused", "RFC 3261 §8.1.1.7", "each transaction has a branch of its own in Via"),
    Rule("tag-missing", "RFC 3261 §8.1.1.3, §8.2.6.2", "requests have a From tag, answers but 100 have a To tag"),
    Rule("tag-changed", "RFC 3261 §8.2.6.2, §12.2", "tags of a dialog stay as they are"),
    Rule("contact-missing", "RFC 3261 §8.1.1.8, §12.1.1", "what makes a dialog has a Contact"),
    Rule("content-length", "RFC 3261 §20.14", "Content-Length is the size of the body"),
    Rule("provisional-after-final", "RFC 3261 §13.3.1.1, §17.2.1", "nothing provisional follows a final answer"),
    Rule("final-twice", "RFC 3261 §13.3.1.4, §17.2", "a request has one final answer"),
    Rule("ringback-late", "limit of the caller of lint", "the far end rings, or answers, in time"),
    Rule("retransmission-early", "RFC 3261 §17.1.1.2, §17.1.2.2", "a request is repeated after T1 (0.5 s), 2 T1, 4 T1, ..., not before"),
    Rule("retransmission-missing", "RFC 3261 §17.1.1.2, §17.1.2.2", "a request over UDP that nobody answers is repeated"),
    Rule("session-expired", "RFC 4028 §7.2, §10", "a session with a timer is refreshed before it expires, or ended"),
    Rule("after-end", "RFC 3261 §12.3, §15", "nothing is sent in a dialog that was ended"),
    Rule("sdp-version", "RFC 3264 §8", "the version in o= rises with each change of the SDP, and the rest of o= stays"),
    Rule("sdp-version-idle", "RFC 3264 §8", "the version in o= stays when the SDP stays"),
    Rule("answer-media", "RFC 3264 §6", "the answer has the streams of the offer, each with one of its formats"),
    Rule("rtp-after-bye", "RFC 3261 §15.1", "nobody sends media after the end"),
    Rule("leg-ended-once", "docs/design.md", "each call ends exactly once, and nothing of it comes after that"),
    Rule("reason-mismatch", "docs/design.md", "the record says of the end what the messages say"),
)
RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for rule in _ALL})
"""Every rule by its id."""
