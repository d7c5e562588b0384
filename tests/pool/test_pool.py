"""The pool between a scripted front door and scripted workers."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from dataclasses import replace

import pytest
from pool_stage import CAPACITY, OFFER, Stage

from sipcore import engine, wire
from sipcore.errors import CapacityError, EngineError
from sipcore.pool.outbox import MAX_SETUPS
from sipcore.pool.reception import PATIENCE_S

pytestmark = pytest.mark.slow

STRANGER = replace(OFFER, trunk="")


def dial(call_id: str, group_id: str) -> engine.Dial:
    return engine.Dial(call_id, group_id, "sip:x@192.0.2.1:5070", "<sip:me@here>", engine.Account())


def register(trunk: str) -> engine.Register:
    return engine.Register(trunk, "sip:192.0.2.1", "sip:me@192.0.2.1", "me", engine.Account())


# ------------------------------------------------------------------------------------------------------- start


async def test_the_front_door_stands_before_the_workers(stage: Stage):
    await stage.open(public_address="198.51.100.1", min_workers=2)
    await stage.until(lambda: len(stage.door.tables[-1]) == 2)
    assert stage.pool.sip_address == stage.door.sip_address
    assert stage.pool.door_pid == stage.door.pid
    assert stage.door.options.public_address == "198.51.100.1"
    for worker in stage.workers.values():
        settings = worker.settings
        assert (settings.sip_host, settings.sip_port, settings.door_port) == ("127.0.0.1", 0, stage.door.inner_port)
        assert settings.media_host == "127.0.0.1"
    assert stage.door.tables[-1] == {worker_id: 20_000 + worker_id for worker_id in stage.workers}


async def test_the_table_of_workers_follows_their_lives(stage: Stage):
    await stage.open()
    (first,) = stage.workers.values()
    first.die()
    await stage.until(lambda: stage.door.tables[-1] == {})
    await stage.until(lambda: set(stage.door.tables[-1]) == set(stage.workers) - {first.worker_id})


async def test_the_front_door_closes_after_the_workers(stage: Stage):
    await stage.open()
    await stage.pool.close(1.0)
    assert stage.door.is_closed
    assert all(worker.is_dead for worker in stage.workers.values())


async def test_a_closed_pool_can_be_started_again(stage: Stage):
    await stage.open()
    first = stage.door
    await stage.pool.close(1.0)
    await stage.pool.close(1.0)
    stage.workers.clear()
    await stage.pool.start(stage.events.append)
    assert stage.door is not first
    with pytest.raises(EngineError, match="already"):
        await stage.pool.start(stage.events.append)
    stage.pool.reserve("g", 1)
    assert stage.pool.legs_in_use == 1


async def test_a_start_that_fails_says_why(stage: Stage):
    def broken(worker_id: int, settings: wire.WorkerSettings, sock: socket.socket, stderr_fd: int) -> None:
        os.write(stderr_fd, b"Traceback:\nImportError: no such thing\n")

    stage.fork = broken  # type: ignore[method-assign]
    with pytest.raises(EngineError, match="ImportError: no such thing"):
        await stage.open()
    assert stage.door.is_closed


async def test_trunks_and_traces_go_through(stage: Stage):
    await stage.open()
    trunks = (wire.DoorTrunk("t", ("192.0.2.0/24",)),)
    stage.pool.set_trunks(trunks)
    assert stage.door.trunks == trunks
    assert [message.text for message in await stage.pool.trace("call")] == ["call"]


# ------------------------------------------------------------------------------------------------------- inbound


async def test_an_accepted_call_is_one_like_any_other(stage: Stage):
    await stage.open()
    stage.offer("c", legs=2)
    stage.pool.submit(engine.Ring("c"))
    stage.pool.submit(engine.Answer("c"))
    worker = await stage.placed("c")
    await stage.until(lambda: len(worker.orders) == 3)
    assert worker.orders == [wire.ExpectCall("c", "group-c"), engine.Ring("c"), engine.Answer("c")]
    assert stage.pool.legs_in_use == 2
    worker.say(engine.CallConfirmed("c", 200, "OK"))
    stage.pool.submit(dial("b", "group-c"))
    await stage.until(lambda: worker.of(engine.Dial))
    worker.say(engine.CallDisconnected("c", 200, "OK", remote=True))
    worker.say(engine.CallDisconnected("b", 200, "OK", remote=True))
    await stage.over("b")
    stage.pool.release("group-c")
    assert stage.pool.legs_in_use == 0
    assert [type(event) for event in stage.events] == [engine.CallConfirmed, engine.CallDisconnected, engine.CallDisconnected]


async def test_what_is_refused_leaves_no_trace(stage: Stage):
    await stage.open()
    stage.decide = lambda _offer: engine.Refusal(486, "Busy Here")
    stage.door.offer("k", OFFER)
    assert stage.door.answers == [("k", 486)]
    assert (stage.events, stage.pool.legs_in_use) == ([], 0)


async def test_the_front_door_hears_after_the_worker(stage: Stage):
    """An INVITE that comes before its ExpectCall would be refused."""
    await stage.open()
    order: list[str] = []
    (handle,) = stage.workers.values()
    place, say = stage.door.place, handle._receive
    stage.door.place = lambda *answer: (order.append("door"), place(*answer))  # type: ignore[method-assign]
    handle._channel._on_message = lambda message: (order.append("worker"), say(message))
    stage.offer("c")
    await stage.until(lambda: order != [])
    assert order[0] == "door"  # and the frame for the worker is in the socket already
    handle._channel.drain()
    assert handle.of(wire.ExpectCall)


async def test_a_full_pool_says_503_and_tells_the_end(stage: Stage):
    await stage.open(max_legs=4, unanswered_share=1.0)
    stage.offer("a", legs=4)
    stage.offer("b")
    assert stage.answer_of("b") == 503
    over = await stage.over("b")
    assert (over.sip_code, over.remote, over.error) == (503, False, "no room")
    assert stage.pool.legs_in_use == 4


async def test_strangers_cannot_fill_the_pool(stage: Stage):
    await stage.open(max_legs=8, stranger_share=0.25, unanswered_share=1.0)
    for call_id in ("s1", "s2", "s3"):
        stage.offer(call_id, STRANGER)
    stage.offer("phone", replace(STRANGER, username="alice"))
    stage.offer("trunk")
    await stage.placed("trunk")
    await stage.placed("phone")
    assert [stage.answer_of(call_id) == 503 for call_id in ("s1", "s2", "s3")] == [False, False, True]


async def test_ghosts_cannot_fill_the_pool(stage: Stage):
    await stage.open(max_legs=8, unanswered_share=0.25)
    for call_id in ("g1", "g2", "g3"):
        stage.offer(call_id)
    assert stage.answer_of("g3") == 503
    worker = await stage.placed("g1")
    worker.say(engine.CallConfirmed("g1", 200, "OK"))
    await stage.until(lambda: any(isinstance(event, engine.CallConfirmed) for event in stage.events))
    stage.offer("g4")
    await stage.placed("g4")


async def test_set_ups_are_paced_and_spread(stage: Stage):
    """A worker that gets 32 in half a second aborts: each gets its share, and calls that are over at once make no difference."""
    await stage.open(max_legs=200, min_workers=2, stranger_share=1.0, unanswered_share=1.0)
    await stage.until(lambda: len(stage.door.tables[-1]) == 2)
    for number in range(60):
        stage.offer(f"c{number}")
        worker = await stage.placed(f"c{number}")
        worker.say(engine.CallDisconnected(f"c{number}", 486, "Busy Here", remote=False))
        await stage.over(f"c{number}")
        stage.pool.release(f"group-c{number}")
    assert len(stage.workers) <= 60 // MAX_SETUPS
    for worker in stage.workers.values():
        times = [at for at, order in zip(worker.times, worker.orders, strict=True) if isinstance(order, wire.ExpectCall)]
        assert all(later - earlier > 0.5 for earlier, later in zip(times, times[MAX_SETUPS:], strict=False))


async def test_a_crowd_shares_the_workers_that_start(stage: Stage):
    await stage.open(max_legs=64)
    for worker in stage.workers.values():
        await stage.until(lambda worker=worker: worker.worker_id in stage.door.tables[-1])
    for number in range(3 * CAPACITY):
        stage.offer(f"c{number}")
    for number in range(3 * CAPACITY):
        await stage.placed(f"c{number}")
    assert len(stage.workers) == 3


async def test_a_worker_that_does_not_start_in_time_means_503(stage: Stage):
    await stage.open()
    stage.pool.reserve("all", CAPACITY)
    stage.are_workers_quick = False
    stage.offer("c")
    assert stage.answer_of("c") is None
    over = await asyncio.wait_for(stage.over("c"), PATIENCE_S + 2)
    assert (stage.answer_of("c"), over.sip_code, over.error) == (503, 503, "no room in time")
    starting = next(worker for worker in stage.workers.values() if worker.worker_id)
    starting.get_ready()
    await stage.until(lambda: starting.worker_id in stage.door.tables[-1])
    stage.pool.release("group-c")
    assert (starting.orders, stage.pool.legs_in_use) == ([], CAPACITY)


@pytest.mark.parametrize(("command", "code"), [(engine.Hangup("c"), 603), (engine.Reject("c", 486, "Busy Here"), 486)])
async def test_an_end_before_the_worker_knows_is_told_by_the_front_door(stage: Stage, command, code):
    await stage.open()
    stage.pool.reserve("all", CAPACITY)
    stage.are_workers_quick = False
    stage.offer("c")
    stage.pool.submit(command)
    over = await stage.over("c")
    assert (stage.answer_of("c"), over.sip_code, over.remote) == (code, code, False)


async def test_a_front_door_that_was_started_again_hears_the_same(stage: Stage):
    await stage.open()
    asked = itertools.count()
    decide = stage.decide
    stage.accept("c")
    accept = stage.decide
    stage.decide = lambda offer: (next(asked), accept(offer))[1]
    for _ in range(3):
        stage.door.offer("key-c", OFFER)
    await stage.placed("c")
    assert len(set(stage.door.answers)) == 1
    assert next(asked) == 1
    stage.decide = decide


async def test_a_new_front_door_is_told_where_calls_went(stage: Stage):
    await stage.open()
    stage.offer("c")
    stage.decide = lambda _offer: engine.Refusal(486)
    stage.door.offer("refused", OFFER)
    worker = await stage.placed("c")
    stage.door.answers.clear()
    stage.door.restarted()
    assert stage.door.answers == [("key-c", "c", worker.worker_id)]


@pytest.mark.parametrize("has_answered", [True, False])
async def test_a_lost_worker_leaves_no_caller_waiting(stage: Stage, has_answered):
    await stage.open()
    stage.offer("c")
    worker = await stage.placed("c")
    if has_answered:
        worker.say(engine.CallConfirmed("c", 200, "OK"))
        await stage.until(lambda: stage.events)
    worker.die()
    over = await stage.over("c")
    assert (over.sip_code, over.remote, over.error) == (0, True, "worker lost")
    assert stage.answer_of("c") == (worker.worker_id if has_answered else 503)


async def test_a_call_that_exists_is_not_accepted_twice(stage: Stage, caplog):
    await stage.open()
    stage.offer("c")
    worker = await stage.placed("c")
    stage.door.offer("another", OFFER)
    assert stage.door.answers[-1] == ("another", 500)
    worker.say(engine.CallConfirmed("c", 200, "OK"))
    await stage.until(lambda: stage.events == [engine.CallConfirmed("c", 200, "OK")])


async def test_before_and_after_its_life_the_pool_takes_no_call(stage: Stage):
    await stage.open()
    await stage.pool.close(1.0)
    stage.offer("c")
    assert (stage.answer_of("c"), stage.events) == (503, [])
    with pytest.raises(CapacityError):
        stage.pool.reserve("g", 1)


@pytest.mark.parametrize(
    "event",
    [
        engine.HoldChanged("c", is_held=True),
        engine.RtpSourceChanged("c", "192.0.2.1:4000", "192.0.2.2:4000"),
        engine.RtpSilent("c", 60.0),
        engine.TransferAsked("c", "sip:else@where"),
        engine.TransferProgressed("c", 202, "Accepted", is_final=False),
    ],
    ids=lambda event: type(event).__name__,
)
async def test_news_of_a_call_comes_up(stage: Stage, event):
    await stage.open()
    stage.offer("c")
    worker = await stage.placed("c")
    worker.say(replace(event, call_id="not this worker's"))
    worker.say(event)
    await stage.until(lambda: stage.events == [event])


# ---------------------------------------------------------------------------------------------- outbound and lines


async def test_an_outgoing_call_goes_through_the_front_door(stage: Stage):
    await stage.open()
    stage.pool.reserve("g", 1)
    stage.pool.submit(dial("c", "g"))
    (worker,) = stage.workers.values()
    await stage.until(lambda: worker.of(engine.Dial))
    (sent,) = worker.of(engine.Dial)
    assert (sent.account.route_uri or "").startswith(f"sip:127.0.0.1:{stage.door.inner_port};lr")
    assert "192.0.2.1" in (sent.account.route_uri or "")


async def test_registrations_have_workers_of_their_own(stage: Stage):
    await stage.open()
    assert stage.pool.line_pids == ()
    stage.pool.submit(register("t"))
    await stage.until(lambda: any(worker.of(engine.Register) for worker in stage.workers.values()))
    (line,) = [worker for worker in stage.workers.values() if worker.of(engine.Register)]
    assert stage.pool.line_pids == (line.pid,)
    assert line.worker_id in stage.door.tables[-1]
    assert [view.pid for view in stage.pool.workers()] == [900_000]
    for number in range(2 * CAPACITY):
        stage.offer(f"c{number}")
        assert (await stage.placed(f"c{number}")) is not line
    line.say(engine.RegistrationChanged("t", is_registered=True, sip_code=200, sip_phrase="OK", expires_s=300))
    await stage.until(lambda: stage.events)
    assert stage.events[0].is_registered


async def test_a_registration_outlives_its_worker(stage: Stage):
    await stage.open()
    stage.pool.submit(register("t"))
    await stage.until(lambda: stage.pool.line_pids and stage.workers[1].of(engine.Register))
    stage.workers[1].say(engine.RegistrationChanged("t", is_registered=True, sip_code=200, sip_phrase="OK"))
    await stage.until(lambda: stage.events)
    stage.workers[1].die()
    await stage.until(lambda: len(stage.workers) == 3 and stage.workers[2].of(engine.Register))
    assert [event.is_registered for event in stage.events] == [True, False]


async def test_a_worker_without_registrations_ends(stage: Stage):
    await stage.open()
    stage.pool.submit(register("t"))
    await stage.until(lambda: 1 in stage.workers and stage.workers[1].of(engine.Register))
    stage.pool.submit(engine.Unregister("t"))
    await stage.until(lambda: stage.workers[1].of(engine.Unregister))
    stage.workers[1].say(engine.RegistrationChanged("t", is_registered=False, sip_code=200, sip_phrase="OK"))
    await stage.until(lambda: stage.pool.line_pids == ())
    assert stage.pool.workers_lost == 0
