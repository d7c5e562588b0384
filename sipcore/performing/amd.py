"""`amd`: listens to the far end, by its live audio, until it is known who has answered."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from media.amd import AmdSettings, AnswerDetector, Answerer, MessageEnd, Verdict
from sipcore.actions.amd import Amd
from sipcore.call import HangupReason, Status
from sipcore.liveaudio.line import AudioFrame
from sipcore.performing.refused import Refused
from sipcore.preparation import Piece
from sipcore.session import Session

if TYPE_CHECKING:
    from sipcore.performer import Performer

_MARGIN_S: Final = 5.0
"""Beyond what the detector takes at most: audio that does not come at all."""


async def amd(performer: Performer, action: Amd, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`amd`."""
    session = performer.session
    if session.record.status != Status.PROGRESSING:
        raise Refused("the call is not answered")
    if action.is_async:
        performer.host.work(session, _beside(session, action))
    else:
        await _detect(session, action)


async def _beside(session: Session, action: Amd) -> list[Session]:
    await _detect(session, action)
    return []


async def _detect(session: Session, action: Amd) -> None:
    heard: asyncio.Queue[AudioFrame | None] = asyncio.Queue()
    line = session.open_audio(heard.put_nowait, lambda: heard.put_nowait(None))
    try:
        verdict = await _verdict(heard, action)
        session.tell_answerer(verdict)
        if verdict.answerer != Answerer.MACHINE:
            return
        if action.machine_handle == "continue":
            if action.waits_for_beep and not verdict.beep_hz:
                await _beep(heard, action.beep_timeout_s)
            return
    finally:
        line.close()
    if not action.is_async:
        session.finish_action("done")
    session.hang_up(HangupReason.AMD)


async def _verdict(heard: asyncio.Queue[AudioFrame | None], action: Amd) -> Verdict:
    settings = AmdSettings(action.duration_ms, action.initial_silence_ms, action.greeting_ms, action.silence_ms, action.words)
    detector: AnswerDetector | None = None
    try:
        async with asyncio.timeout(action.duration_ms / 1000 + _MARGIN_S):
            while (frame := await heard.get()) is not None:
                detector = detector or AnswerDetector(50 * len(frame.samples), settings)
                if verdict := detector.feed(frame.samples):
                    return verdict
    except TimeoutError:
        pass
    if detector is None:
        raise Refused("no audio came")
    return detector.give_up()


async def _beep(heard: asyncio.Queue[AudioFrame | None], timeout_s: float) -> None:
    """Until the message of the machine is over: its beep has ended, or it says nothing any more."""
    end: MessageEnd | None = None
    try:
        async with asyncio.timeout(timeout_s):
            while (frame := await heard.get()) is not None:
                end = end or MessageEnd(50 * len(frame.samples))
                if end.feed(frame.samples):
                    return
    except TimeoutError:
        return
