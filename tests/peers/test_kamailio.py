"""A provider: registration with digest, calls both ways through its proxy."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from sipcore import CallRecord, Connect, Reject, Switch
from sipcore.events import CallRinging, Registration
from sipcore.testing.ports import free_port
from tests.sip.listening import until

from .baresip import Baresip
from .hearing import assert_told_apart, talk
from .kamailio import PASSWORD, Kamailio, kamailio

BARESIP_HZ, EAR_HZ = 700.0, 1100.0
NUMBERS = itertools.count()
GRANTED_S = 6


def provider(registrar: Kamailio, **settings: Any) -> dict[str, Any]:
    """A trunk at it, whose calls are known by our registration only: everybody is on loopback here."""
    defaults = {"addresses": [registrar.address], "username": "switch", "password": PASSWORD, "expires_s": 60, "retry_s": 1, "sources": []}
    return defaults | {"name": "provider", "register": True} | settings


def wait_until(look: Callable[[], bool], timeout_s: float = 10.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def wait_registration(switch: Switch, code: int, name: str = "provider") -> Registration:
    """Until the registrar's answer was this."""
    end_s = time.monotonic() + 10.0
    while (state := switch.registrations[name]).sip_code != code:
        assert time.monotonic() < end_s, state
        time.sleep(0.01)
    return state


@dataclass(frozen=True)
class Names:
    """Customers of the provider that no other test has."""

    us: str
    bob: str


@pytest.fixture
def names() -> Names:
    number = next(NUMBERS)
    return Names(f"switch{number}", f"+1555{number:07}")


@pytest.fixture
def switch(open_switch: Callable[..., Any], registrar: Kamailio, names: Names) -> Iterator[Switch]:
    with open_switch(trunks=[provider(registrar, username=names.us)], accept_from=[]) as opened:
        wait_registration(opened, 200)
        yield opened


@pytest.fixture
def bob(open_baresip: Callable[..., Baresip], registrar: Kamailio, names: Names) -> Baresip:
    """A customer of the same provider."""
    phone = open_baresip("bob", says_hz=BARESIP_HZ, account=customer(registrar, names.bob))
    phone.wait_registered()
    return phone


def customer(registrar: Kamailio, number: str, answermode: str = "auto") -> str:
    return f"<sip:{number}@{registrar.address}>;auth_pass={PASSWORD};answermode={answermode};regint=60"


def incoming(switch: Switch) -> CallRecord:
    """The record of the only call from outside."""
    (record,) = [record for record in switch.calls.list().result if record.direction == "incoming"]
    return record


# ------------------------------------------------------------------------------------------------- registration


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_registers_and_unregisters(open_switch, registrar, names, transport):
    with open_switch(trunks=[provider(registrar, username=names.us, transport=transport)]) as switch:
        state = wait_registration(switch, 200)
        assert (state.is_registered, state.expires_s) == (True, 60)
        assert registrar.registrations(names.us) == [("new", transport)]
    assert registrar.registrations(names.us) == [("new", transport), ("taken back", transport)]


def test_wrong_password(open_switch, registrar, names):
    with open_switch(trunks=[provider(registrar, username=names.us, password="wrong")]) as switch:
        state = wait_registration(switch, 401)
        assert not state.is_registered
        record = switch.calls.create(destination=names.bob).wait(10)
        assert (record.hangup_reason, record.sip_code) == ("failed", 407)
    assert registrar.registrations(names.us) == []


def test_registrar_that_was_down_has_us_again(tmp_path, open_switch, names):
    with kamailio(tmp_path / "kamailio") as registrar:
        registrar.stop()
        with open_switch(trunks=[provider(registrar, username=names.us, transport="tcp")]) as switch:
            assert not wait_registration(switch, 503).is_registered
            registrar.start()
            assert wait_registration(switch, 200).is_registered
            assert registrar.registrations(names.us) == [("new", "tcp")]


