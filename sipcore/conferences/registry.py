"""The conferences of one switch: which there are, who is in them, and what is done with them.

Lives on the event loop of the switch. Everything here is done at once, but for what concerns files and the store.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

import numpy as np

from media import tones
from media.wav import Samples
from sipcore import engine, events
from sipcore.actions import ConferenceJoin
from sipcore.clock import Clock
from sipcore.conferences.mix_recording import MixRecording
from sipcore.conferences.record import Conference, ConferenceMember, ConferenceStatus
from sipcore.conferences.request import ConferenceRequest
from sipcore.conferences.room import Member, Room
from sipcore.errors import CapacityError, ConferenceNotFound, ConferenceRefused, Fault, InvalidRequest, MemberNotFound
from sipcore.ids import new_id
from sipcore.record import NIL_ID
from sipcore.recordings.recorder import Recorder
from sipcore.recordings.recording import Recording
from sipcore.session import Session
from sipcore.store_thread import StoreThread

log = logging.getLogger(__name__)

_LOW_HZ: Final = 660.0
_HIGH_HZ: Final = 880.0
_TONE_S: Final = 0.12


class WhyLeft(StrEnum):
    """Why a call has left its conference."""

    KEY = "key"
    """It pressed its leave key."""
    DURATION = "duration"
    KICKED = "kicked"
    ENDED = "ended"
    """The conference was over."""
    HANGUP = "hangup"
    """The call was over."""
    LEFT = "left"
    """Whoever had it join does not want it any more."""
    AUDIO = "audio"
    """It has no live audio."""


@dataclass(frozen=True, slots=True)
class ConferenceLimits:
    """How many there may be, and what those have that say nothing else."""

    conferences: int = 100
    members: int = 100
    entry_tone: bool = True
    exit_tone: bool = True


class ConferenceHost(Protocol):
    """What the conferences need of their switch."""

    clock: Clock

    def submit(self, command: engine.Command) -> None:
        """Give a command to the engine."""

    def tell(self, event: events.CallEvent) -> None:
        """Tell who listens to the whole switch."""

    def next_time(self) -> datetime:
        """Now, and never the same twice."""


class _Live:
    """A conference that is not over."""

    def __init__(self, conference: Conference) -> None:
        self.conference = conference
        self.room = Room(conference.name)
        self.seats: dict[str, Seat] = {}
        self.recording: MixRecording | None = None


class Seat:
    """The place of one call in a conference.

    Attributes:
        left: Done when the call has left.
        error: Why it has no audio, when that is why it left.
    """

    def __init__(self, registry: ConferenceRegistry, live: _Live, session: Session, exit_tone: bool | None) -> None:
        self.session = session
        self.exit_tone = exit_tone
        self.error = ""
        self.left: asyncio.Future[WhyLeft] = asyncio.get_running_loop().create_future()
        self.live = live
        self._registry = registry

    @property
    def conference(self) -> Conference:
        """As it is now."""
        return self.live.conference

    def leave(self, why: WhyLeft) -> None:
        """Idempotent; the first reason counts."""
        self._registry.let_out(self, why)

    def mute(self, *, is_muted: bool) -> None:
        """As `ConferenceRegistry.mute`."""
        self._registry.mute(self.conference.id, self.session.id, is_muted=is_muted)


class ConferenceRegistry:
    """The conferences of one switch that are not over; those that are, are in the store."""

    def __init__(self, limits: ConferenceLimits, store: StoreThread, recorder: Recorder, host: ConferenceHost) -> None:
        self._limits, self._store, self._recorder, self._host = limits, store, recorder, host
        self._live: dict[str, _Live] = {}
        self._seats: dict[str, Seat] = {}
        """By call id."""
        self._tasks: set[asyncio.Task[Any]] = set()

    async def open(self) -> None:
        """Go on with the lasting conferences of a process that is gone."""
        now = self._host.clock.now()
        for conference in await self._store.take_over_conferences(now):
            self._live[conference.id] = _Live(conference)

    async def close(self) -> None:
        """All calls are over: end what nobody comes back to. Lasting conferences are there again when the store is opened again."""
        for live in tuple(self._live.values()):
            if not live.conference.is_lasting:
                self._end(live, "")
        while self._tasks:
            await asyncio.wait(self._tasks)

    # ------------------------------------------------------------------------------------------------- the resource

    def create(self, wanted: ConferenceRequest, user_id: int) -> Conference:
        """Make a conference that stays until it is ended.

        Raises:
            InvalidRequest: the user has one of this name that is not over.
            CapacityError: there are too many.
        """
        if wanted.name and self._named(wanted.name, user_id) is not None:
            raise InvalidRequest([Fault("name", f"there is a conference {wanted.name!r} already")])
        return self._new(wanted, user_id, "", is_lasting=True).conference

    def find(self, conference: str, user_id: int | None) -> Conference | None:
        """One that is not over, by id, or by name: then it is one of user 1 when `user_id` is `None`, anybody."""
        live = self._found(conference, user_id)
        return None if live is None else live.conference

    async def get(self, conference: str, user_id: int | None) -> Conference:
        """One by id, or by name when it is not over; see `find`.

        Raises:
            ConferenceNotFound: this user has none.
        """
        found = self.find(conference, user_id) or await self._store.ask_conferences(lambda table: table.get(conference))
        if found is None or user_id not in {None, found.user_id}:
            raise ConferenceNotFound(conference)
        return found

    def room(self, conference: str, user_id: int | None = None) -> Room:
        """The audio of a conference, to be measured.

        Raises:
            ConferenceNotFound: there is none that is not over.
        """
        return self._of(conference, user_id).room

    def seat(self, call_id: str) -> Seat | None:
        """Where this call is."""
        return self._seats.get(call_id)

    def seat_in(self, conference: str, call_id: str, user_id: int | None = None) -> Seat:
        """The place of a call in a conference.

        Raises:
            ConferenceNotFound, MemberNotFound: there is no such one.
        """
        live = self._of(conference, user_id)
        seat = live.seats.get(call_id)
        if seat is None:
            raise MemberNotFound(live.conference.id, call_id)
        return seat

    # ------------------------------------------------------------------------------------------------ what is done

    def join(self, session: Session, wanted: ConferenceJoin) -> Seat:
        """Let a call in, at once.

        Raises:
            ConferenceNotFound: there is none of this id.
            ConferenceRefused: it is full.
            CapacityError: there are too many conferences for a new one.
        """
        live = self._found(wanted.conference, session.record.user_id) or self._made_by(session, wanted)
        if len(live.seats) >= live.conference.max_members:
            raise ConferenceRefused(live.conference.id, f"it is full: {len(live.seats)} calls are in it")
        exit_tone = live.conference.exit_tone if wanted.exit_tone is None else wanted.exit_tone
        seat = live.seats[session.id] = self._seats[session.id] = Seat(self, live, session, exit_tone)
        member = live.room.join(session, lambda error: self._audio_over(seat, error))
        self._seated(live, session, wanted, member)
        return seat

    def _seated(self, live: _Live, session: Session, wanted: ConferenceJoin, member: Member) -> None:
        member.is_muted = wanted.muted
        conference = live.conference
        entry = ConferenceMember(session.id, self._host.clock.now(), wanted.moderator, wanted.muted)
        self._change(
            live,
            status=ConferenceStatus.PROGRESSING,
            members=(*conference.members, entry),
            ends_with_moderator=conference.ends_with_moderator or wanted.end_when_moderator_leaves,
        )
        log.info("call %s: joined conference %s (%s)", session.id, conference.id, conference.name)
        if conference.entry_tone if wanted.entry_tone is None else wanted.entry_tone:
            live.room.sound(_entry, session.id)
        if wanted.record and live.recording is None:
            self._spawn(self._start_unless_it_cannot(live))
        session.enter_conference(conference.id)
        session.publish(events.ConferenceJoined(session.id, self._host.clock.now(), live.conference))

    def let_out(self, seat: Seat, why: WhyLeft) -> None:
        """Let a call out; idempotent."""
        if seat.left.done():
            return
        seat.left.set_result(why)
        live, session = seat.live, seat.session
        del self._seats[session.id], live.seats[session.id]
        live.room.leave(session.id)
        if seat.exit_tone:
            live.room.sound(_exit, session.id)
        was = live.conference.member(session.id)
        self._change(live, members=tuple(member for member in live.conference.members if member is not was))
        log.info("call %s: left conference %s: %s", session.id, live.conference.id, why)
        session.leave_conference()
        left = events.ConferenceLeft(session.id, self._host.clock.now(), live.conference, str(why))
        (self._host.tell if session.record.is_over else session.publish)(left)
        self._one_less(live, session.id, was_moderator=was is not None and was.is_moderator)

    def _one_less(self, live: _Live, call_id: str, *, was_moderator: bool) -> None:
        conference = live.conference
        is_led = any(member.is_moderator for member in conference.members)
        if not conference.members and live.recording is not None:
            live.recording.stop("hangup")
            self._note_stop(live)
        if (conference.ends_with_moderator and was_moderator and not is_led) or not (conference.members or conference.is_lasting):
            self._end(live, call_id)

    def mute(self, conference: str, call_id: str, *, is_muted: bool, user_id: int | None = None) -> Conference:
        """Let the others not hear a member, or hear it again.

        Raises:
            ConferenceNotFound, MemberNotFound: there is no such one.
        """
        seat = self.seat_in(conference, call_id, user_id)
        live = seat.live
        for member in live.room.members:
            if member.session.id == call_id:
                member.is_muted = is_muted
        members = tuple(replace(each, is_muted=is_muted) if each.call_id == call_id else each for each in live.conference.members)
        if members != live.conference.members:
            self._change(live, members=members)
            seat.session.publish(events.ConferenceUpdated(call_id, self._host.clock.now(), live.conference))
        return live.conference

    def kick(self, conference: str, call_id: str, user_id: int | None = None) -> Conference:
        """Let a member out; its call goes on.

        Raises:
            ConferenceNotFound, MemberNotFound: there is no such one.
        """
        seat = self.seat_in(conference, call_id, user_id)
        seat.leave(WhyLeft.KICKED)
        return seat.conference

    def sound(self, conference: str, make: Callable[[int], Samples], user_id: int | None = None) -> Conference:
        """Let all members hear a sound, which is made for a rate in Hz.

        Raises:
            ConferenceNotFound: there is none that is not over.
        """
        live = self._of(conference, user_id)
        live.room.sound(make)
        return live.conference

    def end(self, conference: str, user_id: int | None = None) -> Conference:
        """Let all out, and take nobody in any more.

        Raises:
            ConferenceNotFound: there is none that is not over.
        """
        live = self._of(conference, user_id)
        self._end(live, "")
        return live.conference

    # --------------------------------------------------------------------------------------------------- recording

    async def start_recording(self, conference: str, user_id: int | None = None) -> Recording:
        """Record all that is said in it, until `stop_recording` or until all have left.

        Raises:
            ConferenceNotFound: there is none that is not over.
            ConferenceRefused: it is being recorded already, or was over before it began.
            OSError: there is no room for it.
        """
        return await self._start(self._of(conference, user_id))

    def stop_recording(self, conference: str, user_id: int | None = None) -> Recording:
        """End its recording.

        Raises:
            ConferenceNotFound: there is none that is not over.
            ConferenceRefused: it is not being recorded.
        """
        live = self._of(conference, user_id)
        if live.recording is None or live.recording.recording is None:
            raise ConferenceRefused(live.conference.id, "it is not being recorded")
        live.recording.stop()
        recording = live.recording.recording
        self._note_stop(live)
        return recording

    async def _start(self, live: _Live) -> Recording:
        if live.recording is not None:
            raise ConferenceRefused(live.conference.id, "it is being recorded already")
        mine = live.recording = MixRecording(
            live.room, self._recorder, self._host, lambda: self._note_stop(live), lambda recording: self._file_is_there(live, recording)
        )
        try:
            recording = await mine.start(live.conference)
        except BaseException:
            mine.stop()
            self._note_stop(live)
            raise
        if recording is None:
            raise ConferenceRefused(live.conference.id, "it was over before its recording began")
        self._change(live, recording_id=recording.id, recording_ids=(*live.conference.recording_ids, recording.id))
        self._host.tell(events.ConferenceRecordingStarted("", self._host.clock.now(), live.conference, recording))
        return recording

    async def _start_unless_it_cannot(self, live: _Live) -> None:
        try:
            await self._start(live)
        except (ConferenceRefused, OSError) as error:
            log.warning("conference %s: it is not recorded: %s", live.conference.id, error)

    def _note_stop(self, live: _Live) -> None:
        live.recording = None
        if live.conference.recording_id != NIL_ID:
            self._change(live, recording_id=NIL_ID)

    def _file_is_there(self, live: _Live, recording: Recording) -> None:
        self._host.tell(events.ConferenceRecordingFinished("", self._host.clock.now(), live.conference, recording))

    # ----------------------------------------------------------------------------------------------------- private

    def _named(self, name: str, user_id: int) -> _Live | None:
        found = (live for live in self._live.values() if live.conference.name == name and live.conference.user_id == user_id)
        return next(found, None)

    def _found(self, conference: str, user_id: int | None) -> _Live | None:
        live = self._live.get(conference)
        if live is not None and user_id in {None, live.conference.user_id}:
            return live
        return self._named(conference, 1 if user_id is None else user_id) if conference else None

    def _of(self, conference: str, user_id: int | None) -> _Live:
        live = self._found(conference, user_id)
        if live is None:
            raise ConferenceNotFound(conference)
        return live

    def _made_by(self, session: Session, wanted: ConferenceJoin) -> _Live:
        if _is_id(wanted.conference):
            raise ConferenceNotFound(wanted.conference)
        request = ConferenceRequest(wanted.conference, end_when_moderator_leaves=wanted.end_when_moderator_leaves)
        return self._new(request, session.record.user_id, session.id, is_lasting=False)

    def _new(self, wanted: ConferenceRequest, user_id: int, call_id: str, *, is_lasting: bool) -> _Live:
        limits = self._limits
        if len(self._live) >= limits.conferences:
            raise CapacityError(1, len(self._live), limits.conferences, "conferences")
        conference = Conference(
            new_id(),
            wanted.name,
            self._host.next_time(),
            user_id,
            detail=wanted.detail,
            is_lasting=is_lasting,
            ends_with_moderator=wanted.end_when_moderator_leaves,
            entry_tone=limits.entry_tone if wanted.entry_tone is None else wanted.entry_tone,
            exit_tone=limits.exit_tone if wanted.exit_tone is None else wanted.exit_tone,
            max_members=min(wanted.max_members or limits.members, limits.members),
        )
        live = self._live[conference.id] = _Live(conference)
        self._store.keep_conference(conference)
        log.info("conference %s (%s): created", conference.id, conference.name)
        self._host.tell(events.ConferenceCreated(call_id, self._host.clock.now(), conference))
        return live

    def _end(self, live: _Live, call_id: str) -> None:
        """Over; `call_id` is the call whose leaving did it."""
        if self._live.pop(live.conference.id, None) is None:
            return
        self._change(live, status=ConferenceStatus.TERMINATING)
        for seat in tuple(live.seats.values()):
            seat.leave(WhyLeft.ENDED)
        if live.recording is not None:
            live.recording.stop("stopped")
            self._note_stop(live)
        live.room.close()
        self._change(live, status=ConferenceStatus.TERMINATED, tm_delete=self._host.clock.now())
        log.info("conference %s (%s): terminated", live.conference.id, live.conference.name)
        self._host.tell(events.ConferenceTerminated(call_id, self._host.clock.now(), live.conference))

    def _audio_over(self, seat: Seat, error: str) -> None:
        seat.error = error
        seat.leave(WhyLeft.AUDIO if error else WhyLeft.HANGUP)

    def _change(self, live: _Live, **changes: Any) -> None:
        live.conference = replace(live.conference, tm_update=self._host.clock.now(), **changes)
        self._store.keep_conference(live.conference)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception:
                log.exception("conferences: internal error")

        task = asyncio.get_running_loop().create_task(guarded(), name="sipcore conference")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _is_id(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _entry(rate_hz: int) -> Samples:
    return _two(_LOW_HZ, _HIGH_HZ, rate_hz)


def _exit(rate_hz: int) -> Samples:
    return _two(_HIGH_HZ, _LOW_HZ, rate_hz)


def _two(first_hz: float, second_hz: float, rate_hz: int) -> Samples:
    return np.concatenate([tones.beep(hz, _TONE_S, rate_hz) for hz in (first_hz, second_hz)])
