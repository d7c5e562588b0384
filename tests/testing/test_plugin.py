"""The pytest plugin as a project uses it that has nothing but it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap

import pytest

import sipcore.testing.fixtures
import sipcore.testing.rtp_sink  # noqa: F401 - pytester forgets what its tests imported, and numpy cannot be imported twice
from sipcore.testing import assert_digits, assert_tone, capture_of
from sipcore.testing.ports import claimed_range
from sipcore.testing.sip_capture import read_sip

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow
UAS = """
<recv request="INVITE"/>
<send><![CDATA[

  SIP/2.0 404 Not Found
  [last_Via:]
  [last_From:]
  [last_To:];tag=[call_number]
  [last_Call-ID:]
  [last_CSeq:]
  Content-Length: 0

]]></send>
<recv request="ACK"/>
"""


def scenario(steps: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="test">{steps}</scenario>\n'


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:schemathesis -p no:asyncio -p no:timeout\n")
    return pytester


def run(project: pytest.Pytester, test: str, *options: str) -> pytest.RunResult:
    project.makepyfile(test_it=textwrap.dedent(test))
    return project.runpytest_inprocess("-p", "no:randomly", *options)


def test_loading_the_plugin_imports_nothing_heavy():
    heavy = {"numpy", "pydantic", "sqlalchemy", "media", "asyncio", "sipcore.switch", "hypothesis", "matplotlib"}
    code = f"import pytest, sys; before = set(sys.modules); import sipcore.testing.plugin; print((set(sys.modules) - before) & {heavy!r})"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert said.strip() == "set()"


def test_fixtures_and_markers_are_there(project):
    result = run(project, "def test_it(): pass", "--fixtures", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.switch(*"])
    result = run(project, "def test_it(): pass", "--fixtures")
    text = result.stdout.str()
    for name in ("switch", "open_switch", "phone", "phones", "trunk", "sipp", "free_ports [session scope]", "simulation"):
        assert f"\n{name} -- " in text, name


@pytest.mark.sip
@pytest.mark.sipp
def test_the_first_example(project):
    """A call to the telephone; one through the trunk, with settings of its own; and the ports of processes beside each other."""
    result = run(
        project,
        """
        import numpy as np, pytest
        import media.wav
        from media import tones
        from sipcore import Play

        @pytest.fixture
        def switch_settings(switch_settings, tmp_path):
            media.wav.write(tmp_path / "welcome.wav", tones.tone(700.0, 1.0, 8000), 8000)
            return switch_settings | {"media_root": tmp_path}

        def test_announcement(switch, phone, tmp_path):
            call = switch.calls.create(destination=phone.uri, actions=[Play(["welcome.wav"])])
            assert call.wait(timeout_s=20).hangup_reason == "normal"
            phone.assert_heard(tmp_path / "welcome.wav")
            assert phone.last_call.sip_code == 200

        def test_what_sipp_heard(open_switch, sipp):
            with sipp.uas("uas-answer") as uas, open_switch(**uas.settings) as switch:
                switch.calls.create(destination="tel:+441632960123", actions=[Play(["welcome.wav"])]).wait(timeout_s=20)
                result = uas.wait(timeout_s=20)
            assert result.failed == 0
            assert uas.rtp.heard().any()
            assert 40 < result.rtp.packets < 100
            assert result.rtp.lost == 0

        @pytest.mark.switch(max_legs=5)
        def test_trunk(switch, trunk, free_ports):
            assert switch.config.max_legs == 5
            trunk.phone.reject(486)
            record = switch.calls.create(destination="tel:+441632960123").wait(timeout_s=20)
            assert (record.hangup_reason, record.sip_code) == ("busy", 486)
            assert "+441632960123" in trunk.phone.last_call.to_uri
            assert len(set(free_ports(20))) == 20
        """,
    )
    result.assert_outcomes(passed=3)


@pytest.mark.sip
def test_a_failure_shows_the_calls_and_what_the_telephone_saw(project):
    result = run(
        project,
        """
        def test_wrong(switch, phones):
            phone, = phones("bob")
            phone.reject(404)
            record = switch.calls.create(destination=phone.uri).wait(timeout_s=20)
            assert record.sip_code == 200
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- calls -*", "*outgoing to bob@*: hangup remote failed 404*"])
    result.stdout.fnmatch_lines(["*- phone bob -*", "call 1 from sip:*", "*0.000 s in  INVITE *", "* s out SIP/2.0 404 *"])


