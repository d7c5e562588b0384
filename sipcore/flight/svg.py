"""A flight record as a picture: the ladder in SVG. Nothing in it is from outside but text, and that is escaped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape

from sipcore.flight.record import FlightNote, FlightRecord
from sipcore.flight.text import remark_texts
from sipcore.ladder import Columns, arrange, label_of, repetitions
from sipcore.sip_summary import clean
from sipcore.wire import TracedMessage

_MAX_PARTIES: Final = 6
_TIME_PX, _GAP_PX, _ROW_PX, _HEAD_PX = 86, 330, 24, 44
_LABEL_CHARS, _NAME_CHARS, _NOTE_CHARS = 48, 34, 110
_NOTE_PX: Final = 560
"""What a remark may take to the right of our line."""
_STYLE: Final = "".join(
    f".sipcore-ladder {rule}"  # within a page the style of a picture is that of the page
    for rule in (
        "text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1f2937}",
        ".t{fill:#6b7280}",
        ".n{fill:#1d4ed8}",
        ".h{font-weight:bold}",
        ".l{stroke:#9ca3af;stroke-dasharray:4 3}",
        ".a{stroke:#111827;stroke-width:1.3}",
        ".af{fill:#111827}",
        ".e{stroke:#b91c1c;stroke-width:1.3}",
        ".ef{fill:#b91c1c}",
        ".bg{fill:#fff}",
        ".again{opacity:.55}",
    )
)


@dataclass(slots=True)
class _Drawing:
    columns: Columns
    parts: list[str] = field(default_factory=list)
    y: int = _HEAD_PX

    def x(self, column: int) -> int:
        return _TIME_PX + 90 + column * _GAP_PX

    def text(self, x: float, text: str, kind: str = "", anchor: str = "start") -> None:
        self.parts.append(f'<text x="{x:g}" y="{self.y}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>')

    def next_row(self, offset_s: float | None) -> None:
        self.y += _ROW_PX
        if offset_s is not None:
            self.text(8, f"{offset_s:+.3f}", "t")


def draw_svg(record: FlightRecord) -> str:
    """The picture: an SVG document, also to be put into a page of HTML as it is."""
    drawing = _Drawing(arrange(record.messages, _MAX_PARTIES))
    repeated = repetitions(record.messages)
    number = 0
    for entry in record.entries:
        if isinstance(entry, FlightNote):
            for shown in remark_texts(entry, record):
                drawing.next_row(entry.at - record.began_at)
                drawing.text(drawing.x(drawing.columns.us) + 8, _clipped(clean(shown), _NOTE_CHARS), "n")
        elif isinstance(entry, TracedMessage):
            if entry.missing:
                drawing.next_row(None)
                drawing.text(drawing.x(0), f"({entry.missing} messages were not kept)", "t")
            drawing.next_row(entry.time - record.began_at)
            _arrow(drawing, entry, number, is_again=number in repeated)
            number += 1
    return _document(drawing)


def _arrow(drawing: _Drawing, message: TracedMessage, number: int, *, is_again: bool) -> None:
    columns = drawing.columns
    us, them = drawing.x(columns.us), drawing.x(columns.of(message.remote))
    start, end = (us, them) if message.is_sent else (them, us)
    y, back = drawing.y + 4, -8 if end > start else 8
    kind = "e" if _is_refusal(message.text) else "a"
    label = _clipped(label_of(message, columns, is_again=is_again), _LABEL_CHARS)
    again = ' class="again"' if is_again else ""
    drawing.parts.append(f"<g{again}><title>{escape(f'message {number + 1}: {label}')}</title>")
    drawing.parts.append(f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" class="{kind}"/>')
    drawing.parts.append(f'<polygon points="{end},{y} {end + back},{y - 4} {end + back},{y + 4}" class="{kind}f"/>')
    drawing.text((start + end) / 2, label, "", "middle")
    drawing.parts.append("</g>")


def _is_refusal(text: str) -> bool:
    return text[:8].upper() == "SIP/2.0 " and text[8:9] in {"4", "5", "6"}


def _document(drawing: _Drawing) -> str:
    columns = drawing.columns
    height = drawing.y + 20
    width = max(drawing.x(len(columns.names) - 1) + 150, drawing.x(columns.us) + _NOTE_PX)
    lines = []
    for index, name in enumerate(columns.names):
        x = drawing.x(index)
        shown = escape(_clipped(clean(name), _NAME_CHARS))
        lines.append(f'<line x1="{x}" y1="{_HEAD_PX - 14}" x2="{x}" y2="{height - 8}" class="l"/>')
        lines.append(f'<text x="{x}" y="{_HEAD_PX - 22}" class="h" text-anchor="middle">{shown}</text>')
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="sipcore-ladder" {size} role="img">'
    background = f'<rect class="bg" width="{width}" height="{height}"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", background, *lines, *drawing.parts, "</svg>", ""])


def _clipped(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 3] + "..."
