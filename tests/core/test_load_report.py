"""Percentiles, thresholds, and the files of a load report."""

import csv
import math
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sipcore.engine import RtpStatistics
from sipcore.errors import InvalidRequest
from sipcore.load import LoadedCall, LoadPlan, LoadReport, Thresholds, check_thresholds, check_writable, judge
from sipcore.load.chart import Series, draw_chart, ticks
from sipcore.load.report import at_once, distribution
from sipcore.load.writing import COLUMNS, write_csv, write_html, write_junit
from sipcore.quality import quality_of

PLAN = LoadPlan("sip:bob@192.0.2.1", calls=100, rate=10.0)


def answered(number: int, lost: int = 0) -> LoadedCall:
    statistics = RtpStatistics("PCMU/8000", 100, 16_000, 100 - lost, 16_000, lost, rx_jitter_ms=number / 10)
    return LoadedCall(
        number, "sip:bob@192.0.2.1", number / 10, 0.0, f"id-{number}", number / 10 + 2.0, float(number), number * 2.0, number * 3.0, 200,
        "local", 2.0, quality=quality_of(statistics),
    )  # fmt: skip


def failed(number: int, why: str) -> LoadedCall:
    return LoadedCall(number, "sip:bob@192.0.2.1", number / 10, 150.0, f"id-{number}", number / 10 + 0.5, failure=why)


def report_of(*calls: LoadedCall) -> LoadReport:
    return LoadReport(PLAN, calls, datetime(2030, 1, 1, tzinfo=UTC), 12.0)


def test_percentiles_are_values_that_were_measured():
    figure = distribution([float(value) for value in range(100, 0, -1)])
    assert (figure.count, figure.minimum, figure.p50, figure.p90, figure.p99, figure.maximum) == (100, 1.0, 50.0, 90.0, 99.0, 100.0)
    assert distribution([5.0, None]).p99 == 5.0
    assert math.isnan(distribution([]).p99)


def test_calls_are_counted_by_what_became_of_them():
    report = report_of(answered(1), answered(2), failed(3, "486 Busy Here"), failed(4, "dialout"), failed(5, "486 Busy Here"))
    assert (report.answered, report.failed, report.late, report.silent) == (2, 3, 3, 0)
    assert report.failures == {"486 Busy Here": 2, "dialout": 1}
    assert list(report.failures) == ["486 Busy Here", "dialout"]
    assert report.figures["setup_ms"].count == 2
    assert "486 Busy Here" in str(report)


def test_calls_at_once_are_counted_by_begin_and_end():
    calls = [replace(answered(1), started_s=0.0, ended_s=2.0), replace(answered(2), started_s=1.0, ended_s=3.0)]
    assert at_once(calls) == [(0.0, 1), (1.0, 2), (2.0, 1), (3.0, 0)]
    assert report_of(*calls).most_at_once == 2


