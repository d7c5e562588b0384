"""Live audio: what both engines promise."""

from __future__ import annotations

import asyncio

import numpy as np

from sipcore import engine as wire
from sipcore.liveaudio.line import AudioFrame, AudioLine


def test_frames_come_in_step_and_what_is_written_is_told(play):
    async def story(line):
        call_id = await line.answered()
        frames: list[AudioFrame] = []
        audio = AudioLine(frames.append)
        line.engine.submit(wire.OpenAudio(call_id, "a", audio.address))
        done = audio.write(np.full(1600, 1000, np.int16))
        assert await asyncio.wait_for(done, 10)
        assert audio.played_samples == 1600
        assert len(frames) >= 10
        ends = [frame.position + len(frame.samples) for frame in frames]
        assert ends[:-1] == [frame.position - frame.lost for frame in frames[1:]]
        assert {len(frame.samples) for frame in frames} == {160}
        audio.close()

    play(story)


def test_the_end_of_the_leg_ends_the_audio(play):
    async def story(line):
        call_id = await line.answered()
        over = asyncio.Event()
        frames: list[AudioFrame] = []
        audio = AudioLine(frames.append, over.set)
        line.engine.submit(wire.OpenAudio(call_id, "a", audio.address))
        done = audio.write(np.zeros(80_000, np.int16))
        await asyncio.sleep(0.3)
        line.hang_up_remote(call_id)
        await asyncio.wait_for(over.wait(), 10)
        assert frames
        assert await done is False
        assert audio.is_closed

    play(story)


def test_a_closed_line_does_not_end_the_leg(play):
    async def story(line):
        call_id = await line.answered()
        for name in ("a", "b"):
            first = asyncio.Event()
            audio = AudioLine(lambda _frame, first=first: first.set())
            line.engine.submit(wire.OpenAudio(call_id, name, audio.address))
            await asyncio.wait_for(first.wait(), 10)
            audio.close()
        await asyncio.sleep(0.3)
        assert not [event for event in line.of(call_id) if isinstance(event, wire.CallDisconnected | wire.AudioRefused)]

    play(story)


def test_nobody_listens_there(play):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.OpenAudio(call_id, "a", "@sipcore-nobody"))
        await line.until(lambda: any(isinstance(event, wire.AudioRefused) for event in line.of(call_id)))
        line.engine.submit(wire.OpenAudio("unknown", "a", "@sipcore-nobody"))

    play(story)


def test_what_the_far_end_hears_comes_with_what_it_says(play):
    async def story(line):
        call_id = await line.answered()
        frames: list[AudioFrame] = []
        audio = AudioLine(frames.append, hears_near=True)
        line.engine.submit(wire.OpenAudio(call_id, "a", audio.address, hears_near=True))
        assert await asyncio.wait_for(audio.write(np.full(1600, 1000, np.int16)), 10)
        assert await asyncio.wait_for(audio.write(np.zeros(480, np.int16)), 10)
        near = np.concatenate([frame.near for frame in frames])
        assert np.count_nonzero(near > 900) == 1600
        assert {len(frame.samples) for frame in frames} == {len(frame.near) for frame in frames} == {160}
        audio.close()

    play(story)
