"""Draws `latency-budget.svg`, where the time of live audio goes, from figures of `benchmarks/live_audio.py`.

python docs/make_latency_budget.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("latency-budget.svg")
WIDTH, LEFT, TOP, ROW, BAR = 880, 24, 64, 52, 22
SCALE = 6.4  # pixels a millisecond
LIMIT_P50_MS, LIMIT_P99_MS = 80, 120


@dataclass(frozen=True, slots=True)
class Part:
    """Of the way from mouth to ear, in ms, as measured with 8 calls."""

    name: str
    duration_ms: float
    kind: str


# The bridged way, p50, is what PJSIP needs on both legs; a packet's way over the socket, p50, was measured with 32 lines; the tick is the
# bridge's: what came with one can go out with the next at the earliest. The rest of the measured p50 is what the line keeps in hand.
BRIDGED_MS, SOCKET_MS, TICK_MS, WHOLE_P50_MS, WHOLE_P99_MS = 21.8, 0.3, 20.0, 61.9, 78.6
PARTS = (
    Part("PJSIP: jitter buffer, bridge, both ways", BRIDGED_MS, "pjsip"),
    Part("socket to your process and back", 2 * SOCKET_MS, "ours"),
    Part("your code, until the next tick", TICK_MS, "yours"),
    Part("in hand for a late event loop, p50", WHOLE_P50_MS - BRIDGED_MS - 2 * SOCKET_MS - TICK_MS, "ours"),
    Part("more of it, p99", WHOLE_P99_MS - WHOLE_P50_MS, "late"),
)
STYLE = """
    text { font-family: "DejaVu Sans", Verdana, sans-serif; font-size: 12px; fill: #1b2733; }
    .title { font-size: 15px; font-weight: bold; }
    .pjsip { fill: #8fb4d9; } .ours { fill: #e0a96d; } .yours { fill: #8fc79a; } .late { fill: #eed9c0; }
    .limit { stroke: #b3541e; stroke-width: 1.5; stroke-dasharray: 6 3; }
    .axis { stroke: #5b6770; }
"""


def drawn() -> str:
    """The picture."""
    height = TOP + ROW * len(PARTS) + 56
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">', f"<style>{STYLE}</style>"]
    lines.append(f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>')
    lines.append(f'<text class="title" x="{LEFT}" y="28">Far end, numpy, far end: one way, 8 calls</text>')
    at_ms = 0.0
    for row, part in enumerate(PARTS):
        x, y = LEFT + at_ms * SCALE, TOP + row * ROW
        lines.append(f'<rect class="{part.kind}" x="{x:.1f}" y="{y}" width="{max(2.0, part.duration_ms * SCALE):.1f}" height="{BAR}"/>')
        lines.append(f'<text x="{x:.1f}" y="{y + BAR + 16}">{part.name}: {part.duration_ms:.1f} ms</text>')
        at_ms += part.duration_ms
    lines += _axis(height)
    return "\n".join([*lines, "</svg>", ""])


def _axis(height: int) -> list[str]:
    bottom = height - 30
    lines = [f'<line class="axis" x1="{LEFT}" y1="{bottom}" x2="{LEFT + 125 * SCALE}" y2="{bottom}"/>']
    for tick_ms in range(0, 121, 20):
        x = LEFT + tick_ms * SCALE
        lines.append(
            f'<line class="axis" x1="{x}" y1="{bottom}" x2="{x}" y2="{bottom + 5}"/><text x="{x}" y="{bottom + 20}">{tick_ms} ms</text>'
        )
    for limit_ms, name in ((LIMIT_P50_MS, "p50 allowed"), (LIMIT_P99_MS, "p99 allowed")):
        x = LEFT + limit_ms * SCALE
        lines.append(f'<line class="limit" x1="{x}" y1="{TOP - 16}" x2="{x}" y2="{bottom}"/><text x="{x - 80}" y="{TOP - 4}">{name}</text>')
    return lines


if __name__ == "__main__":
    FILE.write_text(drawn(), encoding="utf-8")
