"""The tutorial's curl lines, host and token changed, against `sipcore serve`, with SIPp as the trunk.

`tutorial/*.sh` are its lines as they are, `tutorial/*.json` its answers.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from media import tones, wav
from media.measure import best_match
from sipcore.testing.rtp_sink import RtpSink
from sipcore.testing.sipp import Sipp

from .process import HERE, TOKEN, serving

pytestmark = [
    pytest.mark.sip,
    pytest.mark.sipp,
    pytest.mark.timeout(90),
    pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed"),
    pytest.mark.skipif(not shutil.which("sipp"), reason="SIPp is not installed: apt-get install sip-tester"),
]
LINES = HERE / "tutorial"
SCENARIOS = HERE.parent / "sip" / "scenarios"
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}")
NIL = "00000000-0000-0000-0000-000000000000"


def curl(served, name, call_id=""):
    """Run one line of the tutorial; the parsed answer."""
    line = (LINES / f"{name}.sh").read_text().replace("https://api.voipbin.net", served.url).replace("TOKEN", TOKEN)
    if call_id:
        line = line.replace("f457951b-9918-44af-a834-2216b1cc31bc", call_id)
    result = subprocess.run(
        ["sh", "-c", f"{line.rstrip()} --silent --show-error --fail-with-body"], capture_output=True, text=True, timeout=40, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def form(value):
    """What a value looks like: its type, and for text what kind."""
    match value:
        case dict():
            return {key: form(inner) for key, inner in value.items()}
        case list():
            return [form(inner) for inner in value]
        case str():
            for name, pattern in (("uuid", UUID), ("time", TIME)):
                if pattern.fullmatch(value):
                    return "nil" if value == NIL else name
            return f"text {value!r}"
        case _:
            return type(value).__name__


def loosely(value):
    """As `form`, for calls in any state: empty and filled in are alike, texts too, and lists may have any length."""
    match value:
        case dict():
            return {key: loosely(inner) for key, inner in value.items()}
        case list():
            return "list"
        case str():
            return "id" if UUID.fullmatch(value) else "text"
        case _:
            return type(value).__name__


def sample(name):
    return json.loads((LINES / f"{name}.json").read_text())


def assert_alike(answer, expected):
    """Keys in their order and types, at every depth."""
    assert loosely(answer) == loosely(expected)
    assert json.dumps(loosely(answer)) == json.dumps(loosely(expected)), "the order of keys"


def follow_to_the_end(events, *call_ids):
    """Read the event stream until these calls are over."""
    left = set(call_ids)
    for line in events:
        if line.startswith("data: "):
            event = json.loads(line.removeprefix("data: "))
            if event["type"] == "call_hangup":
                left.discard(event["data"]["id"])
                if not left:
                    return
    raise AssertionError("the stream ended")


def assert_ended(record, by="local", reason="normal"):
    assert (record["status"], record["hangup_by"], record["hangup_reason"]) == ("hangup", by, reason)
    assert record["tm_update"] == record["tm_hangup"]
    times = [record[key] for key in ("tm_create", "tm_progressing", "tm_hangup")]
    assert all(TIME.fullmatch(time) for time in times)
    assert times == sorted(times)


@pytest.fixture
def tutorial(tmp_path):
    """`tutorial(trunk)`: the server; the file of the tutorial's URL is a tone of 600 Hz."""
    wav.write(tmp_path / "example.wav", tones.tone(600.0, 1.0, 8000), 8000)

    def opened(trunk: str):
        environment = {"SIPCORE_TEST_FILE": str(tmp_path / "example.wav")}
        return serving(tmp_path, f'trunk = "{trunk}"', program=("-m", "tests.http.offline_main"), environment=environment)

    return opened


@pytest.mark.parametrize("name", ["talk", "play"])
def test_speech_and_file(name, tutorial):
    with RtpSink() as ear, Sipp(SCENARIOS).uas("uas-200-expect-bye.xml", keys={"rtp_port": ear.port}) as uas, tutorial(uas.trunk) as served:
        with served.follow() as stream:
            events = stream.iter_lines()
            next(events)
            fresh = curl(served, name)
            follow_to_the_end(events, fresh["id"])
        assert uas.wait(timeout_s=20).failed == 0
        expected = sample("play")  # of the first request the tutorial shows no answer
        assert json.dumps(form(fresh)) == json.dumps(form(expected) | {"user_id": "int"})
        assert {key: fresh[key] for key in ("user_id", "type", "status", "direction", "source", "destination", "tm_update")} == {
            key: expected[key] for key in ("user_id", "type", "status", "direction", "source", "destination", "tm_update")
        }
        page = curl(served, "list")
        record = curl(served, "get", call_id=fresh["id"])
        heard = ear.heard()
    assert_alike(page, sample("list"))
    assert page["result"] == [record]
    assert page["next_page_token"] == record["tm_create"]
    assert_alike(record, sample("get"))
    assert_ended(record)
    assert {key: value for key, value in record.items() if fresh[key] != value}.keys() == {
        "status", "hangup_by", "hangup_reason", "tm_update", "tm_progressing", "tm_hangup",
    }  # fmt: skip
    assert np.abs(heard.astype(int)).max() > 1000, "something was heard"
    if name == "play":
        assert len(heard) >= 7900
        match = best_match(heard, tones.tone(600.0, 1.0, 8000), 8000, min_overlap=0.9)
        assert abs(match.correlation) > 0.9, "and it was the file"


def test_speech_and_connect(tutorial):
    with RtpSink(500.0) as ear_a, RtpSink(900.0) as ear_b:
        keys = {"rtp_port_a": ear_a.port, "rtp_port_b": ear_b.port}
        uas = Sipp(SCENARIOS).uas("uas-200-b-bye-a-expect-bye.xml", calls=2, keys=keys, pause_ms=1500)
        with uas, tutorial(uas.trunk) as served:
            with served.follow() as stream:
                events = stream.iter_lines()
                next(events)
                fresh = curl(served, "connect")
                follow_to_the_end(events, fresh["id"])
            assert uas.wait(timeout_s=20).failed == 0
            assert json.dumps(form(fresh)) == json.dumps(form(sample("connect")))
            page = curl(served, "list")
            record = curl(served, "get", call_id=fresh["id"])
        ear_a.wait_for_tone(900.0)
        ear_b.wait_for_tone(500.0)
    leg, listed = page["result"]
    assert_alike(page, sample("list") | {"result": [sample("list")["result"][0]]})
    assert listed == record
    assert_ended(record)
    assert_ended(leg, by="remote")
    assert (leg["master_call_id"], leg["destination"]["target"]) == (record["id"], "+821043126521")
    assert record["chained_call_ids"] == [leg["id"]]
    assert [call["tm_create"] for call in page["result"]] == sorted([leg["tm_create"], record["tm_create"]], reverse=True)


def test_the_lines_are_the_tutorials():
    """A line that somebody changes here is no line of the tutorial any more."""
    assert sorted(path.name for path in Path(LINES).iterdir()) == sorted(
        ["talk.sh", "play.sh", "play.json", "connect.sh", "connect.json", "list.sh", "list.json", "get.sh", "get.json"]
    )
    assert all("https://api.voipbin.net/v1.0/calls" in path.read_text() for path in LINES.glob("*.sh"))
