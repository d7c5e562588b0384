"""Assertions on what was heard; each failure says what was wrong and where in time, and leaves a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

import numpy as np

from media.dtmf_detector import DtmfDetector, Press
from media.measure import Span, dominant_hz, rms_dbfs

from . import dropouts, matching
from .capture import Capture, Hearable, capture_of
from .clipping import clipping
from .matching import Found
from .picture import leave_picture
from .rating import Quality, rate
from .tones import Frames, listen_for

SILENCE_DBFS: Final = -50.0
_FRAME_S: Final = 0.02
_AT_MOST_TOLD: Final = 3
_DETECTOR_HZ: Final = 8000
_UNLIKE: Final = 0.5
_NEARLY_ALL: Final = 0.8


def assert_heard(
    heard: Hearable, reference: Hearable, min_correlation: float = 0.9, min_coverage: float = 0.9, max_missing_s: float = 1.0
) -> Found:
    """Fail unless `reference` is in what was heard, whatever its gain, delay and codec; return the delay and the correlation.

    Args:
        heard: Whatever `capture_of` takes.
        reference: The same; a sound file may have any rate.
        min_correlation: How alike they must be, 0 to 1. Other words or another voice reach 0.4; G.711 leaves 0.99, GSM 0.9.
        min_coverage: How much of the reference must lie within what was heard, 0 to 1.
        max_missing_s: How long a stretch of the reference may be without anything like it, however alike the rest is.

    Raises:
        AssertionError: it was not heard; says which part.
        ValueError: the reference is empty or silent.
    """
    ear, wanted = _something(capture_of(heard)), _audible(capture_of(reference))
    found = matching.find(
        ear.at_rate(matching.RATE_HZ), wanted.at_rate(matching.RATE_HZ), good=min_correlation, min_overlap=min(min_coverage, 0.9)
    )
    is_alike = found.correlation >= min_correlation and found.coverage >= min_coverage
    if not is_alike or found.longest_missing_s > max_missing_s:
        where = _where_not_heard(found, wanted)
        wrong = [Span(span.start_s + found.delay_s, span.end_s + found.delay_s) for span in found.missing]
        _fail(
            f"{ear.name} did not hear {wanted.name}: {where}; correlation {found.correlation:.3f} with {found.coverage:.0%} of it "
            f"from {found.delay_s:.3f} s, wanted {min_correlation:g} with {min_coverage:.0%}; heard {described(ear)}",
            ear, wanted, found.delay_s, wrong,
        )  # fmt: skip
    return found


def assert_not_heard(heard: Hearable, reference: Hearable, max_correlation: float = 0.5) -> None:
    """Fail if `reference`, or more than half of it, is in what was heard, whatever its gain, delay and codec. Nothing at all is not it.

    Args:
        heard: Whatever `capture_of` takes.
        reference: The same; a sound file may have any rate.
        max_correlation: How alike they may be, 0 to 1. Other words or another voice reach 0.4.

    Raises:
        AssertionError: it was heard; says when.
        ValueError: the reference is empty or silent.
    """
    ear, unwanted = capture_of(heard), _audible(capture_of(reference))
    if not len(ear.wave):
        return
    found = matching.find(ear.at_rate(matching.RATE_HZ), unwanted.at_rate(matching.RATE_HZ), good=max_correlation, min_overlap=0.5)
    if found.correlation > max_correlation:
        end_s = found.delay_s + len(unwanted.wave) / unwanted.rate_hz
        _fail(
            f"{ear.name} heard {unwanted.name}, from {found.delay_s:.3f} s: correlation {found.correlation:.3f}, "
            f"at most {max_correlation:g} is chance; heard {described(ear)}",
            ear, unwanted, found.delay_s, [Span(max(0.0, found.delay_s), end_s)],
        )  # fmt: skip


def assert_tone(
    heard: Hearable, hz: float, tolerance_hz: float = 10.0, min_s: float | None = None, *, min_dbfs: float = SILENCE_DBFS
) -> Span | None:
    """Fail unless a tone of `hz` was heard: for `min_s` without an interruption, or as the strongest thing of all when `min_s` is `None`.

    Of two tones together either one counts. Returns the longest stretch of the tone, right to about 20 ms.
    """
    if hz <= 0 or (min_s is not None and min_s <= 0):
        raise ValueError(f"a tone has a frequency and lasts for a while: not {hz!r} Hz for {min_s!r} s")
    ear = _something(capture_of(heard))
    frames = listen_for(ear.wave, ear.rate_hz, hz, tolerance_hz, min_dbfs)
    longest = frames.longest()
    lasted_s = 0.0 if longest is None else longest.end_s - longest.start_s
    if min_s is None:
        strongest_hz = dominant_hz(ear.wave, ear.rate_hz)
        is_heard = abs(strongest_hz - hz) <= tolerance_hz and rms_dbfs(ear.wave) >= min_dbfs
        wanted = f"{hz:g} Hz but {strongest_hz:.1f} Hz"
    else:
        is_heard = _lasts(longest, min_s, frames)
        wanted = f"{hz:g} Hz for {min_s:g} s, but for {lasted_s:.2f} s"
    if not is_heard:
        instead = _instead(frames, hz, longest, min_dbfs)
        _fail(f"{ear.name} did not hear {wanted}; {instead}; heard {described(ear)}", ear, wrong=_others(frames))
    return longest


def _lasts(tone: Span | None, min_s: float, frames: Frames) -> bool:
    """Whether it is so long, to one frame."""
    return tone is not None and tone.end_s - tone.start_s >= min_s - frames.hop_s


def tone_in(heard: Hearable, hz: float, min_s: float, tolerance_hz: float = 10.0, *, min_dbfs: float = SILENCE_DBFS) -> Span | None:
    """Return the longest stretch of a tone of `hz`, right to about 20 ms; `None` when it is shorter than `min_s`."""
    ear = capture_of(heard)
    frames = listen_for(ear.wave, ear.rate_hz, hz, tolerance_hz, min_dbfs)
    longest = frames.longest()
    return longest if _lasts(longest, min_s, frames) else None


def assert_silence(heard: Hearable, max_dbfs: float = SILENCE_DBFS) -> None:
    """Fail if any 20 ms of what was heard is louder than `max_dbfs` (RMS); nothing at all is silence too."""
    ear = capture_of(heard)
    loud = _loud_spans(ear, max_dbfs)
    if loud:
        level = max(rms_dbfs(_part(ear, span)) for span in loud)
        _fail(f"{ear.name} heard something {_listed(loud)}, up to {level:.1f} dBFS: heard {described(ear)}", ear, wrong=loud)


def assert_digits(heard: Hearable, digits: str) -> None:
    """Fail unless exactly these keys were pressed: as telephone-events (RFC 4733) or, where there were none, as tones in the audio."""
    ear = capture_of(heard)
    presses = presses_in(ear)
    got = "".join(press.digit for press in presses)
    if got != digits.upper():
        _fail(f"{ear.name} got the digits {got!r}, not {digits!r}: {_first_difference(presses, digits.upper())}", ear)


def assert_no_gaps(heard: Hearable, max_ms: float = 60.0, *, reference: Hearable | None = None) -> None:
    """Fail if there was a gap of more than `max_ms`, or nothing at all.

    With RTP (a phone's call, a network capture) a gap is a time without a packet, a hold included. With a `reference` it is a stretch
    that is audible there and silent here. In a sound file alone it is a silence of 120 ms or more before which the sound was cut off,
    which finds only some: give the reference.
    """
    ear = _something(capture_of(heard))
    found: list[Span] = []
    if reference is not None:
        found = _gaps_against(ear, capture_of(reference), max_ms / 1000)
    elif not ear.packets:
        found = dropouts.dropouts(ear.wave, ear.rate_hz, max_ms / 1000)
    gaps = sorted([*found, *dropouts.arrival_gaps(ear.packets, max_ms)], key=lambda span: span.start_s)
    if gaps:
        told = ", ".join(f"a gap of {(gap.end_s - gap.start_s) * 1000:.0f} ms at {gap.start_s:.2f} s" for gap in gaps[:_AT_MOST_TOLD])
        more = f" and {len(gaps) - _AT_MOST_TOLD} more" if len(gaps) > _AT_MOST_TOLD else ""
        _fail(f"{ear.name} had {told}{more}; allowed are {max_ms:g} ms; heard {described(ear)}", ear, wrong=gaps)


def assert_not_clipped(heard: Hearable) -> None:
    """Fail if the peaks of what was heard were cut flat, at full scale or anywhere below."""
    ear = _something(capture_of(heard))
    found = clipping(ear.wave, ear.rate_hz)
    if found is not None:
        tops = f"{found.tops} flat peaks at {found.level_dbfs:.1f} dBFS"
        span = Span(found.first_s, found.last_s)
        _fail(f"{ear.name} is clipped from {span.start_s:.2f} s to {span.end_s:.2f} s: {tops}", ear, wrong=[span])


def quality(heard: Hearable, reference: Hearable | None = None, *, network_delay_ms: float = 0.0) -> Quality:
    """Return how good it sounded: MOS by the E-model from the RTP packets, PESQ against `reference` where the package `pesq` is installed.

    Raises:
        ValueError: there is nothing to rate it by; says what is missing.
        AssertionError: nothing was heard.
    """
    ear = _something(capture_of(heard))
    return rate(ear, None if reference is None else capture_of(reference), network_delay_ms=network_delay_ms)


def presses_in(capture: Capture) -> list[Press]:
    """Return the keys that were pressed: the telephone-events, or the tones in the audio when there were none."""
    if capture.presses:
        return list(capture.presses)
    wave = capture.at_rate(_DETECTOR_HZ)
    return DtmfDetector(_DETECTOR_HZ).feed(np.rint(np.clip(wave, -1, 1) * 32767).astype(np.int16))


def described(capture: Capture) -> str:
    """Length and level in words."""
    return f"{capture.duration_s:.2f} s at {rms_dbfs(capture.wave):.1f} dBFS"


def _audible(reference: Capture) -> Capture:
    if not np.any(np.abs(reference.wave) > 1e-4):
        raise ValueError(f"{reference.name} is silent: it can be heard nowhere")
    return reference


def _something(capture: Capture) -> Capture:
    if not len(capture.wave):
        raise AssertionError(f"{capture.name} got no audio at all")
    return capture


def _fail(message: str, heard: Capture, reference: Capture | None = None, delay_s: float = 0.0, wrong: Sequence[Span] = ()) -> NoReturn:
    message += _disturbance(heard)
    raise AssertionError(message + leave_picture(message, heard, reference, delay_s, wrong))


def _disturbance(heard: Capture) -> str:
    """What a tester must know before the thing under test is blamed."""
    if not heard.held_up:
        return ""
    longest = max(heard.held_up, key=lambda span: span.end_s - span.start_s)
    often = f", one of {len(heard.held_up)} times" if len(heard.held_up) > 1 else ""
    lasted_ms = (longest.end_s - longest.start_s) * 1000
    return f"; the telephone itself was held up for {lasted_ms:.0f} ms at {longest.start_s:.2f} s{often}: its process or machine was busy"


def _where_not_heard(found: Found, wanted: Capture) -> str:
    missing_s = sum(span.end_s - span.start_s for span in found.missing)
    if found.correlation < _UNLIKE or missing_s > _NEARLY_ALL * wanted.duration_s:
        return "nothing like it"
    if not found.missing:
        return "it is distorted throughout" if found.coverage >= 1 else "it was cut off"
    return f"its part {_listed(found.missing)} was not heard"


def _gaps_against(ear: Capture, wanted: Capture, min_s: float) -> list[Span]:
    there, reference = (capture.at_rate(matching.RATE_HZ) for capture in (ear, wanted))
    found = matching.find(there, reference, good=0.5, min_overlap=0.5)
    start = round(found.delay_s * matching.RATE_HZ)
    gaps = dropouts.against(there[max(start, 0) :], reference[max(-start, 0) :], matching.RATE_HZ, min_s)
    shift_s = max(start, 0) / matching.RATE_HZ
    return [Span(gap.start_s + shift_s, gap.end_s + shift_s) for gap in gaps]


def _instead(frames: Frames, hz: float, longest: Span | None, min_dbfs: float) -> str:
    """What was there when the tone should have been: before it came, or after it ended."""
    begin_s = 0.0 if longest is None else longest.end_s
    at_s = np.arange(len(frames.hz)) * frames.hop_s
    is_other = (frames.level_dbfs > min_dbfs) & ~frames.is_tone
    other = np.flatnonzero(is_other & (at_s >= begin_s - frames.hop_s))
    if not len(other):
        other = np.flatnonzero(is_other)
    if not len(other):
        return "silence otherwise" if longest is not None else "silence"
    first = int(other[0])
    other_hz = float(np.median(frames.hz[first : first + 5]))
    return f"expected {hz:g} Hz, heard {other_hz:.0f} Hz from {at_s[first]:.1f} s"


def _others(frames: Frames) -> list[Span]:
    edges = np.diff(np.concatenate([[0], ((~frames.is_tone) & (frames.level_dbfs > SILENCE_DBFS)).astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [Span(float(start * frames.hop_s), float(end * frames.hop_s)) for start, end in zip(starts, ends, strict=True)]


def _loud_spans(ear: Capture, max_dbfs: float) -> list[Span]:
    size = round(_FRAME_S * ear.rate_hz)
    count = len(ear.wave) // size
    rms = np.sqrt((ear.wave[: count * size].astype(np.float64).reshape(count, size) ** 2).mean(axis=1) * 2)
    edges = np.diff(np.concatenate([[0], (rms > 10 ** (max_dbfs / 20)).astype(np.int8), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [Span(float(start * _FRAME_S), float(end * _FRAME_S)) for start, end in zip(starts, ends, strict=True)]


def _part(ear: Capture, span: Span) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return ear.wave[round(span.start_s * ear.rate_hz) : round(span.end_s * ear.rate_hz)]


def _listed(spans: Sequence[Span]) -> str:
    told = " and ".join(f"between {span.start_s:.2f} s and {span.end_s:.2f} s" for span in spans[:_AT_MOST_TOLD])
    return f"{told} and {len(spans) - _AT_MOST_TOLD} times more" if len(spans) > _AT_MOST_TOLD else told


def _first_difference(presses: Sequence[Press], wanted: str) -> str:
    for index, press in enumerate(presses):
        if index >= len(wanted):
            return f"{press.digit!r} at {press.at_s:.2f} s is one too many"
        if press.digit != wanted[index]:
            return f"key {index + 1} is {press.digit!r} at {press.at_s:.2f} s instead of {wanted[index]!r}"
    after = f" after {presses[-1].at_s:.2f} s" if presses else ""
    return f"key {len(presses) + 1}, {wanted[len(presses)]!r}, is missing{after}"
