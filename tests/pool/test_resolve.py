"""Hop after hop: what the worker is told, and what the pool hears, with a script in place of worker and DNS."""

from __future__ import annotations

import asyncio

import pytest

from sipcore import engine
from sipcore.locate import Hop, LocateError
from sipcore.pool.hops import MAX_REMEMBERED, SILENCE_S, Place, Silence, parse_place, route_uri
from sipcore.pool.resolve import Resolver

ACCOUNT = engine.Account("acme", "secret")
A, B, C = Hop("udp", "192.0.2.1", 5060, "a.example"), Hop("tcp", "192.0.2.2", 5062, "a.example"), Hop("any", "192.0.2.3", 5060, "b.example")


def dial(uri: str = "sip:100@a.example", *targets: str, route: str | None = None) -> engine.Dial:
    return engine.Dial("c", "g", uri, "<sip:a@b>", engine.Account("acme", "secret", route_uri=route), targets=targets)


def register(*targets: str) -> engine.Register:
    return engine.Register("t", "sip:a.example", "sip:acme@a.example", "acme", ACCOUNT, retry_s=0, targets=targets)


def busy(code: int = 503, *, remote: bool = True) -> engine.CallDisconnected:
    return engine.CallDisconnected("c", code, "x", remote=remote)


class Worker:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[engine.Command] = []
        self.unsent: set[str] = set()
        self.news = asyncio.Event()

    def submit(self, command: engine.Command) -> None:
        self.told.append(command)
        self.news.set()

    def withdraw(self, call_id: str) -> bool:
        return call_id in self.unsent

    @property
    def hops(self) -> list[str]:
        return [
            command.account.route_uri.partition("hop=")[2] for command in self.told if isinstance(command, engine.Dial | engine.Register)
        ]


class Stage:
    """A resolver whose DNS is a table: a tuple of hops, or an error."""

    def __init__(self, table: dict[str, object] | None = None, failover_s: float = 30.0) -> None:
        self.table = table or {}
        self.asked: list[tuple[str, int | None, str | None]] = []
        self.failed: list[tuple[str, str]] = []
        self.events: list[engine.Event] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.worker = Worker()
        self.resolver = Resolver(
            lambda call_id, error: self.failed.append((call_id, error)),
            lambda: 40000,
            tell=self.events.append,
            locate=self.locate,
            failover_s=failover_s,
        )

    async def locate(self, host: str, port: int | None, transport: str | None) -> tuple[Hop, ...]:
        self.asked.append((host, port, transport))
        await self.gate.wait()
        found = self.table.get(host, LocateError("it has no address"))
        if isinstance(found, Exception):
            raise found
        return found

    def submit(self, command: engine.Command) -> None:
        self.resolver.submit(self.worker, command)

    async def until(self, count: int) -> None:
        """Until the worker was told so many things."""
        async with asyncio.timeout(5):
            while len(self.worker.told) < count:
                self.worker.news.clear()
                await self.worker.news.wait()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("sip:+82@trunk.example:5060;transport=tcp", Place("trunk.example", 5060, "tcp")),
        ("trunk.example", Place("trunk.example", None, None)),
        ("trunk.example;transport=TLS", Place("trunk.example", None, "tls")),
        ("192.0.2.1:5070", Place("192.0.2.1", 5070, None)),
        ("<sip:proxy.example;lr>", Place("proxy.example", None, None)),
        ("sip:x@[2001:db8::1]:5070;transport=udp", Place("[2001:db8::1]", 5070, "udp")),
        ("[2001:db8::1]", Place("[2001:db8::1]", None, None)),
        ("sip:a:b@h.example", Place("h.example", None, None)),
        ("sips:x@trunk.example", None),
        ("sip:x@", None),
        ("h:99999", None),
        ("h:0", None),
        ("", None),
        ("a b", None),
    ],
)
def test_what_a_target_says(text, place):
    assert parse_place(text) == place


