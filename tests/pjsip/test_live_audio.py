"""Live audio of a leg in one worker: numpy in and out, asserted by what is heard on either side."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket

import numpy as np
import pytest
from scripted_peer import media_port
from test_inbound import answered
from test_worker_recording import RATE_HZ, Voice, heard, tone_of, written

import media.wav
from media.measure import tone_level_db
from sipcore import engine, wire
from sipcore.liveaudio import audiowire
from sipcore.liveaudio.line import AudioFrame, AudioLine


class Ear:
    """A line, and what came over it."""

    def __init__(self) -> None:
        self.frames: list[AudioFrame] = []
        self.is_over = asyncio.Event()
        self._changed = asyncio.Event()
        self.line = AudioLine(self._take, self.is_over.set)

    def _take(self, frame: AudioFrame) -> None:
        self.frames.append(frame)
        self._changed.set()

    async def got(self, count: int) -> np.ndarray:
        """The last `count` frames, as soon as there are so many more."""
        wanted = len(self.frames) + count
        async with asyncio.timeout(20):
            while len(self.frames) < wanted:
                self._changed.clear()
                await self._changed.wait()
        return np.concatenate([frame.samples for frame in self.frames[-count:]])


async def opened(bench, call_id: str = "c") -> Ear:
    ear = Ear()
    bench.send(engine.OpenAudio(call_id, "a", ear.line.address))
    await ear.got(1)
    return ear


async def test_the_far_end_is_heard_without_a_gap(bench, peer):
    ok = await answered(bench, peer)
    voice = Voice(peer.rtp, media_port(ok), tone_of(700))
    ear = await opened(bench)
    await ear.got(25)
    samples = await ear.got(50)
    voice.stop()
    assert ear.line.rate_hz == RATE_HZ
    assert tone_level_db(samples, 700, RATE_HZ) > -20
    positions = [frame.position for frame in ear.frames]
    missing = sum(frame.lost for frame in ear.frames)
    assert [frame.position + 160 for frame in ear.frames[:-1]] == [frame.position - frame.lost for frame in ear.frames[1:]]
    assert missing == ear.line.lost
    assert positions[0] == ear.frames[0].lost
    ear.line.close()


async def test_what_is_written_is_heard_and_told_when_it_is_played(bench, peer):
    await answered(bench, peer)
    ear = await opened(bench)
    first, second = ear.line.write(tone_of(1200, 0.5)), ear.line.write(tone_of(440, 0.31))
    assert await asyncio.wait_for(first, 10)
    assert ear.line.played_samples >= 0.5 * RATE_HZ
    assert await asyncio.wait_for(second, 10)
    assert ear.line.played_samples == round(0.81 * RATE_HZ)
    await peer.rtp.arrived(10)
    sound = heard(peer.rtp)
    loud = np.flatnonzero(np.abs(sound.astype(int)) > 1000)
    assert abs(loud[-1] - loud[0] - 0.81 * RATE_HZ) < 400 + 160 * ear.line.underruns
    middle = sound[loud[0] + 400 : loud[0] + 3200]
    assert tone_level_db(middle, 1200, RATE_HZ) > -20
    assert tone_level_db(sound[loud[-1] - 2000 : loud[-1]], 440, RATE_HZ) > -20
    ear.line.close()


async def test_clear_silences_at_once(bench, peer):
    await answered(bench, peer)
    ear = await opened(bench)
    done = ear.line.write(tone_of(1200, 5.0))
    await ear.got(25)
    assert ear.line.clear() > 4 * RATE_HZ
    assert await asyncio.wait_for(done, 1) is False
    await ear.got(10)
    peer.rtp.payloads.clear()
    await peer.rtp.arrived(10)
    assert np.abs(heard(peer.rtp).astype(int)).max() < 200
    assert ear.line.queued_samples == 0
    ear.line.close()


async def test_what_is_written_is_on_the_recording(bench, peer, tmp_path):
    await answered(bench, peer)
    ear = await opened(bench)
    bench.send(engine.StartRecording("c", "r", str(tmp_path / "r")))
    await ear.line.write(tone_of(1200, 1.0))
    bench.send(engine.StopRecording("c", "r"))
    await bench.got(engine.RecordingFinished)
    said, listened = written(tmp_path / "r")
    assert tone_level_db(listened[3200:6400], 1200, RATE_HZ) > -20
    assert np.abs(said.astype(int)).max() < 200
    ear.line.close()


async def test_the_end_of_the_call_ends_the_line(bench, peer):
    await answered(bench, peer)
    ear = await opened(bench)
    done = ear.line.write(tone_of(1200, 60.0))
    peer.request("BYE")
    await asyncio.wait_for(ear.is_over.wait(), 5)
    assert await done is False
    assert await ear.line.write(tone_of(440, 0.1)) is False


async def test_a_port_serves_again_and_again(bench, peer):
    """Closed by us, or by the end of the call; the next line hears nothing of the one before."""
    ok = await answered(bench, peer)
    voice = Voice(peer.rtp, media_port(ok), tone_of(700))
    for number in range(20):
        ear = await opened(bench)
        ear.line.write(tone_of(1200, 1.0))
        assert np.abs((await ear.got(5)).astype(int)).max() > 1000
        assert ear.frames[0].position < 50 * 160, number
        ear.line.close()
    voice.stop()


async def test_four_lines_of_one_leg_at_once(bench, peer):
    ok = await answered(bench, peer)
    voice = Voice(peer.rtp, media_port(ok), tone_of(700))
    ears = [await opened(bench) for _ in range(4)]
    for ear in ears:
        assert tone_level_db((await ear.got(25))[1600:], 700, RATE_HZ) > -20
        ear.line.close()
    voice.stop()


async def test_nobody_listens_at_the_address(bench, peer):
    await answered(bench, peer)
    bench.send(engine.OpenAudio("c", "a", "@sipcore-nobody"))
    refused = await bench.got(engine.AudioRefused)
    assert (refused.call_id, refused.audio_id) == ("c", "a")
    assert refused.error


@pytest.mark.parametrize("address", ["", "\N{SNOWMAN}", "@" + "x" * 300, "/tmp/x"])
async def test_an_address_that_is_none(bench, peer, address):
    await answered(bench, peer)
    bench.send(engine.OpenAudio("c", "a", address))
    assert (await bench.got(engine.AudioRefused)).error


async def test_early_media_is_heard_and_spoken(bench, peer):
    bench.send(wire.ExpectCall("c", "c"), engine.Ring("c", 183))
    ear = Ear()
    bench.send(engine.OpenAudio("c", "a", ear.line.address))
    peer.invite(bench.sip_port, "c", peer.sdp())
    await peer.got("SIP/2.0 183")
    assert await asyncio.wait_for(ear.line.write(tone_of(1200, 0.5)), 10)
    await peer.rtp.arrived(10)
    assert tone_level_db(heard(peer.rtp)[-4000:], 1200, RATE_HZ) > -26
    ear.line.close()


async def test_a_reader_that_stops_reading_loses_audio_and_nothing_else(bench, peer):
    ok = await answered(bench, peer)
    listener = audiowire.AudioListener()
    bench.send(engine.OpenAudio("c", "a", listener.address))
    await asyncio.to_thread(_wait_readable, listener)
    sock = listener.accept()
    listener.close()
    assert sock is not None
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    peer.rtp.payloads.clear()
    voice = Voice(peer.rtp, media_port(ok), tone_of(700))
    for _ in range(3):
        await peer.rtp.arrived(200)  # 12 s in all: more than the socket holds
    ticks = _ticks(sock)
    assert ticks == list(range(1, len(ticks) + 1))
    assert 50 < len(ticks) < 590
    voice.stop()
    sock.close()
    bench.send(engine.Hangup("c"))
    peer.answer(await peer.got("BYE"), "200 OK")
    await bench.got(engine.CallDisconnected)


def _ticks(sock: socket.socket) -> list[int]:
    """Of all that waits."""
    ticks = []
    with contextlib.suppress(BlockingIOError):
        while True:
            ticks.append(audiowire.HEAD.unpack_from(sock.recv(audiowire.MAX_PACKET_BYTES))[0])
    return ticks


def _wait_readable(listener: audiowire.AudioListener) -> None:
    assert select.select([listener.fileno()], [], [], 10)[0]


async def test_an_echo_through_numpy(bench, peer):
    ok = await answered(bench, peer)
    line = AudioLine(lambda frame: line.write(frame.samples))
    bench.send(engine.OpenAudio("c", "a", line.address))
    voice = Voice(peer.rtp, media_port(ok), tone_of(700))
    await peer.rtp.arrived(100)
    voice.stop()
    assert tone_level_db(heard(peer.rtp)[-8000:], 700, RATE_HZ) > -20
    assert line.queued_samples < 10 * 160
    line.close()


async def test_both_sides_are_of_the_same_tick(bench, peer, tmp_path):
    """A prompt, what is written, and no more of either once it is over; the next line on those ports hears nothing of it."""
    ok = await answered(bench, peer)
    voice = Voice(peer.rtp, media_port(ok), tone_of(700))
    media.wav.write(tmp_path / "prompt.wav", tone_of(1000, 2.0), RATE_HZ)
    frames: list[AudioFrame] = []
    line = AudioLine(frames.append, hears_near=True)
    bench.send(engine.OpenAudio("c", "a", line.address, hears_near=True))
    bench.send(engine.Play("c", "p", str(tmp_path / "prompt.wav")))
    await asyncio.wait_for(line.write(np.zeros(4000, np.int16)), 10)
    await asyncio.wait_for(line.write(tone_of(1700, 0.8)), 10)
    await bench.got(engine.PlaybackFinished)
    count = len(frames)
    await asyncio.wait_for(line.write(np.zeros(4000, np.int16)), 10)
    voice.stop()
    said, near = (np.concatenate(part) for part in zip(*((frame.samples, frame.near) for frame in frames[10:]), strict=True))
    assert tone_level_db(said[4000:8000], 700, RATE_HZ) > -20
    assert tone_level_db(near[4000:8000], 1000, RATE_HZ) > -20
    assert tone_level_db(near[4000:8000], 1700, RATE_HZ) > -20
    assert tone_level_db(near[:1600], 1700, RATE_HZ) < -50
    assert tone_level_db(near[:1600], 700, RATE_HZ) < -50
    assert np.abs(np.concatenate([frame.near for frame in frames[count + 5 :]]).astype(int)).max() == 0
    line.write(tone_of(1700, 5.0))
    line.close()
    await asyncio.sleep(0.5)  # the ports rest
    again: list[AudioFrame] = []
    line = AudioLine(again.append, hears_near=True)
    bench.send(engine.OpenAudio("c", "b", line.address, hears_near=True))
    await asyncio.wait_for(line.write(np.zeros(4000, np.int16)), 10)
    assert np.abs(np.concatenate([frame.near for frame in again]).astype(int)).max() == 0
    line.close()


async def test_a_bridged_leg_is_heard_as_near_and_not_after_the_end(bench, peer):
    """The far end of the line hears itself in an echo, and so does the line, in the tick after."""
    ok = await answered(bench, peer)
    voice = Voice(peer.rtp, media_port(ok), tone_of(700))
    frames: list[AudioFrame] = []
    line = AudioLine(frames.append, hears_near=True)
    bench.send(engine.Bridge("c", "c"))
    bench.send(engine.OpenAudio("c", "a", line.address, hears_near=True))
    await asyncio.wait_for(line.write(np.zeros(8000, np.int16)), 10)
    said, near = (np.concatenate(part) for part in zip(*((frame.samples, frame.near) for frame in frames[25:]), strict=True))
    assert tone_level_db(near, 700, RATE_HZ) > -20
    np.testing.assert_array_equal(near, said)  # the same tick, whichever port comes first
    bench.send(engine.Mute("c", "out"))
    await asyncio.wait_for(line.write(np.zeros(4000, np.int16)), 10)
    assert np.abs(frames[-1].near.astype(int)).max() == 0
    bench.send(engine.Mute("c", "out", is_muted=False), engine.Unbridge("c", "c"))
    await asyncio.wait_for(line.write(np.zeros(4000, np.int16)), 10)
    assert np.abs(frames[-1].near.astype(int)).max() == 0
    voice.stop()
    line.close()
