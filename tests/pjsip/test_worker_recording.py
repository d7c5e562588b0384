"""Recordings, mute and echo in one worker: what arrives is heard, what is written is looked at."""

from __future__ import annotations

import asyncio
import itertools
import signal
import struct
import wave
from pathlib import Path

import numpy as np
import pytest
from scripted_far_end import RtpPort
from scripted_peer import media_port
from test_inbound import answered

from media.measure import best_match, rms_dbfs, tone_level_db
from sipcore import engine
from sipcore.testing import g711

RATE_HZ = 8000
FRAME = 160


class Voice:
    """Speaks a tone, or any samples in a loop, in real time."""

    def __init__(self, rtp: RtpPort, port: int, samples: np.ndarray) -> None:
        coded = g711.encode_mu_law(samples)
        self._frames = [coded[start : start + FRAME] for start in range(0, len(coded), FRAME)]
        self._task = asyncio.create_task(self._speak(rtp, port))

    async def _speak(self, rtp: RtpPort, port: int) -> None:
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        for sequence in itertools.count():
            head = struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, sequence * FRAME, 7)
            rtp.transport.sendto(head + self._frames[sequence % len(self._frames)], ("127.0.0.1", port))
            await asyncio.sleep(max(0.0, start_s + (sequence + 1) * 0.02 - loop.time()))

    def stop(self) -> None:
        self._task.cancel()


def tone_of(hz: float, duration_s: float = 1.0) -> np.ndarray:
    return (8000 * np.sin(2 * np.pi * hz * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)).astype(np.int16)


