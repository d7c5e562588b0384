"""`sipcore load` against a real far end: the report says what happened, as SIPp counts it."""

import csv
import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from sipcore.cli import main
from sipcore.testing.scenarios import write_scenario
from sipcore.testing.sipp import Sipp

pytestmark = [pytest.mark.sip, pytest.mark.sipp]


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sipcore", "load", "--sip-address", "127.0.0.1:0", *arguments]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path), "COLUMNS": "200"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def sipp(tmp_path: Path) -> Sipp:
    audio = tmp_path / "audio.ulaw"
    audio.write_bytes(b"\x80\x00" * 4000)
    write_scenario("uas-play", tmp_path, audio=audio)
    write_scenario("uas-busy", tmp_path)
    return Sipp(tmp_path, tmp_path)


def test_the_report_counts_what_the_far_ends_count(sipp: Sipp, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with sipp.uas("uas-play.xml", calls=15, timeout_s=30) as good, sipp.uas("uas-busy.xml", calls=5, timeout_s=30) as busy:
        options = ["--calls", "20", "--rate", "10", "--hold", "1", "--max-failed", "5", "--max-p99-answer-ms", "0.001"]
        files = ["--csv", str(tmp_path / "a.csv"), "--junit", str(tmp_path / "a.xml"), "--html", str(tmp_path / "a.html")]
        code = main(["load", good.uri, good.uri, good.uri, busy.uri, "--sip-address", "127.0.0.1:0", *options, *files])
        results = good.wait(5), busy.wait(5)
    output = capsys.readouterr().out
    assert code == 1, "an answer within a microsecond was asked for"
    assert [(result.successful, result.failed) for result in results] == [(15, 0), (5, 0)]
    assert "20 calls in" in output
    assert "15 answered, 5 failed, 0 answered without audio" in output
    assert "5  486 Busy Here" in output
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    answered = [row for row in rows if not row["failure"]]
    assert (len(rows), len(answered)) == (20, 15)
    assert all(float(row["answer_ms"]) > 0 and 0 <= float(row["first_audio_ms"]) < 1000 for row in answered)
    assert all(int(row["rtp_received"]) > 20 and float(row["mos"]) > 3 for row in answered)
    missed = [case.get("name") for case in ET.parse(tmp_path / "a.xml").getroot().iter("testcase") if len(case)]
    assert missed == ["max_p99_answer_ms"]
    assert "<svg" in (tmp_path / "a.html").read_text()


def test_ctrl_c_ends_it_with_the_report_so_far(sipp: Sipp, tmp_path: Path):
    with sipp.uas("uas-play.xml", calls=100, timeout_s=90) as far_end:
        process = start(tmp_path, far_end.uri, "--calls", "100", "--rate", "5", "--hold", "60", "--csv", str(tmp_path / "a.csv"))
        try:
            far_end.wait_for("ACK", 60)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
        assert far_end.stop().received("BYE")
    assert "interrupted, 100 were planned" in output, errors
    assert (tmp_path / "a.csv").read_text().count("\n") < 50
    assert process.returncode in {0, 1}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sip:bob@127.0.0.1", "--calls", "0"], "calls: must be 1 to"),
        (["sip:bob@127.0.0.1", "--rate", "-1"], "rate: must be more than 0"),
        (["sip:bob@127.0.0.1", "--hold", "inf"], "hold_s: must be 0 to 14400"),
        (["sip:bob@127.0.0.1", "--rate", "inf"], "rate: must be more than 0"),
        (["tel:12ab"], "destination: '12ab' is not a number"),
        (["sip:bob@127.0.0.1", "--csv", "/none/a.csv"], "/none/a.csv: cannot be written: No such file or directory"),
        (["sip:bob@127.0.0.1", "--max-failed", "few"], "max_failed: must be a number of calls"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_is_called(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert main(["load", "--sip-address", "127.0.0.1:0", *arguments]) == 2
    assert told in capsys.readouterr().err
