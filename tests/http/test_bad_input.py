"""Whatever is sent: an answer in the documented shape that names what is wrong, and never a 5xx."""

import json

import pytest

from .running import assert_error, body

pytestmark = pytest.mark.slow

JSON = {"content-type": "application/json"}


def post(served, content, headers=JSON):
    return served.client.post("/v1.0/calls", content=content, headers=headers)


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, ["destination", "source"]),
        ({"destination": "sip:bob@192.0.2.9"}, ["source"]),
        ({"source": None, "destination": None}, ["destination", "source"]),
        (body(colour="red"), ["colour"]),
        (body(actions=[{"type": "tlak"}]), ["actions[0].type"]),
        (body(actions=[{"type": "talk", "option": {"text": ""}}, {"type": "talk", "option": {"text": 5}}]), ["actions[1].option.text"]),
        (body(actions=[{"type": "talk", "option": {"text": ""}}]), ["actions[0].option"]),
        (body(actions={"type": "talk"}), ["actions"]),
        (body(actions=[[]]), ["actions[0]"]),
        (body(actions=[{"type": "play", "option": {"stream_urls": ["/etc/passwd"]}}]), ["actions[0].option.stream_urls[0]"]),
        (body(actions=[{"type": "play", "option": {"stream_urls": "prompt.wav"}}]), ["actions[0].option.stream_urls"]),
        (body(destination={"type": "tel", "target": "12ab"}), ["destination"]),
        (body(destination={"type": "tel", "target": 5}), ["destination.target"]),
        (body(destination=["sip:a@b"]), ["destination"]),
        (body(source={"type": "pigeon", "target": "x"}), ["source.type"]),
        (body(event_url=5), ["event_url"]),
        (body(event_url="ftp://192.0.2.1/"), ["event_url"]),
        (body(event_url="hooks.json"), ["event_url"]),
        (body(destinations=["sip:a@192.0.2.1"]), ["destinations"]),
        ({"source": "+821028286521", "destinations": []}, ["destinations"]),
        ({"source": "+821028286521", "destinations": "sip:a@192.0.2.1"}, ["destinations"]),
        ({"source": "+821028286521", "destinations": ["sip:a@192.0.2.1", None, 7]}, ["destinations[1]", "destinations[2]"]),
        (body(actions=[{"type": "connect", "option": {"destinations": ["sip:a@192.0.2.1"] * 64}}]), ["actions"]),  # one leg too many
    ],
)
def test_every_bad_field_is_named(served, given, fields):
    assert_error(post(served, json.dumps(given)), 400, "INVALID_REQUEST", *fields)
    assert served.client.get("/v1.0/calls").json()["result"] == []


@pytest.mark.parametrize("given", [[], "text", 5, None, True])
def test_a_body_that_is_no_object(served, given):
    assert_error(post(served, json.dumps(given)), 400, "INVALID_REQUEST", "")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b"\xff\xfe",
        b'{"source": NaN}',
        b'{"a": 1e5',
        b'{"source": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        json.dumps(body(actions=[[[[[[[[[[[[[[[[[[["deep"]]]]]]]]]]]]]]]]]]])).encode(),
        b'{"n": ' + b"9" * 10_000 + b"}",
        json.dumps({str(number): 0 for number in range(40)}).encode(),
    ],
)
def test_what_is_not_json_for_us(served, content):
    assert_error(post(served, content), 400, "MALFORMED_JSON", "")


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/json5", ""])
def test_the_content_type_must_say_json(served, kind):
    assert_error(post(served, json.dumps(body()), {"content-type": kind} if kind is not None else {}), 415, "CONTENT_TYPE")


def test_a_charset_may_stand_behind_the_content_type(served):
    assert post(served, json.dumps(body()), {"content-type": "Application/JSON; charset=utf-8"}).status_code == 200


@pytest.mark.parametrize("size", [512 * 1024 + 1, 2**20, 3 * 2**20])
def test_a_body_that_is_too_large(served, size):
    assert_error(post(served, b'"' + b"a" * (size - 2) + b'"'), 413, "BODY_TOO_LARGE")
    assert_error(post(served, iter([b" " * 1000] * (size // 1000 + 1))), 413, "BODY_TOO_LARGE")


def test_long_values_are_not_sent_back_whole(served):
    answer = post(served, json.dumps(body(actions=[{"type": "x" * 200_000}], event_url="y" * 200_000)))
    assert answer.status_code == 400
    assert len(answer.content) < 5000


@pytest.mark.parametrize("size", ["0", "-1", "abc", "", "1.5", "1e1", "\u0661\u0660", "9" * 30, " 10", "0x10"])
def test_page_sizes(served, size):
    assert_error(served.client.get("/v1.0/calls", params={"page_size": size}), 400, "INVALID_REQUEST", "page_size")


@pytest.mark.parametrize(
    "token",
    ["yesterday", "2021-02-06", "2021-13-45 08:54:38.361000", "2021-02-06T08:54:38.361000", "' or 1=1", "2021-02-06 08:54:38.1234567"],
)
def test_page_tokens_that_are_no_time(served, token):
    assert_error(served.client.get("/v1.0/calls", params={"page_token": token}), 400, "INVALID_REQUEST", "page_token")


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\xe9"])
def test_idempotency_keys(served, key):
    answer = served.client.post("/v1.0/calls", json=body(), headers={"Idempotency-Key": key.encode("latin-1")})
    assert_error(answer, 400, "INVALID_HEADER", "Idempotency-Key")


@pytest.mark.parametrize("path", ["/", "/v1.0", "/v1.0/calls/", "/v2/calls", "/v1.0/calls/a/b/c", "/favicon.ico", "//", "/%2e%2e/etc"])
def test_unknown_paths(served, path):
    assert_error(served.client.get(path), 404, "NO_SUCH_PATH")


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v1.0/calls"), ("PATCH", "/v1.0/calls/x"), ("GET", "/v1.0/calls/x/hangup"), ("POST", "/metrics"), ("TRACE", "/docs")],
)
def test_wrong_methods(served, method, path):
    answer = served.client.request(method, path)
    assert_error(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"]


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n",
        b"BREW /docs HTTP/1.1\r\nHost: a\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
    ],
)
def test_what_is_no_http(served, data):
    answer = served.raw(data + b"\r\n\r\n")
    head, _, content = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(content)["error"]["reason"] == "MALFORMED_HTTP"


def test_a_bug_of_ours_is_500_in_shape_and_logged(served, caplog, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(served.switch.calls, "create_all", broken)
    answer = served.client.post("/v1.0/calls", json=body())
    assert_error(answer, 500, "INTERNAL")
    assert "secret inside" not in answer.text
    assert "the secret inside" in caplog.text