@pytest.mark.sipp
def test_sipp_leaves_its_logs_only_when_the_test_failed(project):
    project.path.joinpath("scenarios").mkdir()
    project.path.joinpath("scenarios", "uas-404.xml").write_text(scenario(UAS))
    result = run(
        project,
        """
        import pytest

        def both(sipp, expected):
            with sipp.uas("uas-404.xml", calls=3) as uas:
                result = sipp.uac("uac-expect-refusal", target=uas.address, calls=3, rate=50, limit=2, keys={"code": expected}, timeout_s=5)
                return result, uas.wait(timeout_s=20)

        def test_right(sipp):
            for result in both(sipp, 404):
                assert (result.calls, result.successful, result.failed, result.unexpected) == (3, 3, 0, 0)
                assert result.log_dir is None

        def test_wrong(sipp):
            called, _ = both(sipp, 486)
            assert called.unexpected == 3
            assert called.failed == 0
        """,
        f"--basetemp={project.path / 'kept'}",
    )
    result.assert_outcomes(passed=1, failed=1)
    kept = sorted(path.parent.parent.parent.name for path in project.path.glob("kept/*0/sipp/*/sip.pcap"))
    assert kept == ["test_wrong0", "test_wrong0"]
    assert not list(project.path.glob("kept/test_right0/sipp"))
    result.stdout.fnmatch_lines(["*<SIPp uac-expect-refusal.xml: 0 calls successful, 3 failed, exit code 1, logs in *"])
    result.stdout.fnmatch_lines(["*- SIPp uas-404.xml -*", "logs: */kept/test_wrong0/sipp/*", "pcap: *.pcap"])
    result.stdout.fnmatch_lines(["*while expecting '100' (index *), received 'SIP/2.0 404 Not Found*"])
    if shutil.which("tshark"):
        pcap = next(project.path.glob("kept/*0/sipp/sipp-uac*/sip.pcap"))
        seen = subprocess.run(
            ["tshark", "-r", pcap, "-Y", "sip.Status-Code == 404"], capture_output=True, text=True, timeout=30, check=True
        )
        assert len(seen.stdout.splitlines()) == 3


