"""The calls of a switch, as the user handles them: place, look up, list, end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal, Protocol, Unpack, cast

from sipcore.actions import (
    Action,
    Amd,
    Answer,
    Beep,
    Connect,
    DigitsReceive,
    DigitsSend,
    ListItem,
    Play,
    Reject,
    Talk,
    Transfer,
    parse_action,
)
from sipcore.actions.calling import Confirm, ConnectOptions
from sipcore.actions.conference import ConferenceJoin, ConferenceOptions
from sipcore.actions.recording import (
    DEFAULT_ECHO_MS,
    Channels,
    Direction,
    Echo,
    Format,
    Hold,
    Mute,
    RecordingPause,
    RecordingResume,
    RecordingStart,
    RecordingStop,
    Unhold,
    Unmute,
)
from sipcore.addresses import Address
from sipcore.call_page import draw_call
from sipcore.errors import ActionFailed, CallNotFound, Fault, InvalidRequest, InvalidState, RecordingNotFound, SwitchDraining
from sipcore.events import CallEvent, CallHangup
from sipcore.exchange import Exchange
from sipcore.flight.access import take_flight
from sipcore.flight.log import FlightLog
from sipcore.flight.record import FlightRecord
from sipcore.liveaudio.call_audio import DEFAULT_RATE_HZ, spoken
from sipcore.liveaudio.line import AudioFrame
from sipcore.liveaudio.reading import AsyncAudioReader, AudioReader, Tap
from sipcore.liveaudio.writing import Audio
from sipcore.paging import check_paging
from sipcore.performer import Performer
from sipcore.performing.now import perform_now
from sipcore.performing.refused import NobodyAnswered
from sipcore.quality import Quality, quality_of
from sipcore.record import CallRecord, Page
from sipcore.recordings.recording import Recording
from sipcore.request import CallRequest, parse_request, parse_requests
from sipcore.session import Session
from sipcore.store import DEFAULT_PAGE_SIZE
from sipcore.store_thread import StoreThread
from sipcore.wire import TracedMessage


class CallsHost(Protocol):
    """What the calls need of their switch."""

    store: StoreThread

    @property
    def exchange(self) -> Exchange:
        """The live calls; raises `SwitchClosed` while the switch is not open."""

    @property
    def takes_calls(self) -> bool:
        """Whether new calls are taken."""

    async def trace(self, call_id: str) -> tuple[TracedMessage, ...]:
        """What the engine kept of the call's SIP messages."""

    def now(self) -> datetime:
        """The time of day."""

    @property
    def flights(self) -> FlightLog:
        """What is remembered of calls, also while the switch closes; raises `SwitchClosed` before it was open."""

    def session(self, call_id: str) -> Session | None:
        """A call that is not over, also while the switch closes."""

    def sessions(self) -> tuple[Session, ...]:
        """Every call that is not over, also while the switch closes."""

    def performer(self, session: Session) -> Performer:
        """What carries out the actions of a call."""


