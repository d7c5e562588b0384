"""What a bad network does to packets: by the clock of the test, and once over real sockets."""

import collections
import itertools
import socket

import pytest

from sipcore.testing import Impairment, RtpRelay


def carried(impairment, count=5000, every_s=0.02):
    """Delivery times of packets sent at a steady pace, by packet."""
    impairer = impairment.start()
    return [impairer.deliver(100 + n * every_s) for n in range(count)]


def lost(deliveries):
    return [not times for times in deliveries]


def bursts(flags):
    """Lengths of the rows of losses."""
    text = "".join("x" if flag else " " for flag in flags)
    return [len(row) for row in text.split()]


def test_a_good_network_changes_nothing():
    assert carried(Impairment(), 3) == [(100.0,), (100.02,), (100.04,)]


def test_the_same_seed_the_same_fate():
    bad = {"loss": 0.1, "jitter_ms": 30, "reorder": 0.05, "duplicate": 0.02}
    assert carried(Impairment(**bad, seed=1)) == carried(Impairment(**bad, seed=1))
    assert carried(Impairment(**bad, seed=1)) != carried(Impairment(**bad, seed=2))


def test_one_fault_does_not_move_another():
    plain = lost(carried(Impairment(loss=0.1, seed=3)))
    assert lost(carried(Impairment(loss=0.1, jitter_ms=50, duplicate=0.5, reorder=0.1, seed=3))) == plain


def test_losses_at_random_and_in_bursts():
    single = lost(carried(Impairment(loss=0.1, seed=1), 20000))
    assert sum(single) / 20000 == pytest.approx(0.1, abs=0.01)
    assert sum(bursts(single)) / len(bursts(single)) == pytest.approx(1.11, abs=0.05)
    rows = lost(carried(Impairment(loss=0.1, mean_burst=4, seed=1), 20000))
    assert sum(rows) / 20000 == pytest.approx(0.1, abs=0.02)
    assert sum(bursts(rows)) / len(bursts(rows)) == pytest.approx(4, abs=0.4)
    assert all(lost(carried(Impairment(loss=1))))


def test_jitter_delays_and_keeps_the_order():
    times = [time for (time,) in carried(Impairment(delay_ms=40, jitter_ms=30, seed=1))]
    extra_ms = [(time - 100 - n * 0.02) * 1000 for n, time in enumerate(times)]
    assert times == sorted(times)
    assert min(extra_ms) == pytest.approx(40, abs=1)
    assert max(extra_ms) == pytest.approx(70, abs=1)


def test_reordering_and_doubling():
    deliveries = carried(Impairment(reorder=0.1, duplicate=0.2, seed=1))
    times = [times[0] for times in deliveries]
    overtaken = sum(after < before for before, after in itertools.pairwise(times))
    assert overtaken / len(times) == pytest.approx(0.1, abs=0.02)
    assert sum(len(times) == 2 for times in deliveries) / len(deliveries) == pytest.approx(0.2, abs=0.02)


def test_gaps_and_steps_of_delay():
    assert bursts(lost(carried(Impairment(gaps=[(1.0, 1.2)]), 100))) == [10]
    times = [time for (time,) in carried(Impairment(delay_ms=5, delays=[(0.5, 100), (1.0, 20)]), 100)]
    delays = collections.Counter(round((time - 100 - n * 0.02) * 1000) for n, time in enumerate(times))
    assert delays[5] == 25
    assert delays[100] == 25
    assert delays[20] >= 46  # those of the step down wait for the late ones before them


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"loss": 2}, "loss is a share"),
        ({"jitter_ms": -1}, "jitter_ms is from 0"),
        ({"mean_burst": 0.5}, "1 packet or more"),
        ({"loss": 0.9, "mean_burst": 2}, "lose at most 67%, not 90%"),
        ({"gaps": [(2, 1)]}, "from 2 s to 1 s"),
        ({"delays": [(2, 10), (1, 10)]}, "in order of time"),
    ],
)
def test_networks_that_cannot_be(wrong, message):
    with pytest.raises(ValueError, match=message):
        Impairment(**wrong)


def rtp(number):
    return bytes([0x80, 0, number >> 8, number & 255]) + bytes(8) + b"\xff" * 160


def test_a_relay_between_two_ends():
    ends = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    caller, callee = ends
    try:
        for end in ends:
            end.bind(("127.0.0.1", 0))
            end.settimeout(5)
        forward, backward = Impairment(loss=0.5, seed=1), Impairment(duplicate=1)
        with RtpRelay(callee.getsockname(), forward, backward) as relay:
            for number in range(100):
                caller.sendto(rtp(number), ("127.0.0.1", relay.port))
            expected = forward.start()
            arrived = [number for number in range(100) if expected.deliver(number)]
            datagrams = [callee.recvfrom(300) for _ in arrived]
            assert [int.from_bytes(datagram[2:4]) for datagram, _ in datagrams] == arrived
            callee.sendto(rtp(7), datagrams[0][1])
            assert [caller.recv(300) for _ in range(2)] == [rtp(7)] * 2
        assert (relay.received, relay.sent) == ([100, 1], [len(arrived), 2])
    finally:
        for end in ends:
            end.close()
