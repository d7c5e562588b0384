"""Which function carries out which action."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sipcore.actions import Action, Answer, Connect, Play, Reject, Talk, Transfer
from sipcore.performing import audio, calling

PERFORMERS: Mapping[type[Action], Callable[[Any, Any, Any, Any], Awaitable[None]]] = {
    Answer: calling.answer,
    Connect: calling.connect,
    Play: audio.play,
    Reject: calling.reject,
    Talk: audio.play,
    Transfer: calling.transfer,
}
"""Each is called with the performer, the action, its pieces of audio, and a list for the legs it makes."""
