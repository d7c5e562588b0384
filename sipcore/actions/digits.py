"""Actions about keys that are pressed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field

from sipcore.actions.base import CLOSED, Action, unless_variable

MAX_SENT_DIGITS = 100
MAX_RECEIVED_DIGITS = 100
MAX_WAIT_MS = 3_600_000
_KEYS = re.compile(r"any|none|[0-9A-D*#]{0,16}")
_DIGITS = re.compile(rf"[0-9A-D*#]{{1,{MAX_SENT_DIGITS}}}")


def _keys(text: str) -> str:
    if not _KEYS.fullmatch(text):
        raise ValueError("must be keys out of 0-9, A-D, * and #, or any, or empty for none")
    return "" if text == "none" else text


def _digits(text: str) -> str:
    if not _DIGITS.fullmatch(text):
        raise ValueError(f"must be 1 to {MAX_SENT_DIGITS} digits out of 0-9, A-D, * and #")
    return text


Keys: TypeAlias = Annotated[str, AfterValidator(unless_variable(_keys))]
"""Keys, `any`, or nothing; VoIPBin's `none` is nothing."""
Seconds: TypeAlias = Annotated[float, Field(ge=0, le=3600, strict=True)]


@dataclass(frozen=True, slots=True)
class DigitsReceive(Action):
    """Read the keys that are pressed, those first that were pressed during the actions before.

    What was read is in the variable `digits`, and in the event `DigitsGathered`. Reading nothing is no failure.

    Attributes:
        length: So many digits are read at most; 0: any number.
        key: Keys that end the reading: `#`, `*#`, or `any`.
        includes_key: Whether the key that ended it is the last of the digits, as it is in VoIPBin.
        duration_ms: How long to read in all, in milliseconds; 0: no limit but that of the call.
        first_digit_timeout_s: How long to wait for the first digit, in seconds; 0: as long as in all.
        digit_timeout_s: How long to wait for each further one, in seconds; 0: as long as in all.
        inband: Take keys out of the audio too, from now on to the end of the call: for a far end that sends no events. A trunk with
            `dtmf = "inband"` does so by itself.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "digits_receive"
    aliases: ClassVar[Mapping[str, str]] = {"duration": "duration_ms", "finish_on_key": "key", "max_number_key": "length"}
    length: Annotated[int, Field(ge=0, le=MAX_RECEIVED_DIGITS, strict=True)] = 1
    key: Keys = ""
    includes_key: Annotated[bool, Field(strict=True)] = True
    duration_ms: Annotated[int, Field(ge=0, le=MAX_WAIT_MS, strict=True)] = 10_000
    first_digit_timeout_s: Seconds = 0.0
    digit_timeout_s: Seconds = 0.0
    inband: Annotated[bool, Field(strict=True)] = False


@dataclass(frozen=True, slots=True)
class DigitsSend(Action):
    """Press keys for the far end. Fails when the call is not answered, or the far end takes no digits in this way.

    Attributes:
        digits: 0-9, A-D, `*` and `#`, at most 100.
        duration_ms: How long each is pressed, in milliseconds.
        interval_ms: The silence after each, in milliseconds; by `rfc4733` presses follow each other in 240 ms at the quickest.
        mode: `rfc4733` (events in the audio stream), `info` (SIP INFO, application/dtmf-relay), `inband` (tones), or `auto`: what the trunk
            of the call says, `rfc4733` without one; tones where the far end takes no events.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "digits_send"
    aliases: ClassVar[Mapping[str, str]] = {"dtmfs": "digits", "duration": "duration_ms", "interval": "interval_ms"}
    digits: Annotated[str, AfterValidator(unless_variable(_digits))]
    duration_ms: Annotated[int, Field(ge=100, le=1000, strict=True)] = 200
    interval_ms: Annotated[int, Field(ge=0, le=5000, strict=True)] = 100
    mode: Literal["auto", "rfc4733", "info", "inband"] = "auto"
