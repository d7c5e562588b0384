"""Actions that are heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from sipcore.actions.base import CLOSED, Action, listed

MAX_STREAM_URLS = 100


@dataclass(frozen=True, slots=True)
class Talk(Action):
    """Speak a text.

    Attributes:
        text: Plain text; markup is spoken, not interpreted.
        language: BCP 47, `en-US`; decides the voice.
        gender: Decides the voice.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "talk"
    text: str
    language: str = "en-US"
    gender: Literal["female", "male", "neutral"] = "female"


@dataclass(frozen=True, slots=True)
class Play(Action):
    """Play audio files one after the other.

    Attributes:
        stream_urls: `http(s)://` URLs, or paths under the media root; everything libsndfile reads.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "play"
    stream_urls: Annotated[Sequence[str], BeforeValidator(listed), Field(min_length=1, max_length=MAX_STREAM_URLS)]
