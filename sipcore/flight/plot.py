"""The RTP of one call over time, in SVG: packets each second, lost ones, jitter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sipcore.flight.record import FlightCall, RtpSample

_WIDTH_PX, _HEIGHT_PX, _LEFT_PX, _TOP_PX, _GAP_PX = 860, 70, 90, 22, 18
_STYLE: Final = "".join(
    f".sipcore-rtp {rule}"
    for rule in (
        "text{font:11px ui-monospace,Menlo,Consolas,monospace;fill:#374151}",
        ".frame{fill:#f9fafb;stroke:#d1d5db}",
        ".rx{fill:none;stroke:#047857;stroke-width:1.4}",
        ".tx{fill:none;stroke:#1d4ed8;stroke-width:1.1;stroke-dasharray:5 3}",
        ".lost{fill:none;stroke:#b91c1c;stroke-width:1.4}",
        ".jitter{fill:none;stroke:#7c3aed;stroke-width:1.4}",
    )
)


@dataclass(frozen=True, slots=True)
class _Curve:
    kind: str
    points: tuple[tuple[float, float], ...]


def draw_rtp(call: FlightCall, began_at: float) -> str:
    """Three strips above each other; empty when there are less than two samples. `began_at` is where the time begins."""
    if len(call.rtp) < 2:
        return ""
    strips = [
        ("packets/s", [_Curve("rx", _rate(call.rtp, lambda s: s.rx_packets)), _Curve("tx", _rate(call.rtp, lambda s: s.tx_packets))]),
        ("lost, late/s", [_Curve("lost", _rate(call.rtp, lambda s: s.rx_lost + s.rx_discarded))]),
        ("jitter ms", [_Curve("jitter", tuple((sample.at, sample.jitter_ms) for sample in call.rtp))]),
    ]
    height = _TOP_PX + len(strips) * (_HEIGHT_PX + _GAP_PX) + 4
    width = _LEFT_PX + _WIDTH_PX + 12
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" class="sipcore-rtp" {size} role="img">']
    parts.append(f"<style>{_STYLE}</style>")
    for row, (name, curves) in enumerate(strips):
        parts += _strip(name, curves, _TOP_PX + row * (_HEIGHT_PX + _GAP_PX), (call.rtp[0].at, call.rtp[-1].at))
    first, last = call.rtp[0].at - began_at, call.rtp[-1].at - began_at
    parts.append(f'<text x="{_LEFT_PX}" y="{height - 2}">{first:+.0f} s</text>')
    parts.append(f'<text x="{_LEFT_PX + _WIDTH_PX}" y="{height - 2}" text-anchor="end">{last:+.0f} s</text></svg>')
    return "\n".join(parts)


def _rate(samples: Sequence[RtpSample], counter: Callable[[RtpSample], int]) -> tuple[tuple[float, float], ...]:
    return tuple(
        (later.at, max(0, counter(later) - counter(sample)) / (later.at - sample.at))
        for sample, later in pairwise(samples)
        if later.at > sample.at
    )


def _strip(name: str, curves: Sequence[_Curve], y: int, span: tuple[float, float]) -> Iterator[str]:
    top = max((value for curve in curves for _, value in curve.points), default=0.0) or 1.0
    yield f'<rect x="{_LEFT_PX}" y="{y}" width="{_WIDTH_PX}" height="{_HEIGHT_PX}" class="frame"/>'
    yield f'<text x="{_LEFT_PX - 8}" y="{y + 11}" text-anchor="end">{top:.3g}</text>'
    yield f'<text x="{_LEFT_PX - 8}" y="{y + _HEIGHT_PX}" text-anchor="end">0</text>'
    yield f'<text x="{_LEFT_PX + 4}" y="{y - 4}">{name}</text>'
    length = span[1] - span[0] or 1.0
    for curve in curves:
        points = " ".join(
            f"{_LEFT_PX + _WIDTH_PX * (at - span[0]) / length:.1f},{y + _HEIGHT_PX - (_HEIGHT_PX - 2) * value / top:.1f}"
            for at, value in curve.points
        )
        yield f'<polyline points="{points}" class="{curve.kind}"/>'
