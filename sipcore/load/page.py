"""A load report as one HTML page, with its plots inside and nothing from outside. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from sipcore.load.chart import Series, draw_chart
from sipcore.load.report import LoadReport, Verdict, at_once

_STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1180px; padding: 0 1rem; color: #1c2329; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #d8dee3 }
th:first-child, td:first-child { text-align: left } .good { color: #2e6b12 } .bad { color: #b00020; font-weight: 600 }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 1rem }
svg { width: 100%; height: auto } svg text { font-size: 11px; fill: #1c2329 } svg .title { font-size: 13px; font-weight: 600 }
svg .grid { stroke: #d8dee3 }
"""
_NAMES: Final = {
    "setup_ms": "INVITE to ringing or answer, ms",
    "answer_ms": "INVITE to answer, ms",
    "first_audio_ms": "answer to first audio, ms",
    "loss_percent": "RTP loss, %",
    "jitter_ms": "RTP jitter, ms",
    "mos": "MOS (E-model)",
    "late_ms": "begun late, ms",
}
MAX_DOTS: Final = 2000
"""More calls than that are thinned out in the plots, evenly."""


def draw_page(report: LoadReport, verdicts: Sequence[Verdict] = ()) -> str:
    """The whole page."""
    return "\n".join(_page(report, verdicts))


def _page(report: LoadReport, verdicts: Sequence[Verdict]) -> Iterator[str]:
    plan = report.plan
    title = f"Load test of {', '.join(plan.destinations[:3])}" + (" and others" if len(plan.destinations) > 3 else "")
    yield f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head><body>'
    yield f"<h1>{escape(title)}</h1>"
    ramp = f", rising for {plan.ramp_s:g} s" if plan.ramp_s else ""
    how = "at random moments" if plan.is_poisson else "evenly"
    yield f"<p>{report.started_at:%Y-%m-%d %H:%M:%S} UTC, {report.duration_s:.1f} s. Planned: {plan.calls} calls, {plan.rate:g} a second"
    yield f"{ramp}, {how}, held for {plan.hold_s:g} s.{' <b class=bad>Interrupted.</b>' if report.is_interrupted else ''}</p>"
    yield from _counts(report)
    yield from _verdicts(verdicts)
    yield from _figures(report)
    yield from _failures(report)
    yield '<h2>Plots</h2><div class="plots">'
    yield from _plots(report)
    yield "</div></body></html>"


def _counts(report: LoadReport) -> Iterator[str]:
    rows = {
        "placed": len(report.calls),
        "answered": report.answered,
        "failed": report.failed,
        "answered without audio": report.silent,
        "begun more than 100 ms late": report.late,
        "most at once": report.most_at_once,
    }
    yield "<h2>Calls</h2>" + _table((), [(name, str(count)) for name, count in rows.items()])


def _verdicts(verdicts: Sequence[Verdict]) -> Iterator[str]:
    if verdicts:
        yield "<h2>Thresholds</h2><table><tr><th>threshold</th><th>limit</th><th>measured</th><th></th></tr>"
        for one in verdicts:
            mark = '<td class="good">met</td>' if one.is_met else '<td class="bad">not met</td>'
            yield f"<tr><td>{escape(one.name)}</td><td>{escape(one.limit)}</td><td>{escape(one.measured)}</td>{mark}</tr>"
        yield "</table>"


def _figures(report: LoadReport) -> Iterator[str]:
    rows = []
    for name, figure in report.figures.items():
        numbers = (figure.minimum, figure.p50, figure.p90, figure.p99, figure.maximum)
        rows.append((_NAMES[name], str(figure.count), *(f"{number:.2f}" if figure.count else "" for number in numbers)))
    yield "<h2>Figures</h2>" + _table(("", "calls", "least", "p50", "p90", "p99", "most"), rows)


def _failures(report: LoadReport) -> Iterator[str]:
    if report.failures:
        yield "<h2>Failures</h2>" + _table(("reason", "calls"), [(reason, str(count)) for reason, count in report.failures.items()])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in head)] if head else []
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _plots(report: LoadReport) -> Iterator[str]:
    calls = report.calls[:: max(1, -(-len(report.calls) // MAX_DOTS))]
    failed = [call for call in report.calls if call.failure]
    per_second: dict[int, int] = {}
    for call in report.calls:
        per_second[int(call.started_s)] = per_second.get(int(call.started_s), 0) + 1
    begun = [(float(second), float(per_second.get(second, 0))) for second in range(max(per_second, default=-1) + 2)]
    up = [(second, float(count)) for second, count in at_once(report.calls)]
    yield draw_chart("Calls at once", "seconds", [Series("at once", up, "steps")])
    yield draw_chart("Calls begun a second", "seconds", [Series("begun", begun, "steps")])
    times = {name: [(call.started_s, getattr(call, name)) for call in calls] for name in ("setup_ms", "answer_ms", "first_audio_ms")}
    dots = [
        Series(name.removesuffix("_ms").replace("_", " "), [point for point in points if point[1] is not None], "dots")
        for name, points in times.items()
    ]
    yield draw_chart("Milliseconds of each call", "seconds", dots)
    shares = [Series(one.name, _shares([y for _, y in one.points]), "steps") for one in dots]
    yield draw_chart("Share of calls within so many milliseconds, %", "ms", shares)
    heard = [call for call in calls if call.quality is not None and call.quality.received]
    scores = [(call.started_s, call.quality.mos) for call in heard if call.quality and call.quality.mos is not None]
    yield draw_chart("MOS of each call", "seconds", [Series("MOS", scores, "dots")], y_from=1.0)
    media = [
        Series("loss %", [(call.started_s, call.quality.loss_percent) for call in heard if call.quality], "dots"),
        Series("jitter ms", [(call.started_s, call.quality.jitter_ms) for call in heard if call.quality], "dots"),
    ]
    yield draw_chart("RTP of each call", "seconds", media)
    if failed:
        rising = [(call.started_s, float(count)) for count, call in enumerate(failed, 1)]
        yield draw_chart("Calls that failed, in all", "seconds", [Series("failed", rising, "steps")])


def _shares(values: Sequence[float]) -> list[tuple[float, float]]:
    known = sorted(values)
    return [(value, 100 * count / len(known)) for count, value in enumerate(known, 1)]