@pytest.mark.sipp
def test_what_was_heard_is_in_the_captures_of_a_test_that_failed(project):
    result = run(
        project,
        """
        def test_wrong(sipp, phones):
            alice, bob = phones("alice", "bob")
            alice.tone(440)
            bob.tone(600)
            with sipp.uas("uas-answer") as uas:
                calls = [alice.call(uas.uri), alice.call(bob.uri)]
                uas.rtp.wait_for_tone(440, 0.2)
                uas.rtp.send_digits("19#")
                assert calls[0].wait_digits(3, 10) == "19#"
                calls[1].wait_packets(15, 10)
                for call in calls:
                    call.hang_up()
                    call.wait_ended(10)
                uas.wait()
            raise AssertionError
        """,
        f"--basetemp={project.path / 'kept'}",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*- phone alice -*", "pcap: */kept/test_wrong0/phone-alice-*.pcap"])
    (of_sipp,) = project.path.glob("kept/test_wrong0/sipp/*/sip.pcap")
    (of_alice,) = project.path.glob("kept/test_wrong0/phone-alice-*.pcap")
    assert_tone(of_sipp, 440)
    assert_tone(capture_of(of_alice, stream=0), 600)
    assert_digits(capture_of(of_alice, stream=1), "19#")
    assert "INVITE" in read_sip(of_alice).messages[0].text


@pytest.mark.sipp
def test_bad_input_is_said(project, monkeypatch):
    """One pytest run for all of it: each test shows its own message."""
    project.path.joinpath("uas-404.xml").write_text(scenario(UAS))
    project.path.joinpath("uas-typo.xml").write_text(scenario('<recv request="INVITE"/><recieve/>'))
    project.path.joinpath("uac-typo.xml").write_text(scenario("<send><![CDATA[\n\nOPTIONS sip:a@[lokal_ip] SIP/2.0\n\n]]></send>"))
    result = run(
        project,
        """
        import socket, pathlib, pytest
        from sipcore.testing.sipp import Sipp, SippError

        def test_unknown(sipp):
            with pytest.raises(SippError, match=r"no scenario uas-405.xml in .*did you mean uas-404.xml"):
                sipp.uas("uas-405.xml")
            with pytest.raises(SippError, match=r"no scenario uas-bussy in .*did you mean uas-busy"):
                sipp.uas("uas-bussy")

        def test_syntax(sipp):
            with pytest.raises(SippError, match=r"(?s)uas-typo.xml: .*Unknown element 'recieve'"):
                sipp.uas("uas-typo.xml")
            with pytest.raises(SippError, match=r"(?s)uac-typo.xml: .*Unsupported keyword 'lokal_ip'"):
                sipp.uac("uac-typo.xml", target="127.0.0.1:9")

        def test_port_taken(sipp):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                other.bind(("127.0.0.1", 0))
                port = other.getsockname()[1]
                with pytest.raises(SippError, match=f"port {port} of 127.0.0.1 is taken: (?s:.*)bind"):
                    sipp.uas("uas-404.xml", port=port)

        def test_counts(sipp):
            with pytest.raises(SippError, match="calls is 0"):
                sipp.uac("uas-404.xml", target="127.0.0.1:9", calls=0)
            with pytest.raises(SippError, match="rate"):
                sipp.uac("uas-404.xml", target="127.0.0.1:9", rate=0)
            with pytest.raises(SippError, match="there is no file"):
                sipp.uac("uas-404.xml", target="127.0.0.1:9", csv="nobody.csv")

        def test_logs(tmp_path):
            (tmp_path / "file").touch()
            with pytest.raises(SippError, match=r"SIPp's logs cannot be written to .*file/logs: Not a directory"):
                Sipp(pathlib.Path(__file__).parent, tmp_path / "file" / "logs").uas("uas-404.xml")

        def test_never_ends(sipp):
            result = sipp.uac("uac-call", target="127.0.0.1:9", timeout_s=0.6)
            assert "step 5 of the scenario, receive 200" in result.hung_at
            assert result.failed == 1
            with sipp.uas("uas-404.xml") as uas:
                assert uas.wait(timeout_s=0.2).hung_at == "no call came to step 1 of the scenario, receive INVITE"
        """,
    )
    result.assert_outcomes(passed=6)


def test_sipp_that_is_missing(project, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    test = "def test_it(sipp): sipp.uas('uas-busy')"
    run(project, test).stdout.fnmatch_lines(["*SippMissing: *apt-get install sip-tester*"])
    result = run(project, test, "-o", "sipp_missing=skip", "-rs")
    result.assert_outcomes(skipped=1)
    result = run(project, test, "-o", "sipp_missing=perhaps")
    result.stderr.fnmatch_lines(["*sipp_missing is fail or skip, not 'perhaps'*"])


def test_what_a_fixture_attaches_is_shown_once(project):
    """Also when it is asked and fails, and when the teardown fails too."""
    result = run(
        project,
        """
        import pytest
        from sipcore.testing import report

        @pytest.fixture
        def pbx(request, tmp_path):
            report.attach(request.node, "PBX", "seen before")
            report.on_failure(request.node, lambda: [("PBX", tmp_path / "pbx.log")])
            report.on_failure(request.node, lambda: 1 / 0)
            yield
            report.attach(request.node, "PBX", "seen after")
            assert not report.has_failed(request.node)

        def test_right(pbx): pass
        def test_wrong(pbx): raise ValueError("wrong")
        """,
    )
    result.assert_outcomes(passed=1, failed=1, errors=1)
    text = result.stdout.str()
    assert (text.count("\nseen before\n"), text.count("\nseen after\n")) == (1, 1)
    result.stdout.fnmatch_lines(["*raised ZeroDivisionError*"])


def test_processes_beside_each_other_have_rtp_ports_of_their_own():
    with claimed_range() as (first, last), claimed_range() as (other_first, other_last):
        assert first < last < other_first < other_last
