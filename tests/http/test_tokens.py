"""Who may do what."""

import time

import jwt
import pytest

from sipcore.config import make_config
from sipcore.errors import ConfigError
from sipcore.http.addresses import guarded, is_loopback, parse_listen
from sipcore.http.tokens import hash_token, new_jwt

from .running import JWT_SECRET, OTHER, TOKEN, assert_error, body

pytestmark = pytest.mark.slow

OPEN = {"tokens": [], "users": [], "jwt_secret": ""}


def claims(**more):
    return {"user": {"id": 1}, "exp": int(time.time()) + 3600} | more


def test_the_three_places(served):
    nobody = served.client_of()
    assert nobody.get(f"/v1.0/calls?token={TOKEN}").status_code == 200
    assert nobody.get("/v1.0/calls", headers={"cookie": f"token={TOKEN}"}).status_code == 200
    assert nobody.get("/v1.0/calls", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
    assert nobody.get(f"/v1.0/calls?token={TOKEN}", headers={"cookie": "token=wrong"}).status_code == 200, "the query is looked at first"
    assert nobody.get("/v1.0/calls?token=wrong", headers={"cookie": f"token={TOKEN}"}).status_code == 401


@pytest.mark.parametrize("path", ["/v1.0/calls", "/v1.0/calls/x", "/v1.0/events", "/metrics"])
def test_without_a_token(served, path):
    answer = served.client_of().get(path)
    assert_error(answer, 401, "TOKEN_MISSING")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json", "/v1.0/schema/actions"])
def test_open_to_everybody(served, path):
    assert served.client_of().get(path).status_code == 200


@pytest.mark.parametrize(
    ("make_token", "reason"),
    [
        pytest.param(lambda: "wrong", "TOKEN_INVALID", id="unknown"),
        pytest.param(lambda: TOKEN + "x", "TOKEN_INVALID", id="longer"),
        pytest.param(lambda: "x" * 5000, "TOKEN_INVALID", id="huge"),
        pytest.param(lambda: "a.b.c", "TOKEN_INVALID", id="not-json"),
        pytest.param(lambda: jwt.encode(claims(exp=int(time.time()) - 1), JWT_SECRET, "HS256"), "TOKEN_EXPIRED", id="expired"),
        pytest.param(lambda: jwt.encode({"user": {"id": 1}}, JWT_SECRET, "HS256"), "TOKEN_INVALID", id="no-expiry"),
        pytest.param(
            lambda: jwt.encode(claims(), "another secret of more than thirty-two bytes", "HS256"), "TOKEN_INVALID", id="other-secret"
        ),
        pytest.param(lambda: jwt.encode(claims(), JWT_SECRET + "x" * 64, "HS512"), "TOKEN_INVALID", id="other-algorithm"),
        pytest.param(lambda: jwt.encode(claims(), None, "none"), "TOKEN_INVALID", id="no-algorithm"),
        pytest.param(lambda: jwt.encode(claims(user={"id": "1"}), JWT_SECRET, "HS256"), "TOKEN_INVALID", id="id-is-text"),
        pytest.param(lambda: jwt.encode(claims(user={"id": True}), JWT_SECRET, "HS256"), "TOKEN_INVALID", id="id-is-bool"),
        pytest.param(lambda: jwt.encode(claims(user=1), JWT_SECRET, "HS256"), "TOKEN_INVALID", id="user-is-number"),
        pytest.param(lambda: jwt.encode(claims(exp="soon"), JWT_SECRET, "HS256"), "TOKEN_INVALID", id="expiry-is-text"),
    ],
)
def test_tokens_that_are_not_good(served, make_token, reason):
    token = make_token()
    assert_error(served.client_of(token).get("/v1.0/calls"), 401, reason)
    assert served.client_of(token).post("/v1.0/calls", json=body()).status_code == 401


def test_a_signed_token_names_its_user(served):
    mine = served.client_of(new_jwt(JWT_SECRET, 7, 60))
    call = mine.post("/v1.0/calls", json=body("stay")).json()
    assert call["user_id"] == 7
    assert [listed["id"] for listed in mine.get("/v1.0/calls").json()["result"]] == [call["id"]]


def test_a_user_sees_his_own_calls_and_an_admin_all(served):
    mine = served.create("stay")
    other = served.client_of(OTHER)
    theirs = other.post("/v1.0/calls", json=body("stay")).json()
    assert [call["id"] for call in other.get("/v1.0/calls").json()["result"]] == [theirs["id"]]
    assert [call["id"] for call in served.client.get("/v1.0/calls").json()["result"]] == [theirs["id"], mine["id"]]
    path = f"/v1.0/calls/{mine['id']}"
    for answer in (other.get(path), other.delete(path), other.post(f"{path}/hangup")):
        assert_error(answer, 404, "CALL_NOT_FOUND")
    assert served.get(mine["id"])["status"] in {"dialing", "ringing"}
    assert served.client.delete(f"/v1.0/calls/{theirs['id']}").status_code == 200
    served.wait(theirs["id"])
    assert other.get(f"/v1.0/calls/{theirs['id']}").json()["status"] == "hangup"


def test_metrics_are_for_admins(served):
    assert_error(served.client_of(OTHER).get("/metrics"), 403, "ADMINS_ONLY")


def test_hashed_tokens(serve):
    served = serve(http=OPEN | {"hashed_tokens": [hash_token("one")], "users": [{"id": 5, "hashed_tokens": [hash_token("five")]}]})
    assert served.client_of("one").get("/v1.0/calls").status_code == 200
    assert served.client_of("five").post("/v1.0/calls", json=body("stay")).json()["user_id"] == 5
    assert served.client_of(hash_token("one")).get("/v1.0/calls").status_code == 401


def test_a_page_of_another_site_may_not_use_the_cookie(served):
    call = served.create("stay")
    path, cookie = f"/v1.0/calls/{call['id']}/hangup", {"cookie": f"token={TOKEN}"}
    nobody = served.client_of()
    assert_error(nobody.post(path, headers=cookie | {"origin": "https://evil.example"}), 403, "FOREIGN_ORIGIN", "Origin")
    assert nobody.post(path, headers=cookie | {"origin": served.url}).status_code == 200


def test_an_origin_that_cannot_be_read_is_another_site(served):
    headers = {"cookie": f"token={TOKEN}", "origin": "http://["}
    assert_error(served.client_of().post("/v1.0/calls", json=body(), headers=headers), 403, "FOREIGN_ORIGIN", "Origin")


@pytest.mark.parametrize("host", ["[", "[::1", "]", "a]b", ""])
def test_a_host_that_cannot_be_read_is_not_this_machine(serve, host):
    served = serve(http=OPEN)
    assert_error(served.client_of().get("/v1.0/calls", headers={"host": host}), 403, "FOREIGN_HOST", "Host")
    assert served.client_of().get("/docs", headers={"host": host}).status_code < 500


def test_without_tokens_this_machine_is_user_one(serve):
    served = serve(http=OPEN)
    answer = served.client_of().post("/v1.0/calls?token=TOKEN", json=body("stay"))
    assert answer.json()["user_id"] == 1
    foreign = served.client_of().get("/v1.0/calls", headers={"host": "rebound.example"})
    assert_error(foreign, 403, "FOREIGN_HOST", "Host")


def test_beyond_loopback_a_token_is_needed():
    with pytest.raises(ConfigError, match="no token is configured"):
        guarded(make_config({}), "0.0.0.0")
    assert guarded(make_config({}), "127.0.0.1").allow_private_urls
    with_token = {"http": {"tokens": ["x"]}}
    assert not guarded(make_config(with_token), "0.0.0.0").allow_private_urls
    assert guarded(make_config(with_token | {"allow_private_urls": True}), "0.0.0.0").allow_private_urls


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.0.2.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_loopback(host, expected):
    assert is_loopback(host) is expected


def test_listen():
    assert parse_listen("127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert parse_listen("[::1]:0") == ("::1", 0)
    for wrong in ("127.0.0.1", ":80", "a:b", "a:70000", "a:-1", ""):
        with pytest.raises(ConfigError):
            parse_listen(wrong)


@pytest.mark.parametrize(
    ("http", "path"),
    [
        ({"tokens": ["a b"]}, "http.tokens[0]"),
        ({"tokens": [""]}, "http.tokens[0]"),
        ({"hashed_tokens": ["sha256:00"]}, "http.hashed_tokens[0]"),
        ({"jwt_secret": "short"}, "http.jwt_secret"),
        ({"webhook_secret": "short"}, "http.webhook_secret"),
        ({"users": [{"id": 0}]}, "http.users[0].id"),
        ({"max_connections": 0}, "http.max_connections"),
        ({"colour": 1}, "http.colour"),
    ],
)
def test_wrong_settings_are_named(http, path):
    with pytest.raises(ConfigError) as refusal:
        make_config({"http": http})
    assert [fault.path for fault in refusal.value.faults] == [path]


def test_secrets_are_not_shown():
    config = make_config({"http": {"tokens": ["open-sesame"], "jwt_secret": "open-sesame" * 4, "webhook_secret": "open-sesame" * 4}})
    assert "open-sesame" not in repr(config) + str(config)
