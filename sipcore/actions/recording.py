"""Actions about recording, and about who hears whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field

from sipcore.actions.base import CLOSED, Action
from sipcore.actions.digits import Keys

MAX_RECORDING_S = 86_400
MAX_ECHO_MS = 3_600_000
DEFAULT_ECHO_MS = 180_000  # VoIPBin's

Seconds: TypeAlias = Annotated[float, Field(ge=0, le=MAX_RECORDING_S, strict=True)]
Format: TypeAlias = Literal["wav", "flac", "ogg", "mp3"]
Channels: TypeAlias = Literal["mono", "stereo"]
Direction: TypeAlias = Literal["in", "out", "both"]


@dataclass(frozen=True, slots=True)
class RecordingStart(Action):
    """Record the call from now on, both sides; the next action starts at once.

    The recording ends with `recording_stop`, with the call, or by one of the options. A call has one recording at a time: a second
    `recording_start` fails. The variable `recording.id` is its id.

    Attributes:
        format: What kind of file: `wav` (16-bit PCM), `flac`, `ogg` (Opus) or `mp3`.
        channels: `mono` mixes both sides; `stereo` has the far end on the left, and what it hears on the right.
        end_of_silence_s: Ends it when the far end has said nothing for so long, in seconds; 0: it does not.
        end_of_key: Keys of the far end that end it: `#`, `*#`, `any`; empty or `none`: no key. A `digits_receive` gets the key too.
        duration_s: Ends it after so long, in seconds, pauses not counted; 0: only the limit of the configuration does.
        beep_start: Plays a beep before it begins.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "recording_start"
    aliases: ClassVar[Mapping[str, str]] = {"end_of_silence": "end_of_silence_s", "duration": "duration_s"}
    format: Format = "wav"
    channels: Channels = "mono"
    end_of_silence_s: Seconds = 0.0
    end_of_key: Keys = ""
    duration_s: Seconds = 0.0
    beep_start: Annotated[bool, Field(strict=True)] = False


@dataclass(frozen=True, slots=True)
class RecordingStop(Action):
    """End the recording of the call; fails when there is none."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "recording_stop"


@dataclass(frozen=True, slots=True)
class RecordingPause(Action):
    """Leave out of the recording what is said from now on: nothing of it is written down. Fails when there is no recording that runs."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "recording_pause"


@dataclass(frozen=True, slots=True)
class RecordingResume(Action):
    """Go on with a recording after `recording_pause`; fails when there is none."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "recording_resume"


@dataclass(frozen=True, slots=True)
class Echo(Action):
    """Let the far end hear itself, as a test of the line.

    Attributes:
        duration_ms: For how long, in milliseconds; 0 is three minutes.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "echo"
    aliases: ClassVar[Mapping[str, str]] = {"duration": "duration_ms"}
    duration_ms: Annotated[int, Field(ge=0, le=MAX_ECHO_MS, strict=True)] = DEFAULT_ECHO_MS


@dataclass(frozen=True, slots=True)
class Mute(Action):
    """Silence the call until `unmute`: on the recording too, and for whoever it is connected with.

    Attributes:
        direction: `in`: nobody hears what the far end says. `out`: the far end hears nothing. `both`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "mute"
    direction: Direction = "in"


@dataclass(frozen=True, slots=True)
class Unmute(Action):
    """Undo `mute`.

    Attributes:
        direction: Which direction is let through again.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "unmute"
    direction: Direction = "both"


@dataclass(frozen=True, slots=True)
class Hold(Action):
    """Put the far end on hold (re-INVITE with `a=sendonly`, RFC 3264 §8.4); the next action starts at once. Fails before the answer.

    Attributes:
        music: A file or URL, as in `play`, that it hears again and again until `unhold`, or until something else is played; empty: nothing.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "hold"
    music: Annotated[str, Field(max_length=2048)] = ""


@dataclass(frozen=True, slots=True)
class Unhold(Action):
    """Take the far end back from hold, and stop its music."""

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "unhold"


RECORDING_ACTIONS: tuple[type[Action], ...] = (RecordingStart, RecordingStop, RecordingPause, RecordingResume)
HEARING_ACTIONS: tuple[type[Action], ...] = (Echo, Hold, Mute, Unhold, Unmute)
