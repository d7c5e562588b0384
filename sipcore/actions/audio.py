"""Actions that are heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, Field

from sipcore.actions.base import CLOSED, Action, listed
from sipcore.actions.digits import Keys

MAX_STREAM_URLS = 100
MAX_ROUNDS = 1000
MAX_PAUSE_MS = 60_000

Loop: TypeAlias = Annotated[int, Field(ge=0, le=MAX_ROUNDS, strict=True)]
Volume: TypeAlias = Annotated[float, Field(ge=-60, le=20, strict=True)]
Pause: TypeAlias = Annotated[int, Field(ge=0, le=MAX_PAUSE_MS, strict=True)]


@dataclass(frozen=True, slots=True)
class Talk(Action):
    """Speak a text.

    Attributes:
        text: Plain text, of which markup is spoken, not interpreted; or SSML, when it begins with `<speak`: `p`, `s`, `break` (time,
            strength), `prosody` (rate, pitch, volume), `say-as` (digits, characters, cardinal, ordinal, telephone, date) and `sub` (alias).
            What else stands in SSML is refused. Values of variables are text there, whatever is in them. At most 10,000 characters;
            docs/speech.md tells more.
        language: BCP 47, `en-US`; decides the voice.
        gender: Decides the voice.
        barge_in: Keys that stop it: `12#`, or `any`. The key is not used up: the next `digits_receive` reads it, and those that were
            pressed before. When such a key waits already, nothing is said. Other keys are kept too, and stop nothing.
        loop: How often it is said; 0: until it is stopped, or the call ends.
        volume_db: Louder or quieter, in decibels; what is too loud then is clipped.
        pause_ms: The silence between two rounds, in milliseconds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "talk"
    text: str
    language: str = "en-US"
    gender: Literal["female", "male", "neutral"] = "female"
    _: KW_ONLY
    barge_in: Keys = ""
    loop: Loop = 1
    volume_db: Volume = 0.0
    pause_ms: Pause = 0


@dataclass(frozen=True, slots=True)
class Play(Action):
    """Play audio files one after the other.

    Attributes:
        stream_urls: `http(s)://` URLs, or paths under the media root; everything libsndfile reads.
        barge_in: Keys that stop it, all of it: `12#`, or `any`. The key is not used up: the next `digits_receive` reads it, and those that
            were pressed before. When such a key waits already, nothing is played. Other keys are kept too, and stop nothing.
        loop: How often all of it is played; 0: until it is stopped, or the call ends.
        volume_db: Louder or quieter, in decibels; what is too loud then is clipped.
        pause_ms: The silence between two files, and between two rounds, in milliseconds.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "play"
    stream_urls: Annotated[Sequence[str], BeforeValidator(listed), Field(min_length=1, max_length=MAX_STREAM_URLS)]
    _: KW_ONLY
    barge_in: Keys = ""
    loop: Loop = 1
    volume_db: Volume = 0.0
    pause_ms: Pause = 0


@dataclass(frozen=True, slots=True)
class Beep(Action):
    """Sound a short tone.

    Attributes:
        frequency_hz: Its pitch.
        duration_ms: How long, in milliseconds.
        volume_db: Louder or quieter than 12 dB below full scale, in decibels.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "beep"
    aliases: ClassVar[Mapping[str, str]] = {"duration": "duration_ms"}
    frequency_hz: Annotated[float, Field(ge=100, le=3400, strict=True)] = 1000.0
    duration_ms: Annotated[int, Field(ge=100, le=10_000, strict=True)] = 400
    volume_db: Volume = 0.0
