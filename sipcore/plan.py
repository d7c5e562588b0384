"""What an action list would do, found out without a call: its checks, the legs it needs, and how long it is heard."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from media import MediaError
from media.url import is_url
from sipcore.actions import Action, Beep, Play, Run, Sleep, Talk, legs_needed
from sipcore.actions.templates import names_in
from sipcore.errors import Fault, InvalidRequest
from sipcore.preparation import MediaHost, Preparation


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One action of the list, and how long it takes when nobody stops it; `None`: known only once it runs, `detail` says why."""

    index: int
    type: str
    id: str
    duration_s: float | None
    detail: str = ""

    def __str__(self) -> str:
        took = "-" if self.duration_s is None else f"{self.duration_s:.1f} s"
        return f"{self.index:3}  {self.type:20}{took:>10}  {' '.join(part for part in (self.id, self.detail) if part)}".rstrip()


@dataclass(frozen=True, slots=True)
class Plan:
    """A list that passed every check."""

    actions: tuple[PlannedAction, ...]
    legs_needed: int
    """The most legs that the call has up at once, itself included."""

    @property
    def audio_s(self) -> float:
        """How long the prompts are that are known, each counted once."""
        return sum(planned.duration_s or 0.0 for planned in self.actions if planned.type in _HEARD)

    @property
    def is_complete(self) -> bool:
        """Whether every prompt is counted."""
        return all(planned.duration_s is not None for planned in self.actions if planned.type in _HEARD)

    def __str__(self) -> str:
        length = f"{self.audio_s:.1f} s of prompts" if self.is_complete else f"at least {self.audio_s:.1f} s of prompts"
        legs = "1 leg" if self.legs_needed == 1 else f"{self.legs_needed} legs"
        return "\n".join([*map(str, self.actions), f"{len(self.actions)} actions, {legs}, {length}"])


_HEARD = {Talk.type, Play.type, Beep.type}


async def make_plan(actions: Sequence[Action], host: MediaHost) -> Plan:
    """The plan of a list that was checked. Texts are spoken and files read for it, and are in the cache from then on; URLs are not fetched.

    Raises:
        InvalidRequest: a text cannot be spoken, or a file is no audio.
    """
    known = {index: action for index, action in enumerate(actions) if not _unknown(action) and action.type in _HEARD}
    prepared = Preparation((), host)
    faults: list[Fault] = []
    lengths: dict[int, float] = {}
    try:
        for index, action in known.items():
            prepared.add(index, action)
        for index, action in known.items():
            try:
                lengths[index] = _length(action, [(await asyncio.shield(piece.task)).duration_s for piece in prepared.pieces(index)])
            except MediaError as error:
                faults.append(Fault(f"actions[{index}]", str(error)))
    finally:
        await prepared.stop()
    if faults:
        raise InvalidRequest(faults)
    return Plan(tuple(_planned(index, action, lengths) for index, action in enumerate(actions)), legs_needed(actions))


def _unknown(action: Action) -> str:
    """Why it is not known how long the action is heard; empty when it is."""
    if names_in(action):
        return "has variables"
    if isinstance(action, Talk | Play) and action.loop == 0:
        return "until it is stopped"
    if isinstance(action, Play) and any(is_url(url) for url in action.stream_urls):
        return "is fetched when it is played"
    return ""


def _length(action: Action, pieces_s: Sequence[float]) -> float:
    once_s = sum(pieces_s)
    if not isinstance(action, Talk | Play):
        return once_s
    pauses = action.loop * len(pieces_s) - 1
    return action.loop * once_s + pauses * action.pause_ms / 1000


def _planned(index: int, action: Action, lengths: dict[int, float]) -> PlannedAction:
    if isinstance(action, Sleep):
        return PlannedAction(index, action.type, action.id, action.duration_ms / 1000)
    if isinstance(action, Run):
        return PlannedAction(index, action.label, action.id, None, "is code of yours")
    detail = _unknown(action) if action.type in _HEARD else ""
    return PlannedAction(index, action.type, action.id, lengths.get(index), detail)