def written(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """What the far end said, and heard."""
    both = []
    for name in engine.recording_files(str(path)):
        with wave.open(name, "rb") as wav:
            assert wav.getparams()[:3] == (1, 2, RATE_HZ)
            both.append(np.frombuffer(wav.readframes(wav.getnframes()), np.int16))
    return both[0], both[1]


def write_wav(path: Path, samples: np.ndarray) -> str:
    with wave.open(str(path), "wb") as wav:
        wav.setparams((1, 2, RATE_HZ, 0, "NONE", ""))
        wav.writeframes(samples.tobytes())
    return str(path)


def heard(rtp: RtpPort) -> np.ndarray:
    return g711.decode_mu_law(b"".join(payload for payload in rtp.payloads if len(payload) == FRAME))


async def test_both_sides_are_written_apart(bench, peer, tmp_path):
    ok = await answered(bench, peer)
    voice = Voice(peer.rtp, media_port(ok), tone_of(700))
    bench.send(
        engine.Play("c", "p", write_wav(tmp_path / "p.wav", tone_of(1200, 1.5))), engine.StartRecording("c", "r", str(tmp_path / "r"))
    )
    await bench.got(engine.PlaybackFinished)
    bench.send(engine.StopRecording("c", "r"))
    finished = await bench.got(engine.RecordingFinished)
    voice.stop()
    said, listened = written(tmp_path / "r")
    assert (finished.call_id, finished.recording_id, finished.error) == ("c", "r", "")
    assert abs(len(said) - len(listened)) <= FRAME
    assert finished.duration_s == pytest.approx(min(len(said), len(listened)) / RATE_HZ)
    assert 1.3 < finished.duration_s < 2.2
    assert tone_level_db(said[FRAME * 10 : FRAME * 60], 700, RATE_HZ) > -20
    assert tone_level_db(said[FRAME * 10 : FRAME * 60], 1200, RATE_HZ) < -50
    assert tone_level_db(listened[FRAME * 10 : FRAME * 60], 1200, RATE_HZ) > -20
    assert tone_level_db(listened[FRAME * 10 : FRAME * 60], 700, RATE_HZ) < -50


async def test_the_two_files_are_sample_aligned(bench, peer, tmp_path):
    """The far end speaks in clicks and hears itself: the same clicks stand in both files, at the same sample."""
    ok = await answered(bench, peer)
    clicks = np.zeros(RATE_HZ, np.int16)
    clicks[::400] = 20000
    voice = Voice(peer.rtp, media_port(ok), clicks)
    for number in range(5):
        bench.send(engine.StartRecording("c", f"r{number}", str(tmp_path / f"r{number}")), engine.Bridge("c", "c"))
        await peer.rtp.arrived(40)
        bench.send(engine.Unbridge("c", "c"))
        await peer.rtp.arrived(10)
        bench.send(engine.StopRecording("c", f"r{number}"))
        await bench.got(engine.RecordingFinished, number + 1)
        said, listened = written(tmp_path / f"r{number}")
        in_said, in_heard = (set(np.flatnonzero(np.abs(side.astype(int)) > 8000)) for side in (said, listened))
        assert len(in_heard) >= 5
        assert in_heard <= in_said
    voice.stop()


async def test_silence_on_both_sides_is_time_too(bench, peer, tmp_path):
    await answered(bench, peer)
    bench.send(engine.StartRecording("c", "r", str(tmp_path / "r")))
    await peer.rtp.arrived(50)
    bench.send(engine.StopRecording("c", "r"))
    assert 0.9 < (await bench.got(engine.RecordingFinished)).duration_s < 1.6


async def test_the_end_of_the_call_completes_the_files(bench, peer, tmp_path):
    await answered(bench, peer)
    bench.send(engine.StartRecording("c", "r", str(tmp_path / "r")))
    await peer.rtp.arrived(50)
    peer.request("BYE")
    finished = await bench.got(engine.RecordingFinished)
    assert bench.of(engine.CallDisconnected)
    said, listened = written(tmp_path / "r")
    assert 0.9 < finished.duration_s == min(len(said), len(listened)) / RATE_HZ


async def test_a_killed_worker_leaves_files_that_play(bench, peer, tmp_path):
    ok = await answered(bench, peer)
    voice = Voice(peer.rtp, media_port(ok), tone_of(700))
    bench.send(engine.StartRecording("c", "r", str(tmp_path / "r")))
    await peer.rtp.arrived(150)
    voice.stop()
    bench.process.send_signal(signal.SIGSTOP)
    said, listened = written(tmp_path / "r")  # as it is in the middle, for whoever looks
    bench.process.send_signal(signal.SIGCONT)
    assert 1.0 < len(said) / RATE_HZ < 3.5
    assert 1.0 < len(listened) / RATE_HZ < 3.5
    assert tone_level_db(said[RATE_HZ // 2 :], 700, RATE_HZ) > -20


async def test_one_recording_of_a_leg_at_a_time(bench, peer, tmp_path):
    await answered(bench, peer)
    bench.send(engine.StartRecording("c", "r", str(tmp_path / "r")), engine.StartRecording("c", "s", str(tmp_path / "s")))
    refused = await bench.got(engine.RecordingFinished)
    assert (refused.recording_id, refused.duration_s) == ("s", 0.0)
    assert "already" in refused.error
    bench.send(engine.StopRecording("c", "other"), engine.StopRecording("c", "r"))
    assert (await bench.got(engine.RecordingFinished, 2)).recording_id == "r"


async def test_a_file_that_cannot_be_made_fails_the_recording_only(bench, peer, tmp_path, tone):
    await answered(bench, peer)
    bench.send(engine.StartRecording("c", "r", str(tmp_path / "missing" / "r")))
    assert (await bench.got(engine.RecordingFinished)).error
    bench.send(engine.Play("c", "p", tone(0.1)))
    assert not (await bench.got(engine.PlaybackFinished)).error


@pytest.fixture
def full_disk(tmp_path):
    """Files that take nothing."""
    for name in engine.recording_files(str(tmp_path / "r")):
        Path(name).symlink_to("/dev/full")


@pytest.mark.usefixtures("full_disk")
async def test_a_full_disk_fails_the_recording_only(bench, peer, tmp_path, tone):
    await answered(bench, peer)
    bench.send(engine.StartRecording("c", "r", str(tmp_path / "r")))
    finished = await bench.got(engine.RecordingFinished)
    assert finished.error
    bench.send(engine.Play("c", "p", tone(0.1)))
    assert not (await bench.got(engine.PlaybackFinished)).error


async def test_many_recordings_one_after_the_other(bench, peer, tmp_path):
    """More than PJSIP's table of 32 files has room for at once."""
    await answered(bench, peer)
    for number in range(40):
        bench.send(engine.StartRecording("c", f"r{number}", str(tmp_path / f"r{number}")))
        await peer.rtp.arrived(2)
        bench.send(engine.StopRecording("c", f"r{number}"))
        if number % 10 == 9:
            await bench.got(engine.RecordingFinished, number + 1)
    assert not any(event.error for event in bench.of(engine.RecordingFinished))


# -------------------------------------------------------------------------------------------------- mute and echo


async def test_echo_is_heard_and_ends(bench, peer):
    ok = await answered(bench, peer)
    voice = Voice(peer.rtp, media_port(ok), tone_of(700))
    bench.send(engine.Bridge("c", "c"))
    await peer.rtp.arrived(50)
    assert tone_level_db(heard(peer.rtp)[-FRAME * 20 :], 700, RATE_HZ) > -20
    bench.send(engine.Unbridge("c", "c"))
    await peer.rtp.arrived(30)
    assert rms_dbfs(heard(peer.rtp)[-FRAME * 10 :]) < -60
    voice.stop()


@pytest.mark.parametrize(("direction", "hears", "is_heard"), [("in", True, False), ("out", False, True), ("both", False, False)])
async def test_mute(bench, peer, tmp_path, direction, hears, is_heard):
    ok = await answered(bench, peer)
    voice = Voice(peer.rtp, media_port(ok), tone_of(700))
    bench.send(
        engine.Mute("c", direction),
        engine.Play("c", "p", write_wav(tmp_path / "p.wav", tone_of(1200)), loop=True),
        engine.StartRecording("c", "r", str(tmp_path / "r")),
    )
    await peer.rtp.arrived(40)
    assert (tone_level_db(heard(peer.rtp)[-FRAME * 20 :], 1200, RATE_HZ) > -20) == hears
    muted_s = 0.8
    bench.send(engine.Mute("c", direction, is_muted=False))
    await peer.rtp.arrived(40)
    assert tone_level_db(heard(peer.rtp)[-FRAME * 20 :], 1200, RATE_HZ) > -20
    bench.send(engine.StopRecording("c", "r"))
    await bench.got(engine.RecordingFinished)
    voice.stop()
    said, listened = written(tmp_path / "r")
    early = slice(FRAME * 8, round(muted_s * RATE_HZ) - FRAME * 12)
    assert (tone_level_db(said[early], 700, RATE_HZ) > -20) == is_heard
    assert (tone_level_db(listened[early], 1200, RATE_HZ) > -20) == hears
    assert tone_level_db(said[-FRAME * 20 :], 700, RATE_HZ) > -20
    assert tone_level_db(listened[-FRAME * 20 :], 1200, RATE_HZ) > -20


def test_the_far_end_tools_measure_what_they_claim():
    assert best_match(tone_of(700), tone_of(700), RATE_HZ).correlation > 0.99
