"""What a phone does with a call: set before the call comes, frozen when its INVITE arrives."""

from __future__ import annotations

from dataclasses import dataclass

from sipcore.testing.impairment import Impairment

from .audio import SILENCE, Source
from .digest import DigestRule
from .sip_message import Header


@dataclass(frozen=True, slots=True)
class Rejection:
    """A final answer of 300 to 699, with header lines of its own."""

    code: int
    reason: str | None = None
    headers: tuple[Header, ...] = ()

    def __post_init__(self) -> None:
        if not 300 <= self.code <= 699:
            raise ValueError(f"a call is rejected with 300 to 699, not {self.code}")


@dataclass(frozen=True, slots=True)
class Faults:
    """What a phone does wrong on purpose; see `Phone.misbehave`."""

    ringback_after_s: float = 0.0
    late_ringback: bool = False
    no_ack: bool = False
    double_bye: bool = False
    one_way: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    """The behaviour towards one call. `ring_s` is `None` to ring for ever."""

    is_silent: bool = False
    ring_s: float | None = 0.0
    rejection: Rejection | None = None
    early_media: Source | None = None
    audio: Source = SILENCE
    digits: str = ""
    digits_after_s: float = 0.0
    hang_up_after_s: float | None = None
    hang_up_reason: str | None = None
    answers_bye: bool = True
    digest: DigestRule | None = None
    faults: Faults = Faults()
    impairs_sent: Impairment | None = None
    impairs_received: Impairment | None = None
