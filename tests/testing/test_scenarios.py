"""The scenario library: every scenario against its counterpart, both run by the real SIPp; and what a faulty description is told."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from sipcore import Answer, Hangup, Sleep, Switch
from sipcore.cli import main
from sipcore.errors import InvalidRequest
from sipcore.events import CallEvent, CallHeld, CallResumed, DigitReceived
from sipcore.testing.scenarios import LIBRARY, Jump, Label, Match, Scenario, Variable, make_xml, pause, receive, send, write_scenario
from sipcore.testing.sipp import Sipp

PAIRS = [
    ("uac-call", "uas-answer", {}),
    ("uac-call-expect-bye", "uas-answer-bye", {}),
    ("uac-delayed-bye", "uas-answer-bye", {"delay_ms": 600}),
    ("uac-late-offer", "uas-late-offer", {}),
    ("uac-early-media", "uas-early-media", {}),
    ("uac-call", "uas-forked-183", {}),
    ("uac-cancel", "uas-no-answer", {}),
    ("uac-expect-refusal", "uas-busy", {}),
    ("uac-expect-refusal", "uas-refuse", {"code": 603}),
    ("uac-expect-refusal", "uas-redirect", {"code": 302}),
    ("uac-expect-retry-after", "uas-retry-after", {}),
    ("uac-hold", "uas-expect-hold", {}),
    ("uac-glare", "uas-glare", {}),
    ("uac-session-timer", "uas-session-timer", {}),
    ("uac-expect-422", "uas-422", {}),
    ("uac-lost-ack", "uas-answer", {"delay_ms": 600}),
    ("uac-no-ack", "uas-give-up", {}),
    ("uac-call", "uas-lost-invite", {"delay_ms": 600}),
    ("uac-call", "uas-delayed-bye", {"delay_ms": 600}),
    ("uac-prack", "uas-prack", {}),
    ("uac-update", "uas-expect-update", {}),
    ("uac-digest", "uas-digest", {}),
    ("uac-digest", "uas-digest", {"code": 407, "challenge": "Proxy-Authenticate"}),
    ("uac-register", "uas-register", {}),
    ("uac-options", "uas-options", {}),
    ("uac-transfer", "uas-expect-refer", {}),
    ("uac-transfer-refused", "uas-refuse-refer", {}),
    ("uac-expect-refer", "uas-transfer", {}),
    ("uac-dtmf-info", "uas-expect-info", {}),
]
WITH_THE_SWITCH = {
    "uac-ignore-bye", "uas-ignore-bye", "uas-silent", "uas-hold", "uas-update", "uac-dtmf-rtp", "uac-play", "uas-play",
}  # fmt: skip


def test_every_scenario_is_run_by_a_test():
    assert {name for pair in PAIRS for name in pair[:2]} | WITH_THE_SWITCH == set(LIBRARY)


@pytest.mark.sipp
def test_scenarios_get_on_with_their_counterparts(tmp_path: Path):
    def run(index: int) -> str:
        uac, uas, values = PAIRS[index]
        folder = tmp_path / str(index)
        for name in (uac, uas):
            known = {"pause_ms": 50, **values}
            write_scenario(name, folder, **{key: value for key, value in known.items() if key in LIBRARY[name].used})
        sipp = Sipp(folder, folder)
        with sipp.uas(f"{uas}.xml", timeout_s=30) as called:
            calling = sipp.uac(f"{uac}.xml", target=called.address, timeout_s=30)
            result = called.wait()
        failed = [f"{name}: {side.errors[-1500:]}" for name, side in ((uac, calling), (uas, result)) if side.failed]
        return "\n".join(failed)

    with ThreadPoolExecutor(6) as pool:
        failures = [text for text in pool.map(run, range(len(PAIRS))) if text]
    assert not failures, "\n\n".join(failures)


@pytest.mark.sip
@pytest.mark.sipp
def test_scenarios_get_on_with_a_switch(tmp_path: Path):
    """Those that need somebody who patiently hangs up, gives up, or listens to RTP."""
    audio = tmp_path / "audio.ulaw"
    audio.write_bytes(b"\x00\x80" * 8000)
    for name in WITH_THE_SWITCH:
        known = {"pause_ms": 300, "audio": audio, "digits": "5", "playing_ms": 1500}
        write_scenario(name, tmp_path, **{key: value for key, value in known.items() if key in LIBRARY[name].used})
    sipp = Sipp(tmp_path, tmp_path)
    settings = {
        "sip_address": "127.0.0.1:0",
        "hangup_timeout_s": 0.5,
        "dial_timeout_s": 3.0,  # of all calls: SIPp and a worker answer late on a busy machine, and only one shall never be answered
        "grace_s": 0.5,
        "max_legs": 16,
        "cache_dir": tmp_path / "cache",
    }
    with ExitStack() as stack:
        switch = stack.enter_context(Switch(**settings))
        heard: list[CallEvent] = []
        switch.listen(heard.append)
        switch.on_call(to="short", actions=[Answer(), Sleep(300), Hangup()])
        switch.on_call(to="long", actions=[Answer(), Sleep(20_000)])
        called = {
            name: stack.enter_context(sipp.uas(f"{name}.xml", timeout_s=30)) for name in sorted(WITH_THE_SWITCH) if name.startswith("uas")
        }
        placed = {name: switch.calls.create(destination=side.uri, actions=[Sleep(1500)]) for name, side in called.items()}
        calling = {
            name: stack.enter_context(sipp.calling(f"{name}.xml", target=switch.sip_address, user=user, timeout_s=30))
            for name, user in {"uac-ignore-bye": "short", "uac-dtmf-rtp": "long", "uac-play": "long"}.items()
        }
        failures = {name: result.errors for name, side in (called | calling).items() if (result := side.wait(timeout_s=30)).failed}
        assert not failures
        records = {name: call.wait(10) for name, call in placed.items()}
        events = {name: list(call.events()) for name, call in placed.items()}
        incoming = [record for record in switch.calls.list(20).result if record.direction == "incoming"]
    assert {name: (str(record.hangup_by), str(record.hangup_reason)) for name, record in records.items()} == {
        name: ("local", "dialout" if name == "uas-silent" else "normal") for name in records
    }
    assert any(isinstance(event, CallHeld) for event in events["uas-hold"])
    assert any(isinstance(event, CallResumed) for event in events["uas-hold"])
    assert [event.digit for event in heard if isinstance(event, DigitReceived)] == ["5"]
    assert records["uas-play"].statistics.rx_packets > 20
    assert max(record.statistics.rx_packets for record in incoming if record.statistics) > 20


def test_library_is_told_from_its_names_and_roles(capsys: pytest.CaptureFixture[str]):
    assert main(["scenario", "list", "--role", "uas"]) == 0
    listed = capsys.readouterr().out
    assert "uas-busy" in listed
    assert "uac-" not in listed
    assert main(["scenario", "list", "uas-refuse"]) == 0
    assert "code" in capsys.readouterr().out


def test_all_are_written_with_the_values_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["scenario", "write", "all", "-o", str(tmp_path / "new"), "--set", "pause_ms=77", "--set", "code=480"]) == 0
    assert {path.stem for path in (tmp_path / "new").iterdir()} == set(LIBRARY)
    assert '<pause milliseconds="77"/>' in (tmp_path / "new/uac-call.xml").read_text()
    assert "SIP/2.0 480 Refused" in (tmp_path / "new/uas-refuse.xml").read_text()
    assert capsys.readouterr().out.count("\n") == len(LIBRARY)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["write", "uas-bussy"], "uas-bussy: is no scenario of the library; did you mean uas-busy"),
        (["write", "uas-refuse", "--set", "cod=486"], "uas-refuse: cod: is no variable of this scenario; did you mean code?"),
        (["write", "uas-refuse", "--set", "code=999"], "'999' is no status code from 100 to 699"),
        (["write", "uac-call", "--set", "pause_ms=soon"], "'soon' is no number of milliseconds"),
        (["write", "uac-call", "--set", "user=a\nb"], "user: cannot stand in a message"),
        (["write", "uac-call", "--set", "code"], "--set: 'code' is not NAME=VALUE"),
        (["write", "uac-call", "-o", "/proc/none"], "/proc/none/uac-call.xml: cannot be written: "),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert main(["scenario", *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "steps", "told"),
    [
        ("hold", (receive("INVITE"),), "hold: must be named by its role"),
        ("uac-x", (), "uac-x: has no steps"),
        ("uac-x", (receive(200),), "uac-x: step 1: a uac sends before it receives"),
        ("uac-x", (receive(200),), "uac-x: step 1: receives 200 without a request that it answers"),
        ("uas-x", (send(200),), "uas-x: step 1: sends 200 before any request was received"),
        ("uas-x", (receive("OPTIONS"), send("BYE")), "uas-x: step 2: sends BYE outside of a dialog"),
        ("uac-x", (send("OPTIONS"), receive(200), send("ACK")), "uac-x: step 3: sends ACK without an INVITE"),
        ("uac-x", (send("INVITE"), receive(200, optional=True), send("ACK")), "step 3: an optional message must be followed by one that"),
        ("uas-x", (receive("INVITE"), send(200, answers="call")), "step 2: answers 'call', and no request was kept under this name"),
        ("uas-x", (receive("INVITE"), Jump("away")), "uas-x: step 2: there is no label 'away'"),
        ("uas-x", (receive("INVITE", Match("To", "${who}")),), "uas-x: step 1: ${who} is no variable of this scenario"),
        ("uas-x", (receive("INVITE"), send(99)), "step 2: '99' is no method and no status code from 100 to 699"),
        ("uas-x", (receive("Invite"),), "step 1: 'Invite' is no method"),
        ("uas-x", (receive("INVITE"), pause("a while")), "step 2: a pause of 'a while' is no number of milliseconds"),
        ("uas-x", (receive("INVITE"), send(200, when="final", go="x")), "step 2: asks for 'final', and no match before has this name"),
    ],
)
def test_faults_of_a_description_are_named_with_their_step(name: str, steps: tuple, told: str):
    with pytest.raises(InvalidRequest) as error:
        make_xml(Scenario(name, "faulty", steps))
    assert told in str(error.value)


def test_variables_and_defaults_of_ones_own():
    mine = Scenario("uas-mine", "mine", (receive("INVITE"), send(486, "X-Why: ${why}"), receive("ACK")), {"why": Variable("lunch", "why")})
    assert "X-Why: lunch" in make_xml(mine)
    assert "X-Why: [reason]" in make_xml(mine, {"why": "[reason]"})


@pytest.mark.sipp
def test_scenarios_of_ones_own_wait_branch_and_jump(tmp_path: Path):
    slow = Scenario("uas-slow", "answers late", (receive("OPTIONS"), pause(300), send(200)))
    steps = (
        send("OPTIONS"),
        receive(200, timeout_ms=100, on_timeout="late"),
        Jump("too early"),
        Label("late"),
        receive(200),
        pause(10),
        Jump("end"),
        Label("too early"),
        receive("BYE"),
        Label("end"),
        pause(10),
    )
    sipp = Sipp(tmp_path, tmp_path)
    with sipp.uas(slow, timeout_s=20) as far_end:
        result = sipp.uac(Scenario("uac-patient", "asks, and waits", steps), target=far_end.address, timeout_s=20)
        assert (result.failed, far_end.wait().failed) == (0, 0), result.errors


def test_the_page_names_every_scenario():
    page = (Path(__file__).parents[2] / "docs/testing.md").read_text(encoding="utf-8")
    assert [name for name in LIBRARY if f"`{name}`" not in page] == []
