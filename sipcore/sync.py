"""The switch for synchronous code: the same calls, from any thread.

A thread of its own runs the event loop of an `AsyncSwitch`; every method here hands its work over and waits for the answer. So it works in
a plain script, a Django view, a Celery task, and beside a running event loop.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread
import contextlib
import queue
import threading
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

from sipcore.actions import Action, ListItem
from sipcore.actions.calling import Confirm, ConnectOptions
from sipcore.actions.conference import ConferenceOptions
from sipcore.actions.recording import DEFAULT_ECHO_MS, Channels, Direction, Format
from sipcore.addresses import Address
from sipcore.call_page import CallPage, draw_call
from sipcore.calls import AsyncCall
from sipcore.conferences.sync import Conferences
from sipcore.config import Config, load_config
from sipcore.dialed import DialedCall
from sipcore.errors import SipcoreError, SwitchClosed
from sipcore.events import CallEvent, CallHangup, Registration
from sipcore.flight.record import FlightRecord
from sipcore.forks import HomeProcess
from sipcore.inbound import HANDLER_LEGS
from sipcore.liveaudio.call_audio import DEFAULT_RATE_HZ, written
from sipcore.liveaudio.line import AudioFrame
from sipcore.liveaudio.reading import AudioReader, Tap
from sipcore.liveaudio.writing import Audio
from sipcore.plan import Plan
from sipcore.quality import Quality
from sipcore.record import CallRecord, Page
from sipcore.recordings.recording import Recording, RecordingPage
from sipcore.store import DEFAULT_PAGE_SIZE
from sipcore.switch import AsyncSwitch
from sipcore.user_threads import run_in_thread, threaded, threaded_request
from sipcore.wire import TracedMessage

if TYPE_CHECKING:
    from sipcore.load.plan import LoadPlan
    from sipcore.load.report import LoadReport
    from sipcore.load.run import LoadProgress

Result = TypeVar("Result")

_open_switches: weakref.WeakSet[Switch] = weakref.WeakSet()


def _close_open_switches() -> None:
    for switch in tuple(_open_switches):
        switch.close()


# A switch that is still open when the interpreter ends is closed while threads can still work. `atexit` is too late for that: by then
# concurrent.futures has ended its threads, with this same hook, which runs the last registered function first.
getattr(threading, "_register_atexit", atexit.register)(_close_open_switches)


class Switch:
    """A softswitch inside this process; open it with `with`.

    Args:
        config: A ready configuration, instead of keywords.
        **settings: The keys of `sipcore.config.Config`: `trunk`, `caller_id`, `username`, ...

    Raises:
        ConfigError: a setting is wrong.
    """

    def __init__(self, *, config: Config | None = None, **settings: Any) -> None:
        self._switch = AsyncSwitch(config=config, **settings)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._home = HomeProcess()
        self._lock = threading.Lock()
        self._closing = threading.Lock()
        """Held by the thread that closes; another one that closes too waits for it."""
        self.calls = Calls(self, self._switch)
        self.recordings = Recordings(self, self._switch)
        self.conferences = Conferences(self, self._switch.conferences)

    @classmethod
    def from_config(cls, path: str | Path) -> Self:
        """A switch from a TOML file.

        Raises:
            ConfigError: the file or a key in it is wrong.
        """
        return cls(config=load_config(path))

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def config(self) -> Config:
        """The settings."""
        return self._switch.config

    @property
    def sip_address(self) -> str:
        """`host:port` of our signalling, UDP and, unless `tcp` is off, TCP; empty while the switch is not open."""
        return self._switch.sip_address

    @property
    def tls_address(self) -> str:
        """`host:port` where SIP over TLS is listened for, the real port; empty while the switch is not open, or without TLS."""
        return self._switch.tls_address

    @property
    def registrations(self) -> Mapping[str, Registration]:
        """By name, how the trunks are registered that ask for it."""
        return self._switch.registrations

    def open(self) -> None:
        """Start the workers; `close` must follow, also when nothing was called.

        Raises:
            ConfigError: the store cannot be opened.
            EngineError: PJSIP cannot run here.
        """
        if self._thread is not None:
            self._home.check()
            return
        self._home = HomeProcess()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_run_loop, args=(self._loop,), name="sipcore", daemon=True)
        self._thread.start()
        try:
            self.run(self._switch.open())
        except BaseException:
            self._stop_loop()
            raise
        _open_switches.add(self)

    def close(self) -> None:
        """Hang up what is still up; return when no process, port or file of ours is left. Idempotent; in a fork of the process nothing."""
        if not self._home.is_here:  # neither the thread nor the calls are ours, and the locks may be held for ever
            return
        if threading.current_thread() is self._thread:
            raise SwitchClosed("a listener runs on the thread of the switch and cannot close it; hand the work to another thread")
        with self._closing:
            if self._thread is None:
                return
            _open_switches.discard(self)
            try:
                self.run(self._switch.close())
            except KeyboardInterrupt:  # once more: the closing goes on meanwhile, and is bounded by grace_s
                self.run(self._switch.close())
                raise
            finally:
                self._stop_loop()

    @overload
    def on_call(
        self, *, to: str = "*", source: str = "*", trunk: str = "*", phone: str = "*", legs: int = HANDLER_LEGS
    ) -> Callable[[SyncHandler], SyncHandler]: ...

    @overload
    def on_call(self, *, to: str = "*", source: str = "*", trunk: str = "*", phone: str = "*", actions: Sequence[ListItem]) -> None: ...

    def on_call(
        self,
        *,
        to: str = "*",
        source: str = "*",
        trunk: str = "*",
        phone: str = "*",
        actions: Sequence[ListItem] | None = None,
        legs: int = HANDLER_LEGS,
    ) -> Callable[[SyncHandler], SyncHandler] | None:
        """Take calls from outside, as `AsyncSwitch.on_call`: with an action list, or as a decorator with a function `handler(call)`.

        Each call has a thread of its own for its handler. When the call ends, whatever the handler asks of it raises `InvalidState`.

        Raises:
            InvalidRequest: the list is wrong, or cannot be done here; names every fault.
        """
        if actions is not None:
            given = threaded(actions, self._as_call)
            self._on_loop(lambda: self._switch.on_call(to=to, source=source, trunk=trunk, phone=phone, actions=given))
            return None

        def decorate(handler: SyncHandler) -> SyncHandler:
            async def in_thread(call: AsyncCall) -> None:
                await run_in_thread(handler, Call(self, call), call.id)

            self._on_loop(lambda: self._switch.on_call(to=to, source=source, trunk=trunk, phone=phone, legs=legs)(in_thread))
            return handler

        return decorate

    def dial(
        self,
        destination: object,
        *,
        ring_timeout_s: float | None = None,
        source: object = None,
        trunk: str | None = None,
        variables: Mapping[str, str] | None = None,
        legs: int = HANDLER_LEGS,
    ) -> contextlib.AbstractContextManager[Call]:
        """Place a call that a block of code handles: `with switch.dial("tel:+8210...") as call: ...`. As `AsyncSwitch.dial`."""
        options = {"ring_timeout_s": ring_timeout_s, "source": source, "trunk": trunk, "variables": variables, "legs": legs}
        return self._dialed(self._switch.dial(destination, **options))  # type: ignore[arg-type]

    @contextlib.contextmanager
    def _dialed(self, dialed: DialedCall) -> Iterator[Call]:
        call = self.run(dialed.__aenter__())
        try:
            yield Call(self, call)
        except BaseException as error:
            self._leave(dialed, call, error)
            raise
        self._leave(dialed, call, None)

    def _leave(self, dialed: DialedCall, call: AsyncCall, error: BaseException | None) -> None:
        if not self._home.is_here:
            return
        try:
            self.run(dialed.__aexit__(None if error is None else type(error), error, None))
        except SwitchClosed:
            if not call.record.is_over:  # closing has ended it
                raise

    def page(self, call_id: str) -> CallPage:
        """What a notebook shows of a call, as `AsyncSwitch.page`."""
        return self.run(self._switch.page(call_id))

    def plan(self, actions: Sequence[ListItem]) -> Plan:
        """What a list would do, as `AsyncSwitch.plan`.

        Raises:
            InvalidRequest: `create` would refuse it, or a file in it is no audio; names every fault.
            SwitchClosed: the switch is not open.
        """
        return self.run(self._switch.plan(threaded(actions, self._as_call)))

    def load(self, plan: LoadPlan, on_progress: Callable[[LoadProgress], None] | None = None) -> LoadReport:
        """Place the calls of a load test, and say what became of them, as `AsyncSwitch.load`; `on_progress` is called on its thread.

        Raises:
            InvalidRequest: the plan is wrong, or more than this switch can do; names every fault, before the first call.
            SwitchClosed: the switch is not open.
        """
        return self.run(self._switch.load(plan, on_progress))

    def listen(self, listener: Callable[[CallEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event of every call, on the thread of the switch; returns the function that stops it."""
        stop = self.run(_calling(lambda: self._switch.listen(listener)))
        return lambda: self.run(_calling(stop))

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine on the loop of the switch and wait for it.

        Raises:
            SwitchClosed: the switch is not open.
        """
        if not self._home.is_here:
            work.close()
            self._home.check()
        if threading.current_thread() is self._thread:
            work.close()
            raise SwitchClosed("a listener runs on the thread of the switch and cannot wait for it; hand the work to another thread")
        with self._lock:
            if self._loop is None:
                work.close()
                raise SwitchClosed("the switch is not open: use it in a with block, or call open()")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise SwitchClosed("the switch was closed") from None
        except BaseException:
            future.cancel()
            raise

    def next_of(self, waiting: queue.SimpleQueue[Result]) -> Result:
        """What the thread of the switch puts there next."""
        return waiting.get()

    def _as_call(self, call: AsyncCall) -> Call:
        return Call(self, call)

    def _on_loop(self, function: Callable[[], object]) -> None:
        """Call it where the rules are read, or here while nobody reads them."""
        if self._thread is None:
            function()
        else:
            self.run(_calling(function))

    def _stop_loop(self) -> None:
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


class Call:
    """A call, placed or received, and what became of it. See `AsyncCall`: what is awaited there returns here when it is done."""

    def __init__(self, switch: Switch, call: AsyncCall) -> None:
        self._switch = switch
        self._call = call

    @property
    def id(self) -> str:
        """The call id."""
        return self._call.id

    @property
    def record(self) -> CallRecord:
        """The record as it is now; final when the call is over."""
        return self._call.record

    @property
    def variables(self) -> dict[str, str]:
        """The variables that were set by now, by users and by actions: a copy."""
        return self._call.variables

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable, for actions from now on.

        Raises:
            InvalidRequest: the name or the value cannot be, or it would be too much.
        """
        self._switch.run(_calling(lambda: self._call.set_variable(name, value)))

    def _repr_html_(self) -> str:
        try:
            return self._switch.page(self.id).html
        except SipcoreError:  # the switch is closed
            return draw_call(self.record, self.quality(), self._call.history)

    def quality(self) -> Quality | None:
        """How good the call is to hear, until about a second ago; `None` while there is no audio."""
        return self._call.quality()

    def wait(self, timeout_s: float | None = None) -> CallRecord:
        """The final record, when the call is over.

        Raises:
            TimeoutError: it is not over in `timeout_s` seconds; the call goes on.
        """
        if self._call.record.is_over:
            return self._call.record
        return self._switch.run(self._call.wait(timeout_s))

    def ended(self) -> CallRecord:
        """The final record, however long it takes."""
        return self.wait()

    def events(self) -> Iterator[CallEvent]:
        """Every event of the call from its creation, as it happens, ending with `CallHangup`.

        Those of a finished call are there also when the switch is closed.
        """
        past = self._call.history
        if past and isinstance(past[-1], CallHangup):
            yield from past
            return
        waiting: queue.SimpleQueue[CallEvent] = queue.SimpleQueue()
        stop = self._switch.run(_calling(lambda: self._call.subscribe(waiting.put)))
        try:
            while True:
                event = self._switch.next_of(waiting)
                yield event
                if isinstance(event, CallHangup):
                    return
        finally:
            stop()

    def hangup(self) -> None:
        """End the call; a caller who is not answered is declined (603). Idempotent."""
        self._switch.run(_calling(self._call.hangup))

    def ring(self, *, early_media: bool = False) -> None:
        """Tell a caller that it rings (180), or open the audio to him before the answer (183)."""
        self._switch.run(_calling(lambda: self._call.ring(early_media=early_media)))

    def reject(self, code: int = 486, phrase: str = "") -> None:
        """Refuse a caller who is not answered. Raises as `AsyncCall.reject`."""
        self._switch.run(_calling(lambda: self._call.reject(code, phrase)))

    def answer(self) -> None:
        """Answer the call; returns when the caller knows."""
        self._switch.run(self._call.answer())

    def talk(
        self,
        text: str,
        language: str = "en-US",
        gender: Literal["female", "male", "neutral"] = "female",
        *,
        barge_in: str = "",
        loop: int = 1,
        volume_db: float = 0.0,
        pause_ms: int = 0,
    ) -> None:
        """Speak a text to its end, or until a key of `barge_in` is pressed."""
        self._switch.run(self._call.talk(text, language, gender, barge_in=barge_in, loop=loop, volume_db=volume_db, pause_ms=pause_ms))

    def play(self, *stream_urls: str, barge_in: str = "", loop: int = 1, volume_db: float = 0.0, pause_ms: int = 0) -> None:
        """Play files or URLs one after the other, or until a key of `barge_in` is pressed."""
        self._switch.run(self._call.play(*stream_urls, barge_in=barge_in, loop=loop, volume_db=volume_db, pause_ms=pause_ms))

    def beep(self, frequency_hz: float = 1000.0, duration_ms: int = 400) -> None:
        """Sound a short tone."""
        self._switch.run(self._call.beep(frequency_hz, duration_ms))

    def gather(self, max_digits: int = 1, timeout_s: float = 5.0, *, digit_timeout_s: float | None = None, finish_key: str = "") -> str:
        """Read the keys that are pressed, those first that were pressed before; what was read. See `AsyncCall.gather`."""
        return self._switch.run(self._call.gather(max_digits, timeout_s, digit_timeout_s=digit_timeout_s, finish_key=finish_key))

    def send_digits(
        self,
        digits: str,
        duration_ms: int = 200,
        interval_ms: int = 100,
        mode: Literal["auto", "rfc4733", "info", "inband"] = "auto",
    ) -> None:
        """Press keys for the far end; done when the last one is up again."""
        self._switch.run(self._call.send_digits(digits, duration_ms, interval_ms, mode))

    def connect(
        self,
        *destinations: Address | str,
        source: Address | str | None = None,
        timeout_s: float = 60.0,
        trunk: str = "",
        **options: Unpack[ConnectOptions],
    ) -> Call | None:
        """Ring the destinations, return when one has answered and is bridged: the leg, or `None` for nobody. See `AsyncCall.connect`."""
        leg = self._switch.run(self._call.connect(*destinations, source=source, timeout_s=timeout_s, trunk=trunk, **options))
        return None if leg is None else Call(self._switch, leg)

    def start_recording(
        self,
        format: Format = "wav",  # noqa: A002 - the option's name
        channels: Channels = "mono",
        *,
        end_of_silence_s: float = 0.0,
        end_of_key: str = "",
        duration_s: float = 0.0,
        beep_start: bool = False,
    ) -> Recording:
        """Record the call from now on; returns when it has begun. `switch.recordings.wait` waits for the file."""
        work = self._call.start_recording(
            format, channels, end_of_silence_s=end_of_silence_s, end_of_key=end_of_key, duration_s=duration_s, beep_start=beep_start
        )
        return self._switch.run(work)

    def stop_recording(self) -> Recording:
        """End the recording."""
        return self._switch.run(self._call.stop_recording())

    def pause_recording(self) -> None:
        """Write nothing down until `resume_recording`."""
        self._switch.run(self._call.pause_recording())

    def resume_recording(self) -> None:
        """Go on with the recording."""
        self._switch.run(self._call.resume_recording())

    def join_conference(self, conference: str, **options: Unpack[ConferenceOptions]) -> str:
        """Join a conference by name or id; returns why the call has left it, when it has. See `AsyncCall.join_conference`."""
        return self._switch.run(self._call.join_conference(conference, **options))

    def detect_answerer(
        self, *, waits_for_beep: bool = False, duration_ms: int = 5000, beep_timeout_s: float = 60.0
    ) -> Literal["human", "machine", "notsure"]:
        """Find out by listening who has answered; with `waits_for_beep` a machine's greeting is waited for."""
        return self._switch.run(
            self._call.detect_answerer(waits_for_beep=waits_for_beep, duration_ms=duration_ms, beep_timeout_s=beep_timeout_s)
        )

    def audio(self, rate_hz: int = DEFAULT_RATE_HZ, tap: Tap = "far") -> AudioReader:
        """What the far end says from now on, 20 ms at a time, until the call is over: `for frame in call.audio(): ...`."""
        return self._switch.run(_calling(lambda: self._call.audio_in_thread(rate_hz, tap)))

    def write(self, audio: Audio, rate_hz: int = DEFAULT_RATE_HZ) -> bool:
        """Let the far end hear this to its end: an array, bytes, a frame, or any iterable of them. False when `clear` has dropped some."""
        return self._switch.run(written(self._call, audio, rate_hz))

    def speech(
        self, text: str, language: str = "en-US", gender: Literal["female", "male", "neutral"] = "female"
    ) -> AsyncIterator[AudioFrame]:
        """A text spoken, for `write` alone: `call.write(call.speech("..."))`. See `AsyncCall.speech`."""
        return self._call.speech(text, language, gender)

    def clear(self) -> float:
        """Drop what was written and is not played; how many seconds that was. At most 60 ms more are heard."""
        return self._switch.run(_calling(self._call.clear))

    @property
    def queued_s(self) -> float:
        """What was written and is not played yet, in seconds."""
        return self._switch.run(_calling(lambda: self._call.queued_s))

    def echo(self, duration_ms: int = DEFAULT_ECHO_MS) -> None:
        """Let the far end hear itself for so long."""
        self._switch.run(self._call.echo(duration_ms))

    def mute(self, direction: Direction = "in") -> None:
        """Silence what the far end says (`in`), what it hears (`out`), or `both`."""
        self._switch.run(self._call.mute(direction))

    def unmute(self, direction: Direction = "both") -> None:
        """Undo `mute`."""
        self._switch.run(self._call.unmute(direction))

    def hold(self, music: str = "") -> None:
        """Put the far end on hold, with a file or URL as music or none; returns at once."""
        self._switch.run(self._call.hold(music))

    def unhold(self) -> None:
        """Take it back."""
        self._switch.run(self._call.unhold())

    def transfer(self, target: Address | str, timeout_s: float = 60.0, *, attended: bool = False, confirm: Confirm | None = None) -> None:
        """Hand the far end over to `target`, by REFER or `attended`; the call is over when it is there."""
        self._switch.run(self._call.transfer(target, timeout_s, attended=attended, confirm=confirm))

    def perform(self, action: Action | Mapping[str, Any]) -> tuple[Call, ...]:
        """Carry out one action, as an action list does; the legs of a `connect`."""
        return tuple(Call(self._switch, leg) for leg in self._switch.run(self._call.perform(action)))

    def perform_now(self, action: Action | Mapping[str, Any]) -> None:
        """Carry out one action beside the one that runs. As `AsyncCall.perform_now`."""
        self._switch.run(self._call.perform_now(action))