@pytest.mark.parametrize(
    ("hop", "parameters"),
    [
        (Hop("udp", "192.0.2.1", 5060, "a.example"), "hop=udp-192.0.2.1-5060"),
        (Hop("any", "2001:db8::1", 5070, "a.example"), "hop=any-[2001:db8::1]-5070"),
        (Hop("tls", "192.0.2.1", 5061, "a.example"), "hop=tls-192.0.2.1-5061;sni=a.example"),
        (Hop("tls", "192.0.2.1", 5061, "192.0.2.1"), "hop=tls-192.0.2.1-5061"),
    ],
)
def test_the_route_to_a_hop(hop, parameters):
    assert route_uri(hop, 40000) == f"sip:127.0.0.1:40000;lr;{parameters}"


async def test_an_address_goes_out_at_once():
    stage = Stage()
    stage.submit(dial("sip:100@192.0.2.9:5070;transport=tcp"))
    assert stage.worker.hops == ["tcp-192.0.2.9-5070"]
    assert stage.worker.told[0].request_uri == "sip:100@192.0.2.9:5070;transport=tcp"
    assert (stage.worker.told[0].account.username, stage.asked) == ("acme", [])


async def test_targets_go_before_the_route_and_that_before_the_request_uri():
    stage = Stage()
    stage.submit(dial("sip:100@a.example", "192.0.2.1", route="sip:192.0.2.5;lr"))
    stage.submit(dial("sip:100@a.example", route="sip:192.0.2.5:5065;lr"))
    assert stage.worker.hops == ["any-192.0.2.1-5060", "any-192.0.2.5-5065"]


async def test_commands_wait_for_the_name_in_order():
    stage = Stage({"a.example": (A,)})
    stage.gate.clear()
    stage.submit(dial())
    play, bridge = engine.Play("c", "p", "/x.wav"), engine.Bridge("other", "c")
    stage.submit(play)
    stage.submit(bridge)
    stage.submit(engine.Play("other", "p", "/y.wav"))
    assert [type(command) for command in stage.worker.told] == [engine.Play]
    stage.gate.set()
    await stage.until(4)
    assert stage.worker.hops == ["udp-192.0.2.1-5060"]
    assert stage.worker.told[2:] == [play, bridge]
    assert stage.asked == [("a.example", None, None)]


async def test_a_name_without_address_fails_the_call_once():
    stage = Stage()
    stage.submit(dial())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert stage.failed == [("c", "cannot resolve a.example: it has no address")]
    assert stage.worker.told == []
    assert stage.resolver.withdraw("c") is False


async def test_what_cannot_be_called_fails():
    stage = Stage()
    stage.submit(dial("sips:x@y"))
    assert stage.failed == [("c", "sips:x@y is nothing we can call")]


@pytest.mark.parametrize("code", [503, 0])
async def test_the_next_hop_after_a_503_or_no_answer_at_all_and_the_last_failure_is_told(code):
    stage = Stage({"a.example": (A, B)})
    stage.submit(dial())
    await stage.until(1)
    stage.submit(engine.Play("c", "p", "/x.wav"))
    assert stage.resolver.event(busy(code)) is None
    assert [type(command) for command in stage.worker.told] == [engine.Dial, engine.Play, engine.Dial, engine.Play]
    assert stage.worker.hops == ["udp-192.0.2.1-5060", "tcp-192.0.2.2-5062"]
    last = busy(code)
    assert stage.resolver.event(last) is last
    assert stage.failed == []


@pytest.mark.parametrize("end", [busy(486), busy(408), busy(500), busy(603), busy(0, remote=False)])
async def test_another_answer_is_the_calls_end(end):
    stage = Stage({"a.example": (A, B)})
    stage.submit(dial())
    await stage.until(1)
    assert stage.resolver.event(end) is end
    assert len(stage.worker.told) == 1


async def test_after_ringing_a_503_is_the_calls_end():
    stage = Stage({"a.example": (A, B)})
    stage.submit(dial())
    await stage.until(1)
    ringing, end = engine.CallProvisional("c", 180, "Ringing"), busy()
    assert [stage.resolver.event(event) for event in (ringing, end)] == [ringing, end]


