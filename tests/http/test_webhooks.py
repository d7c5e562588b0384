"""Webhooks: what comes, in which order, signed how, tried how often, and whom they hold up (nobody)."""

import hashlib
import hmac
import socket
import time

import pytest

from sipcore.http import webhooks
from sipcore.http.outside import OutsideClient

from .receiver import receiving
from .running import WEBHOOK_SECRET, assert_error, body

pytestmark = pytest.mark.slow

LIFE = ["call_created", "call_dialing", "call_ringing", "call_progressing", "call_updated", "call_hangup"]


def test_the_life_of_a_call_signed_and_in_order(served):
    with receiving() as receiver:
        call = served.create(event_url=receiver.url)
        told = receiver.wait(6)
        assert [event["type"] for event in told] == LIFE
        assert told[0]["data"] == call
        assert all(list(event["data"]) == list(call) for event in told)
        assert told[-1]["data"] == served.get(call["id"])
        for path, headers, content in receiver.received:
            assert path == "/hook"
            assert headers["content-type"] == "application/json"
            stamp, signature = (part.partition("=")[2] for part in headers["sipcore-signature"].split(","))
            expected = hmac.new(WEBHOOK_SECRET.encode(), f"{stamp}.".encode() + content, hashlib.sha256).hexdigest()
            assert signature == expected
            assert abs(int(stamp) - time.time()) < 60
        assert len({headers["sipcore-event-id"] for _, headers, _ in receiver.received}) == 6
        served.until(lambda: not served.server.webhooks.waiting)


def test_legs_report_to_the_same_place(served):
    with receiving() as receiver:
        option = {"destinations": ["sip:stay@192.0.2.9"], "timeout_s": 0.05}
        call = served.create(event_url=receiver.url, actions=[{"type": "connect", "option": option}])
        served.wait(call["id"])
        served.until(lambda: not served.server.webhooks.waiting)
        told = receiver.wait(1)
        told = receiver.wait(len(receiver.received))
        (leg_id,) = served.get(call["id"])["chained_call_ids"]
        assert {event["data"]["id"] for event in told} == {call["id"], leg_id}
        assert next(event["type"] for event in told if event["data"]["id"] == leg_id) == "call_created"


@pytest.mark.parametrize("code", [500, 503, 429, 408])
def test_three_tries_then_the_next(served, code):
    with receiving(lambda number: code if number <= 4 else 200) as receiver:
        call = served.create(event_url=receiver.url)
        served.wait(call["id"])
        told = receiver.wait(9)
        assert [event["type"] for event in told] == [LIFE[0]] * 3 + [LIFE[1]] * 2 + LIFE[2:]
        served.until(lambda: not served.server.webhooks.waiting)
        assert dict(served.server.webhooks.counts) == {"failed": 1, "delivered": 5}


@pytest.mark.parametrize("code", [400, 410, 302])
def test_what_will_not_get_better_is_not_repeated(served, code):
    with receiving(lambda _: code) as receiver:
        call = served.create(event_url=receiver.url)
        served.wait(call["id"])
        served.until(lambda: not served.server.webhooks.waiting)
        assert [event["type"] for event in receiver.wait(6)] == LIFE
        assert served.server.webhooks.counts["failed"] == 6


def test_one_that_never_answers_holds_up_nobody(served):
    with receiving(lambda _: None) as deaf, receiving() as good:
        stuck = [served.create(event_url=deaf.url) for _ in range(5)]
        started = time.monotonic()
        call = served.create(event_url=good.url)
        assert [event["type"] for event in good.wait(6)] == LIFE
        for placed in (*stuck, call):
            served.wait(placed["id"])
        assert time.monotonic() - started < 5, "no call and no other webhook waited for it"
        served.run(served.server.webhooks.close(0))
        deaf.let_go.set()


def test_nobody_there(served):
    with receiving() as receiver:
        url = receiver.url
    call = served.create(event_url=url)
    served.wait(call["id"])
    served.until(lambda: not served.server.webhooks.waiting)
    assert served.server.webhooks.counts["failed"] == 6


