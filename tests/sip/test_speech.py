"""Speech over a real call: the sentences of a long text follow each other closely, and SSML arrives with its pauses."""

from __future__ import annotations

import pytest

from media.measure import best_match
from sipcore import Talk
from sipcore.testing.phone import Phone

from .listening import RATE_HZ, spoken

SENTENCES = [
    "Here is one sentence that is long enough.",
    "And this is another one, just as long as it.",
    "The third is the last one of this text, too.",
]
NATURAL_PAUSE_S = 0.25


@pytest.fixture
def phone():
    with Phone("bob") as opened:
        yield opened


def begins_s(heard, text: str) -> float:
    match = best_match(heard, spoken(text), RATE_HZ)
    assert match.correlation > 0.95
    return match.delay_s


def test_sentences_follow_each_other_within_a_natural_pause(open_switch, phone):
    with open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[Talk(" ".join(SENTENCES))])
        assert call.wait(timeout_s=30).hangup_reason == "normal"
    heard = phone.last_call.heard()
    begins = [begins_s(heard, text) for text in SENTENCES]
    gaps = [after - before - 0.05 * len(text) for before, after, text in zip(begins, begins[1:], SENTENCES, strict=False)]
    print("gaps between sentences, ms:", [round(gap * 1000) for gap in gaps])
    assert all(-0.02 < gap < NATURAL_PAUSE_S for gap in gaps), gaps


def test_ssml_arrives_with_its_pause(open_switch, phone):
    with open_switch() as switch:
        call = switch.calls.create(destination=phone.uri, actions=[Talk('<speak>first part <break time="700ms"/> second part</speak>')])
        assert call.wait(timeout_s=30).hangup_reason == "normal"
    heard = phone.last_call.heard()
    first, second = begins_s(heard, "first part"), begins_s(heard, "second part")
    assert second - first == pytest.approx(0.05 * len("first part") + 0.7, abs=0.03)
