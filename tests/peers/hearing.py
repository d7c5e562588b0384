"""A conversation that both sides can be asked about afterwards."""

from __future__ import annotations

from pathlib import Path

from media.measure import tone_to_rest_db
from sipcore.testing.hearing import Capture, assert_tone, capture_of
from sipcore.testing.phone import Phone, PhoneCall

from .baresip import Baresip

PACKETS = 25
LAST_S = 0.3
MIN_DBFS = -30.0
CLEAR_DB = 12.0
"""G.722 has 2 bits a sample for the upper half of its band, and may code twice on the way: 19 dB are left then."""


def talk(ear: Phone) -> PhoneCall:
    """Until the next call of this phone has carried half a second of audio, which goes both ways at the same time."""
    call = ear.wait_call(10.0)
    call.wait_packets(PACKETS, 5.0)
    return call


def assert_told_apart(phone: Baresip, call: PhoneCall, *, baresip_hz: float, ear_hz: float) -> None:
    """Each has heard the other's tone, when both have hung up."""
    call.wait_ended(5.0)
    call.assert_tone(baresip_hz)
    assert_ends_with_nothing_but(phone.heard(), ear_hz)


def assert_ends_with(path: Path, hz: float) -> Capture:
    """The last that was heard is this tone; returns the end of the recording."""
    heard = capture_of(path)
    end = Capture(heard.wave[-round(LAST_S * heard.rate_hz) :], heard.rate_hz, f"the end of {path.name}")
    assert_tone(end, hz, min_dbfs=MIN_DBFS)
    return end


def assert_ends_with_nothing_but(path: Path, hz: float) -> None:
    """The end of a recording is this tone and nothing else."""
    end = assert_ends_with(path, hz)
    rest_db = tone_to_rest_db(end.wave, hz, end.rate_hz)
    assert rest_db > CLEAR_DB, f"{end.name}: {hz:g} Hz is {rest_db:.1f} dB above the rest"
