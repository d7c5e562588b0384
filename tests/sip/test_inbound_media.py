"""Audio of calls from outside at its edges: comfort noise, other packet lengths, another source, none at all."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from sipcore import Answer, Connect
from sipcore.events import RtpSourceMoved, RtpStopped
from sipcore.testing import g711
from sipcore.testing.phone.audio import Tone
from sipcore.testing.phone.rtp import format_packet
from sipcore.testing.rtp_sink import RtpSink

from .listening import assert_ended, until
from .outside import assert_followed, response
from .test_inbound import handled_calls

TONE = 600.0
FRAME_SAMPLES = 160
COMFORT_NOISE = 13  # RFC 3389
CALL = "uac-200-ack-bye-expect-200.xml"


@contextmanager
def talking(to_port: int, *, ptime_ms: int = 20, noise_every: int = 0, host: str = "127.0.0.1") -> Iterator[None]:
    """Somebody says a tone to this port, from a socket that is in no SDP."""
    ended = threading.Event()

    def talk() -> None:
        per_packet, sent, started_s = ptime_ms // 10, 0, time.monotonic()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((host, 0))
            while not ended.wait(max(0.0, started_s + sent * ptime_ms / 1000 - time.monotonic())):
                kind, payload = 0, g711.encode_mu_law(_tone(sent * per_packet, per_packet))
                if noise_every and sent % noise_every == 0:
                    kind, payload = COMFORT_NOISE, b"\x40"
                sock.sendto(format_packet(kind, sent, sent * per_packet * 80, 7, payload, marker=sent == 0), ("127.0.0.1", to_port))
                sent += 1

    thread = threading.Thread(target=talk)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _tone(start: int, count: int) -> np.ndarray:
    """`count` pieces of 10 ms, from piece `start` on."""
    first, last = start * 80, (start + count) * 80
    frames = [Tone(TONE).frame(at) for at in range(first, last, FRAME_SAMPLES)]
    return np.concatenate(frames)[: last - first]


def media_port(sipp) -> int:
    """Where we want audio, as the 200 says."""
    body = sipp.wait_for("INVITE", status=200).body
    return int(body.partition("m=audio ")[2].split()[0])


@pytest.mark.parametrize("ptime_ms", [10, 20, 30, 40])
def test_packets_of_any_length_are_understood(caller, open_switch, sipp, ptime_ms):
    """The caller sends what it likes; the one it is connected to hears it."""
    with (
        RtpSink() as ear_b,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_b.port}) as b,
        open_switch() as switch,
    ):
        switch.on_call(actions=[Answer(), Connect([b.uri])])
        keys = {"direction": f"ptime:{ptime_ms}"}
        with caller.calling(switch, CALL, keys=keys, pause_ms=2500) as sipp_a:
            with talking(media_port(sipp_a), ptime_ms=ptime_ms):
                ear_b.wait_for_tone(TONE)
            assert_followed(sipp_a.wait(10))
        assert_followed(b.wait(5))


def test_comfort_noise_is_not_played(caller, open_switch, sipp):
    with (
        RtpSink() as ear_b,
        sipp.uas("uas-200-expect-bye.xml", keys={"rtp_port": ear_b.port}) as b,
        open_switch() as switch,
    ):
        switch.on_call(actions=[Answer(), Connect([b.uri])])
        with caller.calling(switch, CALL, keys={"codecs": "0 13"}, pause_ms=2500) as sipp_a:
            with talking(media_port(sipp_a), noise_every=50):
                ear_b.wait_for_tone(TONE)
            assert_followed(sipp_a.wait(10))
        assert_followed(b.wait(5))


def test_audio_from_another_source_is_reported(caller, open_switch, ear):
    """Within a second or so; the call goes on."""
    with open_switch() as switch:
        calls = handled_calls(switch)
        with caller.calling(switch, CALL, keys={"rtp_port": ear.port}, pause_ms=3000) as sipp:
            call = calls.get(timeout=5)
            with talking(media_port(sipp), host="127.0.0.3"):
                moved = until(call, RtpSourceMoved)
            record = call.wait(10)
            assert_followed(sipp.wait(5))
    assert moved.expected == f"127.0.0.1:{ear.port}"
    assert moved.actual.startswith("127.0.0.3:")
    assert_ended(record, "remote", "normal", 200, "OK")


def test_audio_from_another_source_can_end_the_call(caller, open_switch, ear):
    with open_switch(rtp_source_change="end") as switch:
        calls = handled_calls(switch)
        with caller.calling(switch, "uac-200-ack-expect-bye.xml", keys={"rtp_port": ear.port}) as sipp:
            call = calls.get(timeout=5)
            with talking(media_port(sipp), host="127.0.0.3"):
                record = call.wait(10)
            assert_followed(sipp.wait(5))
    assert (record.hangup_by, record.hangup_reason) == ("local", "failed")


def test_a_call_without_any_audio_ends(caller, open_switch, ear):
    """`ear` says nothing."""
    with open_switch(rtp_timeout_s=1.0) as switch:
        calls = handled_calls(switch)
        with caller.calling(switch, "uac-200-ack-expect-bye.xml", keys={"rtp_port": ear.port}) as sipp:
            call = calls.get(timeout=5)
            assert until(call, RtpStopped).silent_s >= 1.0
            record = call.wait(10)
            result = sipp.wait(5)
    assert_followed(result)
    assert response(result, 200)
    assert (record.hangup_by, record.hangup_reason) == ("local", "failed")
    assert record.duration_s < 5
