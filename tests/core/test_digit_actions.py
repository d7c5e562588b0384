"""Digits in calls, on the fake engine and virtual time: reading, sending, and prompts that a key stops."""

from __future__ import annotations

import asyncio

import pytest

from sipcore import engine
from sipcore.actions import Beep, DigitsReceive, DigitsSend, Play, Talk, parse_actions
from sipcore.errors import ActionFailed, InvalidRequest
from sipcore.events import DigitReceived, DigitsGathered

from .stage import play, write_wav

WORDS = "one two three four five six"  # three seconds


async def answered(stage, *actions, user="bob"):
    call = stage.call(user, *actions)
    while call.record.tm_progressing is None:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.01)
    return call


def press(stage, call, *pressed):
    """Keys at times after now."""
    loop = asyncio.get_running_loop()
    for at_s, digit in pressed:
        loop.call_later(at_s, stage.engine.press, call.id, digit)


def gathered(stage, call):
    return [(event.digits, event.ended_by) for event in stage.events if isinstance(event, DigitsGathered) and event.call_id == call.id]


def lasted(stage, call, index=0):
    """How long the file number `index` was heard."""
    heard = stage.engine.heard[call.id][index]
    return heard.end_s - heard.start_s


# --------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("action", "pressed", "digits", "ended_by"),
    [
        (DigitsReceive(), [(1, "7"), (2, "8")], "7", "length"),
        (DigitsReceive(4), [(1, "1"), (2, "2"), (3, "3"), (4, "4")], "1234", "length"),
        (DigitsReceive(4, "#"), [(1, "1"), (2, "#")], "1#", "key"),
        (DigitsReceive(4, "#", includes_key=False), [(1, "1"), (2, "#")], "1", "key"),
        (DigitsReceive(4, "any"), [(1, "*")], "*", "key"),
        (DigitsReceive(4), [(1, "1")], "1", "timeout"),
        (DigitsReceive(4), [], "", "timeout"),
        (DigitsReceive(4, first_digit_timeout_s=2.0), [(2.5, "1")], "", "timeout"),
        (DigitsReceive(4, digit_timeout_s=2.0), [(5, "1"), (6.5, "2"), (9, "3")], "12", "timeout"),
        (DigitsReceive(0, "#", duration_ms=0), [(100, "1"), (200, "2"), (3000, "#")], "12#", "key"),
    ],
)
def test_digits_receive(tmp_path, action, pressed, digits, ended_by):
    async def story(stage):
        call = await answered(stage, action)
        press(stage, call, *pressed)
        await call.wait()
        assert gathered(stage, call) == [(digits, ended_by)]
        assert stage.outcomes(call.id) == [("digits_receive", "done")]

    play(tmp_path, story)


def test_digits_of_a_prompt_are_kept_for_the_next_reader(tmp_path):
    async def story(stage):
        call = await answered(stage, Talk(WORDS), DigitsReceive(2), DigitsReceive(1), Talk("${digits}"))
        press(stage, call, (0.5, "4"), (1.0, "2"), (1.5, "9"))
        await call.wait()
        assert gathered(stage, call) == [("42", "length"), ("9", "length")]
        assert lasted(stage, call) == pytest.approx(3.0), "they stop nothing that does not ask for it"
        assert [event.digit for event in stage.events if isinstance(event, DigitReceived)] == ["4", "2", "9"]

    play(tmp_path, story)


def test_a_flood_is_bounded(tmp_path):
    async def story(stage):
        call = await answered(stage, Talk(WORDS), DigitsReceive(100, duration_ms=1000), DigitsReceive(100, duration_ms=1000))
        press(stage, call, *((0.5 + number / 1000, "12"[number % 2]) for number in range(1000)))
        await call.wait()
        assert gathered(stage, call) == [("12" * 10, "timeout"), ("", "timeout")]
        assert sum(isinstance(event, DigitReceived) for event in stage.events) == 1000

    play(tmp_path, story, kept_digits=20)


def test_gather(tmp_path):
    async def story(stage):
        @stage.switch.on_call(to="1000")
        async def reception(call):
            await call.answer()
            press(stage, call, (1, "4"), (2, "2"), (3, "#"), (20, "5"))
            got.append(await call.gather(4, finish_key="#"))
            got.append(await call.gather(timeout_s=2))
            got.append(await call.gather(timeout_s=0))
            got.append(call.record.status)

        got: list[str] = []
        stage.engine.offer("1000")
        while len(got) < 4:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(1)
        assert got == ["42", "", "5", "progressing"]

    play(tmp_path, story)


def test_the_end_of_the_call_ends_the_reading(tmp_path):
    async def story(stage):
        call = await answered(stage, DigitsReceive(2, duration_ms=0))
        press(stage, call, (1, "5"))
        await asyncio.sleep(2)
        stage.engine.hang_up_remote(call.id)
        await call.wait()
        assert stage.outcomes(call.id) == [("digits_receive", "interrupted")]

    play(tmp_path, story)


