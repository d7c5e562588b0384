"""The quality of a call: from its counters, while it lives and at its end."""

import asyncio

import pytest

from sipcore import engine as wire
from sipcore.engine import RtpStatistics
from sipcore.quality import Quality, quality_of

from .stage import Stage, address, play

GOOD = RtpStatistics("PCMU/8000", tx_packets=500, rx_packets=1000, rx_jitter_ms=1.0, rtt_ms=20.0)
BAD = RtpStatistics("PCMU/8000", rx_packets=950, rx_lost=50, rx_discarded=10, rx_jitter_ms=30.0, rtt_ms=300.0)


def test_good_call():
    assert quality_of(GOOD) == Quality("PCMU/8000", 1000, 0, 0, 0.0, 1.0, 20.0, r_factor=91.8, mos=4.38)
    assert quality_of(GOOD).to_json()["mos"] == 4.38


def test_bad_call():
    quality = quality_of(BAD)
    assert (quality.lost, quality.discarded, quality.loss_percent) == (50, 10, 6.0)
    assert 2.9 < quality.mos < 3.4


def test_nothing_received_is_no_rating():
    assert quality_of(RtpStatistics("PCMU/8000", tx_packets=9)).mos is None
    unknown = quality_of(RtpStatistics("AMR/8000", rx_packets=9))
    assert (unknown.received, unknown.mos, unknown.r_factor, unknown.round_trip_ms) == (9, None, None, None)


@pytest.mark.parametrize("lost", [-5, 0])
def test_duplicates_are_no_loss(lost):
    assert quality_of(RtpStatistics("PCMU/8000", rx_packets=10, rx_lost=lost, rx_duplicates=5)).loss_percent == 0.0


def test_while_the_call_lives_and_in_its_record(root):
    async def scenario(stage: Stage):
        calls = stage.switch.calls
        async with stage.switch.dial(address("bob")) as call:
            assert call.quality() is None
            assert await calls.quality(call.id) is None
            stage.engine.tell(wire.MediaStatistics(call.id, GOOD))
            await asyncio.sleep(0)
            assert call.quality() == await calls.quality(call.id) == quality_of(GOOD)
            assert call.record.quality is None
            stage.engine.tell(wire.CallDisconnected(call.id, 200, "OK", True, statistics=BAD))
            await call.ended()
            stage.engine.hang_up_remote(call.id)  # the fake's own leg
        assert call.quality() == call.record.quality == await calls.quality(call.id) == quality_of(BAD)
        assert len(call.record.to_json()) == 20

    play(root, scenario)