SyncHandler = Callable[[Call], None]


class Calls:
    """The calls of a switch: `create`, `get`, `list`, `hangup`. See `AsyncCalls` for arguments and errors."""

    def __init__(self, switch: Switch, asynchronous: AsyncSwitch) -> None:
        self._switch = switch
        self._calls = asynchronous.calls

    def _as_call(self, call: AsyncCall) -> Call:
        return Call(self._switch, call)

    def create(
        self,
        body: Mapping[str, Any] | None = None,
        *,
        destination: object = None,
        source: object = None,
        actions: Sequence[ListItem] | None = None,
        trunk: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Call:
        """Place a call; returns at once. See `AsyncCalls.create`.

        Raises:
            InvalidRequest: the request is wrong; names every fault.
            CapacityError: no room for the call now.
            SwitchClosed: the switch is not open.
        """
        if body is not None:
            body = threaded_request(body, self._as_call)
        listed = threaded(actions, self._as_call)
        keywords = {"destination": destination, "source": source, "actions": listed, "trunk": trunk, "variables": variables}
        return Call(self._switch, self._switch.run(_calling(lambda: self._calls.create(body, **keywords))))

    def create_all(self, body: Mapping[str, Any], *, user_id: int = 1) -> list[Call]:
        """Place the calls of a request with `destinations`: all of them, or none. See `AsyncCalls.create_all`.

        Raises:
            InvalidRequest, CapacityError, SwitchClosed: as `create`.
        """
        threaded_body = threaded_request(body, self._as_call)
        work = _calling(lambda: self._calls.create_all(threaded_body, user_id=user_id))
        return [Call(self._switch, call) for call in self._switch.run(work)]

    def get(self, call_id: str) -> CallRecord:
        """The record of a call, live or over.

        Raises:
            CallNotFound: no call has this id.
        """
        return self._switch.run(self._calls.get(call_id))

    def quality(self, call_id: str) -> Quality | None:
        """How good a call is to hear, or was; `None` when it has no audio.

        Raises:
            CallNotFound: no call has this id.
        """
        return self._switch.run(self._calls.quality(call_id))

    def list(self, page_size: int = DEFAULT_PAGE_SIZE, page_token: str | None = None) -> Page:
        """One page of calls, newest first.

        Raises:
            InvalidRequest: the size is less than 1, or the token is no time.
        """
        return self._switch.run(self._calls.list(page_size, page_token))

    def hangup(self, call_id: str) -> CallRecord:
        """End a call; one that is over stays as it is.

        Raises:
            CallNotFound: no call has this id.
        """
        return self._switch.run(self._calls.hangup(call_id))

    def trace(self, call_id: str) -> tuple[TracedMessage, ...]:
        """The SIP messages of a call, the oldest first; see `AsyncCalls.trace`.

        Raises:
            CallNotFound: no call has this id.
        """
        return self._switch.run(self._calls.trace(call_id))

    def flight(self, call_id: str, *, legs: bool = True) -> FlightRecord:
        """All that the flight recorder has of a call; see `AsyncCalls.flight`.

        Raises:
            CallNotFound: no call has this id.
        """
        return self._switch.run(self._calls.flight(call_id, legs=legs))


class Recordings:
    """The recordings of a switch: `get`, `wait`, `list`, `path`, `delete`. See `AsyncRecordings` for arguments and errors."""

    def __init__(self, switch: Switch, asynchronous: AsyncSwitch) -> None:
        self._switch = switch
        self._recordings = asynchronous.recordings

    def get(self, recording_id: str) -> Recording:
        """A recording, that runs or is over."""
        return self._switch.run(self._recordings.get(recording_id))

    def wait(self, recording_id: str, timeout_s: float | None = None) -> Recording:
        """The recording, when it is over and its file is there."""
        return self._switch.run(self._recordings.wait(recording_id, timeout_s))

    def list(self, page_size: int = DEFAULT_PAGE_SIZE, page_token: str | None = None) -> RecordingPage:
        """One page of recordings, newest first."""
        return self._switch.run(self._recordings.list(page_size, page_token))

    def path(self, recording: Recording) -> Path:
        """Where its file is; there is one when it has a `filename`."""
        return self._recordings.path(recording)

    def delete(self, recording_id: str) -> Recording:
        """Delete a recording and its file; what it was."""
        return self._switch.run(self._recordings.delete(recording_id))


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        # Whoever asked for something while the switch was closing is told so: run() turns this into SwitchClosed.
        if tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.wait(tasks))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _calling(function: Callable[[], Result]) -> Result:
    return function()
