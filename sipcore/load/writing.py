"""A load report as files: CSV with a line for each call, JUnit XML for CI, one HTML page."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from sipcore.errors import Fault, InvalidRequest
from sipcore.load.loaded import LoadedCall
from sipcore.load.page import draw_page
from sipcore.load.report import LoadReport, Verdict

COLUMNS: Final = (
    "number", "destination", "call_id", "started_s", "late_ms", "setup_ms", "answer_ms", "first_audio_ms", "talked_s", "ended_s",
    "sip_code", "hangup_by", "failure", "codec", "rtp_received", "rtp_lost", "loss_percent", "jitter_ms", "round_trip_ms", "mos",
)  # fmt: skip
_FORMULA: Final = ("=", "+", "-", "@")


def check_writable(paths: Iterable[Path]) -> None:
    """Whether these files can be written; nothing is left behind by the attempt.

    Raises:
        InvalidRequest: one cannot; names every fault.
    """
    faults = []
    for path in paths:
        is_new = not path.exists()
        try:
            with path.open("ab"):
                pass
            if is_new:
                path.unlink()
        except OSError as error:
            faults.append(Fault(str(path), f"cannot be written: {error.strerror or error}"))
    if faults:
        raise InvalidRequest(faults)


def write_csv(report: LoadReport, path: Path) -> None:
    """A line for each call, in the order in which they began; what is not known is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(_row(call) for call in report.calls)


def _row(call: LoadedCall) -> Sequence[object]:
    quality = call.quality
    heard = (
        (quality.codec, quality.received, quality.lost, quality.loss_percent, quality.jitter_ms, quality.round_trip_ms, quality.mos)
        if quality is not None
        else (None,) * 7
    )
    return (
        call.number, call.destination, call.call_id, call.started_s, call.late_ms, call.setup_ms, call.answer_ms, call.first_audio_ms,
        call.talked_s, call.ended_s, call.sip_code or None, call.hangup_by, _no_formula(call.failure), *heard,
    )  # fmt: skip


def _no_formula(text: str) -> str:
    """A far end writes a part of it, and a spreadsheet would calculate it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def write_junit(report: LoadReport, verdicts: Sequence[Verdict], path: Path) -> None:
    """A test case for each threshold."""
    path.write_text("\n".join(_junit(report, verdicts)) + "\n", encoding="utf-8")


def _junit(report: LoadReport, verdicts: Sequence[Verdict]) -> Iterator[str]:
    missed = sum(not verdict.is_met for verdict in verdicts)
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield (
        f'<testsuite name="sipcore load" tests="{len(verdicts)}" failures="{missed}" errors="0" skipped="0" '
        f'time="{report.duration_s:.3f}" timestamp="{report.started_at:%Y-%m-%dT%H:%M:%S}">'
    )
    yield "  <properties>"
    for name, value in _properties(report):
        yield f'    <property name="{name}" value={quoteattr(value)}/>'
    yield "  </properties>"
    for verdict in verdicts:
        head = f'  <testcase classname="sipcore.load" name="{verdict.name}" time="{report.duration_s:.3f}"'
        if verdict.is_met:
            yield f"{head}/>"
        else:
            reasons = "\n".join(f"{count} x {reason}" for reason, count in report.failures.items())
            yield f"{head}>\n    <failure message={quoteattr(_xml(str(verdict)))}>{escape(_xml(reasons))}</failure>\n  </testcase>"
    yield f"  <system-out>{escape(_xml(str(report)))}</system-out>"
    yield "</testsuite>"


def _xml(text: str) -> str:
    """Without what XML cannot hold: a far end's reason phrase may have it."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def _properties(report: LoadReport) -> Iterator[tuple[str, str]]:
    yield "calls", str(len(report.calls))
    yield "answered", str(report.answered)
    yield "failed", str(report.failed)
    for name, figure in report.figures.items():
        if figure.count:
            yield f"{name}.p50", f"{figure.p50:g}"
            yield f"{name}.p99", f"{figure.p99:g}"


def write_html(report: LoadReport, verdicts: Sequence[Verdict], path: Path) -> None:
    """One page with tables and plots; it needs nothing from outside."""
    path.write_text(draw_page(report, verdicts), encoding="utf-8")
