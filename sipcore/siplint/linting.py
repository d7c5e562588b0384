"""All rules on all messages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sipcore.flight.record import FlightRecord
from sipcore.siplint.blame import Limits
from sipcore.siplint.calls import call_findings
from sipcore.siplint.dialogs import dialog_findings
from sipcore.siplint.finding import Finding
from sipcore.siplint.media import MediaPacket, packet_findings
from sipcore.siplint.messages import message_findings
from sipcore.siplint.reading import Conversation, conversations
from sipcore.siplint.sdp import sdp_findings
from sipcore.siplint.transactions import branch_findings, transaction_findings
from sipcore.wire import TracedMessage

DEFAULT_PATIENCE_S: Final = 32.0


def lint(
    messages: Sequence[TracedMessage],
    *,
    until: float | None = None,
    patience_s: float = DEFAULT_PATIENCE_S,
    ringback_within_s: float | None = None,
    packets: Sequence[MediaPacket] = (),
) -> tuple[Finding, ...]:
    """What is wrong with these messages, in their order; of one call, or of several.

    Args:
        messages: As `switch.calls.trace` has them, or `sipcore.pcap.read_pcap`.
        until: When the trace was taken, in seconds since 1970: what is not there by then is missing. That of the last message by default.
        patience_s: How long an answer or an ACK may take.
        ringback_within_s: How long the first 180, 183 or final answer may take; `None`: any time.
        packets: What else is in the capture: media.
    """
    found = _read(messages, until)
    return _in_order([*_of_messages(found, Limits(patience_s, ringback_within_s)), *_of_packets(found, packets)])


def lint_flight(
    record: FlightRecord, *, patience_s: float = DEFAULT_PATIENCE_S, ringback_within_s: float | None = None
) -> tuple[Finding, ...]:
    """As `lint`, and whether events, record and RTP of the calls agree with their messages."""
    found = _read(record.messages, record.taken_at)
    return _in_order([*_of_messages(found, Limits(patience_s, ringback_within_s)), *call_findings(record, found)])


def _read(messages: Sequence[TracedMessage], until: float | None) -> list[Conversation]:
    if until is None:
        until = messages[-1].time if messages else 0.0
    return conversations(messages, until)


def _of_messages(found: Sequence[Conversation], limits: Limits) -> Iterator[Finding]:
    for conversation in found:
        yield from message_findings(conversation)
        yield from transaction_findings(conversation, limits)
        yield from dialog_findings(conversation)
        yield from sdp_findings(conversation)
    yield from branch_findings(found)


def _of_packets(found: Sequence[Conversation], packets: Sequence[MediaPacket]) -> Iterator[Finding]:
    for conversation in found if packets else ():
        yield from packet_findings(conversation, packets)


def _in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: finding.time))
