"""The SIPp driver and the RTP sink themselves."""

from __future__ import annotations

import os
import re
import socket

import pytest

from sipcore.testing.ports import free_port, is_bound, is_bound_by
from sipcore.testing.rtp_sink import RtpSink
from sipcore.testing.sipp import Sipp, SippError, SippMissing

from .conftest import SCENARIOS

KEYS = {
    "rtp_port": 4000,
    "rtp_port_a": 4000,
    "rtp_port_b": 4002,
    "status": "SIP/2.0 486 Busy Here",
    "header": "X-Nothing: 1",
    "hold": "sendonly",
    "challenge": "WWW-Authenticate",
    "reason": "Q.850;cause=16",
    "outcome": "200 OK",
    "refer_to": "sip:carol@127.0.0.1:9",
}


@pytest.mark.parametrize("scenario", sorted(path.name for path in SCENARIOS.glob("uas-*.xml")))
def test_every_scenario_loads(sipp, scenario):
    with sipp.uas(scenario, calls=0, keys=KEYS) as uas:
        assert uas.stop().failed == 0


def test_both_sides_count(sipp):
    keys = {"rtp_port": 4000}
    with sipp.uas("uas-180-200-expect-bye.xml", calls=6, keys=keys, pause_ms=20) as uas:
        caller = sipp.uac("uac-invite-200-bye-expect-200.xml", target=uas.address, calls=6, rate=60, timeout_s=10)
        called = uas.wait(timeout_s=5)
    for result in (caller, called):
        assert (result.successful, result.failed, result.exit_code, result.errors, result.log_dir) == (6, 0, 0, "", None)
    assert len(called.received("INVITE")) == len(called.received("BYE")) == 6


def test_rows_reach_the_scenario(sipp, tmp_path):
    scenario = (SCENARIOS / "uas-200-expect-bye.xml").read_text(encoding="utf-8").replace("[rtp_port]", "[field1]")
    (tmp_path / "uas-by-row.xml").write_text(scenario, encoding="utf-8")
    with Sipp(tmp_path, tmp_path).uas("uas-by-row.xml", calls=2, rows=[("a", 4010), ("b", 4020)]) as uas:
        sipp.uac("uac-invite-200-bye-expect-200.xml", target=uas.address, calls=2, rate=20)
        called = uas.wait(timeout_s=5)
    ports = [re.search(r"m=audio (\d+)", m.body)[1] for m in called.messages if m.status == 200 and m.method == "INVITE"]
    assert ports == ["4010", "4020"]


def test_a_failure_keeps_the_logs_and_names_them(sipp):
    """The caller expects 404 and is answered 200."""
    with sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": 4000}) as uas:
        result = sipp.uac("uac-invite-expect-404.xml", target=uas.address, timeout_s=10)
    assert (result.successful, result.failed, result.exit_code) == (0, 1, 1)
    assert "200 OK" in result.errors
    assert result.log_dir is not None
    assert (result.log_dir / "messages.log").stat().st_size > 0


def test_calls_that_do_not_come_are_failures_and_the_port_is_free_again(sipp):
    with sipp.uas("uas-200-expect-bye.xml", calls=2, keys={"rtp_port": 4000}, timeout_s=0.2) as uas:
        assert is_bound(uas.port)
        result = uas.wait()
        assert result.failed == 2
        assert not is_bound(uas.port)
        with pytest.raises(ProcessLookupError):
            os.kill(uas.pid, 0)


def test_an_error_in_the_block_names_the_logs(sipp):
    with pytest.raises(ZeroDivisionError) as caught, sipp.uas("uas-200-expect-bye.xml", calls=0, keys={"rtp_port": 4000}):
        raise ZeroDivisionError
    (note,) = caught.value.__notes__
    assert (SCENARIOS / note.rpartition(" ")[2]).is_dir()


def test_errors_that_say_what_to_do(sipp, tmp_path, monkeypatch):
    with pytest.raises(SippError, match=r"no scenario uas-missing\.xml"):
        sipp.uas("uas-missing.xml")
    (tmp_path / "uas-broken.xml").write_text("<scenario><nonsense/></scenario>", encoding="utf-8")
    with pytest.raises(SippError, match=r"uas-broken\.xml"):
        Sipp(tmp_path, tmp_path).uas("uas-broken.xml")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SippMissing, match="sip-tester"):
        sipp.uas("uas-200-expect-bye.xml")


def test_sinks_hear_each_other():
    with RtpSink(700.0) as one, RtpSink(1100.0) as other:
        one._rtp.sendto(b"\x80\x00" + bytes(10) + b"\xff" * 160, ("127.0.0.1", other.port))
        one.wait_for_tone(1100.0)
        other.wait_for_tone(700.0)
        with pytest.raises(TimeoutError, match="700 Hz"):
            one.wait_for_tone(700.0, timeout_s=0.1)
    assert one.lost == other.lost == 0


def test_a_port_that_was_taken_meanwhile_is_not_mistaken_for_ours(sipp, monkeypatch):
    taken: list[socket.socket] = []

    def too_slow(host: str) -> int:
        port = free_port(host)
        if not taken:
            taken.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            taken[0].bind(("127.0.0.1", port))
        return port

    monkeypatch.setattr("sipcore.testing.sipp_process.free_port", too_slow)
    with sipp.uas("uas-200-expect-bye.xml", calls=0, keys={"rtp_port": 4000}) as uas, taken[0]:
        assert uas.port != taken[0].getsockname()[1]
        assert is_bound_by(uas.pid, uas.port)
