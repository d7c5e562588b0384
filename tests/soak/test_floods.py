"""2,000 requests a second for ten seconds, while eight calls play: they keep their audio, memory is bounded, service is back within a second."""

from __future__ import annotations

import pytest

from tests.sip.abuse import NEIGHBOUR, STRANGER, TRUNK_SOURCE, assert_serves, engine_of, flood, rss_mb, talking, worker_pids

RATE = 2000
SECONDS = 10
GROWTH_MB = 60
"""Of all processes together, their shared pages counted in each. Workers that a flood of an allowed source makes come on top."""


def abused(switch, tmp_path, **options):
    """A flood beside live calls; returns what came of it, and how much memory our processes have grown by while it went on."""
    assert_serves(switch)
    with talking(switch, tmp_path, 100) as live:
        workers, before_mb = worker_pids(switch), rss_mb(switch)
        with flood(switch.sip_address, rate=RATE, seconds=SECONDS, **options) as told:
            live.wait_packets(round(SECONDS / 2 * 50), SECONDS)
            live.assert_steady()
        assert_serves(switch)
        grown_mb = rss_mb(switch) - before_mb
        live.wait_packets(50)
        live.assert_steady()
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


def test_invites_of_an_allowed_source(switch, tmp_path):
    answers, _ = abused(switch, tmp_path, source=NEIGHBOUR)
    assert set(answers) <= {"100", "200", "503"}
    assert engine_of(switch).legs_in_use <= 16 + 8, "strangers have a quarter of the legs"


def test_invites_of_a_trunk(switch, tmp_path):
    abused(switch, tmp_path, source=TRUNK_SOURCE)


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