def test_refreshed_in_time(tmp_path, open_switch, open_baresip, names):
    """PJSIP refreshes 5 s before the end, but not within 5 s. A registrar that was started again has us again by that, too."""
    with (
        kamailio(tmp_path / "steady", GRANTED_S) as steady,
        kamailio(tmp_path / "forgetful", GRANTED_S) as forgetful,
        open_switch(
            trunks=[
                provider(at, username=names.us, name=name, contact_user=name) for name, at in (("steady", steady), ("forgetful", forgetful))
            ],
            accept_from=[],
        ) as switch,
    ):
        assert wait_registration(switch, 200, "steady").expires_s == GRANTED_S
        wait_registration(switch, 200, "forgetful")
        forgetful.stop()
        forgetful.start()
        wait_until(lambda: steady.registrations(names.us)[:2] == [("new", "udp"), ("refreshed", "udp")], GRANTED_S)
        wait_until(lambda: forgetful.registrations(names.us)[:2] == [("new", "udp")] * 2, GRANTED_S)
        switch.on_call(trunk="forgetful", actions=[Reject(480)])
        bob = open_baresip("bob", says_hz=BARESIP_HZ, account=customer(forgetful, names.bob))
        bob.wait_registered()
        assert bob.dial(f"sip:{names.us}@{forgetful.address}").wait_closed().startswith("480")


# -------------------------------------------------------------------------------------------------------- calls


@pytest.mark.parametrize("ends", ["we", "they"])
def test_call_out(switch, registrar, names, bob, open_ear, ends):
    ear = open_ear(EAR_HZ)
    call = switch.calls.create(destination=names.bob, actions=[Connect([ear.uri])])
    bobs = bob.next_call()
    heard = talk(ear)
    call.hangup() if ends == "we" else bob.command("hangup")
    record = call.wait(5)
    bobs.wait_closed()
    assert_told_apart(bob, heard, baresip_hz=BARESIP_HZ, ear_hz=EAR_HZ)
    assert (record.hangup_by, record.hangup_reason, record.sip_code) == ("local" if ends == "we" else "remote", "normal", 200)
    sent = [message.text for message in switch.calls.trace(record.id) if message.is_sent and message.text.startswith("INVITE")]
    assert ["Proxy-Authorization: " in text for text in sent[:2]] == [False, True]


@pytest.mark.parametrize("ends", ["we", "they"])
def test_call_in(switch, registrar, names, bob, open_ear, ends):
    ear = open_ear(EAR_HZ)
    switch.on_call(to=names.us, trunk="provider", actions=[Connect([ear.uri])])
    bobs = bob.dial(f"sip:{names.us}@{registrar.address}")
    heard = talk(ear)
    record = incoming(switch)
    switch.calls.hangup(record.id) if ends == "we" else bob.command("hangup")
    bobs.wait_closed()
    wait_until(lambda: switch.calls.get(record.id).is_over)
    assert_told_apart(bob, heard, baresip_hz=BARESIP_HZ, ear_hz=EAR_HZ)
    over = switch.calls.get(record.id)
    assert (over.direction, over.type, over.source.target) == ("incoming", "flow", names.bob)
    assert (over.hangup_by, over.hangup_reason) == ("local" if ends == "we" else "remote", "normal")


def test_calls_over_tcp(open_switch, registrar, names, bob, open_ear):
    """Kamailio is called over TCP, and calls over the connection that we registered with."""
    ear = open_ear(EAR_HZ)
    with open_switch(trunks=[provider(registrar, username=names.us, transport="tcp")], accept_from=[]) as switch:
        wait_registration(switch, 200)
        switch.on_call(trunk="provider", actions=[Connect([ear.uri])])
        bobs = bob.dial(f"sip:{names.us}@{registrar.address}")
        heard = talk(ear)
        bob.command("hangup")
        bobs.wait_closed()
        assert_told_apart(bob, heard, baresip_hz=BARESIP_HZ, ear_hz=EAR_HZ)
        assert {message.transport for message in switch.calls.trace(incoming(switch).id)} == {"tcp"}

        call = switch.calls.create(destination=names.bob, actions=[Connect([ear.uri])])
        bobs = bob.next_call()
        heard = talk(ear)
        call.hangup()
        bobs.wait_closed()
        assert_told_apart(bob, heard, baresip_hz=BARESIP_HZ, ear_hz=EAR_HZ)
        assert {message.transport for message in switch.calls.trace(call.id)} == {"tcp"}


