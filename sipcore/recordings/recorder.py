"""The recordings of one switch: which calls are being recorded, what ends a recording, and how its file is made.

While it runs, the engine writes two files for each stretch between pauses into `<recordings_dir>/.unfinished/<id>/`; afterwards a thread
makes one file of them, `<recordings_dir>/<id>.<format>`. A process that dies leaves such a folder, and the next switch finishes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from media import Cancelled
from media.recording import RecordingFailed, SilenceMeter
from sipcore import engine, events
from sipcore.actions import RecordingStart
from sipcore.clock import Clock
from sipcore.digits import is_among
from sipcore.ids import new_id
from sipcore.performing.refused import Refused
from sipcore.recordings.files import Workshop
from sipcore.recordings.recording import Recording, RecordingStatus
from sipcore.session import Session
from sipcore.store_thread import StoreThread

log = logging.getLogger(__name__)

FILES_S: Final = 5.0
"""From the end of a recording to the engine's word that its files are closed; a lost worker never says it."""
SILENCE_LOOK_S: Final = 0.5
SIZE_LOOK_S: Final = 10.0
CLOSE_S: Final = 30.0
"""For the files that are being made when the switch closes; those that take longer are made by the next switch."""
_THREADS: Final = 2


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """Of each recording."""

    max_s: float
    max_bytes: int
    """Of what is written while it runs."""


class RecorderHost(Protocol):
    """What the recorder needs of the switch."""

    clock: Clock

    def submit(self, command: engine.Command) -> None:
        """Give a command to the engine."""

    def tell(self, event: events.CallEvent) -> None:
        """Tell who listens to the whole switch."""

    def next_time(self) -> datetime:
        """Now, and never the same twice."""


@dataclass(eq=False, slots=True)
class _Live:
    """A recording that runs, pauses, or waits for its files."""

    recording: Recording
    session: Session
    action: RecordingStart
    stretch: int = 0
    is_running: bool = False
    began_s: float = 0.0
    before_s: float = 0.0
    """Recorded in the stretches before."""
    unclosed: set[str] = field(default_factory=set)
    all_closed: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None
    watch: asyncio.Task[None] | None = None
    stop_listening: Callable[[], None] = lambda: None
    error: str = ""


