"""When a datagram came: right even when another thread runs while the clocks are looked at."""

import itertools
import socket
import time

import pytest

from sipcore.testing import arrival


@pytest.fixture
def pair():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        arrival.note_arrivals(receiver)
        sender.connect(receiver.getsockname())
        yield sender, receiver


def test_when_the_kernel_got_it_not_when_it_was_read(pair):
    sender, receiver = pair
    before_s = time.monotonic()
    sender.send(b"x")
    after_s = time.monotonic()
    time.sleep(0.05)
    _, ancillary, _, _ = receiver.recvmsg(16, arrival.ANCILLARY_BYTES)
    assert before_s - 0.001 <= arrival.arrival_s(ancillary) <= after_s + 0.001


@pytest.mark.parametrize("held_up_at", range(6))
def test_a_hold_up_between_two_clocks_is_no_earlier_arrival(pair, monkeypatch, held_up_at):
    """Each look at a clock takes a microsecond, but one of them 0.2 s."""
    sender, receiver = pair
    sender.send(b"x")
    _, ancillary, _, _ = receiver.recvmsg(16, arrival.ANCILLARY_BYTES)
    expected_s = arrival.arrival_s(ancillary)
    ahead_ns = time.time_ns() - time.monotonic_ns()
    looks, now_ns = itertools.count(), time.monotonic_ns()

    def look() -> int:
        nonlocal now_ns
        now_ns += 200_000_000 if next(looks) == held_up_at else 1_000
        return now_ns

    monkeypatch.setattr(time, "monotonic_ns", look)
    monkeypatch.setattr(time, "time_ns", lambda: look() + ahead_ns)
    monkeypatch.setattr(time, "monotonic", lambda: look() / 1e9)
    assert arrival.arrival_s(ancillary) == pytest.approx(expected_s, abs=0.001)


def test_now_when_nobody_has_said():
    before_s = time.monotonic()
    assert before_s <= arrival.arrival_s([]) <= time.monotonic()
