"""A flight record as plain text: the ladder of its messages, what happened between them, and a line about the audio of each call."""

from __future__ import annotations

from sipcore.flight.record import FlightCall, FlightNote, FlightRecord
from sipcore.ladder import DEFAULT_WIDTH, Remark, draw_ladder
from sipcore.sip_summary import clean

_ID_CHARS = 8


def draw_text(record: FlightRecord, width: int = DEFAULT_WIDTH) -> str:
    """The text, printable ASCII and line feeds; no line of the ladder is longer than `width` (at least 60)."""
    remarks = [Remark(note.at, shown) for note in record.notes for shown in remark_texts(note, record)]
    ladder = draw_ladder(record.messages, width, remarks)
    lines = [clean(line)[:width] for call in record.calls if (line := describe_rtp(call))]
    return "\n".join([ladder.rstrip("\n"), *lines, ""])


def remark_texts(note: FlightNote, record: FlightRecord) -> list[str]:
    """What a note says; of a leg its short id stands before it. One line, or two when something was left out before."""
    prefix = f"leg {note.call_id[:_ID_CHARS]}: " if note.call_id != record.call_id else ""
    left_out = [f"({note.missing} events were not kept)"] if note.missing else []
    return [*left_out, prefix + note.text]


def describe_rtp(call: FlightCall) -> str:
    """The audio of a call in one line; empty when nothing is known of it."""
    if not call.rtp:
        return ""
    last = call.rtp[-1]
    jitter_ms = max(sample.jitter_ms for sample in call.rtp)
    trip = f", round trip {last.rtt_ms:.1f} ms" if last.rtt_ms else ""
    return (
        f"audio of {call.id[:_ID_CHARS]}: {call.codec or '?'}, {last.rx_packets} packets in "
        f"({last.rx_lost} lost, {last.rx_discarded} too late), {last.tx_packets} out, jitter at most {jitter_ms:.1f} ms{trip}"
    )