def test_the_engine_is_told_who_waits(tmp_path):
    async def story(stage):
        call = await answered(stage, Talk(WORDS), Talk(WORDS, barge_in="1"), DigitsReceive(duration_ms=100))
        await call.wait()
        told = [command.is_awaited for command in stage.engine.commands if isinstance(command, engine.AwaitDigits)]
        assert told == [True, False, True, False]

    play(tmp_path, story)


# -------------------------------------------------------------------------------------------------------- barge-in


@pytest.mark.parametrize("barge_in", ["5", "any", "*5#"])
@pytest.mark.parametrize("is_speech", [True, False])
def test_a_key_stops_the_prompt_and_is_kept(tmp_path, barge_in, is_speech):
    write_wav(tmp_path / "a.wav", 3.0)
    prompt = Talk(WORDS, barge_in=barge_in) if is_speech else Play(["a.wav", "a.wav"], barge_in=barge_in)

    async def story(stage):
        call = await answered(stage, prompt, DigitsReceive())
        press(stage, call, (1.0, "5"))
        await call.wait()
        assert lasted(stage, call) == pytest.approx(1.0, abs=0.05)
        assert len(stage.engine.heard[call.id]) == 1
        assert gathered(stage, call) == [("5", "length")]
        assert stage.outcomes(call.id)[0][1] == "done"

    play(tmp_path, story)


def test_other_keys_stop_nothing_and_are_kept(tmp_path):
    async def story(stage):
        call = await answered(stage, Talk(WORDS, barge_in="12"), DigitsReceive(2))
        press(stage, call, (1.0, "5"), (2.0, "1"))
        await call.wait()
        assert lasted(stage, call) == pytest.approx(2.0, abs=0.05)
        assert gathered(stage, call) == [("51", "length")]

    play(tmp_path, story)


def test_a_key_that_waits_stops_the_next_prompts_before_they_begin(tmp_path):
    async def story(stage):
        call = await answered(stage, Talk(WORDS), Talk(WORDS, barge_in="any"), Talk(WORDS, barge_in="1"), DigitsReceive(), Talk("bye"))
        press(stage, call, (1.0, "1"))
        await call.wait()
        assert [round(lasted(stage, call, index), 1) for index in range(len(stage.engine.heard[call.id]))] == [3.0, 0.5]
        assert gathered(stage, call) == [("1", "length")]

    play(tmp_path, story)


def test_a_failed_file_fails_the_action_with_barge_in_too(tmp_path):
    async def story(stage):
        @stage.switch.on_call(to="1000")
        async def reception(call):
            with pytest.raises(ActionFailed, match=r"gone\.wav"):
                await call.play("gone.wav", barge_in="any")
            done.append(call.id)

        done: list[str] = []
        stage.engine.offer("1000")
        while not done:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)

    play(tmp_path, story)


# --------------------------------------------------------------------------------------------- loop, pause, volume


def test_loop_and_pause(tmp_path):
    write_wav(tmp_path / "a.wav", 1.0)

    async def story(stage):
        call = await answered(stage, Play(["a.wav", "a.wav"], loop=2, pause_ms=500))
        await call.wait()
        starts = [heard.start_s for heard in stage.engine.heard[call.id]]
        assert [round(start - starts[0], 1) for start in starts] == [0.0, 1.5, 3.0, 4.5]

    play(tmp_path, story)


def test_endless_until_a_key(tmp_path):
    async def story(stage):
        call = await answered(stage, Talk("one", loop=0, barge_in="#"))
        press(stage, call, (60.2, "#"))
        record = await call.wait()
        assert record.hangup_reason == "normal"
        assert len(stage.engine.heard[call.id]) == 121
        assert lasted(stage, call, -1) < 0.3

    play(tmp_path, story)


def test_beep(tmp_path):
    async def story(stage):
        call = await answered(stage, Beep(duration_ms=700))
        await call.wait()
        assert lasted(stage, call) == pytest.approx(0.7)

    play(tmp_path, story)


# --------------------------------------------------------------------------------------------------------- sending


def test_digits_send(tmp_path):
    async def story(stage):
        call = await answered(stage, DigitsSend("12#*AD", 100, 50), Talk("one"))
        begun_s = asyncio.get_running_loop().time()
        await call.wait()
        assert stage.engine.keys[call.id] == "12#*AD"
        assert stage.engine.heard[call.id][0].start_s - begun_s == pytest.approx(0.9, abs=0.05)

    play(tmp_path, story)


def test_the_trunk_says_how(tmp_path):
    async def placed(stage):
        calls = []
        for trunk, number in (("info", "+15550001"), ("tones", "+15550002"), ("plain", "+15550003")):
            calls.append(stage.switch.calls.create(destination=f"tel:{number}", actions=[DigitsSend("1")], trunk=trunk))
        for call in calls:
            await call.wait()
        modes = [command.mode for command in stage.engine.commands if isinstance(command, engine.SendDigits)]
        assert sorted(modes) == ["info", "rfc4733"]
        assert lasted(stage, calls[1]) == pytest.approx(0.3)

    trunks = [
        {"name": name, "addresses": ["192.0.2.7"], "dtmf": mode}
        for name, mode in (("info", "info"), ("tones", "inband"), ("plain", "rfc4733"))
    ]
    play(tmp_path, placed, trunks=trunks)


