"""Which function carries out which action."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sipcore.actions import Action, Amd, Answer, Beep, ConferenceJoin, Connect, DigitsReceive, DigitsSend, Play, Reject, Talk, Transfer
from sipcore.performing import amd, audio, calling, conference, connecting, digits, flow, recording

PERFORMERS: Mapping[type[Action], Callable[[Any, Any, Any, Any], Awaitable[None]]] = {
    **flow.PERFORMERS,
    **recording.PERFORMERS,
    Amd: amd.amd,
    Answer: calling.answer,
    Beep: audio.beep,
    ConferenceJoin: conference.conference_join,
    Connect: connecting.connect,
    DigitsReceive: digits.digits_receive,
    DigitsSend: digits.digits_send,
    Play: audio.play,
    Reject: calling.reject,
    Talk: audio.play,
    Transfer: calling.transfer,
}
"""Each is called with the performer, the action, its pieces of audio, and a list for the legs it makes."""
