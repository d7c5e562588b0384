"""Plots as SVG. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final, Literal

WIDTH: Final = 560
HEIGHT: Final = 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 30, 40
_TICKS: Final = 5
COLOURS: Final = ("#0b6e99", "#c75000", "#4a7a1e", "#7a3e9d")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Series:
    """One line, one staircase, or one cloud of dots."""

    name: str
    points: Points
    kind: Literal["line", "steps", "dots"] = "line"


def draw_chart(title: str, x_name: str, series: Sequence[Series], *, y_from: float | None = 0.0) -> str:
    """A plot of these; one without any point says so. `y_from`: where the scale begins, `None`: at the smallest value."""
    points = [point for one in series for point in one.points]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f'<text x="{_LEFT}" y="14" class="title">{escape(title)}</text>'
    )
    if not points:
        return f'{head}<text x="{WIDTH / 2:g}" y="{HEIGHT / 2:g}" text-anchor="middle">nothing was measured</text></svg>'
    frame = _Frame.around(points, y_from)
    lines = (frame.draw(one, colour) for one, colour in zip(series, COLOURS, strict=False))
    return "".join([head, frame.axes(x_name), *lines, _legend(series), "</svg>"])


@dataclass(frozen=True, slots=True)
class _Frame:
    x_ticks: tuple[float, ...]
    y_ticks: tuple[float, ...]

    @classmethod
    def around(cls, points: Points, y_from: float | None) -> _Frame:
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return cls(ticks(min(0.0, *xs, 0.0), max(xs)), ticks(min(ys) if y_from is None else min(y_from, *ys, y_from), max(ys)))

    def x(self, value: float) -> float:
        first, last = self.x_ticks[0], self.x_ticks[-1]
        return _LEFT + (value - first) / (last - first) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        first, last = self.y_ticks[0], self.y_ticks[-1]
        return HEIGHT - _BOTTOM - (value - first) / (last - first) * (HEIGHT - _TOP - _BOTTOM)

    def axes(self, x_name: str) -> str:
        floor = HEIGHT - _BOTTOM
        parts = [f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{escape(x_name)}</text>']
        for tick in self.y_ticks:
            y = self.y(tick)
            parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH - _RIGHT}" y2="{y:.1f}" class="grid"/>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        parts += [f'<text x="{self.x(tick):.1f}" y="{floor + 16}" text-anchor="middle">{tick:g}</text>' for tick in self.x_ticks]
        return "".join(parts)

    def draw(self, series: Series, colour: str) -> str:
        places = [(self.x(x), self.y(y)) for x, y in series.points]
        if series.kind == "dots":
            return "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" fill="{colour}"/>' for x, y in places)
        if series.kind == "steps":
            places = [place for (x, y), (next_x, next_y) in pairwise(places) for place in ((x, y), (next_x, y), (next_x, next_y))] or places
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'


def _legend(series: Sequence[Series]) -> str:
    x, parts = _LEFT, []
    for one, colour in zip(series, COLOURS, strict=False):
        parts.append(f'<rect x="{x}" y="{HEIGHT - 13}" width="8" height="8" fill="{colour}"/>')
        parts.append(f'<text x="{x + 12}" y="{HEIGHT - 6}">{escape(one.name)}</text>')
        x += 26 + 7 * len(one.name)
    return "".join(parts)


def ticks(first: float, last: float) -> tuple[float, ...]:
    """About five round numbers from at or below the first to at or above the last."""
    span = last - first or abs(last) or 1.0
    raw = span / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    begin, end = math.floor(first / step), math.ceil((first + span if last == first else last) / step)
    return tuple(round(count * step, 10) for count in range(begin, max(end, begin + 1) + 1))