def test_tones_where_the_far_end_takes_no_events(tmp_path):
    async def story(stage):
        stage.engine._send_digits = lambda order: stage.engine.tell(
            engine.DigitsSent(order.call_id, order.send_id, engine.NO_TELEPHONE_EVENT)
        )
        call = await answered(stage, DigitsSend("12"), DigitsSend("12", mode="rfc4733"))
        await call.wait()
        assert lasted(stage, call) == pytest.approx(0.6)
        assert stage.outcomes(call.id) == [("digits_send", "done"), ("digits_send", "failed")]

    play(tmp_path, story)


def test_a_cancelled_sending_stops(tmp_path):
    async def story(stage):
        @stage.switch.on_call(to="1000")
        async def reception(call):
            await call.answer()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await call.send_digits("1234567890", 200, 100)
            await asyncio.sleep(5)
            done.append(stage.engine.keys[call.id])

        done: list[str] = []
        stage.engine.offer("1000")
        while not done:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        assert done == ["1234"]

    play(tmp_path, story)


def test_digits_before_the_answer_fail(tmp_path):
    async def story(stage):
        @stage.switch.on_call(to="1000")
        async def reception(call):
            with pytest.raises(ActionFailed, match="not answered"):
                await call.send_digits("1")
            done.append(call.id)

        done: list[str] = []
        stage.engine.offer("1000")
        while not done:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)

    play(tmp_path, story)


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("kind", "option", "path", "said"),
    [
        ("digits_send", {}, "digits", "required"),
        ("digits_send", {"digits": ""}, "digits", "1 to 100 digits"),
        ("digits_send", {"digits": "1" * 101}, "digits", "1 to 100 digits"),
        ("digits_send", {"digits": "12x"}, "digits", "1 to 100 digits"),
        ("digits_send", {"digits": "\uff11"}, "digits", "1 to 100 digits"),
        ("digits_send", {"digits": 12}, "digits", "string"),
        ("digits_send", {"digits": "1", "duration": 99}, "duration_ms", "100"),
        ("digits_send", {"digits": "1", "duration_ms": 1001}, "duration_ms", "1000"),
        ("digits_send", {"digits": "1", "interval": 5001}, "interval_ms", "5000"),
        ("digits_send", {"digits": "1", "mode": "morse"}, "mode", "inband"),
        ("digits_send", {"digits": "1", "duraton": 1}, "duraton", "did you mean 'duration_ms'?"),
        ("digits_receive", {"length": 101}, "length", "100"),
        ("digits_receive", {"length": -1}, "length", "0"),
        ("digits_receive", {"length": "1"}, "length", "integer"),
        ("digits_receive", {"key": "x"}, "key", "keys"),
        ("digits_receive", {"key": None}, "key", "string"),
        ("digits_receive", {"duration": 3_600_001}, "duration_ms", "3600000"),
        ("digits_receive", {"digit_timeout_s": -1}, "digit_timeout_s", "0"),
        ("digits_receive", {"digit_timeout_s": float("nan")}, "digit_timeout_s", ""),
        ("digits_receive", {"duration": 1, "duration_ms": 1}, "duration_ms", "twice"),
        ("talk", {"text": "x", "barge_in": "all"}, "barge_in", "keys"),
        ("talk", {"text": "x", "loop": -1}, "loop", "0"),
        ("talk", {"text": "x", "loop": 1001}, "loop", "1000"),
        ("talk", {"text": "x", "loop": True}, "loop", "integer"),
        ("play", {"stream_urls": ["a"], "volume_db": 21}, "volume_db", "20"),
        ("play", {"stream_urls": ["a"], "volume_db": -61}, "volume_db", "-60"),
        ("play", {"stream_urls": ["a"], "pause_ms": 60_001}, "pause_ms", "60000"),
        ("beep", {"frequency_hz": 99}, "frequency_hz", "100"),
        ("beep", {"duration_ms": 99}, "duration_ms", "100"),
    ],
)
def test_wrong_options(kind, option, path, said):
    with pytest.raises(InvalidRequest) as refusal:
        parse_actions([{"type": kind, "option": option}])
    (fault,) = refusal.value.faults
    assert fault.path == f"actions[0].option.{path}"
    assert said in fault.message


def test_older_names():
    (receive, send) = parse_actions(
        [
            {"type": "digits_receive", "option": {"duration": 3000, "finish_on_key": "#", "max_number_key": 4}},
            {"type": "digits_send", "option": {"dtmfs": "12", "duration": 300, "interval": 0}},
        ]
    )
    assert receive == DigitsReceive(4, "#", duration_ms=3000)
    assert send == DigitsSend("12", 300, 0)
