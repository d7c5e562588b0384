"""A bad network between us and the far end: what we count of it is what was lost."""

from __future__ import annotations

import pytest

from sipcore import Play, Switch
from sipcore.testing import Impairment, pictures_in
from sipcore.testing.phone import Phone

from .listening import write_burst


def test_a_tenth_lost_is_seen_in_our_statistics_and_the_score_falls(switch: Switch, phone: Phone, tmp_path) -> None:
    """Two calls at once: one over a good network, one over one that loses a tenth both ways."""
    reference = write_burst(tmp_path / "burst.wav", 2.4)
    phone.tone(440)
    good = switch.calls.create(destination=phone.uri, actions=[Play([str(tmp_path / "burst.wav")])])
    heard_well = phone.wait_call(10)
    phone.impair(Impairment(loss=0.1, seed=2), received=Impairment(loss=0.1, seed=3))
    bad = switch.calls.create(destination=phone.uri, actions=[Play([str(tmp_path / "burst.wav")])])
    heard_badly = phone.wait_call(10)
    qualities = []
    for call in (good, bad):
        assert call.wait(20).hangup_reason == "normal"
        qualities.append(switch.calls.quality(call.id))
    fine, poor = qualities
    assert fine.lost == 0
    # The same packets are lost each time; how many of them there are until the end is not the same.
    assert 5 < poor.loss_percent < 16
    assert poor.lost > 4
    assert poor.mos < fine.mos - 0.4
    heard_well.wait_ended(5)
    heard_badly.wait_ended(5)
    heard_well.assert_heard(reference)
    assert heard_well.lost_packets == 0
    assert heard_badly.lost_packets > 4
    assert heard_badly.quality().mos < heard_well.quality().mos - 0.4
    with pictures_in(None), pytest.raises(AssertionError, match=r"a gap of"):
        heard_badly.assert_no_gaps(max_ms=35)
