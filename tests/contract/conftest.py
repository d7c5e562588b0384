"""One harness for both engines: the fake on virtual time, the pool of PJSIP workers with telephones on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import media.wav
from media import tones
from sipcore import engine as wire
from sipcore.testing.clock import VirtualLoop
from sipcore.testing.fake_engine import Caller, FakeEngine, FarEnd

from .sip_caller import SipCaller

RATE_HZ = 8000
LEGS = 4


class Harness(ABC):
    """An engine, its far ends, and everything the engine told."""

    engine: Any

    def __init__(self, tmp_path: Path) -> None:
        self._tmp_path = tmp_path
        self._ids = itertools.count(1)
        self.events: list[wire.Event] = []
        self._changed = asyncio.Event()
        self._groups: list[str] = []
        self.offers: list[wire.Offer] = []
        self.taken: list[str] = []
        self.refusals: list[int] = []
        """Final codes that callers were answered."""
        self.decide: Callable[[wire.Offer], wire.Acceptance | wire.Refusal] = lambda _offer: wire.Refusal(404)

    @abstractmethod
    def far_end(self, script: FarEnd) -> str:
        """The URI of a far end that behaves like this."""

    @abstractmethod
    def hang_up_remote(self, call_id: str) -> None:
        """The far end of this leg says BYE."""

    @abstractmethod
    def hears_only(self, call_id: str, peer_id: str) -> bool:
        """Whether the far end of a leg has heard the other one's."""

    @abstractmethod
    def is_quiet(self, call_id: str) -> bool:
        """Whether the far end of a leg hears nothing at the moment."""

    @abstractmethod
    def press(self, call_id: str, digits: str) -> None:
        """The far end of this leg presses keys."""

    @abstractmethod
    def keys(self, call_id: str) -> str:
        """What the far end of this leg got pressed."""

    @abstractmethod
    async def call_in(self, to: str, script: Caller) -> None:
        """Somebody calls us; what the switch decides is up to `decide`."""

    def on_event(self, event: wire.Event) -> None:
        self.events.append(event)
        self._changed.set()

    def on_offer(self, offer: wire.Offer) -> wire.Acceptance | wire.Refusal:
        self.offers.append(offer)
        decision = self.decide(offer)
        self._changed.set()
        return decision

    async def accepted(self, script: Caller | None = None, legs: int = 1) -> str:
        """A call from outside that was taken."""
        call_id = f"in{id(self)}-{next(self._ids)}"
        self.decide = lambda _offer: wire.Acceptance(call_id, call_id, legs)
        self._groups.append(call_id)
        count = len(self.offers)
        await self.call_in("+821000", script or Caller())
        await self.until(lambda: len(self.offers) > count)
        self.taken.append(call_id)
        return call_id

    async def taken_and_answered(self, script: Caller | None = None, legs: int = 1) -> str:
        """A call from outside that is up."""
        call_id = await self.accepted(script, legs)
        self.engine.submit(wire.Answer(call_id))
        await self.got(wire.CallConfirmed, call_id)
        await self.got(wire.MediaStarted, call_id)
        return call_id

    def wav(self, duration_s: float) -> str:
        path = self._tmp_path / f"{duration_s}.wav"
        media.wav.write(path, tones.tone(1500.0, duration_s, RATE_HZ), RATE_HZ)
        return str(path)

    def group(self, legs: int = 1) -> str:
        group_id = f"g{id(self)}-{next(self._ids)}"
        self.engine.reserve(group_id, legs)
        self._groups.append(group_id)
        return group_id

    def dial(self, uri: str, group_id: str | None = None) -> str:
        call_id = f"c{id(self)}-{next(self._ids)}"
        self.engine.submit(wire.Dial(call_id, group_id or self.group(), uri, "<sip:us@127.0.0.1>", wire.Account()))
        return call_id

    async def answered(self, script: FarEnd | None = None, group_id: str | None = None) -> str:
        """A leg that is up."""
        call_id = self.dial(self.far_end(script or FarEnd()), group_id)
        await self.got(wire.CallConfirmed, call_id)
        await self.got(wire.MediaStarted, call_id)
        return call_id

    def of(self, call_id: str) -> list[wire.Event]:
        return [event for event in self.events if event.call_id == call_id]

    def playbacks(self, call_id: str) -> list[wire.PlaybackFinished]:
        return [event for event in self.of(call_id) if isinstance(event, wire.PlaybackFinished)]

    def kinds(self, call_id: str) -> list[str]:
        return [type(event).__name__ for event in self.of(call_id)]

    async def until(self, is_so: Callable[[], Any], timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    async def got(self, kind: type, call_id: str, timeout_s: float = 10.0) -> Any:
        def found():
            return next((event for event in self.of(call_id) if isinstance(event, kind)), None)

        await self.until(found, timeout_s)
        return found()

    async def ended(self, call_id: str, timeout_s: float = 10.0) -> wire.CallDisconnected:
        return await self.got(wire.CallDisconnected, call_id, timeout_s)

    async def finish(self) -> None:
        """End every leg; what must hold after any story."""
        dialed = {event.call_id for event in self.events} | set(self.taken)
        for call_id in dialed:
            self.engine.submit(wire.Hangup(call_id))
        for call_id in dialed:
            await self.ended(call_id)
            assert self.kinds(call_id).count("CallDisconnected") == 1
            assert [kind for kind in self.kinds(call_id) if kind != "RecordingFinished"][-1] == "CallDisconnected"
        for group_id in self._groups:
            self.engine.release(group_id)
        assert self.engine.legs_in_use == 0
        assert not any(isinstance(event, wire.EngineFault) for event in self.events)


class FakeHarness(Harness):
    def __init__(self, tmp_path: Path, engine: FakeEngine) -> None:
        super().__init__(tmp_path)
        self.engine = engine

    def far_end(self, script: FarEnd) -> str:
        user = f"far{next(self._ids)}"
        self.engine.far_end(user, script)
        return f"sip:{user}@192.0.2.1"

    async def call_in(self, to: str, script: Caller) -> None:
        self.engine.offer(to, caller=script)
        self.refusals = self.engine.refusals

    def hang_up_remote(self, call_id: str) -> None:
        self.engine.hang_up_remote(call_id)

    def press(self, call_id: str, digits: str) -> None:
        for digit in digits:
            self.engine.press(call_id, digit)

    def keys(self, call_id: str) -> str:
        return self.engine.keys.get(call_id, "")

    def hears_only(self, call_id: str, peer_id: str) -> bool:
        return {heard.peer_id for heard in self.engine.heard[call_id]} == {peer_id}

    def is_quiet(self, call_id: str) -> bool:
        return all(heard.end_s is not None for heard in self.engine.heard[call_id])


class PjsipHarness(Harness):
    def __init__(self, tmp_path: Path, engine: Any) -> None:
        super().__init__(tmp_path)
        self.engine = engine
        self._phones: list[Any] = []
        self._by_uri: dict[str, Any] = {}
        self._of_call: dict[str, Any] = {}
        self._hz: dict[str, float] = {}
        self._callers: list[SipCaller] = []

    def far_end(self, script: FarEnd) -> str:
        from sipcore.testing.phone import Phone

        name = f"far{next(self._ids)}"
        phone = Phone(name)
        hz = 400.0 + 170.0 * len(self._phones)
        phone.start()
        self._phones.append(phone)
        phone.tone(hz)
        if script.is_silent:
            phone.silent()
        elif script.reject_code:
            phone.reject(script.reject_code, script.reject_phrase or None, after_s=script.answer_after_s or 0.0)
        elif script.answer_after_s is None:
            phone.ring_forever()
        else:
            phone.answer_after(script.answer_after_s)
        if script.ring_code == 183:
            phone.early_media(hz)
        if script.hang_up_after_s is not None:
            phone.hang_up_after(script.hang_up_after_s)
        if script.digits:
            phone.send_digits_after(script.digits_after_s, script.digits)
        self._by_uri[phone.uri], self._hz[phone.uri] = phone, hz
        return phone.uri

    def dial(self, uri: str, group_id: str | None = None) -> str:
        call_id = super().dial(uri, group_id)
        self._of_call[call_id] = uri
        return call_id

    async def call_in(self, to: str, script: Caller) -> None:
        def refused(sip_code: int) -> None:
            self.refusals.append(sip_code)
            self._changed.set()

        self._callers.append(await SipCaller.calling(self.engine.sip_address, to, script, refused))

    async def finish(self) -> None:
        await super().finish()
        for caller in self._callers:
            caller.close()

    def press(self, call_id: str, digits: str) -> None:
        self._by_uri[self._of_call[call_id]].send_digits(digits)

    def keys(self, call_id: str) -> str:
        return self._by_uri[self._of_call[call_id]].last_call.digits

    def hang_up_remote(self, call_id: str) -> None:
        phone = self._by_uri[self._of_call[call_id]]
        phone.last_call.wait_answered(5)
        phone.hangup()

    def hears_only(self, call_id: str, peer_id: str) -> bool:
        self._by_uri[self._of_call[call_id]].assert_tone(self._hz[self._of_call[peer_id]])
        return True

    def is_quiet(self, call_id: str) -> bool:
        heard = self._by_uri[self._of_call[call_id]].last_call.heard()
        return int(np.abs(heard[-RATE_HZ // 10 :].astype(np.int32)).max()) < 100

    def close(self) -> None:
        for phone in self._phones:
            phone.close()


Play = Callable[[Callable[[Harness], Coroutine[Any, Any, None]]], None]


def _free_rtp_ports(count: int) -> tuple[int, int]:
    """A range of UDP ports beside one that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        first = probe.getsockname()[1] // 2 * 2
    first = min(first, 65534 - count)
    return first, first + count - 1


def new_pool(workers: int = 1) -> Any:
    """A pool of `LEGS` legs; with workers to spare when places that were just left must not make it start another."""
    from sipcore.pool import PjsipPool, PoolSettings

    return PjsipPool(
        PoolSettings(
            sip_host="127.0.0.1",
            max_legs=LEGS,
            min_workers=workers,
            rtp_ports=_free_rtp_ports(64 * workers),
            stranger_share=1.0,
            unanswered_share=1.0,
        )
    )


async def _all_ready(pool: Any, workers: int) -> None:
    """The pool is ready with its first worker; the others, and the spare front door, would come up in the middle of the first stories."""
    async with asyncio.timeout(20):
        while sum(bool(worker.sip_port) for worker in pool.workers()) < workers or not pool.spare_door_pid:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


ENGINES = [pytest.param("fake"), pytest.param("pjsip", marks=pytest.mark.sip)]
Listeners = list[Harness]


@pytest.fixture(scope="module", params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def shared_pool(engine_name: str) -> Iterator[tuple[asyncio.Runner, Any, Listeners] | None]:
    """One pool of workers for all the stories that need one."""
    if engine_name == "fake":
        yield None
        return
    listeners: Listeners = []

    def tell(event: wire.Event) -> None:
        for listener in tuple(listeners):
            listener.on_event(event)

    def decide(offer: wire.Offer) -> wire.Acceptance | wire.Refusal:
        return listeners[-1].on_offer(offer) if listeners else wire.Refusal(404)

    with asyncio.Runner() as runner:
        pool = new_pool(workers=6)
        runner.run(pool.start(tell, decide))
        runner.run(_all_ready(pool, 6))
        yield runner, pool, listeners
        runner.run(pool.close(1.0))


@pytest.fixture
def play(shared_pool: Any, tmp_path: Path) -> Iterator[Play]:
    """Plays a story on the engine, from its first leg to the end of the last."""

    async def whole(harness: Harness, story: Callable[[Harness], Coroutine[Any, Any, None]]) -> None:
        try:
            await story(harness)
        except BaseException:
            with contextlib.suppress(Exception):  # the story's own failure says more
                await harness.finish()
            raise
        await harness.finish()

    if shared_pool is None:

        def play_fake(story: Callable[[Harness], Coroutine[Any, Any, None]]) -> None:
            async def started() -> None:
                harness = FakeHarness(tmp_path, FakeEngine(leg_capacity=LEGS, max_legs=LEGS))
                await harness.engine.start(harness.on_event, harness.on_offer)
                await whole(harness, story)
                await harness.engine.close(1.0)

            with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                runner.run(started())

        yield play_fake
        return

    runner, pool, listeners = shared_pool
    harness = PjsipHarness(tmp_path, pool)
    listeners.append(harness)
    yield lambda story: runner.run(whole(harness, story))
    listeners.remove(harness)
    harness.close()


@pytest.fixture
def play_to_the_end(engine_name: str, tmp_path: Path) -> Iterator[Play]:
    """As `play`, with an engine of the story's own, which it closes."""
    harnesses: list[PjsipHarness] = []

    def run(story: Callable[[Harness], Coroutine[Any, Any, None]]) -> None:
        async def started() -> None:
            if engine_name == "fake":
                harness: Harness = FakeHarness(tmp_path, FakeEngine(leg_capacity=LEGS, max_legs=LEGS))
            else:
                harnesses.append(harness := PjsipHarness(tmp_path, new_pool()))
            try:
                await story(harness)
            finally:
                await harness.engine.close(0.0)

        with asyncio.Runner(loop_factory=VirtualLoop if engine_name == "fake" else None) as runner:
            runner.run(started())

    yield run
    for harness in harnesses:
        harness.close()