class AsyncCall:
    """A call, placed or received, and what became of it.

    A handler tells it what to do. What takes time is awaited, and raises `ActionFailed` when it cannot be done (the call then goes on), or
    `InvalidState` when the call is over before it is done. Only one of these is carried out at a time.
    """

    def __init__(self, session: Session, performer: Performer) -> None:
        self._session = session
        self._performer = performer

    @property
    def id(self) -> str:
        """The call id."""
        return self._session.id

    @property
    def record(self) -> CallRecord:
        """The record as it is now; final when the call is over."""
        return self._session.record

    @property
    def event_url(self) -> str:
        """Where the events of the call are to be sent (`sipcore serve` does); empty: nowhere."""
        return self._session.event_url

    @property
    def variables(self) -> dict[str, str]:
        """The variables that were set by now, by users and by actions (`digits`, ...): a copy."""
        return self._session.variables.to_dict()

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable, for actions from now on.

        Raises:
            InvalidRequest: the name or the value cannot be, or it would be too much.
        """
        self._session.variables.set(name, value)

    @property
    def first_play_at(self) -> datetime | None:
        """When the first sound was ordered; `None` when there was none yet."""
        return self._session.first_play_at

    @property
    def first_audio_at(self) -> datetime | None:
        """When the first RTP packet of the far end came, to within about 10 ms; `None`: not yet, or `await_audio` was not asked."""
        return self._session.first_audio_at

    def await_audio(self) -> None:
        """Note when the first RTP packet of the far end comes; to be asked when the call is dialled (`CallDialing`), or later."""
        self._session.await_audio()

    @property
    def history(self) -> tuple[CallEvent, ...]:
        """Every event so far; complete when the last one is `CallHangup`."""
        return tuple(self._session.history)

    def quality(self) -> Quality | None:
        """How good the call is to hear, from its begin until about a second ago, and at its end in all; `None` while there is no audio."""
        statistics = self._session.statistics
        return None if statistics is None else quality_of(statistics)

    def _repr_html_(self) -> str:
        return draw_call(self.record, self.quality(), self.history)

    async def wait(self, timeout_s: float | None = None) -> CallRecord:
        """The final record, when the call is over.

        Raises:
            TimeoutError: it is not over in `timeout_s` seconds; the call goes on.
        """
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(self._session.over)

    async def ended(self) -> CallRecord:
        """The final record, however long it takes."""
        return await self.wait()

    async def events(self) -> AsyncIterator[CallEvent]:
        """Every event of the call from its creation, ending with `CallHangup`."""
        queue: asyncio.Queue[CallEvent] = asyncio.Queue()
        for event in self._session.history:
            queue.put_nowait(event)
        stop = self._session.listen(queue.put_nowait)
        try:
            while True:
                event = await queue.get()
                yield event
                if isinstance(event, CallHangup):
                    return
        finally:
            stop()

    def subscribe(self, listener: Callable[[CallEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event so far and from now on, on the event loop; returns the function that stops it."""
        for event in tuple(self._session.history):
            listener(event)
        return self._session.listen(listener)

    def hangup(self) -> None:
        """End the call; a caller who is not answered is declined (603). Idempotent."""
        self._session.hang_up()

    def ring(self, *, early_media: bool = False) -> None:
        """Tell a caller that it rings (180), or open the audio to him before the answer (183). Nothing on other calls."""
        self._session.ring(early_media=early_media)

    def reject(self, code: int = 486, phrase: str = "") -> None:
        """Refuse a caller who is not answered, with this final SIP answer.

        Raises:
            InvalidRequest: there is no such answer.
            InvalidState: the call is answered, over, or one that we placed.
        """
        action = parse_action(Reject(code, phrase), "reject")
        assert isinstance(action, Reject)
        if not self._session.reject(action.code, action.phrase):
            raise InvalidState(self.id, str(self.record.status), "reject")

    async def answer(self) -> None:
        """Answer the call; returns when the caller knows, at once when it is answered already."""
        await self._performer.order(Answer())

    async def talk(
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
        """Speak a text to its end, or until a key of `barge_in` is pressed; before the answer it is early media.

        Options as those of `Talk`.
        """
        await self.perform(Talk(text, language, gender, barge_in=barge_in, loop=loop, volume_db=volume_db, pause_ms=pause_ms))

    async def play(self, *stream_urls: str, barge_in: str = "", loop: int = 1, volume_db: float = 0.0, pause_ms: int = 0) -> None:
        """Play files or URLs one after the other, or until a key of `barge_in` is pressed; before the answer they are early media.

        Options as those of `Play`.
        """
        await self.perform(Play(stream_urls, barge_in=barge_in, loop=loop, volume_db=volume_db, pause_ms=pause_ms))

    async def beep(self, frequency_hz: float = 1000.0, duration_ms: int = 400) -> None:
        """Sound a short tone."""
        await self.perform(Beep(frequency_hz, duration_ms))

    async def gather(
        self, max_digits: int = 1, timeout_s: float = 5.0, *, digit_timeout_s: float | None = None, finish_key: str = ""
    ) -> str:
        """Read the keys that are pressed, those first that were pressed before; what was read, empty when nothing was.

        Args:
            max_digits: So many at most; 0: any number.
            timeout_s: How long to wait for the first digit, in seconds; 0: until the call ends.
            digit_timeout_s: How long to wait for each further one; as long as for the first by default.
            finish_key: Keys that end it and are no part of the digits: `#`, or `any`.
        """
        between_s = timeout_s if digit_timeout_s is None else digit_timeout_s
        await self.perform(DigitsReceive(max_digits, finish_key, False, 0, float(timeout_s), float(between_s)))  # noqa: FBT003
        return self._session.gathered

    async def send_digits(
        self,
        digits: str,
        duration_ms: int = 200,
        interval_ms: int = 100,
        mode: Literal["auto", "rfc4733", "info", "inband"] = "auto",
    ) -> None:
        """Press keys for the far end; done when the last one is up again. As `DigitsSend`."""
        await self.perform(DigitsSend(digits, duration_ms, interval_ms, mode))

    async def connect(
        self,
        *destinations: Address | str,
        source: Address | str | None = None,
        timeout_s: float = 60.0,
        trunk: str = "",
        **options: Unpack[ConnectOptions],
    ) -> AsyncCall | None:
        """Ring the destinations, and return when one has answered and is bridged; `options` are the others of `Connect`.

        A caller who is not answered yet hears ringback, and is answered when somebody else is. While the two talk, `await leg.ended()`
        waits for the end of it and `leg.hangup()` ends it. What else is ordered of this call meanwhile is done when they have talked. A
        handler that returns before does not end the call: that waits for the end of the bridge, too.

        Returns:
            The leg that is bridged; `None` when nobody answered, and this call goes on.
        """
        action = parse_action(Connect(destinations, source, timeout_s, trunk=trunk, **options))
        assert isinstance(action, Connect)
        try:
            leg = await self._performer.connect(action)
        except ActionFailed as failed:
            if isinstance(failed.__cause__, NobodyAnswered):
                return None
            raise
        return AsyncCall(leg, self._performer.of(leg))

    async def start_recording(
        self,
        format: Format = "wav",  # noqa: A002 - the option's name
        channels: Channels = "mono",
        *,
        end_of_silence_s: float = 0.0,
        end_of_key: str = "",
        duration_s: float = 0.0,
        beep_start: bool = False,
    ) -> Recording:
        """Record the call from now on; returns when it has begun. `recordings.wait` of the switch waits for the file.

        Options as those of `RecordingStart`.
        """
        await self.perform(RecordingStart(format, channels, end_of_silence_s, end_of_key, duration_s, beep_start))
        return await self._last_recording()

    async def stop_recording(self) -> Recording:
        """End the recording."""
        await self.perform(RecordingStop())
        return await self._last_recording()

    async def pause_recording(self) -> None:
        """Write nothing down until `resume_recording`."""
        await self.perform(RecordingPause())

    async def resume_recording(self) -> None:
        """Go on with the recording."""
        await self.perform(RecordingResume())

    async def _last_recording(self) -> Recording:
        recording_id = self.record.recording_ids[-1]
        found = await self._performer.host.recorder.get(recording_id)
        if found is None:
            raise RecordingNotFound(recording_id)
        return found

    async def join_conference(self, conference: str, **options: Unpack[ConferenceOptions]) -> str:
        """Join a conference by name or id, until the call leaves it; `options` are the others of `ConferenceJoin`.

        `mute` and `unmute` work meanwhile, from another task; other actions wait until it has left.

        Returns:
            Why it has left: `key`, `duration`, `kicked` or `ended`.

        Raises:
            ActionFailed: there is no such conference, it is full, or the call has no live audio.
        """
        await self.perform(ConferenceJoin(conference, **options))
        return self.variables["conference.left_by"]

    async def detect_answerer(
        self, *, waits_for_beep: bool = False, duration_ms: int = 5000, beep_timeout_s: float = 60.0
    ) -> Literal["human", "machine", "notsure"]:
        """Find out by listening who has answered; with `waits_for_beep` a machine's greeting is waited for.

        Raises:
            ActionFailed: the call is not answered, or no audio comes.
        """
        await self.perform(
            Amd(machine_handle="continue", waits_for_beep=waits_for_beep, duration_ms=duration_ms, beep_timeout_s=beep_timeout_s)
        )
        return cast("Literal['human', 'machine', 'notsure']", self.variables["amd.status"])

    def audio(self, rate_hz: int = DEFAULT_RATE_HZ, tap: Tap = "far") -> AsyncAudioReader:
        """What the far end says from now on, 20 ms at a time, until the call is over: `async for frame in call.audio(): ...`.

        `frame.samples` is int16 numpy, `frame.position` the clock in samples, `frame.lost` how many are missing just before. Any number of
        readers get all of it each. For one that does not read, `max_unread_audio_s` of the configuration is kept, and the oldest lost.

        Args:
            rate_hz: 8,000 to 48,000; 8,000 is what most calls have.
            tap: `far`: what the far end says; `near`: all that it hears; `both`: two columns, far and near.

        Raises:
            TypeError, ValueError: `rate_hz` or `tap` cannot be.
            InvalidState: there is no audio yet.
            ActionFailed: from the loop: the engine has no audio for this call.
        """
        return self._session.audio.read(rate_hz, tap)

    def audio_in_thread(self, rate_hz: int = DEFAULT_RATE_HZ, tap: Tap = "far") -> AudioReader:
        """As `audio`, to be read by one other thread with `for`."""
        return self._session.audio.read_in_thread(rate_hz, tap)

    def write(self, audio: Audio, rate_hz: int = DEFAULT_RATE_HZ) -> asyncio.Future[bool]:
        """Let the far end hear this, after all that was written before and beside what is played; await it to know that it was played.

        It is queued at once, awaited or not. Cancelling the future, or the task that awaits it, drops what of it is not played. A caller
        who is not answered hears it as early media.

        Args:
            audio: int16 samples in one dimension, floats from -1 to 1 (clipped beyond), 16-bit little-endian bytes, a frame of `audio`, or
                an asynchronous iterator of any of these, of which one second is taken in advance. What an iterator raises comes from the
                await, when all before it is played.
            rate_hz: Of the audio, 8,000 to 48,000; frames say it themselves.

        Returns:
            Awaited: True when it was played, False when `clear` has dropped some of it.

        Raises:
            TypeError, ValueError: this is no such audio; at once.
            QueueFull: more than `max_queued_audio_s` of the configuration would wait; at once, and nothing is taken.
            InvalidState: the call is not up; or, awaited, over before all was played.
        """
        return self._session.audio.write(audio, rate_hz)

    def speech(
        self, text: str, language: str = "en-US", gender: Literal["female", "male", "neutral"] = "female"
    ) -> AsyncIterator[AudioFrame]:
        """A text spoken, for `write`: each piece as soon as it is made, so that the first is heard at once, and `clear` silences the rest.

        What is said often is better said by `talk`, which keeps it. What is wrong with the text is raised by who reads this.
        """
        return spoken(self._performer.host.library, text, language, gender)

    def clear(self) -> float:
        """Drop what was written and is not played, for barge-in; how many seconds that was. At most 60 ms more are heard."""
        return self._session.audio.clear()

    @property
    def queued_s(self) -> float:
        """What was written and is not played yet, in seconds, as far as iterators have given it."""
        return self._session.audio.queued_s

    async def echo(self, duration_ms: int = DEFAULT_ECHO_MS) -> None:
        """Let the far end hear itself for so long."""
        await self.perform(Echo(duration_ms))

    async def mute(self, direction: Direction = "in") -> None:
        """Silence what the far end says (`in`), what it hears (`out`), or `both`."""
        await self.perform(Mute(direction))

    async def unmute(self, direction: Direction = "both") -> None:
        """Undo `mute`."""
        await self.perform(Unmute(direction))

    async def hold(self, music: str = "") -> None:
        """Put the far end on hold, with a file or URL as music or none; returns at once."""
        await self.perform(Hold(music))

    async def unhold(self) -> None:
        """Take it back."""
        await self.perform(Unhold())

    async def transfer(
        self, target: Address | str, timeout_s: float = 60.0, *, attended: bool = False, confirm: Confirm | None = None
    ) -> None:
        """Hand the far end over to `target`, by REFER or `attended`; the call is over when it is there. As `Transfer`."""
        await self.perform(Transfer(target, timeout_s, attended=attended, confirm=confirm))

    async def perform(self, action: Action | Mapping[str, Any]) -> tuple[AsyncCall, ...]:
        """Carry out one action, as an action list does; the legs of a `connect`.

        Raises:
            InvalidRequest: the action is wrong; names every fault.
            ActionFailed: it could not be done.
            InvalidState: the call is not up, or ended meanwhile.
        """
        legs = await self._performer.order(parse_action(action))
        return tuple(AsyncCall(leg, self._performer.of(leg)) for leg in legs)

    async def perform_now(self, action: Action | Mapping[str, Any]) -> None:
        """Carry out one action beside the one that runs, not after it: `mute`, `hold`, recording, or something to be heard.

        No action event tells of it. What is heard goes on after this has returned, until the call plays something else.

        Raises:
            InvalidRequest: the action is wrong, or has to wait for its turn; names every fault.
            InvalidState: the call is not up, or is playing something already.
            ActionFailed: it could not be done.
        """
        await perform_now(self._performer, parse_action(action))


class AsyncCalls:
    """The calls of a switch: `create`, `get`, `list`, `hangup`."""

    def __init__(self, switch: CallsHost) -> None:
        self._switch = switch

    def create(
        self,
        body: Mapping[str, Any] | None = None,
        *,
        destination: object = None,
        source: object = None,
        actions: Sequence[ListItem] | None = None,
        trunk: str | None = None,
        variables: Mapping[str, str] | None = None,
        user_id: int = 1,
    ) -> AsyncCall:
        """Place a call; returns at once, nothing here waits for the network.

        Args:
            body: The whole request as the tutorial's JSON object, instead of the keywords.
            destination: `"tel:+E164"`, `"+E164"`, `"sip:user@host[:port][;transport=...]"`, an `Address`, or its JSON object.
            source: Who calls; the `caller_id` of the switch by default.
            actions: What to do after the answer; with none the call is hung up then.
            trunk: The trunk to call over, by name; chosen by destination by default.
            variables: What `${name}` stands for in the actions.
            user_id: Whose call it is.

        Raises:
            InvalidRequest: the request is wrong; names every fault.
            CapacityError: no room for the call now.
            SwitchClosed: the switch is not open, or about to close.
        """
        exchange = self._taking()
        keywords = {"destination": destination, "source": source, "actions": actions, "trunk": trunk, "variables": variables}
        if body is not None:
            if doubled := [name for name, value in keywords.items() if value is not None]:
                raise InvalidRequest([Fault(name, "is given beside a whole request") for name in doubled])
            _check_object(body)
        return self.of(exchange.place(parse_request(body if body is not None else keywords, user_id)))

    def create_all(self, body: Mapping[str, Any], *, user_id: int = 1, at_once: bool = True) -> list[AsyncCall]:
        """Place the calls of a request of `POST /v1.0/calls`: one, or with `destinations` one to each. All of them, or none.

        Args:
            body: The request.
            user_id: Whose calls they are.
            at_once: False: who asked is answered first; the calls are dialled in the next turn of the event loop, in their order.

        Raises:
            InvalidRequest: the request is wrong; names every fault.
            CapacityError: no room for all of them now.
            SwitchClosed: the switch is not open, or about to close.
        """
        exchange = self._taking()
        _check_object(body)
        return [self.of(session) for session in exchange.place_all(parse_requests(body, user_id), at_once=at_once)]

    def place(self, request: CallRequest) -> Session:
        """Place a call that was parsed already; raises as `create`."""
        return self._taking().place(request)

    def live(self, call_id: str) -> AsyncCall | None:
        """A call that is not over; `None` when there is none of this id."""
        session = self._switch.session(call_id)
        return None if session is None else self.of(session)

    def live_records(self) -> tuple[CallRecord, ...]:
        """The records of every call that is not over."""
        return tuple(session.record for session in self._switch.sessions())

    async def get(self, call_id: str, *, user_id: int | None = None) -> CallRecord:
        """The record of a call, live or over; with `user_id` only of this user's.

        Raises:
            CallNotFound: no call has this id.
        """
        session = self._switch.exchange.live(call_id)
        record = session.record if session is not None else await self._switch.store.get(call_id)
        if record is None or user_id not in {None, record.user_id}:
            raise CallNotFound(call_id)
        return record

    async def quality(self, call_id: str, *, user_id: int | None = None) -> Quality | None:
        """How good a call is to hear, or was; `None` when it has no audio. With `user_id` only of this user's.

        Raises:
            CallNotFound: no call has this id.
        """
        record = await self.get(call_id, user_id=user_id)
        call = self.live(call_id)
        return record.quality if call is None else call.quality()

    async def list(self, page_size: int = DEFAULT_PAGE_SIZE, page_token: str | None = None, *, user_id: int | None = None) -> Page:
        """One page of calls, newest first.

        Args:
            page_size: 1 to 100; more is 100.
            page_token: `next_page_token` of the page before; None for the newest.
            user_id: Whose calls; `None` for everybody's.

        Raises:
            InvalidRequest: the size is less than 1, or the token is no time.
        """
        check_paging(page_size, page_token)
        _ = self._switch.exchange
        return await self._switch.store.list(page_size, page_token or None, user_id)

    async def hangup(self, call_id: str, *, user_id: int | None = None) -> CallRecord:
        """End a call; one that is over stays as it is. With `user_id` only of this user's.

        Raises:
            CallNotFound: no call has this id.
        """
        session = self._switch.exchange.live(call_id)
        if session is not None and user_id in {None, session.record.user_id}:
            session.hang_up()
        return await self.get(call_id, user_id=user_id)

    def of(self, session: Session) -> AsyncCall:
        """The call of a session."""
        return AsyncCall(session, self._switch.performer(session))

    async def trace(self, call_id: str, *, user_id: int | None = None) -> tuple[TracedMessage, ...]:
        """The SIP messages of a call as they were outside, the oldest first, secrets blanked; with `user_id` only of this user's.

        Those of the last thousand calls are kept; empty when they have been dropped. `sipcore.ladder.draw_ladder` draws them,
        `sipcore.pcap.make_pcap` makes a capture file.

        Raises:
            CallNotFound: no call has this id.
        """
        await self.get(call_id, user_id=user_id)
        return await self._switch.trace(call_id)

    async def flight(self, call_id: str, *, legs: bool = True, user_id: int | None = None) -> FlightRecord:
        """All that the flight recorder has of a call: SIP messages, events, actions and RTP second by second, secrets blanked.

        Those of the last calls are kept (`flight_calls`, `flight_mb`). `sipcore.flight.page.draw_page` makes a page of HTML of it; there
        are `text`, `mermaid` and `svg` too.

        Args:
            call_id: Of the call.
            legs: With the calls that were made for it by `connect`.
            user_id: As that of `trace`.

        Raises:
            CallNotFound: no call has this id.
        """
        record = await self.get(call_id, user_id=user_id)
        records = [record]
        for leg_id in record.chained_call_ids if legs else ():
            with suppress(CallNotFound):
                records.append(await self.get(leg_id, user_id=user_id))
        return await take_flight(self._switch.flights, records, self._switch.trace, self._switch.now().timestamp())

    async def flights(self, limit: int = 200) -> tuple[FlightRecord, ...]:
        """Those of the last calls that the flight recorder remembers, each by itself; also while the switch closes."""
        log = self._switch.flights
        records = [record for call_id in log.call_ids[-limit:] if (record := log.record(call_id)) is not None]
        return tuple([await take_flight(log, [record], self._switch.trace, self._switch.now().timestamp()) for record in records])

    def _taking(self) -> Exchange:
        exchange = self._switch.exchange
        if not self._switch.takes_calls:
            raise SwitchDraining("the switch is about to close and takes no new calls")
        return exchange


def _check_object(body: object) -> None:
    if not isinstance(body, Mapping):
        raise InvalidRequest(f"a request is an object, not {type(body).__name__}")