async def test_the_next_target_is_looked_up_when_it_is_needed():
    stage = Stage({"a.example": (A,), "b.example": (C,)})
    stage.submit(dial("sip:100@a.example", "a.example:5060", "b.example;transport=udp"))
    await stage.until(1)
    assert stage.asked == [("a.example", 5060, None)]
    assert stage.resolver.event(busy()) is None
    await stage.until(2)
    assert stage.asked[1:] == [("b.example", None, "udp")]
    assert stage.worker.hops[1] == "any-192.0.2.3-5060"


async def test_a_target_without_address_is_passed_over_and_the_last_fails_the_call():
    stage = Stage({"b.example": (C,)})
    stage.submit(dial("sip:1@a.example", "a.example", "b.example", "c.example"))
    await stage.until(1)
    assert stage.worker.hops == ["any-192.0.2.3-5060"]
    assert stage.resolver.event(busy()) is None
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ((_, error),) = stage.failed
    assert "503 x" in error
    assert error.endswith("cannot resolve c.example: it has no address")


async def test_the_same_place_twice_is_tried_once_and_its_answer_is_told():
    stage = Stage()
    stage.submit(dial("sip:1@192.0.2.1", "192.0.2.1", "192.0.2.1:5060"))
    end = busy()
    assert stage.resolver.event(end) is end
    assert (len(stage.worker.told), stage.failed) == (1, [])


async def test_silence_of_a_hop_takes_the_call_to_the_next_and_later_calls_there_first():
    stage = Stage({"a.example": (A, B)}, failover_s=0.01)
    stage.submit(dial())
    await stage.until(2)
    assert stage.worker.told[1] == engine.Hangup("c")
    stage.submit(engine.Play("c", "p", "/x.wav"))
    assert stage.resolver.event(engine.CallConfirmed("c", 200, "OK")) is None  # it crossed our CANCEL
    assert stage.resolver.event(engine.MediaStarted("c", "PCMU/8000")) is None
    assert len(stage.worker.told) == 2
    assert stage.resolver.event(busy(487, remote=False)) is None
    assert [type(command) for command in stage.worker.told[2:]] == [engine.Dial, engine.Play]
    answered = engine.CallConfirmed("c", 200, "OK")
    assert stage.resolver.event(answered) is answered
    stage.submit(dial())
    await stage.until(5)
    assert stage.worker.hops == ["udp-192.0.2.1-5060", "tcp-192.0.2.2-5062", "tcp-192.0.2.2-5062"]
    stage.resolver.close()


async def test_a_100_is_a_sign_of_life_and_goes_no_further():
    stage = Stage({"a.example": (A, B)}, failover_s=0.02)
    stage.submit(dial())
    await stage.until(1)
    assert stage.resolver.event(engine.CallProvisional("c", 100, "Trying")) is None
    await asyncio.sleep(0.1)
    assert len(stage.worker.told) == 1
    assert stage.resolver.event(busy()) is None  # and a 503 still takes it on
    assert len(stage.worker.told) == 2
    assert stage.resolver.event(engine.CallProvisional("other", 100, "Trying")) is None


async def test_the_last_hop_has_all_the_time():
    stage = Stage({"a.example": (A,)}, failover_s=0.01)
    stage.submit(dial())
    await stage.until(1)
    await asyncio.sleep(0.05)
    assert len(stage.worker.told) == 1


async def test_a_call_that_its_worker_has_not_sent_yet_is_not_held_against_the_hop():
    stage = Stage({"a.example": (A, B)}, failover_s=0.01)
    stage.worker.unsent.add("c")
    stage.submit(dial())
    await stage.until(2)
    assert set(stage.worker.hops) == {"udp-192.0.2.1-5060"}
    stage.resolver.close()


async def test_withdrawn_while_the_name_is_looked_up():
    stage = Stage({"a.example": (A,)})
    stage.gate.clear()
    stage.submit(dial())
    await asyncio.sleep(0)
    assert stage.resolver.withdraw("c") is True
    assert stage.resolver.withdraw("c") is False
    stage.gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (stage.worker.told, stage.failed) == ([], [])


