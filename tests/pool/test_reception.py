"""Offers on virtual time, between a front door and rooms that write down what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from sipcore import wire
from sipcore.engine import Acceptance, CallDisconnected, Offer, Refusal
from sipcore.errors import CapacityError
from sipcore.pool.placement import Caller
from sipcore.pool.reception import BUSY, PATIENCE_S, Reception
from sipcore.testing.clock import VirtualLoop

OFFER = Offer("id@far", "sip:1000@here", "sip:far@there", "", "sip:1000@here", "192.0.2.7:5060", "udp", trunk="provider")
ACCEPTANCE = Acceptance("call", "group", 2, ("PCMA/8000",), "optional")


class House:
    """Door, rooms and rules in one."""

    def __init__(self) -> None:
        self.decision: Acceptance | Refusal | Exception = ACCEPTANCE
        self.room: Exception | None = None
        self.asked: list[Offer] = []
        self.answers: list[tuple[object, ...]] = []
        self.expected: list[wire.ExpectCall] = []
        self.callers: list[Caller] = []
        self.over: list[CallDisconnected] = []
        self.reception = Reception(self, self, self.on_offer)

    def on_offer(self, offer: Offer) -> Acceptance | Refusal:
        self.asked.append(offer)
        if isinstance(self.decision, Exception):
            raise self.decision
        return self.decision

    def place(self, key: str, call_id: str, worker_id: int) -> None:
        self.answers.append((key, call_id, worker_id))

    def refuse(self, key: str, sip_code: int, sip_phrase: str = "", headers: tuple[tuple[str, str], ...] = ()) -> None:
        self.answers.append((key, Refusal(sip_code, sip_phrase, headers)))

    def take_in(self, acceptance: Acceptance, caller: Caller) -> House:
        self.callers.append(caller)
        if self.room is not None:
            raise self.room
        return self

    def turn_away(self, over: CallDisconnected) -> None:
        self.over.append(over)

    def submit(self, order: wire.ExpectCall) -> None:
        self.expected.append(order)


Visit = Callable[[Callable[[House], Coroutine[None, None, None]]], None]


@pytest.fixture
def visit() -> Visit:
    def played(story: Callable[[House], Coroutine[None, None, None]]) -> None:
        async def whole() -> None:
            await story(House())

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(whole())

    return played


def test_the_door_hears_of_the_worker_once_it_expects_the_call(visit):
    async def story(house: House) -> None:
        house.reception.offered("k", OFFER)
        house.reception.offered("k", OFFER)
        assert house.expected == [wire.ExpectCall("call", "group", ("PCMA/8000",), "optional")]
        assert house.answers == []
        house.reception.expected(3, "call")
        await asyncio.sleep(PATIENCE_S + 1)
        house.reception.offered("k", OFFER)
        assert house.answers == [("k", "call", 3)] * 2
        assert (house.asked, house.over) == ([OFFER], [])

    visit(story)


@pytest.mark.parametrize(("trunk", "username", "caller"), [("t", "", Caller.KNOWN), ("", "phone", Caller.KNOWN), ("", "", Caller.STRANGER)])
def test_who_is_a_stranger(visit, trunk, username, caller):
    async def story(house: House) -> None:
        house.reception.offered("k", Offer("i", "sip:a", "sip:b", "", "sip:a", "192.0.2.7:5060", "udp", trunk, username))
        house.reception.close()
        assert house.callers == [caller]

    visit(story)


def test_a_refusal_is_passed_on_and_repeated(visit):
    async def story(house: House) -> None:
        house.decision = Refusal(302, "Moved", (("Contact", "<sip:else@where>"),))
        house.reception.offered("k", OFFER)
        house.reception.offered("k", OFFER)
        assert house.answers == [("k", house.decision)] * 2
        assert (len(house.asked), house.over) == (1, [])

    visit(story)


def test_without_rules_nobody_is_known(visit):
    async def story(house: House) -> None:
        Reception(house, house, None).offered("k", OFFER)
        assert house.answers == [("k", Refusal(404, "Not Found"))]

    visit(story)


def test_a_fault_in_the_rules_ends_this_call_only(visit, caplog):
    async def story(house: House) -> None:
        house.decision = RuntimeError("the rules are broken")
        house.reception.offered("k", OFFER)
        assert house.answers == [("k", Refusal(500, "Server Internal Error"))]
        assert "the rules are broken" in caplog.text

    visit(story)


def test_no_room_is_503_and_the_end_of_the_call(visit):
    async def story(house: House) -> None:
        house.room = CapacityError(2, 4, 4)
        house.reception.offered("k", OFFER)
        house.reception.offered("k", OFFER)
        assert house.answers == [("k", BUSY)] * 2
        assert ("Retry-After", "5") in BUSY.headers
        assert house.over == [CallDisconnected("call", 503, "Service Unavailable", remote=False, error="no room")]

    visit(story)


def test_a_call_that_exists_already_is_not_touched(visit, caplog):
    async def story(house: House) -> None:
        house.room = ValueError("call exists")
        house.reception.offered("k", OFFER)
        assert house.answers == [("k", Refusal(500, "Server Internal Error"))]
        assert house.over == []

    visit(story)


def test_a_worker_that_comes_too_late_gets_no_call(visit):
    async def story(house: House) -> None:
        house.reception.offered("k", OFFER)
        await asyncio.sleep(PATIENCE_S - 0.1)
        assert house.answers == []
        await asyncio.sleep(0.2)
        house.reception.expected(3, "call")
        assert house.answers == [("k", BUSY)]
        assert [over.error for over in house.over] == ["no room in time"]

    visit(story)


def test_a_call_that_fails_while_its_caller_waits_is_refused(visit):
    async def story(house: House) -> None:
        house.reception.offered("k", OFFER)
        house.reception.expected(3, "call")
        house.reception.fail("call")
        house.reception.fail("call")
        house.reception.offered("k", OFFER)
        assert house.answers == [("k", "call", 3), ("k", BUSY), ("k", BUSY)]

    visit(story)


def test_a_call_that_is_hung_up_before_a_worker_has_it_is_declined(visit):
    async def story(house: House) -> None:
        house.reception.offered("k", OFFER)
        assert house.reception.is_waiting("call")
        house.reception.turn_away("call", Refusal(603, "Decline"))
        assert not house.reception.is_waiting("call")
        await asyncio.sleep(PATIENCE_S + 1)
        assert house.answers == [("k", Refusal(603, "Decline"))]
        assert house.over == [CallDisconnected("call", 603, "Decline", remote=False)]

    visit(story)
