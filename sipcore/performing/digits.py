"""`digits_receive`, `digits_send`, and what stops a prompt when a key is pressed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from media import MediaError
from sipcore.actions import DigitsReceive, DigitsSend
from sipcore.call import Status
from sipcore.digits import Ended, Reading, Rules, is_among
from sipcore.events import CallEvent, DigitReceived
from sipcore.performing.refused import Refused
from sipcore.preparation import Kind, Piece
from sipcore.session import DigitsRefused, PlaybackFailed, Session

if TYPE_CHECKING:
    from sipcore.performer import Performer, PerformerHost

log = logging.getLogger(__name__)

INBAND = "inband"
RELAYED_DIGITS = 100
RELAYED_MS = 120
RELAYED_INTERVAL_MS = 80
RFC4733 = "rfc4733"


async def digits_receive(performer: Performer, action: DigitsReceive, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`digits_receive`."""
    rules = Rules(
        length=action.length,
        finish_keys=action.key,
        keeps_key=action.includes_key,
        whole_s=action.duration_ms / 1000,
        first_s=action.first_digit_timeout_s,
        between_s=action.digit_timeout_s,
    )
    if action.inband:
        performer.session.hear_tones()
    reading = await read(performer.session, rules)
    performer.session.variables.set("digits", reading.digits)
    performer.session.gather(reading.digits, str(reading.ended or Ended.TIMEOUT))


async def read(session: Session, rules: Rules) -> Reading:
    """Read digits, those that wait first."""
    loop = asyncio.get_running_loop()
    reading = Reading.begin(rules, loop.time())
    with _awaited(session) as pressed:
        while not reading.ended:
            pressed.clear()
            while not reading.ended and (digit := session.digits.take()):
                reading = reading.press(digit, loop.time())
            if not reading.ended:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(reading.deadline_s):
                        await pressed.wait()
                if not session.digits:
                    reading = reading.expire(loop.time())
    return reading


async def until_pressed(session: Session, keys: str, work: Awaitable[None]) -> bool:
    """Do the work until one of these keys is pressed, or was before; the key is kept for who reads next. Whether one was."""
    task = asyncio.ensure_future(work)
    if not keys:
        await task
        return False

    def told(event: CallEvent) -> None:
        if isinstance(event, DigitReceived) and is_among(event.digit, keys):
            task.cancel()

    stop = session.listen(told)
    session.await_digits(is_awaited=True)
    try:
        if session.digits.has_one_of(keys):
            task.cancel()
        await asyncio.wait({task})
    finally:
        stop()
        session.await_digits(is_awaited=False)
        if task.cancel():
            await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return task.cancelled()


async def digits_send(performer: Performer, action: DigitsSend, _pieces: list[Piece], _legs: list[Session]) -> None:
    """`digits_send`."""
    await press(performer.session, performer.host, action)


async def press(session: Session, host: PerformerHost, action: DigitsSend) -> None:
    """Press keys for the far end of a call.

    Raises:
        Refused: it is not answered, or takes them in no such way.
        PlaybackFailed, OSError: tones could not be played.
    """
    if session.record.status != Status.PROGRESSING:
        raise Refused("the call is not answered")
    mode = host.digit_mode(session) if action.mode == "auto" else action.mode
    if mode == INBAND:
        await _play_tones(session, host, action)
        return
    try:
        await session.send_digits(action.digits, action.duration_ms, action.interval_ms, mode)
    except DigitsRefused as refusal:
        if not (action.mode == "auto" and mode == RFC4733 and refusal.is_unsupported):
            raise Refused(str(refusal)) from None
        await _play_tones(session, host, action)


async def _play_tones(session: Session, host: PerformerHost, action: DigitsSend) -> None:
    duration_s, interval_s = action.duration_ms / 1000, action.interval_ms / 1000
    tones = await host.in_background(lambda: host.library.digit_tones(action.digits, duration_s, interval_s), Kind.SPEECH)
    await session.play(str(tones.path))


class DigitRelay:
    """Passes keys on between two calls that are bridged: those that come as events or INFO are not in the audio.

    At most `RELAYED_DIGITS` wait on each way; beyond it they are lost.
    """

    def __init__(self, one: Session, other: Session, host: PerformerHost) -> None:
        self._host = host
        self._stops: list[Callable[[], None]] = []
        self._tasks = [self._start(one, other), self._start(other, one)]

    def _start(self, source: Session, target: Session) -> asyncio.Task[None]:
        waiting: asyncio.Queue[str] = asyncio.Queue(RELAYED_DIGITS)

        def told(event: CallEvent) -> None:
            if isinstance(event, DigitReceived) and not waiting.full():
                waiting.put_nowait(event.digit)

        self._stops.append(source.listen(told))
        return asyncio.create_task(self._pass_on(waiting, target))

    async def _pass_on(self, waiting: asyncio.Queue[str], target: Session) -> None:
        while True:
            digit = await waiting.get()
            try:
                await press(target, self._host, DigitsSend(digit, RELAYED_MS, RELAYED_INTERVAL_MS))
            except (Refused, PlaybackFailed, MediaError, OSError) as error:
                log.warning("call %s: a digit of the other side could not be passed on: %s", target.id, error)

    def stop(self) -> None:
        """The bridge is over."""
        for stop in self._stops:
            stop()
        for task in self._tasks:
            task.cancel()


@contextlib.contextmanager
def _awaited(session: Session) -> Iterator[asyncio.Event]:
    """Set with each digit that is pressed; the engine tells them without delay meanwhile."""
    pressed = asyncio.Event()

    def told(event: CallEvent) -> None:
        if isinstance(event, DigitReceived):
            pressed.set()

    stop = session.listen(told)
    session.await_digits(is_awaited=True)
    try:
        yield pressed
    finally:
        stop()
        session.await_digits(is_awaited=False)
