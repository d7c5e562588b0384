"""A flight record as one page of HTML that needs nothing from anywhere: facts, ladder, timeline of actions, plots of RTP, every message.

No script is in it, and its own policy forbids any; all text from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from typing import Final

from sipcore.flight.plot import draw_rtp
from sipcore.flight.record import FlightCall, FlightNote, FlightRecord
from sipcore.flight.svg import draw_svg
from sipcore.flight.text import describe_rtp
from sipcore.sip_summary import clean, summarize
from sipcore.siplint import Finding, lint_flight
from sipcore.wire import TracedMessage

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""Content-Security-Policy of the page."""
_MAX_FINDINGS: Final = 100
_STYLE: Final = """
body{font:14px/1.45 system-ui,sans-serif;margin:1.5rem;color:#1f2937;background:#fff}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:1.6rem}
table{border-collapse:collapse}td,th{padding:.15rem .7rem .15rem 0;text-align:left;vertical-align:top}th{color:#6b7280;font-weight:600}
pre,code,.m{font:12px/1.4 ui-monospace,Menlo,Consolas,monospace}
pre{background:#f3f4f6;padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere}
.bad{color:#b91c1c}.scroll{overflow-x:auto}summary{cursor:pointer}
.bar{fill:#bfdbfe;stroke:#1d4ed8}.failed{fill:#fecaca;stroke:#b91c1c}.interrupted{fill:#e5e7eb;stroke:#6b7280}
.line{font:12px ui-monospace,Menlo,Consolas,monospace}
"""
_BAR_PX, _LABEL_PX, _ROW_PX = 640, 230, 22


def draw_page(record: FlightRecord) -> str:
    """The page."""
    title = f"call {record.call_id}"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">',
        f"<title>{_shown(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_shown(title)}</h1>",
        *_facts(record),
        *_findings(lint_flight(record)),
        "<h2>Ladder</h2>",
        f'<div class="scroll">{draw_svg(record)}</div>',
        *_actions(record),
        *_audio(record),
        *_notes(record),
        *_messages(record),
        "</body></html>",
    ]
    return "\n".join(parts)


def _shown(text: str) -> str:
    """Letters of any language stay; what is not printable does not."""
    return escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text))


def _facts(record: FlightRecord) -> Iterator[str]:
    yield f"<p>From {_time(record.began_at)} (UTC), taken {record.taken_at - record.began_at:.1f} s later.</p>"
    yield "<table><tr><th>call<th>from<th>to<th>status<th>ended by<th>reason<th>SIP</tr>"
    for call in record.calls:
        sip = f"{call.sip_code} {call.sip_phrase}" if call.sip_code else ""
        cells = (call.id, call.source, call.destination, call.status, call.hangup_by, call.hangup_reason, sip)
        yield "<tr>" + "".join(f"<td>{_shown(cell)}</td>" for cell in cells) + "</tr>"
    yield "</table>"


def _findings(findings: tuple[Finding, ...]) -> Iterator[str]:
    if not findings:
        return
    yield "<h2>SIP lint</h2><ul>"
    for finding in findings[:_MAX_FINDINGS]:
        yield f'<li class="bad"><code>{_shown(finding.rule)}</code> {_shown(finding.text)} ({_shown(finding.section)})</li>'
    yield "</ul>"


def _actions(record: FlightRecord) -> Iterator[str]:
    bars = list(_bars(record))
    if not bars:
        return
    first = min(begin for begin, _, _, _ in bars)
    length = max(end for _, end, _, _ in bars) - first or 1.0
    height = len(bars) * _ROW_PX + 6
    yield "<h2>Actions</h2>"
    yield f'<div class="scroll"><svg xmlns="http://www.w3.org/2000/svg" width="{_LABEL_PX + _BAR_PX + 20}" height="{height}" role="img">'
    for row, (begin, end, label, kind) in enumerate(bars):
        x, width = _LABEL_PX + _BAR_PX * (begin - first) / length, max(2.0, _BAR_PX * (end - begin) / length)
        y = 3 + row * _ROW_PX
        yield f'<text class="line" x="0" y="{y + 13}">{_shown(label)} {end - begin:.2f} s</text>'
        yield f'<rect class="bar {kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW_PX - 7}"/>'
    yield "</svg></div>"


def _bars(record: FlightRecord) -> Iterator[tuple[float, float, str, str]]:
    """Begin, end, name, and how it ended, of each action; one that still runs ends when the record was taken."""
    begun: dict[str, FlightNote] = {}
    for note in record.notes:
        if note.name == "ActionStarted":
            begun[note.call_id] = note
        elif note.name == "ActionFinished" and (start := begun.pop(note.call_id, None)) is not None:
            outcome = note.text.partition(":")[0].rpartition(" ")[2]
            yield start.at, note.at, start.text.removesuffix(" begins"), outcome if outcome in {"failed", "interrupted"} else "done"
    for start in begun.values():
        yield start.at, max(start.at, record.taken_at), start.text.removesuffix(" begins"), "running"


def _audio(record: FlightRecord) -> Iterator[str]:
    told = [call for call in record.calls if call.rtp]
    if told:
        yield "<h2>Audio</h2>"
    for call in told:
        yield from _audio_of(call, record)


def _audio_of(call: FlightCall, record: FlightRecord) -> Iterator[str]:
    yield f"<p>{_shown(describe_rtp(call))}</p>"
    if plot := draw_rtp(call, record.began_at):
        yield f'<div class="scroll">{plot}</div><p>Green: received; blue: sent; red: lost or too late.</p>'


def _notes(record: FlightRecord) -> Iterator[str]:
    if not record.notes:
        return
    yield f"<h2>Events</h2><details><summary>{len(record.notes)} events</summary><table>"
    for note in record.notes:
        if note.missing:
            yield f"<tr><td><td>({note.missing} events were not kept)</tr>"
        cells = (f"{note.at - record.began_at:+.3f}", note.call_id[:8], note.name, note.text)
        yield '<tr class="m">' + "".join(f"<td>{_shown(cell)}</td>" for cell in cells) + "</tr>"
    yield "</table></details>"


def _messages(record: FlightRecord) -> Iterator[str]:
    if not record.messages:
        return
    yield f"<h2>Messages</h2><details><summary>{len(record.messages)} messages</summary>"
    for index, message in enumerate(record.messages):
        if message.missing:
            yield f"<p>({message.missing} messages were not kept)</p>"
        yield _message(message, index, record.began_at)
    yield "</details>"


def _message(message: TracedMessage, index: int, began_at: float) -> str:
    name, more = summarize(message.text)
    way = f"to {message.remote}" if message.is_sent else f"from {message.remote}"
    head = f"{index + 1}. {message.time - began_at:+.3f} {name} {way} over {message.transport}, by {message.local}"
    shown = "\n".join(_shown(line) for line in message.text.replace("\r\n", "\n").split("\n"))
    return f'<details><summary class="m">{_shown(head)}{_shown(f" ({more})") if more else ""}</summary><pre>{shown}</pre></details>'


def _time(at: float) -> str:
    return clean(datetime.fromtimestamp(at, UTC).isoformat(" ", "milliseconds").removesuffix("+00:00"))
