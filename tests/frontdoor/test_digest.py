"""Phones prove themselves (RFC 7616), with a nonce that nobody has to remember."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import pytest

from sipcore.frontdoor.router import Ask, Flow
from sipcore.wire import DoorPhone

from .routing import PHONE, TRUNK, US, only, request, router_with, status, to_flow

HOME = Flow("udp", US, ("203.0.113.9", 5060))
URI = "sip:1000@198.51.100.1"


def phone_router(**changes):
    return router_with(phones=(PHONE, DoorPhone("bob", "other", "0" * 32, "0" * 64)), **changes)


def nonce_of(router, flow=HOME, now=0.0, **more) -> str:
    refused = to_flow(router.from_outside(request(from_user="alice", **more), flow, now))
    assert refused.status == 401
    return re.search('nonce="([^"]+)"', refused.get("WWW-Authenticate") or "")[1]


def credentials(nonce: str, password="wonder", algorithm="MD5", realm="sipcore", user="alice", uri=URI, qop="auth", **changes) -> str:
    def digest(text: str) -> str:
        return hashlib.new({"MD5": "md5", "SHA-256": "sha256"}.get(algorithm, "md5"), text.encode()).hexdigest()

    ha1, ha2 = digest(f"{user}:{realm}:{password}"), digest(f"INVITE:{uri}")
    middle = f"{nonce}:00000001:c0ffee:{qop}" if qop else nonce
    fields = {
        "username": user,
        "realm": realm,
        "nonce": nonce,
        "uri": uri,
        "response": digest(f"{ha1}:{middle}:{ha2}"),
        "cnonce": "c0ffee",
    } | changes
    quoted = ", ".join(f'{name}="{value}"' for name, value in fields.items())
    return f"Authorization: Digest {quoted}, algorithm={algorithm}" + (f", qop={qop}, nc=00000001" if qop else "")


def proved(authorization: str, **more) -> bytes:
    return request(from_user="alice", branch="z9hG4bKsecond", cseq=2, extra=[authorization], **more)


def test_challenges_offer_the_best_first():
    refused = to_flow(phone_router().from_outside(request(from_user="alice"), HOME, 0.0))
    challenges = refused.get_all("WWW-Authenticate")
    assert [re.search("algorithm=(.*)", challenge)[1] for challenge in challenges] == ["SHA-256", "MD5"]
    assert all('realm="sipcore"' in challenge and 'qop="auth"' in challenge and "stale" not in challenge for challenge in challenges)


def test_each_user_is_asked_in_its_realm_and_a_stranger_as_the_first():
    router = phone_router()
    for user, realm in (("bob", "other"), ("nobody", "sipcore")):
        refused = to_flow(router.from_outside(request(from_user=user), HOME, 0.0))
        assert f'realm="{realm}"' in (refused.get("WWW-Authenticate") or "")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_the_right_password_opens_the_call(algorithm):
    router = phone_router()
    step = only(router.from_outside(proved(credentials(nonce_of(router), algorithm=algorithm)), HOME, 1.0), Ask)
    assert (step.offer.username, step.offer.trunk) == ("alice", "")


@pytest.mark.parametrize(("algorithm", "is_taken"), [("MD5", True), ("SHA-256", False)])
def test_a_phone_is_asked_with_what_it_can_only(algorithm, is_taken):
    router = router_with(phones=(replace(PHONE, algorithms=("MD5",)),))
    refused = to_flow(router.from_outside(request(from_user="alice"), HOME, 0.0))
    assert [value.rpartition("algorithm=")[2] for value in refused.get_all("WWW-Authenticate")] == ["MD5"]
    steps = router.from_outside(proved(credentials(nonce_of(router), algorithm=algorithm)), HOME, 1.0)
    assert any(isinstance(step, Ask) for step in steps) is is_taken


def test_a_new_front_door_takes_the_nonce_of_the_one_before():
    nonce = nonce_of(phone_router())
    assert isinstance(only(phone_router().from_outside(proved(credentials(nonce)), HOME, 1.0), Ask), Ask)


@pytest.mark.parametrize(
    "changes",
    [
        {"password": "guess"},
        {"user": "mallory"},
        {"realm": "elsewhere"},
        {"algorithm": "MD5-sess"},
        {"qop": ""},
        {"qop": "auth-int"},
        {"response": ""},
        {"response": "\xe9" * 32},
        {"uri": "sip:premium@198.51.100.1"},
    ],
)
def test_wrong_credentials_are_asked_again_without_stale(changes):
    router = phone_router()
    refused = to_flow(router.from_outside(proved(credentials(nonce_of(router), **changes)), HOME, 1.0))
    assert refused.status == 401
    assert "stale" not in (refused.get("WWW-Authenticate") or "")


@pytest.mark.parametrize(
    "value", ["Digest", "Digest ,", 'Digest username="alice', "Basic YWxpY2U6", 'Digest realm="a", realm="b"', "Digest " + "a=b," * 900]
)
def test_broken_credentials_are_asked_again(value):
    assert status(phone_router().from_outside(proved(f"Authorization: {value}"), HOME, 1.0)) == 401


def test_an_old_nonce_is_stale():
    router = phone_router()
    refused = to_flow(router.from_outside(proved(credentials(nonce_of(router))), HOME, 100.0))
    assert refused.status == 401
    assert "stale=true" in (refused.get("WWW-Authenticate") or "")


@pytest.mark.parametrize("nonce", ["", "x", "0" * 44, "-00000000001" + "0" * 32, "zzzzzzzzzzzz" + "0" * 32])
def test_a_nonce_of_somebody_else_is_good_for_nothing(nonce):
    assert status(phone_router().from_outside(proved(credentials(nonce)), HOME, 1.0)) == 401


def test_a_nonce_from_the_future_is_not_taken():
    router = phone_router()
    nonce = nonce_of(router, now=1000.0)
    assert status(router.from_outside(proved(credentials(nonce)), HOME, 1.0)) == 401


def test_an_eavesdropper_cannot_use_it_from_elsewhere():
    router = phone_router()
    data = proved(credentials(nonce_of(router)))
    refused = to_flow(router.from_outside(data, Flow("udp", US, ("203.0.113.10", 5060)), 1.0))
    assert refused.status == 401


def test_a_phone_has_to_prove_itself_in_open_networks_too_and_others_need_not():
    router = phone_router(open_networks=("203.0.113.0/24",))
    nonce_of(router)
    assert only(router.from_outside(request(from_user="carol", call_id="c"), HOME, 0.0), Ask).offer.username == ""


def test_a_trunk_is_never_asked():
    assert only(phone_router().from_outside(request(from_user="alice"), TRUNK, 0.0), Ask).offer.trunk == "provider"


def test_credentials_do_not_reach_the_worker():
    router = phone_router()
    step = only(router.from_outside(proved(credentials(nonce_of(router))), HOME, 1.0), Ask)
    assert b"Authorization" not in b"".join(getattr(one, "data", b"") for one in router.placed(step.key, "call-1", 1, 1.0))
