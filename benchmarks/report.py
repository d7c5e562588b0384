"""Collects the saved results into Markdown tables (medians over the runs) and a picture of the packet rhythm.

    python benchmarks/report.py --output docs/performance-figures.md --plot docs/deviation.svg

Runs with more than 3 % steal are left out where at least one quiet run exists; how many were used is in the table.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any, NamedTuple

import harness

STEAL_LIMIT = 0.03


class Group(NamedTuple):
    """Results that were measured in the same way."""

    name: str
    results: list[dict[str, Any]]
    runs: str


def _steal(result: dict[str, Any]) -> float:
    return float(result["idle"]["steal_share"] if "idle" in result else result["steal_share"])


def _groups(program: str, *, by: tuple[str, ...], label: str) -> list[Group]:
    found: dict[str, list[dict[str, Any]]] = {}
    for line in harness.load(program):
        settings = line["settings"]
        if label and settings["label"] != label:
            continue
        name = ", ".join(f"{settings[key]} {key}" for key in by) + (", pinned" if settings["pin"] else ", not pinned")
        found.setdefault(name, []).append(line["result"])
    groups = []
    for name, results in found.items():
        quiet = [result for result in results if _steal(result) <= STEAL_LIMIT]
        note = f"{len(quiet)} quiet of {len(results)}" if quiet else f"0 quiet of {len(results)}: all used"
        groups.append(Group(name, quiet or results, note))
    return groups


def _pick(results: list[dict[str, Any]], *path: str) -> list[float]:
    values = []
    for result in results:
        value: Any = result
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            values.append(float(value))
    return values


def _median(group: Group, *path: str, digits: int = 2) -> str:
    values = _pick(group.results, *path)
    return f"{statistics.median(values):.{digits}f}" if values else "-"


def _worst(group: Group, *path: str) -> str:
    values = _pick(group.results, *path)
    return f"{max(values):.0f}" if values else "-"


def _table(groups: list[Group], rows: list[tuple[str, list[str]]]) -> list[str]:
    lines = ["| | " + " | ".join(group.name for group in groups) + " |", "|---|" + "---:|" * len(groups)]
    lines += [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows]
    return [*lines, ""]


def outbound(label: str) -> list[str]:
    """Table of the calls that play a file."""
    groups = _groups("outbound", by=("calls", "seconds"), label=label)
    if not groups:
        return []

    def row(name: str, *path: str, digits: int = 2) -> tuple[str, list[str]]:
        return name, [_median(group, *path, digits=digits) for group in groups]

    rows = [
        ("runs", [group.runs for group in groups]),
        ("calls answered, fewest", [f"{min(_pick(group.results, 'answered')):.0f}" for group in groups]),
        ("RTP packets lost, most", [_worst(group, "rtp", "seq_lost") for group in groups]),
        row("deviation from 20 ms, p50 (ms)", "rtp", "dev_ms", "p50"),
        row("deviation from 20 ms, p99 (ms)", "rtp", "dev_ms", "p99"),
        row("deviation from 20 ms, p99.9 (ms)", "rtp", "dev_ms", "p999"),
        row("ACK to first packet, p50 (ms)", "first_rtp_ms", "p50", digits=1),
        row("ACK to first packet, p99 (ms)", "first_rtp_ms", "p99", digits=1),
        row("ACK to first audible packet, p50 (ms)", "first_audible_ms", "p50", digits=1),
        row("ACK to first audible packet, p99 (ms)", "first_audible_ms", "p99", digits=1),
        row("CPU of the switch (cores)", "server", "cores", digits=3),
        row("CPU per call-second (ms)", "server", "cpu_ms_per_call_s"),
        row("memory of the switch, PSS (MB)", "server", "pss_up_mb", digits=0),
        row("memory per call, PSS (KB)", "server", "pss_kb_per_call", digits=0),
    ]
    return ["### Outbound calls that play a file", "", *_table(groups, rows)]


def bridge(label: str) -> list[str]:
    """Table of the bridged pairs."""
    groups = _groups("bridge", by=("pairs", "seconds"), label=label)
    if not groups:
        return []

    def row(name: str, *path: str, digits: int = 1) -> tuple[str, list[str]]:
        return name, [_median(group, *path, digits=digits) for group in groups]

    rows = [
        ("runs", [group.runs for group in groups]),
        ("each side heard the other in", [f"{sum(result['heard_right'] for result in group.results)} runs" for group in groups]),
        row("one-way delay, p50 (ms)", "bridge", "latency_ms", "p50"),
        row("one-way delay, p99 (ms)", "bridge", "latency_ms", "p99"),
        ("one-way delay, largest of all (ms)", [_worst(group, "bridge", "latency_ms", "max") for group in groups]),
        ("RTP packets lost, most", [_worst(group, "rtp", "seq_lost") for group in groups]),
        row("CPU of the switch (cores)", "server", "cores", digits=3),
    ]
    return ["### Bridged pair", "", *_table(groups, rows)]


def idle(label: str) -> list[str]:
    """Table of the idle workers."""
    groups = _groups("idle", by=("workers", "seconds"), label=label)
    if not groups:
        return []

    def scaled(group: Group, factor: float, *path: str) -> str:
        values = _pick(group.results, *path)
        return f"{statistics.median(values) * factor:.2f}" if values else "-"

    rows = [
        ("runs", [group.runs for group in groups]),
        ("CPU of an idle worker (% of a core)", [scaled(group, 100, "idle", "cpu_share_per_worker") for group in groups]),
        ("private memory of a worker (MB)", [scaled(group, 1 / 1024, "idle", "private_kb_per_worker") for group in groups]),
        ("CPU of the idle control process (%)", [scaled(group, 100, "idle", "control", "cpu_share") for group in groups]),
        ("memory per added leg, PSS (KB)", [scaled(group, 1, "legs", "pss_kb_per_leg") for group in groups]),
    ]
    return ["### Idle workers", "", *_table(groups, rows)]


def machine() -> list[str]:
    """The machine of the last result."""
    lines = [line for program in ("outbound", "bridge", "idle") for line in harness.load(program)]
    if not lines:
        return []
    last = max(lines, key=lambda line: line["time"])
    facts = last["machine"]
    return [f"{facts['cores']} cores, {facts['cpu']}, Linux {facts['kernel']}, Python {facts['python']}; last run {last['time'][:10]}.", ""]


# --------------------------------------------------------------------------------------------------------- plot

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 340, 60, 70, 50
FIGURE_MS = 5


def _bars(shares: list[tuple[str, float, bool]]) -> list[str]:
    step = (WIDTH - LEFT - 20) / len(shares)
    full = HEIGHT - TOP - BOTTOM
    largest = max(share for _, share, _ in shares) or 1
    parts = []
    for index, (limit, share, within) in enumerate(shares):
        x, height = LEFT + index * step, share / largest * full
        y = HEIGHT - BOTTOM - height
        text = f"{share:.1%}" if share >= 0.001 else ("0" if share == 0 else f"{share:.0e}")
        centre, colour = x + step / 2, "#2f6f9f" if within else "#b5482a"
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{step - 3:.1f}" height="{height:.1f}" fill="{colour}"/>')
        parts.append(f'<text x="{centre:.1f}" y="{y - 4:.1f}" font-size="9" text-anchor="middle">{text}</text>')
        parts.append(f'<text x="{centre:.1f}" y="{HEIGHT - BOTTOM + 14}" font-size="10" text-anchor="middle">{limit}</text>')
    return parts


def plot(label: str) -> str | None:
    """Histogram of the packets' deviation from the 20 ms rhythm in the group with the most packets, as SVG; None without results."""
    groups = _groups("outbound", by=("calls", "seconds"), label=label)
    if not groups:
        return None
    group = max(groups, key=lambda group: sum(_pick(group.results, "rtp", "rx")))
    histograms = [result["rtp"]["dev_histogram"] for result in group.results]
    counts = [sum(histogram[i][1] for histogram in histograms) for i in range(len(histograms[0]))]
    limits, total = [limit for limit, _ in histograms[0]], sum(counts) or 1
    shares = [
        ("more" if limit is None else f"{limit:g}", count / total, limit is not None and limit <= FIGURE_MS)
        for limit, count in zip(limits, counts, strict=True)
    ]
    middle, axis = (LEFT + WIDTH) / 2, HEIGHT - BOTTOM
    title = f"Deviation of packet spacing from 20 ms: {group.name}"
    below = f"deviation up to (ms); {total} packets, {group.runs}"
    upright = f'transform="rotate(-90 18 {HEIGHT / 2})"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" fill="#222">',
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<text x="{middle}" y="22" font-size="14" text-anchor="middle">{title}</text>',
            *_bars(shares),
            f'<line x1="{LEFT}" y1="{axis}" x2="{WIDTH - 20}" y2="{axis}" stroke="#222"/>',
            f'<text x="{middle}" y="{HEIGHT - 30}" font-size="11" text-anchor="middle">{below}</text>',
            f'<text x="18" y="{HEIGHT / 2}" font-size="11" text-anchor="middle" {upright}>share of packets</text>',
            "</svg>",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="write the Markdown here and not to the terminal")
    parser.add_argument("--plot", type=Path, default=harness.RESULTS / "deviation.svg", help="where the picture goes")
    parser.add_argument("--label", default="", help="only results with this label")
    settings = parser.parse_args()
    text = "\n".join([*machine(), *outbound(settings.label), *bridge(settings.label), *idle(settings.label)])
    if not text:
        raise SystemExit(f"no results in {harness.RESULTS}: run outbound.py, bridge.py or idle.py first")
    if settings.output:
        settings.output.write_text(text)
    else:
        sys.stdout.write(text)
    picture = plot(settings.label)
    if picture:
        settings.plot.parent.mkdir(parents=True, exist_ok=True)
        settings.plot.write_text(picture)


if __name__ == "__main__":
    main()
