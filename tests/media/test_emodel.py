"""The E-model, against the numbers of ITU-T G.107 and G.113 and against what must be so."""

import math

import pytest

from media.emodel import codec_is_known, estimate, mos_of


def r(codec="PCMU", loss=0.0, delay=0.0, burst=1.0):
    return estimate(codec, loss_percent=loss, one_way_delay_ms=delay, burst_ratio=burst).r


def test_default_connection_has_the_rating_of_g107():
    assert r() == pytest.approx(93.2, abs=0.05)
    assert estimate("PCMU", loss_percent=0, one_way_delay_ms=0).mos == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(("rating", "mos"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_opinion_scores_of_g107_annex_b(rating, mos):
    assert mos_of(rating) == pytest.approx(mos, abs=0.01)


def test_ends_of_the_scale():
    assert (mos_of(-1), mos_of(0), mos_of(3), mos_of(100), mos_of(120)) == (1.0, 1.0, 1.0, 4.5, 4.5)
    assert r("G723", loss=100, delay=2000) == 0.0


@pytest.mark.parametrize(
    ("codec", "loss", "impairment"),
    [("PCMU", 0, 0.0), ("PCMA", 1, 95 / 26.1), ("G729", 0, 10.0), ("G729", 2, 10 + 85 * 2 / 21), ("G723", 0, 15.0), ("GSM-EFR", 0, 5.0)],
)
def test_codec_and_loss_as_in_g113(codec, loss, impairment):
    assert r(codec, loss) == pytest.approx(93.206 - impairment, abs=0.01)


@pytest.mark.parametrize("delay", [20, 50, 100, 150, 177, 200, 250, 300])
def test_delay_is_about_what_the_usual_approximation_says(delay):
    """0.024 d + 0.11 (d - 177.3) above 177.3 ms (Cole and Rosenbluth 2001), fitted to the same equations."""
    assert r(delay=delay) == pytest.approx(93.2 - 0.024 * delay - 0.11 * max(0.0, delay - 177.3), abs=0.9)


def test_worse_is_never_better():
    for worse in ([r(loss=x) for x in range(0, 101, 5)], [r(delay=x) for x in range(0, 1500, 50)], [r(loss=3, burst=x) for x in (1, 2, 4)]):
        assert worse == sorted(worse, reverse=True)
        assert all(math.isfinite(rating) and 0 <= rating <= 93.21 for rating in worse)


def test_names_of_codecs():
    assert r("pcmu/8000") == r("PCMU")
    assert codec_is_known("G722/8000")
    assert not codec_is_known("")
    assert not codec_is_known("telephone-event/8000")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"codec": "AMR"}, "no values for the codec 'AMR'"),
        ({"loss": -1}, "loss_percent is from 0 to 100, not -1"),
        ({"loss": float("nan")}, "loss_percent"),
        ({"delay": -0.1}, "one_way_delay_ms"),
        ({"delay": float("inf")}, "one_way_delay_ms"),
        ({"burst": 0}, "burst_ratio"),
    ],
)
def test_bad_input(given, message):
    with pytest.raises(ValueError, match=message):
        r(**given)
