"""The SIP messages of a call over HTTP and at the command line, on an engine that remembers some."""

import json
import shutil
import subprocess

import pytest

from sipcore import cli
from sipcore.cli.calls import TOKEN_VARIABLE
from sipcore.pcap import make_pcap
from sipcore.wire import TracedMessage

from .running import OTHER, TOKEN, assert_error

pytestmark = [pytest.mark.slow, pytest.mark.sip_lint("off")]  # what is traced here was never sent

US, BOB = "198.51.100.1:5060", "192.0.2.9:5070"
EVIL = "\x1b[31m\x07\x9b\u202e"
INVITE = (
    "INVITE sip:bob@192.0.2.9 SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n"
    "To: <sip:bob@192.0.2.9>\r\nCall-ID: abc@x\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
BUSY = f"SIP/2.0 486 Busy {EVIL}é\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
MESSAGES = (
    TracedMessage(1_700_000_000.25, True, "udp", US, BOB, INVITE),
    TracedMessage(1_700_000_000.75, False, "udp", US, BOB, BUSY, 3),
)


@pytest.fixture
def traced(served):
    """A served switch, and the id of the one call its engine remembers."""
    call_id = served.create("stay")["id"]

    async def trace(asked):
        return MESSAGES if asked == call_id else ()

    served.engine.trace = trace
    return served, call_id


def get(served, call_id, **query):
    return served.client.get(f"/v1.0/calls/{call_id}/trace", params=query)


def test_json(traced):
    served, call_id = traced
    answer = get(served, call_id)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    ends = {"transport": "udp", "local": US, "remote": BOB}
    assert answer.json()["result"] == [
        {"at": "2023-11-14 22:13:20.250000", "is_sent": True, **ends, "text": INVITE, "missing": 0},
        {"at": "2023-11-14 22:13:20.750000", "is_sent": False, **ends, "text": BUSY, "missing": 3},
    ]
    assert [note["name"] for note in answer.json()["notes"]][:2] == ["CallCreated", "CallDialing"]
    assert [call["id"] for call in answer.json()["calls"]] == [call_id]
    assert get(served, call_id, format="json").json()["result"] == answer.json()["result"]


def test_text_is_a_ladder_that_no_terminal_minds(traced):
    served, call_id = traced
    answer = get(served, call_id, format="text")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    lines = answer.text.splitlines()
    assert lines[1].startswith("+0.000     |--- INVITE (1) ---")
    assert lines[3].startswith("+0.500     |<-- 486 Busy ?[31m???? (1 INVITE) ---")
    assert answer.text.replace("\n", "").isprintable()


def test_pcap(traced):
    served, call_id = traced
    answer = get(served, call_id, format="pcap")
    assert answer.headers["content-type"] == "application/vnd.tcpdump.pcap"
    assert answer.headers["content-disposition"] == f'attachment; filename="{call_id}.pcap"'
    assert answer.content == make_pcap(MESSAGES)


def test_pictures_and_a_page_that_no_browser_runs_anything_of(traced):
    served, call_id = traced
    for form, kind in (("svg", "image/svg+xml"), ("html", "text/html; charset=utf-8")):
        answer = get(served, call_id, format=form, legs="true")
        assert answer.headers["content-type"] == kind
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert "486 Busy" in answer.text
        assert "\x1b" not in answer.text
    assert get(served, call_id, format="mermaid").text.startswith("sequenceDiagram\n")
    assert_error(get(served, call_id, legs="yes"), 400, "INVALID_REQUEST", "legs")


def test_a_form_that_does_not_exist(traced):
    served, call_id = traced
    for form in ("xml", "", "PCAP"):
        assert_error(get(served, call_id, format=form), 400, "INVALID_REQUEST", "format")


def test_only_whose_call_it_is(traced):
    served, call_id = traced
    path = f"/v1.0/calls/{call_id}/trace"
    assert_error(served.client_of(OTHER).get(path), 404, "CALL_NOT_FOUND")
    assert_error(served.client_of("").get(path), 401, "TOKEN_MISSING")
    assert_error(get(served, "00000000-0000-0000-0000-000000000000"), 404, "CALL_NOT_FOUND")
    assert_error(served.client.post(path), 405, "METHOD_NOT_ALLOWED")


def test_an_engine_that_keeps_nothing_has_none(served):
    call_id = served.create("stay")["id"]
    assert get(served, call_id).json()["result"] == []
    assert "* outgoing call from " in get(served, call_id, format="text").text
    assert len(get(served, call_id, format="pcap").content) == 24


def test_a_call_that_is_over_still_has_its_messages(traced):
    served, call_id = traced
    served.client.delete(f"/v1.0/calls/{call_id}")
    served.wait(call_id)
    assert len(get(served, call_id).json()["result"]) == 2


def test_the_document_tells_of_it(served):
    document = served.client.get("/openapi.json").json()
    answers = document["paths"]["/v1.0/calls/{id}/trace"]["get"]["responses"]["200"]["content"]
    assert list(answers) == ["application/json", "text/plain", "image/svg+xml", "text/html", "application/vnd.tcpdump.pcap"]
    assert set(document["components"]["schemas"]["Trace"]["properties"]) == {"result", "notes", "calls", "taken_at"}


# -------------------------------------------------------------------------------------- sipcore calls trace


@pytest.fixture
def sipcore(traced, monkeypatch, capfd):
    """Run `sipcore calls trace` in this process; the exit code, and what it printed."""
    served, call_id = traced
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    monkeypatch.setenv("COLUMNS", "90")

    def run(*arguments, of=call_id):
        code = cli.main(["calls", "trace", of, "--url", served.url, *arguments])
        return code, *capfd.readouterr()

    return run


def test_the_command_prints_the_ladder_as_wide_as_the_terminal(sipcore):
    code, out, err = sipcore()
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[2:3] == ["...        (3 messages were not kept)"]
    assert lines[3].startswith("+0.500     |<-- 486 Busy ?[31m???? (1 INVITE) ---")
    assert max(map(len, lines)) <= 90


def test_the_command_prints_the_messages_when_asked_but_no_control_characters(sipcore):
    code, out, _ = sipcore("--full")
    assert code == 0
    assert f"--- sent to {BOB} over udp, by {US}\nINVITE sip:bob@192.0.2.9 SIP/2.0\n" in out
    assert "SIP/2.0 486 Busy ?[31m???é\n" in out
    assert out.replace("\n", "").isprintable()


def test_the_command_prints_json_without_control_characters(sipcore):
    code, out, _ = sipcore("--json")
    assert code == 0
    assert json.loads(out)["result"][1]["text"] == BUSY
    assert out.replace("\n", "").isprintable()
    assert out.isascii()


def test_the_command_draws_the_legs_too(served, monkeypatch, capfd):
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    call_id = served.create(actions=[{"type": "connect", "option": {"destinations": ["sip:stay@192.0.2.7"]}}])["id"]
    served.until(lambda: served.switch.calls.live(call_id).record.chained_call_ids)
    (leg_id,) = served.get(call_id)["chained_call_ids"]
    at = 1_700_000_000.0
    of = {
        call_id: [TracedMessage(at, False, "udp", US, BOB, INVITE), TracedMessage(at + 2, True, "udp", US, BOB, BUSY)],
        leg_id: [TracedMessage(at + 1, True, "udp", US, "192.0.2.7:5060", INVITE)],
    }

    async def trace(asked):
        return of[asked]

    served.engine.trace = trace
    assert cli.main(["calls", "trace", call_id, "--url", served.url, "--legs"]) == 0
    title, *lines = capfd.readouterr().out.splitlines()
    assert title.split() == ["time", BOB, "us", US, "192.0.2.7:5060"]
    assert [line.split()[0] for line in lines[:3]] == ["+0.000", "+1.000", "+2.000"]
    assert any(f"* leg {leg_id[:8]}: outgoing call" in line for line in lines[3:])


def test_the_command_writes_a_capture_file(sipcore, tmp_path):
    code, out, _ = sipcore("--pcap", str(tmp_path / "call.pcap"))
    assert (code, out) == (0, f"2 messages written to {tmp_path / 'call.pcap'}\n")
    assert (tmp_path / "call.pcap").read_bytes() == make_pcap(MESSAGES)


def test_the_command_writes_a_page(sipcore, tmp_path):
    code, out, _ = sipcore("--format", "html", "-o", str(tmp_path / "call.html"))
    assert (code, out) == (0, f"2 messages written to {tmp_path / 'call.html'}\n")
    assert (tmp_path / "call.html").read_text().startswith("<!doctype html>")


def test_the_command_says_which_rules_were_broken(sipcore):
    code, _, err = sipcore("--lint")
    assert code == 1
    assert "contact-missing: INVITE has no Contact (RFC 3261" in err


def test_the_command_says_what_is_wrong(sipcore, tmp_path):
    code, out, err = sipcore("--pcap", str(tmp_path / "nowhere" / "call.pcap"))
    assert (code, out) == (2, "")
    assert "nowhere/call.pcap: No such file or directory" in err
    code, _, err = sipcore(of="nonsense")
    assert (code, "CALL_NOT_FOUND" in err) == (2, True)


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed: apt-get install tshark")
def test_tshark_reads_what_the_server_sends(traced, tmp_path):
    served, call_id = traced
    (tmp_path / "call.pcap").write_bytes(get(served, call_id, format="pcap").content)
    shown = subprocess.run(
        ["tshark", "-r", str(tmp_path / "call.pcap"), "-T", "fields", "-e", "sip.Method", "-e", "sip.Status-Code"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert shown.stdout.split("\n")[:2] == ["INVITE\t", "\t486"]
