"""Live audio of a call as its user has it: numpy in and out, on the fake engine and on virtual time."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import AsyncIterator

import numpy as np
import pytest

from media import MediaError, tones
from media.measure import tone_level_db
from sipcore import ActionFailed, InvalidState, QueueFull, Sleep, SwitchClosed
from sipcore.testing.fake_engine import FarEnd

from .stage import RATE_HZ, Stage, play

FRAME = RATE_HZ // 50


async def answered(stage: Stage, user: str = "bob"):
    call = stage.call(user, Sleep(3_600_000))
    await stage.switch.session(call.id).answered
    return call


def ramp(duration_s: float, start: int = 1) -> np.ndarray:
    """Every sample another value, so that what is missing, doubled or moved is seen."""
    return (np.arange(round(duration_s * RATE_HZ)) + start).astype(np.int16)


def heard(stage: Stage, call) -> np.ndarray:
    """What the far end heard, silence at either end aside."""
    return np.trim_zeros(np.concatenate([*stage.engine.voice(call.id).heard, np.zeros(1, np.int16)]))


def tone(hz: float, duration_s: float, rate_hz: int = RATE_HZ) -> np.ndarray:
    return tones.tone(hz, duration_s, rate_hz)


# ---------------------------------------------------------------------------------------------------- reading


def test_frames_are_what_the_far_end_says_with_a_clock(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        stage.engine.voice(call.id).say(ramp(1.0))
        frames = []
        async for frame in call.audio():
            frames.append(frame)
            if len(frames) == 60:
                break
        assert [frame.position for frame in frames] == [number * FRAME for number in range(60)]
        assert [frame.lost for frame in frames] == [0] * 60
        assert frames[50].time_s == 1.0
        assert {frame.samples.dtype for frame in frames} == {np.dtype(np.int16)}
        np.testing.assert_array_equal(np.trim_zeros(np.concatenate([frame.samples for frame in frames])), ramp(1.0))
        call.hangup()
        await call.wait()

    play(tmp_path, scenario)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 24000, 44100, 48000])
def test_any_rate_keeps_the_clock_of_the_far_end(tmp_path, rate_hz):
    """A tone that begins after 200 ms begins there at every rate, and is the same tone."""

    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        reader = call.audio(rate_hz)
        stage.engine.voice(call.id).say(np.concatenate((np.zeros(1600, np.int16), tone(1000, 0.5))))
        frames = [await anext(reader) for _ in range(50)]
        sound = np.concatenate([frame.samples for frame in frames])
        assert len(sound) == rate_hz == frames[-1].position + len(frames[-1].samples)
        begins_s = np.flatnonzero(np.abs(sound.astype(int)) > 2000)[0] / rate_hz
        offset_s = begins_s - 0.2
        assert -0.021 < offset_s < 0.021  # the reader begins within the tick after `say`
        assert tone_level_db(sound[rate_hz // 4 : rate_hz // 2], 1000, rate_hz) > -12.5
        call.hangup()

    play(tmp_path, scenario)


def test_a_reader_that_does_not_read_loses_the_oldest_and_sees_the_gap(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        reader, other = call.audio(16000), call.audio()
        assert (await anext(reader)).position == 0
        task = asyncio.create_task(_count(other))
        await asyncio.sleep(4.0)
        frame = await anext(reader)
        assert frame.lost == 0
        await asyncio.sleep(9.0)
        before = frame.position + len(frame.samples)
        frames = [await anext(reader) for _ in range(100)]
        gaps = [frame for frame in frames if frame.lost]
        assert len(gaps) == 1
        assert abs(gaps[0].lost / 16000 - 8.0) < 0.1
        assert reader.lost == gaps[0].lost
        for frame in frames:
            assert frame.position == before + frame.lost
            before = frame.position + len(frame.samples)
        call.hangup()
        assert await task == pytest.approx(13.0 * 50, abs=3)  # the other one lost nothing

    async def _count(reader) -> int:
        return sum([1 async for frame in reader if not frame.lost])

    play(tmp_path, scenario, max_unread_audio_s=5.0)


def test_two_readers_get_all_of_it_each(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        stage.engine.voice(call.id).say(ramp(0.4))
        readers = call.audio(), call.audio()
        for reader in readers:
            sound = np.concatenate([(await anext(reader)).samples for _ in range(25)])
            np.testing.assert_array_equal(np.trim_zeros(sound), ramp(0.4))
        assert len(stage.sent(_open_audio(), call.id)) == 1
        call.hangup()

    play(tmp_path, scenario)


def _open_audio() -> type:
    from sipcore.engine import OpenAudio

    return OpenAudio


def test_both_sides_are_columns_of_the_same_moment(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        both, near = call.audio(tap="both"), call.audio(tap="near")
        stage.engine.voice(call.id).say(ramp(0.5))
        call.write(ramp(0.5, 10_000))
        frames = [await anext(both) for _ in range(40)]
        assert {frame.samples.shape for frame in frames} == {(FRAME, 2)}
        sound = np.concatenate([frame.samples for frame in frames])
        np.testing.assert_array_equal(np.trim_zeros(sound[:, 0]), ramp(0.5))
        np.testing.assert_array_equal(np.trim_zeros(sound[:, 1]), ramp(0.5, 10_000))
        alone = np.concatenate([(await anext(near)).samples for _ in range(40)])
        np.testing.assert_array_equal(alone, sound[:, 1])
        call.hangup()

    play(tmp_path, scenario)


def test_the_end_of_the_call_ends_the_reading(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        task = asyncio.create_task(_all(call.audio()))
        await asyncio.sleep(1.0)
        stage.engine.hang_up_remote(call.id)
        assert len(await task) == pytest.approx(50, abs=3)
        await call.wait()
        assert await _all(call.audio()) == []

    play(tmp_path, scenario)


async def _all(reader) -> list:
    return [frame async for frame in reader]


def test_a_line_is_given_back_when_nobody_reads_any_more(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        async for _ in call.audio():
            break
        gc.collect()
        await asyncio.sleep(3.0)
        assert stage.engine.voice(call.id).heard == []
        assert not [line for line in stage.switch.session(call.id)._lines.values() if not line.is_closed]
        async for frame in call.audio():  # and had again
            assert frame.position == 0
            break
        call.hangup()

    play(tmp_path, scenario)


# ---------------------------------------------------------------------------------------------------- writing


def test_what_is_written_is_heard_in_order_and_told_when_played(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        began_s = asyncio.get_running_loop().time()
        first, second = call.write(ramp(0.5)), call.write(ramp(0.31, 4001).tobytes())
        assert await first is True
        assert 0.45 < asyncio.get_running_loop().time() - began_s < 0.6
        assert await second is True
        np.testing.assert_array_equal(heard(stage, call), ramp(0.81))
        assert call.queued_s == 0
        call.hangup()

    play(tmp_path, scenario)


@pytest.mark.parametrize("rate_hz", [11025, 16000, 22050, 44100, 48000])
def test_other_rates_are_heard_whole_and_without_a_seam(tmp_path, rate_hz):
    """At once, in frames as they come, and from a generator: one tone in one piece."""

    async def scenario(stage: Stage) -> None:
        wave = tone(1000, 1.0, rate_hz)

        async def pieces() -> AsyncIterator[np.ndarray]:
            for start in range(0, len(wave), 777):
                yield wave[start : start + 777]

        async def frame_by_frame(call) -> None:
            async for frame in call.audio():
                begin, end = (at * rate_hz // RATE_HZ for at in (frame.position, frame.position + FRAME))
                if begin >= len(wave):
                    return
                call.write(wave[begin:end], rate_hz)

        for way in (lambda call: call.write(wave, rate_hz), lambda call: call.write(pieces(), rate_hz), frame_by_frame):
            call = await answered(stage)
            await way(call)
            await asyncio.sleep(0.2)
            sound = heard(stage, call).astype(float)
            assert len(sound) / RATE_HZ == pytest.approx(1.0, abs=0.02)
            middle = sound[800:-800]
            steps = np.abs(np.diff(middle))
            assert steps.max() < 1.1 * 2 * np.pi * 1000 / RATE_HZ * np.abs(middle).max()  # a seam would be a jump
            assert np.abs(middle[8:] - middle[:-8]).max() < 0.02 * np.abs(middle).max()  # 1 kHz repeats after 8 samples
            call.hangup()

    play(tmp_path, scenario)


def test_floats_are_full_scale_and_clipped(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        await call.write(np.array([0.5, -1.0, 1.0, 7.0], np.float32))
        assert heard(stage, call).tolist() == [16384, -32767, 32767, 32767]
        call.hangup()

    play(tmp_path, scenario)


@pytest.mark.parametrize(
    ("audio", "rate_hz", "error", "words"),
    [
        (np.zeros((160, 2), np.int16), 8000, ValueError, r"one channel: not the shape \(160, 2\)"),
        (np.zeros(160, np.int32), 8000, TypeError, "not int32"),
        (np.zeros(160, bool), 8000, TypeError, "not bool"),
        (np.array([0.0, 0.1, np.nan]), 8000, ValueError, "sample 2 of the audio is nan"),
        (np.array([np.inf], np.float32), 8000, ValueError, "sample 0 of the audio is inf"),
        (b"abc", 8000, ValueError, "3 bytes"),
        ([1, 2, 3], 8000, TypeError, "not list"),
        ("hello", 8000, TypeError, "not str"),
        (None, 8000, TypeError, "not NoneType"),
        (np.zeros(160, np.int16), 4000, ValueError, "rate_hz is 4000"),
        (np.zeros(160, np.int16), 96_000, ValueError, "rate_hz is 96000"),
        (np.zeros(160, np.int16), 8000.0, TypeError, "not float"),
        (np.zeros(160, np.int16), True, TypeError, "not bool"),
    ],
)
def test_what_is_no_audio_is_refused_at_once(tmp_path, audio, rate_hz, error, words):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        with pytest.raises(error, match=words):
            call.write(audio, rate_hz)
        assert await call.write(ramp(0.1)) is True  # nothing is spoilt
        np.testing.assert_array_equal(heard(stage, call), ramp(0.1))
        call.hangup()

    play(tmp_path, scenario)


def test_wrong_rates_and_sides_of_reading(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        for rate_hz, error in ((7999, ValueError), (48_001, ValueError), ("8000", TypeError)):
            with pytest.raises(error, match="rate_hz"):
                call.audio(rate_hz)
        with pytest.raises(ValueError, match="tap is 'left'"):
            call.audio(tap="left")
        call.hangup()

    play(tmp_path, scenario)


def test_nothing_and_single_samples(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        assert await call.write(np.zeros(0, np.int16)) is True
        assert await call.write(b"") is True
        assert await call.write(np.array([7], np.int16)) is True
        assert heard(stage, call).tolist() == [7]
        call.hangup()

    play(tmp_path, scenario)


def test_clear_drops_what_is_queued_and_says_so(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        first, second = call.write(ramp(2.0)), call.write(ramp(2.0))
        await asyncio.sleep(1.0)
        heard_before = len(heard(stage, call))
        assert 2.8 < call.clear() < 3.1
        assert (await first, await second) == (False, False)
        await asyncio.sleep(0.5)
        assert len(heard(stage, call)) - heard_before <= 0.06 * RATE_HZ
        assert await call.write(ramp(0.1, 20_000)) is True  # what is written after it is heard
        np.testing.assert_array_equal(heard(stage, call)[-800:], ramp(0.1, 20_000))
        assert call.clear() == 0
        call.hangup()

    play(tmp_path, scenario)


def test_ten_minutes_at_once_and_what_is_too_much(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        minutes = np.ones(600 * 48_000, np.int16)
        long = call.write(minutes, 48_000)
        with pytest.raises(QueueFull, match=r"600\.0 s of audio wait.* 301\.0 s more are over the limit of 900 s"):
            call.write(np.zeros(301 * RATE_HZ, np.int16))
        await asyncio.sleep(1.0)
        assert 598 < call.queued_s < 600
        assert 598 < call.clear() < 600
        assert await long is False
        call.hangup()

    play(tmp_path, scenario)


def test_writing_to_a_call_that_is_over(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        pending = call.write(ramp(2.0))
        await asyncio.sleep(0.5)
        stage.engine.hang_up_remote(call.id)
        with pytest.raises(InvalidState, match="write is not possible while it is hangup"):
            await pending
        with pytest.raises(InvalidState):
            call.write(ramp(0.1))
        assert call.clear() == 0

    play(tmp_path, scenario)


def test_before_the_answer_there_is_no_audio(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = stage.call("bob")
        for order in (call.audio, lambda: call.write(ramp(0.1))):
            with pytest.raises(InvalidState, match="while it is dialing"):
                order()
        call.hangup()

    play(tmp_path, scenario, {"bob": FarEnd(answer_after_s=None)})


def test_a_cancelled_write_drops_its_own_rest_only(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)

        async def speak() -> None:
            await call.write(ramp(2.0))

        task = asyncio.create_task(speak())
        await asyncio.sleep(0)
        later = call.write(ramp(0.2, 30_000))
        await asyncio.sleep(0.5)
        task.cancel()
        assert await later is True
        sound = heard(stage, call)
        np.testing.assert_array_equal(sound[-1600:], ramp(0.2, 30_000))
        assert 0.4 * RATE_HZ < len(sound) - 1600 <= 0.6 * RATE_HZ
        np.testing.assert_array_equal(sound[:-1600], ramp(2.0)[: len(sound) - 1600])
        call.hangup()

    play(tmp_path, scenario)


# ------------------------------------------------------------------------------------------------- generators


def test_a_generator_is_asked_only_for_what_is_needed(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        given = 0

        async def source() -> AsyncIterator[bytes]:
            nonlocal given
            for number in range(50):
                given += 1
                yield ramp(0.1, number * 800).tobytes()

        done = call.write(source())
        await asyncio.sleep(1.0)
        assert 1.0 < given * 0.1 < 2.5
        assert await done is True
        np.testing.assert_array_equal(heard(stage, call), np.trim_zeros(ramp(5.0, 0)))
        call.hangup()

    play(tmp_path, scenario)


def test_a_generator_that_raises_is_told_when_the_rest_is_played(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)

        async def source() -> AsyncIterator[np.ndarray]:
            yield ramp(0.5)
            raise LookupError("no more words")

        with pytest.raises(LookupError, match="no more words"):
            await call.write(source())
        np.testing.assert_array_equal(heard(stage, call), ramp(0.5))

        async def wrong() -> AsyncIterator[object]:
            yield "hello"

        with pytest.raises(TypeError, match="not str"):
            await call.write(wrong())
        assert await call.write(ramp(0.1)) is True
        call.hangup()

    play(tmp_path, scenario)


@pytest.mark.parametrize("way", ["clear", "cancel", "hang up"])
def test_a_generator_is_closed_whatever_ends_it(tmp_path, way):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        closed = asyncio.Event()

        async def source() -> AsyncIterator[np.ndarray]:
            try:
                while True:
                    yield ramp(0.1)
            finally:
                closed.set()

        done = call.write(source())
        await asyncio.sleep(0.5)
        if way == "clear":
            call.clear()
            assert await done is False
        elif way == "cancel":
            done.cancel()
        else:
            stage.engine.hang_up_remote(call.id)
            with pytest.raises(InvalidState):
                await done
        await asyncio.wait_for(closed.wait(), 1)
        call.hangup()
        await call.wait()

    play(tmp_path, scenario)


def test_one_call_is_written_to_another(tmp_path):
    async def scenario(stage: Stage) -> None:
        one, other = await answered(stage, "bob"), await answered(stage, "carol")
        task = other.write(one.audio(16000))
        stage.engine.voice(one.id).say(tone(1000, 1.0))
        await asyncio.sleep(1.5)
        assert tone_level_db(heard(stage, other)[800:-800], 1000, RATE_HZ) > -12.5
        one.hangup()
        assert await task is True  # the frames have ended
        other.hangup()

    play(tmp_path, scenario)


# ----------------------------------------------------------------------------------------------- the rest of it


def test_an_engine_that_has_no_audio_is_told(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        session = stage.switch.session(call.id)
        reader, done = call.audio(), call.write(ramp(1.0))
        await asyncio.sleep(0.1)
        (line,) = session._lines.values()
        line.end("no port is free")
        with pytest.raises(ActionFailed, match="write failed: no port is free"):
            await done
        with pytest.raises(ActionFailed, match="audio failed: no port is free"):
            await _all(reader)
        call.hangup()

    play(tmp_path, scenario)


def test_a_forked_process_is_told_and_does_no_harm(tmp_path):
    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        reader = call.audio()
        done = call.write(ramp(1.0))
        await anext(reader)
        pid = os.fork()
        if pid == 0:
            os._exit(_in_child(call))
        _, status = os.waitpid(pid, 0)  # noqa: ASYNC222 - it ends at once
        assert os.waitstatus_to_exitcode(status) == 0
        assert await done is True
        np.testing.assert_array_equal(heard(stage, call), ramp(1.0))
        assert (await anext(reader)).lost == 0
        call.hangup()

    play(tmp_path, scenario)


def _in_child(call) -> int:
    logging.disable()
    for order in (call.audio, call.clear, lambda: call.write(ramp(0.1))):
        try:
            order()
        except SwitchClosed as error:
            if "forked" not in str(error):
                return 1
        else:
            return 2
    return 0


def test_speech_is_heard_while_the_rest_is_made(tmp_path):
    """Each sentence is asked for when there is room for it, and what is cleared is not made any more."""

    async def scenario(stage: Stage) -> None:
        call = await answered(stage)
        text = "One two three four five six seven eight nine ten. " * 20
        done = call.write(call.speech(text))
        await asyncio.sleep(2.0)
        assert 0.9 < heard(stage, call).size / RATE_HZ < 2.05
        assert 0 < call.clear() < 12  # of 100 s
        assert await done is False
        assert await call.write(call.speech("One more.")) is True
        with pytest.raises(MediaError, match="klingon"):
            await call.write(call.speech("hello", "klingon"))
        call.hangup()

    play(tmp_path, scenario)
