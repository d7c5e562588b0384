"""2,000 requests a second for ten seconds while eight calls play: they are heard, memory is bounded, service is back within a second."""

from __future__ import annotations

import os
import signal
import statistics

import pytest

from tests.sip.abuse import (
    MAX_GAP_MS,
    NEIGHBOUR,
    SETTINGS,
    STRANGER,
    TRUNK_SOURCE,
    assert_serves,
    engine_of,
    flood,
    rss_mb,
    serve,
    talking,
    worker_pids,
)

RATE = 2000
SECONDS = 10
GROWTH_MB = 60
"""Of all processes together, their shared pages counted in each. Workers that a flood of an allowed source makes come on top."""
WORKER_MB = 40
"""Resident, with what it shares."""


def abused(switch, tmp_path, **options):
    """A flood beside live calls; returns what came of it, and how much memory our processes have grown by while it went on."""
    assert_serves(switch, 1.0)
    with talking(switch, tmp_path, 100) as live:
        workers, before_mb = worker_pids(switch), rss_mb(switch)
        with flood(switch.sip_address, rate=RATE, seconds=SECONDS, **options) as told:
            live.wait_packets(round(SECONDS / 2 * 50), SECONDS)
            live.assert_steady(MAX_GAP_MS)
        assert_serves(switch, 1.0)
        grown_mb = rss_mb(switch) - before_mb
        live.wait_packets(50)
        live.assert_steady(MAX_GAP_MS)
        assert workers <= worker_pids(switch)
    assert told["sent"] > 0.9 * RATE * SECONDS
    assert engine_of(switch).workers_lost == 0
    assert engine_of(switch).legs_in_use <= switch.config.max_legs
    return told["answers"], grown_mb


def test_invites_of_a_stranger(switch, tmp_path):
    answers, grown_mb = abused(switch, tmp_path, source=STRANGER)
    assert set(answers) <= {"403"}
    assert sum(answers.values()) <= 200 + 100 * (SECONDS + 1)
    assert grown_mb < GROWTH_MB


@pytest.mark.sip_faults("bye-missing")  # who floods acknowledges no answer, and no BYE may be sent before (RFC 3261 §15)
def test_invites_of_an_allowed_source(switch, tmp_path):
    answers, grown_mb = abused(switch, tmp_path, source=NEIGHBOUR)
    assert set(answers) <= {"100", "200", "503"}
    assert engine_of(switch).legs_in_use <= 16 + 8, "strangers have a quarter of the legs"
    assert grown_mb < GROWTH_MB + 4 * WORKER_MB, "they are in four workers"


def test_invites_of_a_trunk(open_switch, tmp_path):
    """For a number that nobody has: those of a trunk that are answered without an ACK have its own slots for 32 s."""
    with open_switch(**SETTINGS) as switch:
        serve(switch, tmp_path, to="service")
        answers, grown_mb = abused(switch, tmp_path, source=TRUNK_SOURCE, user="nobody")
    assert set(answers) <= {"404", "503"}
    assert sum(answers.values()) > 500, "a trunk is not limited"
    assert grown_mb < GROWTH_MB


def test_options_of_a_stranger(switch, tmp_path):
    answers, grown_mb = abused(switch, tmp_path, source=STRANGER, method="OPTIONS")
    assert sum(answers.values()) <= 200 + 100 * (SECONDS + 1)
    assert grown_mb < GROWTH_MB


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_scanner(switch, tmp_path, caplog, method):
    answers, grown_mb = abused(switch, tmp_path, source=NEIGHBOUR, method=method, user_agent="friendly-scanner")
    assert answers == {}
    assert grown_mb < GROWTH_MB
    about = [record.getMessage() for record in caplog.records if NEIGHBOUR in record.getMessage()]
    assert len(about) == 1, about


def test_a_front_door_that_is_killed_is_back_within_a_second(switch, tmp_path):
    """On a machine that has nothing else to do, which `make soak` wants: the median of five."""
    with talking(switch, tmp_path, 60) as live:
        waits_s = []
        for _ in range(5):
            os.kill(engine_of(switch).door_pid, signal.SIGKILL)
            waits_s.append(assert_serves(switch, 5.0))
        live.assert_steady(MAX_GAP_MS)
    assert statistics.median(waits_s) < 1.0, waits_s
