"""A PJSIP process is killed in the middle of calls.

The far ends of its calls are not told, and go on sending RTP to ports that are not ours any more: the next call must not get it.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from sipcore import Connect, Play
from sipcore.testing.ports import is_bound
from sipcore.testing.rtp_sink import RtpSink

from .bystander import bystanders
from .listening import RATE_HZ, assert_ended, assert_heard, assert_one_hangup, legs, outcomes, started, write_burst


def workers(switch):
    """What the pool says of its processes."""
    return switch._switch.engine.workers()


@pytest.mark.sip_faults("bye-missing")  # a killed worker says nothing more
def test_its_calls_fail_the_others_go_on(sipp, open_switch, tmp_path, rtp_ports):
    song = write_burst(tmp_path / "song.wav", 4.0)
    jingle = write_burst(tmp_path / "jingle.wav", 1.0)
    with (
        RtpSink(500.0) as ear_a,
        RtpSink(900.0) as ear_b,
        RtpSink() as ear_other,
        RtpSink() as ear_next,
        sipp.uas("uas-200-stay-expect-nothing.xml", keys={"rtp_port": ear_a.port}, pause_ms=2500) as a,
        sipp.uas("uas-200-stay-expect-nothing.xml", keys={"rtp_port": ear_b.port}, pause_ms=2500) as b,
        sipp.uas("uas-200-bye-expect-200.xml", keys={"rtp_port": ear_other.port, "reason": "Q.850;cause=16"}, pause_ms=3500) as other,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_next.port}) as following,
        open_switch() as switch,
        bystanders(1) as held_up_ms,
    ):
        bridged = switch.calls.create(destination=a.uri, actions=[Connect([b.uri])])
        started(bridged, 0)
        (doomed,) = workers(switch)
        # The connect needs a whole worker, so this is another one; the far end hangs up before it comes to that.
        whole = Connect(["sip:nobody@127.0.0.1:9"] * (switch._switch.engine.leg_capacity - 1))
        undisturbed = switch.calls.create(destination=other.uri, actions=[Play(["song.wav"]), whole])
        ear_a.wait_for_tone(900.0)
        ear_b.wait_for_tone(500.0)
        ear_other.wait_for_packets(10)
        media_ports = {port for port in udp_ports_of(doomed.pid) if rtp_ports[0] <= port <= rtp_ports[1]}
        assert len(media_ports) >= 4, "two legs, RTP and RTCP each"
        (doomed,) = [worker for worker in workers(switch) if worker.pid == doomed.pid]
        assert doomed.legs == 2
        killed_s = time.monotonic()
        os.kill(doomed.pid, signal.SIGKILL)
        record = bridged.wait(timeout_s=10)
        (leg,) = legs(switch, bridged)
        assert time.monotonic() - killed_s < 5.0, "told by the end of the process, not by a time limit"
        next_record = switch.calls.create(destination=following.uri, actions=[Play(["jingle.wav"])]).wait(timeout_s=15)
        other_record = undisturbed.wait(timeout_s=15)
        assert doomed.pid not in {worker.pid for worker in workers(switch)}
        assert not any(is_bound(port) for port in (doomed.sip_port, *media_ports))
        assert [uas.wait(timeout_s=8).failed for uas in (a, b, other, following)] == [0, 0, 0, 0]
        stutter_ms = held_up_ms()
    for lost in (record, leg):
        assert_ended(lost, "remote", "failed", 200)
    assert leg.master_call_id == record.id
    assert_one_hangup(bridged)
    assert outcomes(bridged) == [("connect", "interrupted")]
    assert_ended(other_record, "remote", "normal", 200, "OK", q850=16)
    assert_ended(next_record, "local", "normal", 200, "OK")
    assert_heard(ear_next, jingle)
    assert_heard(ear_other, song[: 3 * RATE_HZ])
    assert ear_other.lost == 0
    assert outcomes(undisturbed) == [("play", "interrupted")]
    assert ear_other.max_gap_ms < 100 + stutter_ms, "no gap but this machine's own stutter"


def udp_ports_of(pid: int) -> set[int]:
    """The UDP ports that a process has bound."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        target = str(link.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    lines = [line.split() for line in Path("/proc/net/udp").read_text(encoding="ascii").splitlines()[1:]]
    return {int(line[1].rpartition(":")[2], 16) for line in lines if line[9] in inodes}
