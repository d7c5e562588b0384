"""What stands in the attributes of SSML (W3C SSML 1.1 §3.2). Pure; what cannot be is a ``ValueError``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from .manner import SILENT_DB

PAUSE_MAX_S = 20.0
_STRENGTHS_S = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.8, "x-strong": 1.5}
_RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.4, "x-fast": 1.8}
_PITCHES = {"x-low": 0.6, "low": 0.8, "medium": 1.0, "default": 1.0, "high": 1.25, "x-high": 1.6}
_VOLUMES_DB = {"silent": SILENT_DB, "x-soft": -18.0, "soft": -9.0, "medium": 0.0, "default": 0.0, "loud": 4.0, "x-loud": 8.0}
_TIME = re.compile(r"(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(ms|s)")
_NUMBER = re.compile(r"([+-]?)(\d{1,4}(?:\.\d{1,4})?)(%|st|dB)")


def pause_s(attributes: Mapping[str, str]) -> float:
    """How long a ``break`` is; ``time`` goes before ``strength``, and without both it is a medium one."""
    given, strength = attributes.get("time", "").strip(), attributes.get("strength", "medium").strip()
    if strength not in _STRENGTHS_S:
        raise ValueError(f"strength={strength!r}; known are {', '.join(_STRENGTHS_S)}")
    if "time" not in attributes:
        return _STRENGTHS_S[strength]
    if not (found := _TIME.fullmatch(given)):
        raise ValueError(f"time={given!r}; expected such as '500ms' or '1.5s'")
    duration_s = float(found.group(1)) / (1000 if found.group(2) == "ms" else 1)
    if duration_s > PAUSE_MAX_S:
        raise ValueError(f"time={given!r}; at most {PAUSE_MAX_S:g} s")
    return duration_s


def rate(given: str) -> float:
    """The pace as a factor: a name, ``120%`` of the usual one, or ``+20%`` more."""
    if (named := _named(given, _RATES)) is not None:
        return named
    sign, number, unit = _number(given, "rate", "'slow', '120%' or '+20%'")
    factor = 1 + float(f"{sign}{number}") / 100 if sign else number / 100
    if unit != "%" or not 0.25 <= factor <= 3:
        raise ValueError(f"rate={given!r}; from 25% to 300%")
    return factor


def pitch(given: str) -> float:
    """The pitch as a factor: a name, ``+10%``, or ``-2st`` (semitones)."""
    if (named := _named(given, _PITCHES)) is not None:
        return named
    sign, number, unit = _number(given, "pitch", "'high', '+10%' or '-2st'")
    change = float(f"{sign}{number}")
    factor = math.pow(2, change / 12) if unit == "st" else 1 + change / 100
    if unit == "dB" or not sign or not 0.5 <= factor <= 2:
        raise ValueError(f"pitch={given!r}; a change such as '+10%' or '-2st', of an octave at most")
    return factor


def volume_db(given: str) -> float:
    """The loudness in decibels over the usual one: a name, or ``+6dB``."""
    if (named := _named(given, _VOLUMES_DB)) is not None:
        return named
    sign, number, unit = _number(given, "volume", "'loud' or '-6dB'")
    change_db = float(f"{sign}{number}")
    if unit != "dB" or not sign or not -60 <= change_db <= 20:
        raise ValueError(f"volume={given!r}; a change from '-60dB' to '+20dB'")
    return change_db


def _named(given: str, names: Mapping[str, float]) -> float | None:
    return names.get(given.strip() or "default")


def _number(given: str, name: str, expected: str) -> tuple[str, float, str]:
    if not (found := _NUMBER.fullmatch(given.strip())):
        raise ValueError(f"{name}={given!r}; expected such as {expected}")
    return found.group(1), float(found.group(2)), found.group(3)