async def test_hung_up_by_us_it_goes_nowhere_else():
    stage = Stage({"a.example": (A, B)})
    stage.submit(dial())
    await stage.until(1)
    assert stage.resolver.withdraw("c") is False
    stage.submit(engine.Hangup("c"))
    end = busy()
    assert stage.resolver.event(end) is end
    assert [type(command) for command in stage.worker.told] == [engine.Dial, engine.Hangup]


async def test_hung_up_by_us_while_a_silent_hop_is_left():
    stage = Stage({"a.example": (A, B)}, failover_s=0.01)
    stage.submit(dial())
    await stage.until(2)
    stage.submit(engine.Hangup("c"))
    end = busy(487, remote=False)
    assert stage.resolver.event(end) is end


async def test_events_of_calls_from_outside_pass():
    stage = Stage()
    for event in (engine.CallConfirmed("in", 200, "OK"), busy(), engine.EngineFault("c", "x"), engine.RtpSilent("c", 60.0)):
        assert stage.resolver.event(event) is event


def test_silence_is_forgotten_in_time_and_bounded():
    silence = Silence()
    silence.note(A, 0.0)
    assert silence.has(A, SILENCE_S - 1)
    assert not silence.has(A, SILENCE_S)
    silence.end(A)
    assert not silence.has(A, 0.0)
    for number in range(MAX_REMEMBERED + 10):
        silence.note(Hop("udp", "192.0.2.1", number), 0.0)
    assert not silence.has(Hop("udp", "192.0.2.1", 5), 1.0)
    assert silence.has(Hop("udp", "192.0.2.1", MAX_REMEMBERED), 1.0)


def refused(code: int = 503) -> engine.RegistrationChanged:
    return engine.RegistrationChanged("t", is_registered=False, sip_code=code, sip_phrase="x")


REGISTERED = engine.RegistrationChanged("t", is_registered=True, sip_code=200, sip_phrase="OK")


async def test_a_registration_takes_turns_with_its_hops():
    stage = Stage({"a.example": (A, B)})
    stage.submit(register())
    await stage.until(1)
    event = refused()
    assert stage.resolver.event(event) is event  # each refusal is told
    assert stage.worker.hops == ["udp-192.0.2.1-5060", "tcp-192.0.2.2-5062"]
    stage.resolver.event(refused(408))
    assert len(stage.worker.told) == 2, "all were tried: now it is the worker that waits and tries again"
    stage.resolver.event(refused(0))
    await stage.until(3)
    assert stage.worker.hops[2] == "udp-192.0.2.1-5060"


async def test_a_registration_with_one_hop_is_left_to_the_worker():
    stage = Stage({"a.example": (A,)})
    stage.submit(register())
    await stage.until(1)
    for _ in range(4):
        stage.resolver.event(refused())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert len(stage.worker.told) == 1


@pytest.mark.parametrize("code", [401, 403, 404])
async def test_a_refusal_in_earnest_moves_no_registration(code):
    stage = Stage()
    stage.submit(register("192.0.2.1", "192.0.2.2"))
    stage.resolver.event(refused(code))
    stage.resolver.event(REGISTERED)
    assert stage.worker.hops == ["any-192.0.2.1-5060"]


async def test_a_registrar_without_address_is_told_and_tried_again():
    stage = Stage()
    stage.submit(register())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert stage.events[0] == engine.RegistrationChanged("t", False, 0, "cannot resolve a.example: it has no address")
    stage.table["a.example"] = (A,)
    await stage.until(1)
    assert stage.worker.hops == ["udp-192.0.2.1-5060"]


async def test_unregister_ends_the_line():
    stage = Stage({"a.example": (A, B)})
    stage.submit(register())
    await stage.until(1)
    stage.submit(engine.Unregister("t"))
    stage.resolver.event(refused())
    assert [type(command) for command in stage.worker.told] == [engine.Register, engine.Unregister]
