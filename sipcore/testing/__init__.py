"""The Python test kit: see docs/testing.md.

Names are loaded when they are first used: pytest loads this package in every run, and must not wait for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sipcore.testing.certificates import Certificates
    from sipcore.testing.hearing import (
        Capture,
        Found,
        Quality,
        assert_digits,
        assert_heard,
        assert_no_gaps,
        assert_not_clipped,
        assert_not_heard,
        assert_silence,
        assert_tone,
        capture_of,
        quality,
        tone_in,
    )
    from sipcore.testing.impairment import Impairment
    from sipcore.testing.phone import Phone
    from sipcore.testing.pictures import pictures_in
    from sipcore.testing.rtp_relay import RtpRelay
    from sipcore.testing.simulation import Simulation
    from sipcore.testing.sipp import Sipp, SippError, SippMissing, SippResult

_HOMES = {
    "sipcore.testing.certificates": ("Certificates",),
    "sipcore.testing.hearing": (
        "Capture",
        "Found",
        "Quality",
        "assert_digits",
        "assert_heard",
        "assert_no_gaps",
        "assert_not_clipped",
        "assert_not_heard",
        "assert_silence",
        "assert_tone",
        "capture_of",
        "quality",
        "tone_in",
    ),
    "sipcore.testing.impairment": ("Impairment",),
    "sipcore.testing.pictures": ("pictures_in",),
    "sipcore.testing.rtp_relay": ("RtpRelay",),
    "sipcore.testing.phone": ("Phone",),
    "sipcore.testing.simulation": ("Simulation",),
    "sipcore.testing.sipp": ("Sipp", "SippError", "SippMissing", "SippResult"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "Capture",
    "Certificates",
    "Found",
    "Impairment",
    "Phone",
    "Quality",
    "RtpRelay",
    "Simulation",
    "Sipp",
    "SippError",
    "SippMissing",
    "SippResult",
    "assert_digits",
    "assert_heard",
    "assert_no_gaps",
    "assert_not_clipped",
    "assert_not_heard",
    "assert_silence",
    "assert_tone",
    "capture_of",
    "pictures_in",
    "quality",
    "tone_in",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