@pytest.mark.parametrize("sources", [None, []], ids=["from-its-address", "from-anywhere"])
def test_two_accounts_at_one_provider(open_switch, registrar, names, bob, sources):
    """Each call belongs to the account that was called, though all come from one address."""
    codes = {f"{names.us}a": 480, f"{names.us}b": 603}
    with open_switch(trunks=[provider(registrar, name=name, username=name, sources=sources) for name in codes], accept_from=[]) as switch:
        for name, code in codes.items():
            wait_registration(switch, 200, name)
            switch.on_call(trunk=name, actions=[Reject(code)])
        for name, code in codes.items():
            assert bob.dial(f"sip:{name}@{registrar.address}").wait_closed().startswith(str(code))


# ----------------------------------------------------------------------------------------------- calls refused


def test_busy(open_switch, open_baresip, registrar, names, switch):
    bob = open_baresip("bob", says_hz=BARESIP_HZ, account=customer(registrar, names.bob, "manual"))
    bob.wait_registered()
    call = switch.calls.create(destination=names.bob)
    bob.next_call().wait_for("CALL_INCOMING")
    bob.command("hangup")
    record = call.wait(5)
    assert (record.hangup_by, record.hangup_reason, record.sip_code) == ("remote", "busy", 486)

    switch.on_call(trunk="provider", actions=[Reject(486)])
    assert bob.dial(f"sip:{names.us}@{registrar.address}").wait_closed() == "486 Busy Here"
    assert incoming(switch).sip_code == 486


def test_cancel_by_us(open_baresip, registrar, names, switch):
    bob = open_baresip("bob", says_hz=BARESIP_HZ, account=customer(registrar, names.bob, "manual"))
    bob.wait_registered()
    call = switch.calls.create(destination=names.bob)
    until(call, CallRinging)
    call.hangup()
    assert bob.next_call().wait_closed() == "Connection reset by peer"
    record = call.wait(5)
    assert (record.hangup_by, record.hangup_reason, record.sip_code) == ("local", "cancel", 487)


def test_cancel_by_them(registrar, names, switch, bob, open_ear):
    ear = open_ear(EAR_HZ)
    ear.ring_forever()
    switch.on_call(trunk="provider", actions=[Connect([ear.uri])])
    bobs = bob.dial(f"sip:{names.us}@{registrar.address}")
    bobs.wait_for("CALL_PROGRESS")
    ear.wait_call(5)
    bob.command("hangup")
    ear.last_call.wait_ended(5)
    assert ear.last_call.sip_code == 487
    record = incoming(switch)
    wait_until(lambda: switch.calls.get(record.id).is_over)
    over = switch.calls.get(record.id)
    assert (over.hangup_by, over.hangup_reason, over.tm_progressing) == ("remote", "normal", None)


# ----------------------------------------------------------------------------------------------------- failover


def test_failover(open_switch, registrar, names, bob):
    """The first address of the provider is dead: nobody listens there."""
    trunk = provider(registrar, username=names.us, addresses=[f"127.0.0.1:{free_port()}", registrar.address], transport="tcp")
    with open_switch(trunks=[trunk]) as switch:
        assert wait_registration(switch, 200).is_registered
        record = switch.calls.create(destination=names.bob, trunk="provider").wait(10)
        assert (record.hangup_reason, record.sip_code) == ("normal", 200)


@pytest.mark.sip_faults("request-unanswered")  # the silence
def test_failover_from_silence(open_switch, registrar, names, bob):
    """Over UDP a dead address is one that does not answer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.settimeout(1)
        addresses = [f"127.0.0.1:{silent.getsockname()[1]}", registrar.address]
        with open_switch(trunks=[provider(registrar, username=names.us, addresses=addresses, register=False)], grace_s=0.5) as switch:
            record = switch.calls.create(destination=names.bob, trunk="provider").wait(10)
            assert (record.hangup_reason, record.sip_code) == ("normal", 200)
            assert silent.recv(4096).startswith(b"INVITE ")
