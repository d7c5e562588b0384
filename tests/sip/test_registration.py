"""We register at a trunk (RFC 3261 §10): with digest, refused, asked again, and taken back at the end."""

from __future__ import annotations

import threading

from .outside import assert_followed, assert_no_worker_shows
from .test_digest import is_right

USER, PASSWORD = "trunk-user", "correct horse"


def trunk(uas, **more):
    return {"name": "acme", "addresses": [uas.address], "register": True, "username": USER, "password": PASSWORD} | more


class States:
    """How the registration went, until it is as it should be."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, int]] = []
        self._changed = threading.Condition()

    def __call__(self, registration) -> None:
        with self._changed:
            self.seen.append((registration.is_registered, registration.sip_code))
            self._changed.notify_all()

    def wait_for(self, is_registered: bool, sip_code: int, timeout_s: float = 10.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: (is_registered, sip_code) in self.seen, timeout_s), self.seen


def followed(switch) -> States:
    """The states from now on, and the one that is."""
    states = States()

    async def follow() -> None:
        for registration in switch._switch.registrations.values():
            states(registration)
        switch._switch.listen_registrations(states)

    switch.run(follow())
    return states


def test_registered_with_a_password_and_taken_back(sipp, open_switch):
    with sipp.uas("uas-register-401-200-expect-unregister.xml") as registrar:
        with open_switch(trunks=[trunk(registrar)]) as switch:
            followed(switch).wait_for(True, 200)
            assert switch.registrations["acme"].expires_s == 300
            us = switch
        result = registrar.wait(5)
    assert_followed(result)
    assert us.registrations == {} or not us.registrations["acme"].is_registered
    first, signed, last = result.received("REGISTER")
    assert not first.header("Authorization")
    assert is_right(signed, "Authorization", PASSWORD)
    assert first.header("To") == f"<sip:{USER}@127.0.0.1>"
    assert first.header("Contact").startswith(f"<sip:{USER}@127.0.0.1:")
    assert len({message.header("Call-ID") for message in (first, signed, last)}) == 1
    assert last.header("Expires") == "0"


def test_no_worker_shows_in_a_registration(sipp, open_switch):
    with sipp.uas("uas-register-401-200-expect-unregister.xml") as registrar, open_switch(trunks=[trunk(registrar)]) as switch:
        followed(switch).wait_for(True, 200)
        switch.close()
        assert_no_worker_shows(registrar.wait(5), switch_as_it_was(switch, registrar), registrar.port)


def switch_as_it_was(switch, registrar):
    """For a closed switch: its address is in what it sent."""

    class Closed:
        config = switch.config
        tls_address = ""
        sip_address = registrar.messages[0].header("Via").split()[1].partition(";")[0]

    return Closed


def test_a_wrong_password_is_told(sipp, open_switch):
    with sipp.uas("uas-register-401-403.xml") as registrar, open_switch(trunks=[trunk(registrar, retry_s=30)]) as switch:
        followed(switch).wait_for(False, 403)
        assert_followed(registrar.wait(5))
        assert not switch.registrations["acme"].is_registered


def test_the_next_registrar_is_asked_when_one_is_not_ready(sipp, open_switch):
    with (
        sipp.uas("uas-register-503.xml") as busy,
        sipp.uas("uas-register-401-200-expect-unregister.xml") as ready,
    ):
        with open_switch(trunks=[trunk(busy, addresses=[busy.address, ready.address], retry_s=1)]) as switch:
            followed(switch).wait_for(True, 200)
        assert_followed(busy.wait(5))
        assert_followed(ready.wait(5))
