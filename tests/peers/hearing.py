"""A conversation that both sides can be asked about afterwards."""

from __future__ import annotations

from pathlib import Path

import soundfile

from media.measure import dominant_hz, rms_dbfs, tone_to_rest_db
from sipcore.testing.phone import Phone, PhoneCall

from .baresip import Baresip

PACKETS = 25
LAST_S = 0.3
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
    assert_tone(phone.heard(), ear_hz)


def assert_tone(path: Path, hz: float) -> None:
    """The end of a recording is this tone and nothing else."""
    samples, rate_hz = soundfile.read(path, dtype="int16")
    end = samples[-round(LAST_S * rate_hz) :]
    heard = f"{len(samples) / rate_hz:.2f} s, at the end {dominant_hz(end, rate_hz):.0f} Hz at {rms_dbfs(end):.0f} dBFS"
    assert rms_dbfs(end) > -30, heard
    assert abs(dominant_hz(end, rate_hz) - hz) < 10, heard
    rest_db = tone_to_rest_db(end, hz, rate_hz)
    assert rest_db > CLEAR_DB, f"{heard}, {rest_db:.1f} dB above the rest"