def test_thresholds_are_judged_by_the_figures():
    report = report_of(*[answered(number, lost=number // 50) for number in range(1, 100)], failed(100, "dialout"))
    wanted = Thresholds("1%", 98.0, 99.0, 400.0, 9.9, 1.0, 4.0)
    verdicts = {verdict.name: verdict for verdict in judge(report, wanted)}
    assert {name for name, verdict in verdicts.items() if not verdict.is_met} == {"max_p99_setup_ms", "max_p99_answer_ms"}
    assert str(verdicts["max_p99_setup_ms"]) == "max_p99_setup_ms: 99.00, limit 98: NOT met"
    assert str(verdicts["max_failed"]) == "max_failed: 1 of 100 (1.00%), limit 1%"


def test_what_was_not_measured_is_not_reached():
    verdicts = judge(report_of(failed(1, "dialout")), Thresholds("100%", 100.0, max_loss_percent=1.0, min_mos=4.0))
    assert [(verdict.name, verdict.is_met) for verdict in verdicts] == [
        ("max_failed", True),
        ("max_p99_setup_ms", False),
        ("max_loss_percent", False),
        ("min_mos", False),
    ]
    assert not judge(report_of(), Thresholds())[0].is_met, "no call at all is no success"


def test_the_worst_of_a_hundred_mos_counts():
    report = report_of(*[answered(number, lost=30 if number < 3 else 0) for number in range(1, 101)])
    assert not judge(report, Thresholds(min_mos=4.0))[-1].is_met
    report = report_of(*[answered(number, lost=30 if number < 2 else 0) for number in range(1, 101)])
    assert judge(report, Thresholds(min_mos=4.0))[-1].is_met


@pytest.mark.parametrize("wrong", [{"max_failed": "many"}, {"max_failed": "-1"}, {"max_failed": "101%"}, {"min_mos": -1.0}])
def test_thresholds_that_cannot_be_are_refused(wrong: dict):
    with pytest.raises(InvalidRequest, match=next(iter(wrong))):
        check_thresholds(Thresholds(**wrong))


def test_csv_has_a_line_for_each_call(tmp_path: Path):
    write_csv(report_of(answered(1), failed(2, "=cmd()")), tmp_path / "calls.csv")
    with (tmp_path / "calls.csv").open(newline="") as file:
        head, first, second = csv.reader(file)
    assert tuple(head) == COLUMNS
    row = dict(zip(head, first, strict=True))
    assert (row["setup_ms"], row["codec"], row["sip_code"], row["failure"]) == ("1.0", "PCMU/8000", "200", "")
    row = dict(zip(head, second, strict=True))
    assert (row["answer_ms"], row["mos"], row["failure"]) == ("", "", "'=cmd()"), "a spreadsheet would calculate it"


def test_junit_fails_the_thresholds_that_are_not_met(tmp_path: Path):
    report = report_of(answered(1), failed(2, "486 <Busy>\x07"))
    write_junit(report, judge(report, Thresholds("0", 5.0)), tmp_path / "load.xml")
    suite = ET.parse(tmp_path / "load.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    cases = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    assert cases["max_p99_setup_ms"] is None
    assert "1 x 486 <Busy>" in cases["max_failed"].text


def test_the_page_needs_nothing_from_outside_and_escapes(tmp_path: Path):
    report = report_of(answered(1), answered(2), failed(3, "486 <script>"))
    write_html(report, judge(report, Thresholds("0")), tmp_path / "load.html")
    page = (tmp_path / "load.html").read_text()
    assert page.count("<svg") == page.count("</svg>") == 7
    assert "<script" not in page
    assert "486 &lt;script&gt;" in page
    assert "src=" not in page
    assert "href=" not in page
    for chart in page.split("<svg")[1:]:
        ET.fromstring("<svg" + chart.partition("</svg>")[0] + "</svg>")


def test_a_page_without_a_call_can_be_drawn(tmp_path: Path):
    write_html(report_of(), (), tmp_path / "load.html")
    assert "nothing was measured" in (tmp_path / "load.html").read_text()


def test_ticks_are_round_and_span_the_values():
    assert ticks(0.0, 10.0) == (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    assert ticks(1.0, 4.4)[0] <= 1.0
    assert ticks(0.0, 0.0)[-1] > 0.0
    assert "<circle" in draw_chart("t", "x", [Series("one", [(0.0, 3.0)], "dots")])


def test_files_are_tried_before_and_left_as_they_were(tmp_path: Path):
    (tmp_path / "old.csv").write_text("old")
    check_writable([tmp_path / "old.csv", tmp_path / "new.csv"])
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]
    assert (tmp_path / "old.csv").read_text() == "old"
    with pytest.raises(InvalidRequest) as error:
        check_writable([tmp_path / "none" / "a.csv", tmp_path])
    assert [fault.path for fault in error.value.faults] == [str(tmp_path / "none" / "a.csv"), str(tmp_path)]
