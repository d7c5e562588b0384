"""RTP that stops or moves; no PJSIP, no clock."""

from __future__ import annotations

import pytest

from sipcore import engine
from sipcore.pjsip.rtpwatch import RtpWatch

FAR, OTHER = "192.0.2.1:4000", "192.0.2.2:4000"


def watch(remote: str = FAR, timeout_s: float = 10.0) -> RtpWatch:
    made = RtpWatch("c", timeout_s)
    made.negotiated(remote)
    return made


def looks(made: RtpWatch, *states: tuple[float, int], is_expected: bool = True) -> list[engine.Event]:
    return [event for now_s, packets in states for event in made.look(packets, FAR, now_s, is_expected=is_expected)]


def test_silence_once():
    made = watch()
    assert looks(made, (0, 0), (9, 0)) == []
    assert looks(made, (10, 0), (11, 0), (60, 0)) == [engine.RtpSilent("c", 10)]
    assert looks(made, (61, 5), (70, 5)) == []
    assert looks(made, (72, 5)) == [engine.RtpSilent("c", 11)]


def test_a_new_stream_counts_anew():
    made = watch()
    assert looks(made, (0, 500), (9, 500), (10, 0), (19, 0)) == []


def test_nobody_need_speak_when_it_is_not_expected():
    made = watch()
    assert looks(made, (0, 5), (100, 5), is_expected=False) == []
    assert looks(made, (105, 5)) == []
    assert looks(made, (110, 5)) == [engine.RtpSilent("c", 10)]


def test_off():
    assert looks(watch(timeout_s=0), (0, 0), (1000, 0)) == []


def test_another_source():
    made = watch()
    assert made.look(5, FAR, 0, is_expected=True) == []
    assert made.look(9, OTHER, 1, is_expected=True) == [engine.RtpSourceChanged("c", FAR, OTHER)]
    assert made.look(12, OTHER, 2, is_expected=True) == []
    assert made.look(15, FAR, 3, is_expected=True) == [engine.RtpSourceChanged("c", OTHER, FAR)]


@pytest.mark.parametrize("remote", ["10.0.0.1:4000", "192.168.1.1:9", "0.0.0.0:9", "phone.example:9"])
def test_the_first_packet_tells_where_a_phone_behind_nat_is(remote):
    made = watch(remote)
    assert made.look(5, "198.51.100.5:7", 0, is_expected=True) == []
    assert made.look(9, OTHER, 1, is_expected=True) == [engine.RtpSourceChanged("c", "198.51.100.5:7", OTHER)]


def test_before_the_first_packet_there_is_no_source():
    assert watch().look(0, "0.0.0.0:0", 0, is_expected=True) == []
