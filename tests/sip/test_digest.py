"""Trunks that want credentials: on INVITE, on BYE in the dialog; and that do not like them (RFC 3261 §22, RFC 2617)."""

from __future__ import annotations

import hashlib
import re

import pytest

from .listening import assert_ended, assert_one_hangup, names

USER, PASSWORD = "trunk-user", "correct horse"
CHALLENGES = [
    pytest.param("401 Unauthorized", "WWW-Authenticate", "Authorization", id="401"),
    pytest.param("407 Proxy Authentication Required", "Proxy-Authenticate", "Proxy-Authorization", id="407"),
]
ACCOUNT = {"username": USER, "password": PASSWORD}


@pytest.mark.parametrize(("status", "challenge", "answer"), CHALLENGES)
def test_digest_on_invite(sipp, open_switch, ear, status, challenge, answer):
    keys = {"code": status[:3], "challenge": challenge, "rtp_port": ear.port}
    with sipp.uas("uas-digest", keys=keys) as uas, open_switch(trunk=uas.trunk, **ACCOUNT) as switch:
        call = switch.calls.create(destination="tel:+821021656521")
        record = call.wait(timeout_s=10)
        result = uas.wait(timeout_s=5)
    assert result.failed == 0
    assert_ended(record, "local", "normal", 200, "OK")
    assert names(call) == ["CallCreated", "CallDialing", "CallAnswered", "CallHangingUp", "CallHangup"], "the challenge is no event"
    bare, signed = result.received("INVITE")
    assert not bare.header(answer)
    assert is_right(signed, answer, PASSWORD)
    assert not is_right(signed, answer, "wrong")
    assert PASSWORD not in "".join(message.text for message in result.messages)


@pytest.mark.parametrize(("status", "challenge", "answer"), CHALLENGES)
def test_digest_on_bye(sipp, open_switch, ear, status, challenge, answer):
    keys = {"status": f"SIP/2.0 {status}", "challenge": challenge, "rtp_port": ear.port}
    with sipp.uas("uas-challenge-all-expect-digest.xml", keys=keys) as uas, open_switch(trunk=uas.trunk, **ACCOUNT) as switch:
        call = switch.calls.create(destination="tel:+821021656521")
        record = call.wait(timeout_s=10)
        result = uas.wait(timeout_s=5)
    assert result.failed == 0
    assert_ended(record, "local", "normal", 200, "OK")
    _, signed = result.received("BYE")
    assert is_right(signed, answer, PASSWORD)
    assert 'nonce="' + nonce_of(result.messages, "BYE", challenge) + '"' in signed.header(answer)


@pytest.mark.parametrize(("status", "challenge", "answer"), CHALLENGES)
@pytest.mark.parametrize(("nonce", "most_invites"), [("same", 2), ("new", 5)])
def test_wrong_password_challenged_again(sipp, open_switch, status, challenge, answer, nonce, most_invites):
    """With the same nonce we stop at once. A new nonce may mean that the old one was stale: PJSIP tries a few times, and stops."""
    keys = {"status": f"SIP/2.0 {status}", "challenge": challenge}
    account = {"username": USER, "password": "wrong"}
    with sipp.uas(f"uas-challenge-{nonce}-nonce-expect-ack.xml", keys=keys) as uas, open_switch(trunk=uas.trunk, **account) as switch:
        call = switch.calls.create(destination="tel:+821021656521")
        record = call.wait(timeout_s=8)
        result = uas.wait(timeout_s=5)
    assert result.failed == 0
    assert 2 <= len(result.received("INVITE")) <= most_invites
    assert not is_right(result.received("INVITE")[1], answer, PASSWORD)
    code, _, phrase = status.partition(" ")
    assert_ended(record, "remote", "failed", int(code), phrase)
    assert_one_hangup(call)


def test_wrong_password_forbidden(sipp, open_switch):
    keys = {"status": "SIP/2.0 401 Unauthorized", "challenge": "WWW-Authenticate"}
    account = {"username": USER, "password": "wrong"}
    with sipp.uas("uas-challenge-403-expect-ack.xml", keys=keys) as uas, open_switch(trunk=uas.trunk, **account) as switch:
        record = switch.calls.create(destination="tel:+821021656521").wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    assert_ended(record, "remote", "failed", 403, "Forbidden")


@pytest.mark.parametrize(("status", "challenge", "answer"), CHALLENGES)
def test_no_credentials(sipp, open_switch, status, challenge, answer):
    keys = {"status": f"SIP/2.0 {status}", "header": f'{challenge}: Digest realm="sipp.test", nonce="n", algorithm=MD5'}
    with sipp.uas("uas-refuse-expect-ack.xml", keys=keys) as uas, open_switch(trunk=uas.trunk) as switch:
        record = switch.calls.create(destination="tel:+821021656521").wait(timeout_s=10)
        assert uas.wait(timeout_s=5).failed == 0
    code, _, phrase = status.partition(" ")
    assert_ended(record, "remote", "failed", int(code), phrase)


def test_credentials_are_for_the_trunk_only(sipp, open_switch):
    """A direct target that asks for a password does not get the trunk's."""
    keys = {"status": "SIP/2.0 401 Unauthorized", "header": 'WWW-Authenticate: Digest realm="sipp.test", nonce="n", algorithm=MD5'}
    with sipp.uas("uas-refuse-expect-ack.xml", keys=keys) as stranger, open_switch(trunk="sip:192.0.2.1", **ACCOUNT) as switch:
        record = switch.calls.create(destination=stranger.uri).wait(timeout_s=10)
        assert stranger.wait(timeout_s=5).failed == 0
    assert_ended(record, "remote", "failed", 401, "Unauthorized")


def is_right(message, header: str, password: str) -> bool:
    """Whether the response is that of RFC 2617 §3.2.2.1 for our account, MD5 and qop=auth; worked out without PJSIP."""
    value = message.header(header)
    assert value.startswith("Digest "), message.text
    field = {name: quoted or bare for name, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', value)}
    assert (field["username"], field["realm"], field["qop"]) == (USER, "sipp.test", "auth")
    assert field["uri"] == message.first_line.split()[1]
    secret = md5(f"{USER}:sipp.test:{password}")
    request = md5(f"{message.method}:{field['uri']}")
    return field["response"] == md5(f"{secret}:{field['nonce']}:{field['nc']}:{field['cnonce']}:auth:{request}")


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def nonce_of(messages, method: str, challenge: str) -> str:
    """The nonce of the challenge that answered a request of this method."""
    header = next(m.header(challenge) for m in messages if m.method == method and m.status in (401, 407))
    return re.search(r'nonce="([^"]+)"', header)[1]