class Recorder:
    """Starts, pauses, ends and keeps recordings. Lives on the event loop of the switch."""

    def __init__(self, directory: Path, limits: RecordingLimits, store: StoreThread, host: RecorderHost) -> None:
        self._workshop = Workshop(directory)
        self._limits, self._store, self._host = limits, store, host
        self._by_call: dict[str, _Live] = {}
        self._by_stretch: dict[str, _Live] = {}
        self._by_id: dict[str, Recording] = {}
        """Those that are not over."""
        self._waiting: set[_Live] = set()
        """Those that wait for the engine to close their files."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._threads = ThreadPoolExecutor(_THREADS, "sipcore-recording")
        self._loop = asyncio.get_running_loop()
        self._is_late = False

    def open(self) -> None:
        """Finish, in the background, what a process that is gone has left."""
        self._spawn(self._recover)

    # ------------------------------------------------------------------------------------------------- the actions

    async def start(self, session: Session, action: RecordingStart) -> Recording:
        """Begin to record a call.

        Raises:
            Refused: it is being recorded already.
            OSError: there is no room for it.
        """
        self._check_free(session)
        now = self._host.next_time()
        recording = Recording(
            new_id(), session.id, now, session.record.user_id, format=action.format, channels=action.channels, tm_start=now
        )
        try:
            await asyncio.shield(made := self._in_thread(lambda: self._workshop.open(recording)))
        except asyncio.CancelledError:
            made.add_done_callback(lambda _: self._threads.submit(self._workshop.discard, recording.id))
            raise
        self._check_free(session)
        live = self._by_call[session.id] = _Live(recording, session, action)
        live.stop_listening = session.listen(lambda event: self._on_call_event(live, event))
        self._keep(recording)
        self._record(live)
        live.watch = self._spawn(lambda: self._watch(live))
        log.info("call %s: recording %s", session.id, recording.id)
        session.variables.set("recording.id", recording.id)
        session.recording_begins(recording)
        return recording

    def stop(self, session: Session) -> Recording:
        """End the recording of a call.

        Raises:
            Refused: there is none.
        """
        live = self._of(session)
        self._end(live, "stopped")
        return live.recording

    def pause(self, session: Session) -> None:
        """Write nothing down until `resume`.

        Raises:
            Refused: there is no recording that runs.
        """
        live = self._of(session)
        if not live.is_running:
            raise Refused("the recording is paused already")
        self._rest(live)

    def resume(self, session: Session) -> None:
        """Go on.

        Raises:
            Refused: there is no recording that pauses.
        """
        live = self._of(session)
        if live.is_running:
            raise Refused("the recording is not paused")
        self._record(live)

    async def get(self, recording_id: str) -> Recording | None:
        """A recording, that runs or is over; `None`: there is none of this id."""
        return self._by_id.get(recording_id) or await self._store.ask_recordings(lambda table: table.get(recording_id))

    async def delete(self, recording: Recording) -> Recording:
        """Delete the file of a recording that is over, and forget it."""
        await self._in_thread(lambda: self._workshop.delete(recording))
        await self._store.ask_recordings(lambda table: table.delete(recording.id))
        return replace(recording, tm_delete=self._host.clock.now())

    # ------------------------------------------------------------------------------------ what others write: a mix

    async def begin_mix(self, recording: Recording) -> Path:
        """Make room for a recording that its owner writes himself; the file for it, which is not there yet.

        Raises:
            OSError: there is no room for it.
        """
        await self._in_thread(lambda: self._workshop.open(recording))
        self._keep(recording)
        return self._workshop.mix(recording.id)

    def end_mix(self, recording: Recording, close: Callable[[], None], then: Callable[[Recording], None]) -> None:
        """Make its file once `close`, which may block, has returned; `then` gets the recording that is over."""

        async def finishing() -> None:
            await self._in_thread(close)
            if (over := await self._made(recording)) is not None:
                then(over)

        self._keep(recording)
        self._spawn(finishing)

    @property
    def limits(self) -> RecordingLimits:
        """Of each recording."""
        return self._limits

    def _check_free(self, session: Session) -> None:
        if session.id in self._by_call:
            raise Refused("the call is being recorded already")

    def _of(self, session: Session) -> _Live:
        live = self._by_call.get(session.id)
        if live is None:
            raise Refused("the call is not being recorded")
        return live

    # ------------------------------------------------------------------------------------------- while it is recorded

    def _record(self, live: _Live) -> None:
        """A new stretch."""
        live.stretch += 1
        live.is_running = True
        live.began_s = self._loop.time()
        stretch_id = f"{live.recording.id}-{live.stretch}"
        live.unclosed.add(stretch_id)
        live.all_closed.clear()
        self._by_stretch[stretch_id] = live
        self._host.submit(engine.StartRecording(live.session.id, stretch_id, self._workshop.stretch(live.recording.id, live.stretch)))
        wanted_s = min(live.action.duration_s or self._limits.max_s, self._limits.max_s)
        live.timer = self._loop.call_later(max(0.0, wanted_s - live.before_s), self._end, live, "duration")

    def _rest(self, live: _Live) -> None:
        """The end of a stretch."""
        if not live.is_running:
            return
        live.is_running = False
        live.before_s += self._loop.time() - live.began_s
        if live.timer is not None:
            live.timer.cancel()
        self._host.submit(engine.StopRecording(live.session.id, f"{live.recording.id}-{live.stretch}"))

    def _on_call_event(self, live: _Live, event: events.CallEvent) -> None:
        match event:
            case events.DigitReceived(digit=digit) if is_among(digit, live.action.end_of_key):
                self._end(live, "key")
            case events.CallHangup():
                self._end(live, "hangup")

    def on_event(self, event: engine.RecordingFinished) -> None:
        """The files of a stretch are closed."""
        live = self._by_stretch.pop(event.recording_id, None)
        if live is None:
            return
        live.unclosed.discard(event.recording_id)
        if not live.unclosed:
            live.all_closed.set()
        if event.error:
            log.warning("call %s: recording %s: %s", live.session.id, live.recording.id, event.error)
            live.error = event.error
        if live.is_running and event.recording_id == f"{live.recording.id}-{live.stretch}":
            self._end(live, "error" if event.error else "stopped")

    async def _watch(self, live: _Live) -> None:
        """Look at the files while they grow, on a thread: at their silence, if that ends the recording, and at their size."""
        wanted_s = live.action.end_of_silence_s
        meter, stretch = None, 0
        while live.recording.status == RecordingStatus.RECORDING:
            await asyncio.sleep(SILENCE_LOOK_S if wanted_s else SIZE_LOOK_S)
            if not live.is_running:
                continue
            if wanted_s and stretch != live.stretch:
                stretch = live.stretch
                meter = SilenceMeter(Path(engine.recording_files(self._workshop.stretch(live.recording.id, stretch))[0]))
            try:
                if meter is not None and await self._in_thread(meter.look) >= wanted_s:
                    self._end(live, "silence")
                elif await self._in_thread(lambda: self._workshop.size_bytes(live.recording.id)) > self._limits.max_bytes:
                    self._end(live, "size")
            except OSError as error:
                log.warning("call %s: recording %s cannot be watched: %s", live.session.id, live.recording.id, error)

    # ------------------------------------------------------------------------------------------------- afterwards

    def _end(self, live: _Live, reason: str) -> None:
        """Record no more, and make the file."""
        if live.recording.status != RecordingStatus.RECORDING:
            return
        self._rest(live)
        live.stop_listening()
        if live.watch is not None and live.watch is not asyncio.current_task():
            live.watch.cancel()
        now = self._host.clock.now()
        live.recording = replace(live.recording, status=RecordingStatus.STOPPING, tm_end=now, tm_update=now, end_reason=reason)
        del self._by_call[live.session.id]
        live.session.recording_ends()
        self._keep(live.recording)
        self._spawn(lambda: self._finish(live))

    async def _finish(self, live: _Live) -> None:
        """Wait until the engine has closed the files, then make one of them, and tell."""
        self._waiting.add(live)
        try:
            async with asyncio.timeout(FILES_S):
                await live.all_closed.wait()
        except TimeoutError:
            log.warning("recording %s: the engine did not say that its files are complete", live.recording.id)
        finally:
            self._waiting.discard(live)
            for stretch_id in live.unclosed:  # of a worker that is lost
                self._by_stretch.pop(stretch_id, None)
        over = await self._made(replace(live.recording, error=live.error))
        if over is None:
            return
        session = live.session
        event = events.RecordingFinished(session.id, self._host.clock.now(), session.record, over)
        if session.record.is_over:
            self._host.tell(event)
        else:
            session.publish(event)

    async def _made(self, recording: Recording) -> Recording | None:
        """Make the file of a recording; `None` when that is left to the next switch."""
        try:
            made = await self._in_thread(lambda: self._workshop.make(recording, lambda: self._is_late))
        except Cancelled:
            return None
        except (RecordingFailed, OSError) as error:
            log.warning("recording %s: no file could be made: %s", recording.id, error)
            over = replace(recording, status=RecordingStatus.FAILED, error=recording.error or str(error))
        else:
            is_lost = bool(recording.error) and not made.size_bytes
            status = RecordingStatus.FAILED if is_lost else RecordingStatus.ENDED
            over = replace(recording, status=status, duration_s=made.duration_s, size_bytes=made.size_bytes)
        over = replace(over, tm_update=self._host.clock.now())
        await self._store.ask_recordings(lambda table: table.put(over))
        self._by_id.pop(recording.id, None)
        log.info("recording %s: %s, %.1f s", over.id, over.status, over.duration_s)
        return over

    async def _recover(self) -> None:
        for recording in await self._in_thread(self._workshop.lost):
            log.warning("recording %s: finishing what a process that is gone has left", recording.id)
            now = self._host.clock.now()
            left = replace(
                recording, status=RecordingStatus.STOPPING, tm_end=recording.tm_end or now, end_reason="error", error="its process was gone"
            )
            self._by_id[left.id] = left
            await self._made(left)

    # --------------------------------------------------------------------------------------------------- the end

    async def close(self) -> None:
        """Finish every file; the engine is closed already, and says nothing more."""
        for live in tuple(self._by_call.values()):
            self._end(live, "hangup")
        await asyncio.sleep(0)  # so that those that have just ended wait too
        for live in self._waiting:
            live.all_closed.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        self._is_late = True
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._loop.run_in_executor(None, self._threads.shutdown)

    def _keep(self, recording: Recording) -> None:
        self._by_id[recording.id] = recording
        self._spawn(lambda: self._store.ask_recordings(lambda table: table.put(recording)))

    def _in_thread(self, work: Callable[[], Any]) -> asyncio.Future[Any]:
        return self._loop.run_in_executor(self._threads, work)

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[Any]:
        async def guarded() -> None:
            try:
                await work()
            except Exception:
                log.exception("recordings: internal error")

        task = self._loop.create_task(guarded(), name="sipcore recording")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
