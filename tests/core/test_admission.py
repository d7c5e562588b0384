"""Limits of a trunk, on a clock that the test turns."""

import heapq
import itertools
import random

import pytest

from sipcore.admission import Admission, Full, Granted, Limit, WaitUntil


def test_a_trunk_without_limits_takes_everything():
    admission = Admission({"a": Limit()})
    assert all(admission.ask(name, f"{name}{n}", 0.0) == Granted() for name in ("a", "unknown") for n in range(1000))
    assert admission.waiting("a") == ()


def test_calls_above_the_most_are_refused_until_one_is_over():
    admission = Admission({"a": Limit(max_calls=2), "b": Limit(max_calls=1)})
    assert [admission.ask("a", call_id, 0.0) for call_id in ("1", "2", "3")] == [Granted(), Granted(), Full("a", "calls", 2, 2)]
    assert admission.ask("b", "4", 0.0) == Granted()
    admission.release("3")
    assert admission.ask("a", "3", 0.0) == Full("a", "calls", 2, 2)
    admission.release("1")
    admission.release("1")
    assert admission.ask("a", "3", 0.0) == Granted()
    assert admission.ask("a", "5", 0.0) == Full("a", "calls", 2, 2)


def test_who_was_admitted_is_not_counted_twice():
    admission = Admission({"a": Limit(max_calls=1)})
    assert admission.ask("a", "1", 0.0) == admission.ask("a", "1", 0.0) == Granted()
    assert admission.in_use("a") == 1


def test_the_second_call_waits_its_turn_and_the_third_behind_it():
    admission = Admission({"a": Limit(calls_per_second=4)})
    assert admission.ask("a", "1", 100.0) == Granted()
    assert admission.ask("a", "2", 100.0) == WaitUntil(100.25)
    assert admission.ask("a", "3", 100.0) == WaitUntil(100.5)
    assert admission.waiting("a") == ("2", "3")
    assert admission.ask("a", "3", 100.1) == WaitUntil(pytest.approx(100.5))
    assert admission.ask("a", "2", 100.25) == Granted()
    assert admission.ask("a", "3", 100.5) == Granted()
    assert admission.waiting("a") == ()


def test_who_gives_up_makes_room():
    admission = Admission({"a": Limit(calls_per_second=1)})
    admission.ask("a", "1", 0.0)
    admission.ask("a", "2", 0.0)
    assert admission.ask("a", "3", 0.0) == WaitUntil(2.0)
    admission.release("2")
    assert admission.ask("a", "3", 0.5) == WaitUntil(1.0)


def test_a_pause_saves_up_one_call_only():
    admission = Admission({"a": Limit(calls_per_second=2)})
    admission.ask("a", "1", 0.0)
    assert [admission.ask("a", call_id, 1000.0) for call_id in ("2", "3")] == [Granted(), WaitUntil(1000.5)]


def test_the_line_is_bounded():
    admission = Admission({"a": Limit(calls_per_second=2)}, max_wait_s=3.0)
    verdicts = [admission.ask("a", str(n), 0.0) for n in range(9)]
    assert [type(verdict) for verdict in verdicts] == [Granted, *[WaitUntil] * 6, Full, Full]
    assert verdicts[6] == WaitUntil(3.0)
    assert verdicts[7] == Full("a", "waiting calls", 6, 6)


def test_who_waits_has_a_place_among_the_most():
    admission = Admission({"a": Limit(max_calls=2, calls_per_second=1)})
    assert [type(admission.ask("a", str(n), 0.0)) for n in range(3)] == [Granted, WaitUntil, Full]
    assert admission.ask("a", "1", 1.0) == Granted()


def test_a_clock_that_goes_back_gives_nothing_away():
    admission = Admission({"a": Limit(calls_per_second=1)})
    admission.ask("a", "1", 10.0)
    assert isinstance(admission.ask("a", "2", 5.0), WaitUntil)
    assert isinstance(admission.ask("a", "2", 10.5), WaitUntil)


@pytest.mark.parametrize("rate", [0.3, 1, 7, 33.3])
def test_in_order_and_never_faster_than_the_rate(rate):
    """Calls at random times, some of which give up; each asks again exactly when it was told."""
    rand = random.Random(4)
    admission = Admission({"a": Limit(calls_per_second=rate)}, max_wait_s=1e9)
    counter = itertools.count()
    agenda = [(rand.random() * 100 / rate, next(counter), str(n)) for n in range(300)]
    arrival = {call_id: at for at, _, call_id in agenda}
    heapq.heapify(agenda)
    granted: list[tuple[float, str]] = []
    while agenda:
        now, _, call_id = heapq.heappop(agenda)
        if rand.random() < 0.05:
            admission.release(call_id)
            continue
        match admission.ask("a", call_id, now):
            case WaitUntil(at):
                assert at > now - 1e-6
                heapq.heappush(agenda, (at if at > now else now + 1e-6, next(counter), call_id))
            case Granted():
                granted.append((now, call_id))
    assert len(granted) > 150
    assert admission.waiting("a") == ()
    times = [at for at, _ in granted]
    assert all(later - earlier >= 1 / rate - 1e-6 for earlier, later in itertools.pairwise(times))
    assert [call_id for _, call_id in granted] == sorted((call_id for _, call_id in granted), key=arrival.__getitem__)