def test_the_queue_has_a_bound(served, monkeypatch, caplog):
    monkeypatch.setattr(webhooks, "MAX_WAITING", 3)
    with receiving(lambda _: None) as deaf:
        call = served.create(event_url=deaf.url)
        served.wait(call["id"])
        assert served.server.webhooks.counts["dropped"] == 3
        assert "dropped: the queue is full" in caplog.text
        served.run(served.server.webhooks.close(0))
        deaf.let_go.set()


def test_without_a_secret_there_are_none(serve):
    served = serve(http={"webhook_secret": ""})
    assert_error(served.client.post("/v1.0/calls", json=body(event_url="http://127.0.0.1:1/")), 400, "INVALID_REQUEST", "event_url")
    assert served.client.post("/v1.0/calls", json=body("stay", event_url="")).status_code == 200


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://localhost/", "http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/x", "http://0x7f000001/"]
)
def test_no_way_into_the_local_network(serve, url):
    served = serve(allow_private_urls=False)
    assert_error(served.client.post("/v1.0/calls", json=body(event_url=url)), 400, "INVALID_REQUEST", "event_url")


def test_a_name_that_leads_into_the_local_network_is_not_followed(serve, monkeypatch, caplog):
    served = serve(allow_private_urls=False)
    with receiving() as receiver:
        port = int(receiver.url.rpartition(":")[2].partition("/")[0])
        real, found = socket.getaddrinfo, [(2, 1, 6, "", ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: found if host == "hooks.example" else real(host, *a, **k))
        call = served.create(event_url=f"http://hooks.example:{port}/hook")
        served.wait(call["id"])
        served.until(lambda: not served.server.webhooks.waiting)
        assert receiver.received == []
    assert "not public" in caplog.text
    assert served.server.webhooks.counts["failed"] == 6


@pytest.mark.parametrize(
    "url",
    [
        "http://\u2100@host.example/",
        "http://user:word@host.example/",
        "http://a@/",
        "http://\u2100.example/",
        "http://[::1",
        "http://\ud7ff.example/",
    ],
)
def test_urls_that_nobody_can_post_to_are_refused(served, url):
    assert_error(served.client.post("/v1.0/calls", json=body(event_url=url)), 400, "INVALID_REQUEST", "event_url")


def test_names_and_paths_beyond_ascii(served, monkeypatch):
    real = socket.getaddrinfo
    local = [(2, 1, 6, "", ("127.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *a, **k: local if host == "xn--mller-kva.example" else real(host, *a, **k))
    with receiving() as receiver:
        port = receiver.url.rpartition(":")[2].partition("/")[0]
        served.create(event_url=f" http://m\u00fcller.example:{port}/\u00fc?q=\u00e4#top")
        receiver.wait(6)
        assert {path for path, _, _ in receiver.received} == {"/%C3%BC?q=%C3%A4"}
        served.until(lambda: not served.server.webhooks.waiting)
        assert dict(served.server.webhooks.counts) == {"delivered": 6}


@pytest.mark.parametrize("url", ["http://\u2100@host/", "http://m\u00fcller.example/h", "nonsense"])
def test_whatever_goes_wrong_nothing_stays_in_line(served, url):
    hooks = served.server.webhooks
    call = served.create("stay")

    def telling():
        session = served.switch.session(call["id"])
        session.event_url = url
        for _ in range(3):
            session.publish(session.history[0])

    served.do(telling)
    served.until(lambda: not hooks.waiting)
    served.until(lambda: not hooks._lines)
    assert set(hooks.counts) == {"failed"}
    assert hooks.counts["failed"] >= 3, "and maybe its ringing"
    assert not hooks._hosts


@pytest.mark.asyncio
async def test_an_answer_without_end_is_cut(monkeypatch):
    import asyncio

    async def endless(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 4096)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    client = OutsideClient(allow_private=True)
    port = server.sockets[0].getsockname()[1]
    assert await client.post(f"http://127.0.0.1:{port}/", b"{}", {}, 5.0) == 200
    await client.close()
    server.close()
    await server.wait_closed()
