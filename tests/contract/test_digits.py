"""Digits: what both engines promise."""

from __future__ import annotations

import pytest

from sipcore import engine as wire
from sipcore.testing.fake_engine import FarEnd


def digits(line, call_id):
    return "".join(event.digit for event in line.of(call_id) if isinstance(event, wire.DtmfReceived))


def sent(line, call_id):
    return [(event.send_id, event.error) for event in line.of(call_id) if isinstance(event, wire.DigitsSent)]


@pytest.mark.parametrize("is_awaited", [True, False])
def test_keys_of_the_far_end_are_told_in_order(play, is_awaited):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.AwaitDigits(call_id, is_awaited))
        line.press(call_id, "1123")
        await line.until(lambda: len(digits(line, call_id)) == 4)
        assert digits(line, call_id) == "1123"

    play(story)


def test_keys_of_a_far_end_that_presses_them_by_itself(play):
    async def story(line):
        call_id = await line.answered(FarEnd(digits="4#", digits_after_s=0.2))
        await line.until(lambda: digits(line, call_id) == "4#")

    play(story)


def test_digits_are_sent_and_told(play):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.SendDigits(call_id, "a", "1#", 100, 100))
        await line.until(lambda: sent(line, call_id))
        assert sent(line, call_id) == [("a", "")]
        assert line.keys(call_id) == "1#"

    play(story)


def test_new_digits_replace_those_before_and_stopped_ones_are_not_told(play):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.SendDigits(call_id, "a", "1" * 50, 100, 100))
        line.engine.submit(wire.SendDigits(call_id, "b", "2" * 50, 100, 100))
        line.engine.submit(wire.StopDigits(call_id, "a"))
        line.engine.submit(wire.StopDigits(call_id, "b"))
        line.engine.submit(wire.SendDigits(call_id, "c", "3", 100, 100))
        await line.until(lambda: len(sent(line, call_id)) == 2)
        assert sent(line, call_id) == [("a", "replaced"), ("c", "")]
        assert line.keys(call_id).endswith("3")
        assert len(line.keys(call_id)) < 10

    play(story)


def test_digits_before_the_media_are_refused(play):
    async def story(line):
        call_id = line.dial(line.far_end(FarEnd(answer_after_s=None)))
        await line.got(wire.CallProvisional, call_id)
        line.engine.submit(wire.SendDigits(call_id, "a", "1"))
        await line.until(lambda: sent(line, call_id))
        ((_, error),) = sent(line, call_id)
        assert error == "the call has no audio"

    play(story)


def test_the_end_of_a_leg_ends_its_digits(play):
    async def story(line):
        call_id = await line.answered()
        line.engine.submit(wire.SendDigits(call_id, "a", "1" * 50, 100, 100))
        line.engine.submit(wire.Hangup(call_id))
        await line.ended(call_id)
        line.engine.submit(wire.SendDigits(call_id, "b", "1"))
        line.engine.submit(wire.AwaitDigits(call_id))
        line.engine.submit(wire.StopDigits(call_id, "a"))
        other = await line.answered()
        line.engine.submit(wire.Hangup(other))
        await line.ended(other)
        assert sent(line, call_id) == []

    play(story)
