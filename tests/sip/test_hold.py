"""The far end puts us on hold with a re-INVITE and takes us back (RFC 3264 §8.4): the audio goes on afterwards."""

from __future__ import annotations

import pytest

from media.measure import best_match
from sipcore import Connect, Play
from sipcore.testing.rtp_sink import RtpSink

from .listening import RATE_HZ, assert_ended, legs, names, outcomes, write_burst


@pytest.mark.parametrize("hold", ["sendonly", "inactive"])
def test_during_play(sipp, open_switch, ear, tmp_path, hold):
    song = write_burst(tmp_path / "song.wav", 3.0)
    keys = {"rtp_port": ear.port, "hold": hold}
    with sipp.uas("uas-200-hold-resume-expect-bye.xml", keys=keys, pause_ms=700) as uas, open_switch() as switch:
        call = switch.calls.create(destination=uas.uri, actions=[Play(["song.wav"])])
        record = call.wait(timeout_s=15)
        result = uas.wait(timeout_s=5)
    assert result.failed == 0
    assert_ended(record, "local", "normal", 200, "OK")
    assert outcomes(call) == [("play", "done")]
    assert [name for name in names(call) if name.startswith("Call")] == [
        "CallCreated", "CallDialing", "CallAnswered", "CallHeld", "CallResumed", "CallHangingUp", "CallHangup",
    ]  # fmt: skip
    directions = [direction_of(m) for m in result.messages if m.is_received and m.status == 200 and m.method == "INVITE"]
    assert directions == [{"sendonly": "recvonly", "inactive": "inactive"}[hold], "sendrecv"]
    heard = ear.heard()
    before, after = song[: RATE_HZ // 2], song[-RATE_HZ:]
    assert best_match(heard, before, RATE_HZ).correlation > 0.95, "heard before the hold"
    assert best_match(heard, after, RATE_HZ).correlation > 0.95, "heard after the hold"


def test_while_bridged(sipp, open_switch):
    """A holds and resumes: then both hear each other again."""
    with (
        RtpSink(500.0) as ear_a,
        RtpSink(900.0) as ear_b,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_b.port}) as b,
        sipp.uas("uas-200-hold-resume-expect-bye.xml", keys={"rtp_port": ear_a.port, "hold": "sendonly"}, pause_ms=1200) as a,
        open_switch() as switch,
    ):
        call = switch.calls.create(destination=a.uri, actions=[Connect([b.uri])])
        ear_a.wait_for_tone(900.0)
        ear_b.wait_for_tone(500.0)
        a.wait_for("ACK")
        wait_for_acks(a, 3)
        ear_a.wait_for_packets(30)
        ear_a.wait_for_tone(900.0)
        ear_b.wait_for_tone(500.0)
        call.hangup()
        record = call.wait(timeout_s=10)
        result = a.wait(timeout_s=5)
        assert (result.failed, b.wait(timeout_s=5).failed) == (0, 0)
        (leg,) = legs(switch, call)
    assert_ended(record, "local", "normal", 200, "OK")
    assert_ended(leg, "local", "normal", 200, "OK")


def wait_for_acks(uas, count: int) -> None:
    """Until both re-INVITEs are done: SIPp has got the ACK of its 200 and has sent the ACKs of ours."""
    uas.wait_until(lambda messages: sum(m.method == "ACK" for m in messages) >= count, "the ACKs of both re-INVITEs")


def direction_of(message) -> str:
    """`sendrecv`, `recvonly`, ... of an SDP; `sendrecv` is the default (RFC 4566 §6)."""
    known = {"sendrecv", "sendonly", "recvonly", "inactive"}
    return next((line[2:] for line in message.body.split("\n") if line.strip()[2:] in known), "sendrecv").strip()
