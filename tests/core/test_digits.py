"""Digits, pure: one press is one digit, the buffer, and the reading of digits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipcore.digits import DIGITS, KEPT_DIGITS, DigitBuffer, Ended, Presses, Reading, Rules, is_among


def counted(*arrivals: tuple[float, str, str]) -> str:
    """The digits that count, of (time, digit, way)."""
    presses = Presses()
    return "".join(digit for at_s, digit, way in arrivals if presses.is_new(digit, way, at_s))


def test_a_press_by_two_ways_counts_once():
    assert counted((0.0, "5", "rtp"), (0.16, "5", "info")) == "5"
    assert counted((0.0, "5", "info"), (0.05, "5", "rtp"), (0.1, "5", "inband")) == "5"


def test_presses_by_one_way_all_count():
    assert counted(*((0.01 * number, "5", "rtp") for number in range(5))) == "55555"


def test_fast_repeats_by_two_ways_are_matched_in_order():
    assert counted((0.0, "1", "rtp"), (0.1, "1", "rtp"), (0.15, "1", "info"), (0.25, "1", "info"), (0.3, "1", "rtp")) == "111"


def test_a_late_press_is_another_one():
    assert counted((0.0, "5", "rtp"), (1.6, "5", "info")) == "55"


@given(st.text(DIGITS, max_size=40), st.integers(0, 9))
def test_whatever_is_typed_counts_once_by_any_two_ways(typed, lag):
    down = [(0.2 * number, digit, "rtp") for number, digit in enumerate(typed)]
    up = [(at_s + 0.1 * lag + 0.05, digit, "info") for at_s, digit, _ in down]
    assert counted(*sorted(down + up)) == typed


def test_a_flood_is_forgotten_and_counted():
    assert counted(*((0.0001 * number, DIGITS[number % 16], "rtp") for number in range(1000))) == (DIGITS * 63)[:1000]


def test_the_buffer_gives_in_order_and_is_bounded():
    buffer = DigitBuffer()
    assert [buffer.press("12#"[number % 3]) for number in range(1000)].count(True) == KEPT_DIGITS == len(buffer)
    assert str(buffer).startswith("12#12#")
    assert (buffer.take(), buffer.take(), str(buffer)[:2]) == ("1", "2", "#1")
    assert buffer.has_one_of("#")
    assert not buffer.has_one_of("9")
    assert not buffer.has_one_of("")
    buffer.clear()
    assert (buffer.take(), len(buffer), buffer.has_one_of("any")) == ("", 0, False)


@pytest.mark.parametrize(("keys", "yes"), [("", False), ("any", True), ("12", False), ("45", True)])
def test_is_among(keys, yes):
    assert is_among("5", keys) is yes


def read(rules: Rules, *pressed: tuple[float, str]) -> Reading:
    """What is read when these keys are pressed at these times, and nothing else for a day."""
    reading = Reading.begin(rules, 0.0)
    for at_s, digit in pressed:
        reading = reading.expire(at_s).press(digit, at_s)
    return reading.expire(86_400.0)


def test_a_number_of_digits():
    assert read(Rules(2), (1, "4"), (2, "2"), (3, "9")) == Reading(Rules(2), 0.0, 2, "42", Ended.LENGTH)


def test_a_finish_key():
    for keeps, digits in ((False, "42"), (True, "42#")):
        reading = read(Rules(9, "#*", keeps), (1, "4"), (2, "2"), (3, "#"), (4, "1"))
        assert (reading.digits, reading.ended) == (digits, Ended.KEY)
    assert read(Rules(3, "any", keeps_key=True), (1, "7")).digits == "7"
    assert read(Rules(3, "#"), (1, "#")).digits == ""


def test_times():
    rules = Rules(9, whole_s=10.0, first_s=5.0, between_s=2.0)
    assert Reading.begin(rules, 0.0).deadline_s == 5.0
    assert read(rules).ended is Ended.TIMEOUT
    assert Reading.begin(rules, 0.0).press("1", 4.0).deadline_s == 6.0
    assert read(rules, (4.9, "1"), (6.8, "2"), (8.9, "3")).digits == "12", "more than two seconds after the one before"
    assert Reading.begin(rules, 0.0).press("1", 4.0).press("2", 5.9).press("3", 7.8).press("4", 9.7).deadline_s == 10.0
    assert Reading.begin(rules, 0.0).expire(4.99).ended is None
    assert Reading.begin(rules, 0.0).expire(5.0).ended is Ended.TIMEOUT


def test_without_times_it_waits_for_ever():
    reading = Reading.begin(Rules(0, "#"), 0.0)
    assert reading.deadline_s is None
    assert reading.expire(1e9).ended is None
    for number in range(50):
        reading = reading.press("1", number)
    assert (reading.ended, len(reading.digits)) == (None, 50)


@given(st.lists(st.tuples(st.floats(0, 20), st.sampled_from(DIGITS))), st.integers(1, 5))
def test_it_always_ends_and_never_reads_more(pressed, length):
    rules = Rules(length, "#", whole_s=10.0, first_s=5.0, between_s=3.0)
    reading = read(rules, *sorted(pressed))
    assert reading.ended is not None
    assert len(reading.digits) <= length
    assert "#" not in reading.digits
