"""The action that tells humans from machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field

from sipcore.actions.base import CLOSED, Action

MAX_BEEP_WAIT_S = 300.0

MachineHandle: TypeAlias = Literal["hangup", "continue"]


@dataclass(frozen=True, slots=True)
class Amd(Action):
    """Find out whether a human or a machine has answered, by listening. Fails when the call is not answered.

    What was found is in the variable `amd.status` (`human`, `machine` or `notsure`) and the reason in `amd.reason`; the event
    `AnswererDetected` has all that was measured. Put it first: what the far end says before it starts is not heard.

    Attributes:
        machine_handle: What to do when a machine has answered: `hangup` (the call then ends with the reason `amd`) or `continue`.
        is_async: Go on with the next action at once, and listen beside it.
        waits_for_beep: With a machine that is to `continue`: wait until it has beeped, or is silent, so that a message can be left.
        duration_ms: Without a decision after so long, it is `notsure`.
        initial_silence_ms: Nobody says anything for so long: `notsure`.
        greeting_ms: Who talks for so long without a pause is a machine.
        silence_ms: So long a silence is a pause; who pauses before `greeting_ms` is a human.
        words: Who says so many words without a pause is a machine.
        beep_timeout_s: How long to wait for the beep.
    """

    __pydantic_config__: ClassVar[ConfigDict] = CLOSED
    type: ClassVar[str] = "amd"
    aliases: ClassVar[Mapping[str, str]] = {"async": "is_async"}
    machine_handle: MachineHandle = "hangup"
    is_async: Annotated[bool, Field(strict=True)] = False
    waits_for_beep: Annotated[bool, Field(strict=True)] = False
    duration_ms: Annotated[int, Field(ge=500, le=30_000, strict=True)] = 5000
    initial_silence_ms: Annotated[int, Field(ge=500, le=30_000, strict=True)] = 2500
    greeting_ms: Annotated[int, Field(ge=200, le=10_000, strict=True)] = 1700
    silence_ms: Annotated[int, Field(ge=200, le=5000, strict=True)] = 800
    words: Annotated[int, Field(ge=2, le=50, strict=True)] = 6
    beep_timeout_s: Annotated[float, Field(gt=0, le=MAX_BEEP_WAIT_S, strict=True)] = 60.0
