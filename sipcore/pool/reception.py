"""Incoming calls, from the front door's question until a worker waits for the INVITE, or the refusal."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from sipcore import engine, wire
from sipcore.errors import CapacityError

from .offers import OfferBook, Pending, Placed
from .placement import Caller

log = logging.getLogger(__name__)

PATIENCE_S: Final = 2.0
"""How long an accepted call may wait for a worker that starts, or has had its fill of set-ups."""
_TELL_EVERY_S: Final = 10.0
RETRY_AFTER_S: Final = 5
"""What a caller is told when there was no room (RFC 3261 §20.33)."""

BUSY: Final = engine.Refusal(503, "Service Unavailable", (("Retry-After", str(RETRY_AFTER_S)),))
DECLINE: Final = engine.Refusal(603, "Decline")
_UNKNOWN: Final = engine.Refusal(404, "Not Found")
_BROKEN: Final = engine.Refusal(500, "Server Internal Error")


class Door(Protocol):
    """What is told to the front door."""

    def place(self, key: str, call_id: str, worker_id: int) -> None:
        """Let the INVITE through."""

    def refuse(self, key: str, sip_code: int, sip_phrase: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Answer it with this."""


class Room(Protocol):
    """A worker that has a place for the call. It calls `Reception.expected` when the order goes out, at once or later."""

    def submit(self, order: wire.ExpectCall) -> None:
        """Send as soon as the worker can take it."""


class Rooms(Protocol):
    """Where calls live: the pool."""

    def take_in(self, acceptance: engine.Acceptance, caller: Caller) -> Room:
        """Reserve the group, and a leg in it.

        Raises:
            CapacityError: there is no room.
            ValueError: the call or the group exists.
        """

    def turn_away(self, over: engine.CallDisconnected) -> None:
        """Forget the call, take back what the worker has not got, and tell its end."""


class Reception:
    """Decides with `on_offer`, finds a room, and answers the front door: the same to the same question."""

    def __init__(self, door: Door, rooms: Rooms, on_offer: engine.OnOffer | None) -> None:
        self._door = door
        self._rooms = rooms
        self._on_offer = on_offer
        self._book = OfferBook()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._loop = asyncio.get_running_loop()
        self._refused = 0
        """For want of room, since it was last told."""
        self._tell_at = 0.0

    def offered(self, key: str, offer: engine.Offer) -> None:
        """The front door asks."""
        now = self._loop.time()
        match self._book.recall(key, now):
            case None:
                self._decide(key, offer, now)
            case Pending():
                pass  # it hears as soon as we know
            case Placed(call_id, worker_id):
                self._door.place(key, call_id, worker_id)
            case engine.Refusal() as refusal:
                self._refuse(key, refusal)

    def expected(self, worker_id: int, call_id: str) -> None:
        """A worker has been told of the call: the INVITE may come."""
        self._stop_timer(call_id)
        if (key := self._book.place(call_id, worker_id)) is not None:
            self._door.place(key, call_id, worker_id)

    def remind(self) -> None:
        """A new front door is told where calls went, so that a CANCEL, or the ACK of a refusal, finds its way (RFC 3261 §16.10)."""
        for key, placed in self._book.placed():
            self._door.place(key, placed.call_id, placed.worker_id)

    def is_waiting(self, call_id: str) -> bool:
        """Whether the call is an incoming one that no worker knows of yet."""
        return call_id in self._timers

    def turn_away(self, call_id: str, refusal: engine.Refusal, error: str = "") -> None:
        """End a call that no worker knows of yet."""
        self.fail(call_id, refusal)
        self._turn_away(call_id, refusal, error)

    def fail(self, call_id: str, refusal: engine.Refusal = BUSY) -> None:
        """The call is over without an answer of its worker: the front door gives one, if its caller still waits."""
        self._stop_timer(call_id)
        if (key := self._book.fail(call_id, refusal)) is not None:
            self._refuse(key, refusal)

    def settle(self, call_id: str) -> None:
        """The worker has answered the INVITE, one way or the other."""
        self._stop_timer(call_id)
        self._book.settle(call_id)

    def close(self) -> None:
        """Stop waiting."""
        for call_id in list(self._timers):
            self._stop_timer(call_id)

    def _decide(self, key: str, offer: engine.Offer, now: float) -> None:
        try:
            decision = self._on_offer(offer) if self._on_offer is not None else _UNKNOWN
        except Exception:  # the rules are the user's: a fault in them ends this call only
            log.exception("the decision on a call from %s to %s failed", offer.source, offer.request_uri)
            decision = _BROKEN
        if isinstance(decision, engine.Refusal):
            self._decline(key, decision, now)
        else:
            self._accept(key, offer, decision, now)

    def _accept(self, key: str, offer: engine.Offer, acceptance: engine.Acceptance, now: float) -> None:
        call_id = acceptance.call_id
        try:
            room = self._rooms.take_in(acceptance, Caller.KNOWN if offer.trunk or offer.username else Caller.STRANGER)
        except ValueError:
            log.exception("call %s from %s cannot be taken in", call_id, offer.source)
            self._decline(key, _BROKEN, now)
        except CapacityError as error:
            self._tell_no_room(call_id, offer, error, now)
            self._decline(key, BUSY, now)
            self._turn_away(call_id, BUSY, "no room")
        else:
            self._book.accept(key, call_id, now)
            self._timers[call_id] = self._loop.call_later(PATIENCE_S, self._give_up, call_id)
            room.submit(wire.ExpectCall(call_id, acceptance.group_id, acceptance.codecs, acceptance.srtp))

    def _tell_no_room(self, call_id: str, offer: engine.Offer, error: CapacityError, now: float) -> None:
        """In a flood a line for each call would fill the disk."""
        self._refused += 1
        if now >= self._tell_at:
            log.warning("call %s from %s: %s; refused for want of room: %d", call_id, offer.source, error, self._refused)
            self._refused, self._tell_at = 0, now + _TELL_EVERY_S

    def _give_up(self, call_id: str) -> None:
        log.warning("call %s: no worker took it within %.0f s", call_id, PATIENCE_S)
        self.turn_away(call_id, BUSY, error="no room in time")

    def _turn_away(self, call_id: str, refusal: engine.Refusal, error: str) -> None:
        self._rooms.turn_away(engine.CallDisconnected(call_id, refusal.sip_code, refusal.sip_phrase, remote=False, error=error))

    def _decline(self, key: str, refusal: engine.Refusal, now: float) -> None:
        self._book.refuse(key, refusal, now)
        self._refuse(key, refusal)

    def _refuse(self, key: str, refusal: engine.Refusal) -> None:
        self._door.refuse(key, refusal.sip_code, refusal.sip_phrase, refusal.headers)

    def _stop_timer(self, call_id: str) -> None:
        if timer := self._timers.pop(call_id, None):
            timer.cancel()
