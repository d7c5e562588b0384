"""The far end answers: at once, after ringing, after early media; we play and hang up."""

from __future__ import annotations

import pytest

from sipcore import Play
from sipcore.events import CallMediaStarted

from .listening import assert_ended, assert_heard, assert_one_hangup, names, ringing_codes, write_burst

ANSWERED_AND_PLAYED = ["ActionStarted", "ActionFinished", "CallHangingUp", "CallHangup"]


@pytest.fixture
def prompt(tmp_path):
    return write_burst(tmp_path / "prompt.wav", 0.8)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_answer_and_play(sipp, open_switch, ear, prompt, transport):
    with (
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear.port}, transport=transport) as uas,
        open_switch(trunk=uas.trunk) as switch,
    ):
        call = switch.calls.create(destination="tel:+821021656521", actions=[Play(["prompt.wav"])])
        record = call.wait(timeout_s=10)
        result = uas.wait(timeout_s=5)
    assert result.failed == 0
    assert_ended(record, "local", "normal", 200, "OK")
    assert_one_hangup(call)
    assert names(call) == ["CallCreated", "CallDialing", "CallAnswered", *ANSWERED_AND_PLAYED]
    assert "CallMediaStarted" in [type(event).__name__ for event in call.events()]
    assert all(event.codec == "PCMU/8000" for event in call.events() if isinstance(event, CallMediaStarted))
    assert_heard(ear, prompt)
    assert ear.lost == 0
    assert record.statistics is not None
    assert len(ear.packets) - record.statistics.tx_packets in {0, 1}  # see RtpStatistics.tx_packets
    assert {message.header("Via").split()[0] for message in result.received("INVITE")} == {f"SIP/2.0/{transport.upper()}"}


def test_180_then_200(sipp, open_switch, ear, prompt):
    keys = {"rtp_port": ear.port}
    with sipp.uas("uas-180-200-expect-bye.xml", keys=keys, pause_ms=300) as uas, open_switch(trunk=uas.trunk) as switch:
        call = switch.calls.create(destination="tel:+821021656521", actions=[Play(["prompt.wav"])])
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "local", "normal", 200, "OK")
    assert names(call) == ["CallCreated", "CallDialing", "CallRinging", "CallAnswered", *ANSWERED_AND_PLAYED]
    assert ringing_codes(call) == [180]
    assert (record.tm_progressing - record.tm_ringing).total_seconds() >= 0.25
    assert_heard(ear, prompt)


def test_early_media_then_200(sipp, open_switch, ear, prompt):
    keys = {"rtp_port": ear.port}
    with sipp.uas("uas-183-200-expect-bye.xml", keys=keys, pause_ms=400) as uas, open_switch(trunk=uas.trunk) as switch:
        call = switch.calls.create(destination="tel:+821021656521", actions=[Play(["prompt.wav"])])
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "local", "normal", 200, "OK")
    kinds = [type(event).__name__ for event in call.events()]
    assert kinds.index("CallMediaStarted") < kinds.index("CallAnswered") < kinds.index("ActionStarted")
    assert ringing_codes(call) == [183]
    assert assert_heard(ear, prompt) >= 0.3, "the list starts at the answer, not in early media"


def test_provisional_answers_without_sdp_change_nothing(sipp, open_switch, ear, prompt):
    keys = {"rtp_port": ear.port}
    with sipp.uas("uas-182-183-199-200-expect-bye.xml", keys=keys, pause_ms=100) as uas, open_switch(trunk=uas.trunk) as switch:
        call = switch.calls.create(destination="tel:+821021656521", actions=[Play(["prompt.wav"])])
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "local", "normal", 200, "OK")
    assert ringing_codes(call) == [182], "ringing is told once"
    assert_heard(ear, prompt)


def test_a_call_without_actions_is_hung_up_after_the_answer(sipp, open_switch, ear):
    with sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear.port}) as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri)
        record = call.wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "local", "normal", 200, "OK")
    assert names(call) == ["CallCreated", "CallDialing", "CallAnswered", "CallHangingUp", "CallHangup"]


def test_several_calls_at_once(sipp, open_switch, ear):
    """More than one worker holds; every one is answered and ended."""
    with sipp.uas("uas-180-200-expect-bye.xml", calls=10, keys={"rtp_port": ear.port}, pause_ms=100) as uas, open_switch() as switch:
        calls = [switch.calls.create(destination=uas.uri) for _ in range(10)]
        for call in calls:
            assert_ended(call.wait(timeout_s=15), "local", "normal", 200, "OK")
        result = uas.wait(timeout_s=5)
    assert (result.successful, result.failed) == (10, 0)
