"""What the SIP tests listen with: sounds that can be told apart, waits for events, views of a finished call."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from media import Speech
from media.cancel import Cancellation
from media.manner import PLAIN, Manner
from media.wav import write
from sipcore import Call, CallRecord, Switch
from sipcore.events import ActionFinished, ActionStarted, CallEvent, CallHangup, CallRinging
from sipcore.testing import hearing
from sipcore.testing.rtp_sink import RtpSink

RATE_HZ = 8000
ALIKE = 0.97
"""Correlation of a sound with itself after mu-law and a conference bridge is above 0.99."""

Kind = TypeVar("Kind", bound=CallEvent)


def burst(name: str, duration_s: float) -> NDArray[np.int16]:
    """Noise in the telephone band that is the same for the same name, and unlike that of any other name."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
    noise = np.random.default_rng(seed).standard_normal(round(duration_s * RATE_HZ))
    spectrum = np.fft.rfft(noise)
    hz = np.fft.rfftfreq(len(noise), 1 / RATE_HZ)
    spectrum[(hz < 300) | (hz > 3200)] = 0
    wave = np.fft.irfft(spectrum, len(noise))
    return np.rint(wave / np.abs(wave).max() * 12000).astype(np.int16)


def write_burst(path: Path, duration_s: float) -> NDArray[np.int16]:
    """A WAV of `burst(path.name)`; returns its samples."""
    samples = burst(path.name, duration_s)
    write(path, samples, RATE_HZ)
    return samples


class BurstSynthesizer:
    """Speaks each text as `burst(text)`, 50 ms a letter."""

    name = "burst"
    version = "1"

    def languages(self) -> Mapping[str, str]:
        return {"en-us": "English"}

    def render(self, text: str, language: str, gender: str, cancellation: Cancellation, manner: Manner = PLAIN) -> Speech:
        return Speech(spoken(text), RATE_HZ)

    def close(self) -> None:
        pass


def spoken(text: str) -> NDArray[np.int16]:
    """What `BurstSynthesizer` says."""
    return burst(text, 0.05 * len(text))


def assert_heard(sink: RtpSink, reference: NDArray[np.int16], *, alike: float = ALIKE) -> float:
    """The whole reference was heard; returns when it began, in seconds of what was heard."""
    all_but_a_packet = 1 - 0.02 * RATE_HZ / len(reference)
    found = hearing.assert_heard(sink, reference, min_correlation=alike, min_coverage=all_but_a_packet)
    assert not found.slips_ms, f"it came in pieces: {found}"
    return found.delay_s


def until(call: Call, kind: type[Kind]) -> Kind:
    """Wait for the first event of this kind; fails when the call ends without one."""
    for event in call.events():
        if isinstance(event, kind):
            return event
    raise AssertionError(f"the call ended without {kind.__name__}: {call.record}")


def started(call: Call, index: int) -> ActionStarted:
    """Wait for the start of action number `index`."""
    for event in call.events():
        if isinstance(event, ActionStarted) and event.index == index:
            return event
    raise AssertionError(f"the call ended before action {index}: {call.record}")


def names(call: Call) -> list[str]:
    """The kinds of all events of a finished call, without those of media, whose place depends on the far end."""
    return [type(event).__name__ for event in call.events() if type(event).__name__ != "CallMediaStarted"]


def ringing_codes(call: Call) -> list[int]:
    """The provisional answers that were told."""
    return [event.sip_code for event in call.events() if isinstance(event, CallRinging)]


def outcomes(call: Call) -> list[tuple[str, str]]:
    """Type and outcome of each action that was carried out."""
    return [(event.type, event.outcome) for event in call.events() if isinstance(event, ActionFinished)]


def finished(call: Call, index: int) -> ActionFinished:
    """How action number `index` finished."""
    return next(event for event in call.events() if isinstance(event, ActionFinished) and event.index == index)


def legs(switch: Switch, call: Call) -> list[CallRecord]:
    """The records of the legs that the call's connects rang, in order. They end by themselves, maybe after the call: waits for it."""
    return [ended(switch, leg_id) for leg_id in call.record.chained_call_ids]


def ended(switch: Switch, call_id: str, timeout_s: float = 10.0) -> CallRecord:
    """The final record of a call, which may not be over yet."""
    end_s = time.monotonic() + timeout_s
    while not (record := switch.calls.get(call_id)).is_over:
        assert time.monotonic() < end_s, f"not over within {timeout_s:g} s: {record}"
        time.sleep(0.01)
    return record


def until_traced(switch: Switch, call: Call, first_line: str, timeout_s: float = 10.0) -> None:
    """Wait until our own side has sent or received a message that begins like this."""
    end_s = time.monotonic() + timeout_s
    while not any(message.text.startswith(first_line) for message in switch.calls.trace(call.id)):
        assert time.monotonic() < end_s, f"no {first_line} within {timeout_s:g} s: {call.record}"
        time.sleep(0.01)


def assert_ended(record: CallRecord, by: str, reason: str, sip_code: int, sip_phrase: str | None = None, q850: int | None = None) -> None:
    """The record says that, and is complete."""
    told = (record.status, record.hangup_by, record.hangup_reason, record.sip_code, record.q850_cause)
    assert told == ("hangup", by, reason, sip_code, q850), f"{told}, {record.sip_phrase!r}"
    if sip_phrase is not None:
        assert record.sip_phrase == sip_phrase
    assert record.tm_hangup is not None
    assert record.tm_update == record.tm_hangup
    answered, rang = record.tm_progressing, record.tm_ringing
    assert record.tm_create <= (rang or record.tm_create) <= (answered or rang or record.tm_create) <= record.tm_hangup


def assert_one_hangup(call: Call) -> None:
    """`CallHangup` came once, as the last event, with the final record."""
    events = list(call.events())
    assert [event for event in events if isinstance(event, CallHangup)] == [events[-1]]
    assert events[-1].record == call.record
