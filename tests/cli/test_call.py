"""`sipcore call` against a real far end: what it prints, and its exit codes."""

import json
import os
import subprocess
import sys

import pytest
import soundfile

from media import measure, tones, wav
from sipcore.testing.phone import Phone

pytestmark = pytest.mark.sip


def sipcore(tmp_path, *arguments):
    command = [sys.executable, "-m", "sipcore", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path), "COLUMNS": "200"},
    )


def test_says_plays_and_connects_in_the_order_typed(tmp_path):
    wav.write(tmp_path / "a.wav", tones.tone(700.0, 0.4, 8000), 8000)
    with Phone(name="bob") as bob, Phone(name="carol") as carol:
        carol.hang_up_after(0.3)
        arguments = ["--play", str(tmp_path / "a.wav"), "--connect", carol.uri, "--say", "bye", "--sip-address", "127.0.0.1:0"]
        result = sipcore(tmp_path, "call", bob.uri, *arguments)
        assert result.returncode == 0, result.stderr
        lines = result.stdout
        order = [
            lines.index(text) for text in ("calling", "ringing", "answered", "play done", "connect done", "talk done", "ended by local")
        ]
        assert order == sorted(order)
        bob.calls[0].assert_heard(tmp_path / "a.wav")
        assert carol.calls[0].methods_received() == ["INVITE", "ACK"]


def test_json_is_the_record_and_nothing_else(tmp_path):
    with Phone(name="bob") as bob:
        result = sipcore(tmp_path, "call", bob.uri, "--json", "--sip-address", "127.0.0.1:0")
    record = json.loads(result.stdout)
    assert (result.returncode, record["status"], record["hangup_by"], record["hangup_reason"]) == (0, "hangup", "local", "normal")
    assert len(record) == 20


def test_not_answered_is_exit_code_1(tmp_path):
    with Phone(name="bob") as bob:
        bob.reject(486)
        result = sipcore(tmp_path, "call", bob.uri, "--say", "hello", "--sip-address", "127.0.0.1:0")
    assert result.returncode == 1
    assert "busy (486" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["tel:12ab"], "E.164"),
        (["tel:+8210"], "needs a trunk"),
        (["sip:bob@127.0.0.1", "--play", "/nowhere/a.wav"], "actions[0].option.stream_urls[0]"),
        (["sip:bob@127.0.0.1", "--say", "hi", "--language", "xx-YY"], "xx-YY"),
        (["sip:bob@127.0.0.1", "--trunk", "127.0.0.1"], "trunk: "),
        (["sip:bob@127.0.0.1", "--config", "/nowhere.toml"], "/nowhere.toml"),
    ],
)
def test_wrong_usage_says_what_and_where(tmp_path, arguments, expected):
    result = sipcore(tmp_path, "call", *arguments, *(["--sip-address", "127.0.0.1:0"]))
    assert result.returncode == 2
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


def test_records_into_the_file_that_is_named(tmp_path):
    wav.write(tmp_path / "a.wav", tones.tone(700.0, 1.0, 8000), 8000)
    with Phone(name="bob") as bob:
        arguments = ["--record", str(tmp_path / "out.flac"), "--play", str(tmp_path / "a.wav"), "--sip-address", "127.0.0.1:0"]
        result = sipcore(tmp_path, "call", bob.uri, *arguments)
    assert result.returncode == 0, result.stderr
    assert "recorded in" in result.stdout
    samples, rate_hz = soundfile.read(tmp_path / "out.flac")
    assert measure.tone_level_db(samples, 700, rate_hz) > -20
    assert not list(tmp_path.glob(".sipcore-*"))


@pytest.mark.parametrize("name", ["out.aiff", "out", "nowhere/out.wav"])
def test_a_file_that_cannot_be_recorded_into_is_wrong_usage(tmp_path, name):
    result = sipcore(tmp_path, "call", "sip:bob@127.0.0.1", "--record", str(tmp_path / name))
    assert result.returncode == 2
    assert "--record" in result.stderr
