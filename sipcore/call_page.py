"""A call in a notebook: its facts, how good it was to hear, its SIP messages, its recordings. Pure, but for `waveform`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from sipcore.quality import Quality

if TYPE_CHECKING:
    from sipcore.record import CallRecord

_MAX_EVENTS: Final = 200
_CELL: Final = 'style="text-align:left;padding:1px 12px 1px 0;vertical-align:top"'


class Event(Protocol):
    """One of `sipcore.events`, which know records, as this does."""

    @property
    def at(self) -> datetime:
        """When it happened."""


@dataclass(frozen=True, slots=True)
class CallPage:
    """What a notebook shows of a call; `str` of it is HTML without scripts, to be put into a page."""

    html: str

    def __str__(self) -> str:
        return self.html

    def _repr_html_(self) -> str:
        return self.html


def draw_call(
    record: CallRecord, quality: Quality | None = None, events: Sequence[Event] = (), ladder_svg: str = "", waveforms: Iterable[str] = ()
) -> str:
    """All of it as HTML; pictures are `<svg>` elements."""
    parts = [f"<b>call {_shown(record.id)}</b>", _table(_facts(record, quality))]
    if ladder_svg:
        parts.append(f'<div style="overflow-x:auto">{ladder_svg}</div>')
    parts += waveforms
    if events:
        parts.append(_table(_happened(record, events)))
    return "<div>" + "\n".join(parts) + "</div>"


def waveform(path: Path, title: str) -> str:
    """A recording as an `<svg>` element, or why there is none. Blocks."""
    from media import MediaError  # with numpy, which a record alone does not need
    from media.waveform import draw_envelope, read_envelope

    try:
        return draw_envelope(*read_envelope(path), title)
    except MediaError as error:
        return f"<p>{_shown(str(error))}</p>"


def _facts(record: CallRecord, quality: Quality | None) -> list[tuple[str, str]]:
    facts = [
        ("from", str(record.source)),
        ("to", str(record.destination)),
        ("status", f"{record.status}, {record.direction}"),
        ("created", f"{record.tm_create:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    if record.is_over:
        sip = f", {record.sip_code} {record.sip_phrase}" if record.sip_code else ""
        facts.append(("ended", f"{record.hangup_by}, {record.hangup_reason}{sip}, {record.duration_s:.1f} s after the answer"))
    if quality is not None:
        loss, jitter = f"{quality.loss_percent:.2f} % lost", f"jitter {quality.jitter_ms:.1f} ms"
        facts.append(("audio", f"{quality.codec}, {quality.received} packets received, {loss}, {jitter}"))
    if quality is not None and quality.mos is not None:
        facts.append(("MOS", f"{quality.mos:.2f} (R {quality.r_factor:.0f})"))
    return facts


def _happened(record: CallRecord, events: Sequence[Event]) -> list[tuple[str, str]]:
    rows = [(f"+{(event.at - record.tm_create).total_seconds():.3f}", _line(event)) for event in events[:_MAX_EVENTS]]
    return [*rows, ("", f"and {len(events) - _MAX_EVENTS} more")] if len(events) > _MAX_EVENTS else rows


def _line(event: Any) -> str:
    words = (getattr(event, name, "") for name in ("type", "outcome", "detail"))
    return " ".join([type(event).__name__, *(word for word in words if isinstance(word, str) and word)])


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th {_CELL}>{_shown(name)}</th><td {_CELL}>{_shown(text)}</td></tr>" for name, text in rows)
    return f"<table>{cells}</table>"


def _shown(text: str) -> str:
    return escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text))
