"""`sipcore plan`: what it prints and its exit codes, for lists and requests, right and wrong."""

import io
import json

import pytest

from media import tones, wav
from sipcore.cli import main


@pytest.fixture
def plan(tmp_path, capsys, monkeypatch):
    """Runs the command on this text, as a file of this name."""
    wav.write(tmp_path / "a.wav", tones.tone(700.0, 1.5, 8000), 8000)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(text, *arguments, name="list.json"):
        (tmp_path / name).write_text(text)
        code = main(["plan", name, *arguments])
        return code, capsys.readouterr()

    return run


PLAY = {"type": "play", "option": {"stream_urls": ["a.wav"], "loop": 2}}
CONNECT = {"type": "connect", "option": {"destinations": ["sip:a@192.0.2.1", "sip:b@192.0.2.1"]}}


def test_a_list_that_can_be_carried_out(plan):
    code, printed = plan(json.dumps([PLAY, CONNECT]))
    assert (code, printed.err) == (0, "")
    assert printed.out.splitlines() == [
        "  0  play                     3.0 s",
        "  1  connect                      -",
        "2 actions, 3 legs, 3.0 s of prompts",
    ]


def test_json(plan):
    code, printed = plan(json.dumps({"actions": [PLAY]}), "--json")
    told = json.loads(printed.out)
    assert code == 0
    assert told.pop("actions") == [{"index": 0, "type": "play", "id": "", "duration_s": 3.0, "detail": ""}]
    assert told == {"legs_needed": 1, "audio_s": 3.0, "is_complete": True}


def test_a_whole_request_over_a_trunk(plan):
    request = json.dumps({"source": "tel:+821028286521", "destinations": ["tel:+821021656521"], "actions": [PLAY]})
    assert plan(request, "--trunk", "sip:192.0.2.8")[0] == 0
    code, printed = plan(request)
    assert code == 1
    assert "list.json: destinations[0]: tel:+821021656521: a telephone number needs a trunk" in printed.err


def test_toml_and_every_fault_with_its_place(plan):
    text = '[[actions]]\ntype = "tlak"\n[[actions]]\ntype = "goto"\noption = {target_id = "x", loop_cuont = 3}\n'
    code, printed = plan(text, name="list.toml")
    assert (code, printed.out) == (1, "")
    assert printed.err.splitlines() == [
        "list.toml: actions[0].type: unknown action type 'tlak'; did you mean 'talk'?",
        "list.toml: actions[1].option.loop_cuont: unknown option 'loop_cuont'; did you mean 'loop_count'?",
    ]


def test_what_this_machine_cannot_do(plan, tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    for url, place in (("missing.wav", "actions[0].option.stream_urls[0]"), ("text.wav", "actions[0]")):
        code, printed = plan(json.dumps([{"type": "play", "option": {"stream_urls": [url]}}]), "--json")
        assert code == 1
        assert [fault["path"] for fault in json.loads(printed.out)["faults"]] == [place]


def test_limits_of_a_configuration(plan, tmp_path):
    (tmp_path / "sipcore.toml").write_text("[flow]\nmax_actions = 1\n")
    code, printed = plan(json.dumps([PLAY, PLAY]), "--config", "sipcore.toml")
    assert (code, printed.err) == (1, "list.json: actions: at most 1 actions, this list has 2\n")


@pytest.mark.parametrize(
    ("text", "name", "said"), [("{", "list.json", "is not JSON"), ("x", "list.toml", "is not TOML"), ("3", "a", "must be a list")]
)
def test_what_is_no_list(plan, text, name, said):
    code, printed = plan(text, name=name)
    assert code == 1
    assert said in printed.err


def test_a_file_that_is_not_there_and_standard_input(plan, capsys, monkeypatch):
    assert main(["plan", "nowhere.json"]) == 1
    assert "nowhere.json: cannot be read: No such file or directory" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("[]"))
    assert main(["plan", "-"]) == 0
    assert capsys.readouterr().out == "0 actions, 1 leg, 0.0 s of prompts\n"
