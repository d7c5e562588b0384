"""One picture of a call: what it did, over time, and the waveform of what each far end heard. SVG, nothing from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

WIDTH, LEFT, RIGHT = 1100, 90, 20
TOP, SPAN_H, LANE_H, GAP = 78, 26, 90, 14
INK, FAINT, SPAN_FILL, WAVES = "#1d2733", "#c9d2dc", "#dbe9f6", ("#2166ac", "#b2182b", "#1b7837")
FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Lane:
    """Sound: int16 samples at `rate_hz`, the first at `start_s`."""

    name: str
    samples: np.ndarray[Any, np.dtype[np.int16]]
    rate_hz: int
    start_s: float


def draw_call(title: str, marks: Sequence[tuple[float, str]], spans: Sequence[Span], lanes: Sequence[Lane]) -> str:
    """The picture as SVG text. Times are seconds since the call was created; `marks` are moments with a name."""
    ends = [at for at, _ in marks] + [span.end_s for span in spans] + [lane.start_s + len(lane.samples) / lane.rate_hz for lane in lanes]
    total_s = max([1.0, *ends])
    height = TOP + SPAN_H + GAP + len(lanes) * (LANE_H + GAP) + 30

    def x(at_s: float) -> float:
        return LEFT + at_s / total_s * (WIDTH - LEFT - RIGHT)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">',
        f'<g font-family="sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="24" font-size="16" font-weight="bold">{escape(title)}</text>',
        *_axis(total_s, x, height),
    ]
    for span in spans:
        parts += _span(span, x)
    for number, lane in enumerate(lanes):
        middle = TOP + SPAN_H + GAP + number * (LANE_H + GAP) + LANE_H / 2
        parts += _lane(lane, x, middle, WAVES[number % len(WAVES)])
    for at_s, name in marks:
        parts.append(f'<line x1="{x(at_s):.1f}" y1="52" x2="{x(at_s):.1f}" y2="{height - 26}" stroke="{INK}" stroke-dasharray="3 3"/>')
        anchor = "end" if at_s > 0.9 * total_s else "start"
        parts.append(f'<text x="{x(at_s) + (4 if anchor == "start" else -4):.1f}" y="62" text-anchor="{anchor}">{escape(name)}</text>')
    return "\n".join([*parts, "</g></svg>", ""])


def _axis(total_s: float, x: Any, height: int) -> list[str]:
    step_s = next(step for step in (0.5, 1, 2, 5, 10, 30, 60, 300, 3600) if total_s / step <= 16 or step == 3600)
    parts = []
    for tick in np.arange(0, total_s + 1e-9, step_s):
        parts.append(f'<line x1="{x(tick):.1f}" y1="{TOP}" x2="{x(tick):.1f}" y2="{height - 24}" stroke="{FAINT}" stroke-width="0.5"/>')
        parts.append(f'<text x="{x(tick):.1f}" y="{height - 8}" text-anchor="middle" fill="#5b6876">{tick:g} s</text>')
    return parts


def _span(span: Span, x: Any) -> list[str]:
    left, width = x(span.start_s), max(2.0, x(span.end_s) - x(span.start_s))
    clip = escape(span.text if width > 7 * len(span.text) else span.text.partition(":")[0])
    return [
        f'<rect x="{left:.1f}" y="{TOP}" width="{width:.1f}" height="{SPAN_H}" rx="4" fill="{SPAN_FILL}" stroke="{WAVES[0]}"/>',
        f'<text x="{left + 6:.1f}" y="{TOP + 17}">{clip}<title>{escape(span.text)}</title></text>',
    ]


def _lane(lane: Lane, x: Any, middle: float, colour: str) -> list[str]:
    pixels = max(1, int(x(lane.start_s + len(lane.samples) / lane.rate_hz) - x(lane.start_s)))
    chunks = [chunk for chunk in np.array_split(lane.samples, pixels) if len(chunk)]
    left, half = x(lane.start_s), LANE_H / 2
    top = [f"{left + i:.0f},{middle - half * max(0, int(chunk.max())) / FULL_SCALE:.1f}" for i, chunk in enumerate(chunks)]
    low = [f"{left + i:.0f},{middle - half * min(0, int(chunk.min())) / FULL_SCALE:.1f}" for i, chunk in enumerate(chunks)]
    return [
        f'<line x1="{LEFT}" y1="{middle}" x2="{WIDTH - RIGHT}" y2="{middle}" stroke="{FAINT}"/>',
        f'<polygon points="{" ".join([*top, *reversed(low)])}" fill="{colour}" stroke="{colour}" stroke-width="0.6"/>',
        f'<text x="8" y="{middle + 4}" font-weight="bold">{escape(lane.name)}</text>',
    ]
