"""How many, how long: connections, heads, bodies, and answers that nobody takes."""

import json
import socket
import time

import pytest

from .running import TOKEN, assert_error, read_all

pytestmark = pytest.mark.slow

HEAD = f"POST /v1.0/calls?token={TOKEN} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()


def error_of(data: bytes) -> tuple[int, str]:
    head, _, content = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(content)["error"]["reason"]


def connected(served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=10)


def test_a_head_that_does_not_come(serve):
    served = serve(http={"request_timeout_s": 0.2})
    for sent in (b"", b"GET /v1.0", HEAD):
        assert error_of(served.raw(sent)) == (408, "HEAD_TOO_SLOW")


def test_a_head_that_comes_byte_by_byte(serve):
    served = serve(http={"request_timeout_s": 0.2})
    with connected(served) as sock:
        started = time.monotonic()
        try:
            while time.monotonic() < started + 5:
                sock.sendall(b"G")
                time.sleep(0.02)
        except OSError:
            pass
        assert time.monotonic() - started < 3


def test_a_body_that_does_not_come(serve):
    served = serve(http={"request_timeout_s": 0.2})
    assert error_of(served.raw(HEAD + b"Content-Length: 10\r\n\r\n{")) == (408, "BODY_TOO_SLOW")
    assert error_of(served.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{")) == (408, "BODY_TOO_SLOW")


def test_a_body_that_is_announced_as_huge_is_not_waited_for(served):
    assert error_of(served.raw(HEAD + b"Content-Length: 99999999999\r\n\r\n")) == (413, "BODY_TOO_LARGE")


def test_a_body_without_end_is_cut(served):
    block = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with connected(served) as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(200):
                sock.sendall(block)
        except OSError:
            return
        assert error_of(read_all(sock)) == (413, "BODY_TOO_LARGE")


def test_an_answer_before_the_body_came(serve):
    """Somebody without a token never gets to send us his body for long."""
    served = serve(http={"request_timeout_s": 0.2})
    head = HEAD.replace(TOKEN.encode(), b"wrong")
    with connected(served) as sock:
        sock.sendall(head + b"Content-Length: 1000000\r\n\r\n{")
        started = time.monotonic()
        assert b"401" in sock.recv(65536).split(b"\r\n")[0]
        try:
            while time.monotonic() < started + 5:
                sock.sendall(b" ")
                time.sleep(0.02)
        except OSError:
            pass
        assert time.monotonic() - started < 3


def test_one_connection_too_many(serve):
    served = serve(http={"max_connections": 3})
    with connected(served) as first, connected(served) as second, connected(served) as third:
        served.until(lambda: served.server.connections == 3)
        with connected(served) as fourth:
            assert error_of(read_all(fourth)) == (503, "TOO_MANY_CONNECTIONS")
        for sock in (first, second, third):
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert read_all(sock).startswith(b"HTTP/1.1 200 OK")
    served.until(lambda: not served.server.connections)
    assert served.client.get("/healthz").status_code == 200


def test_a_list_that_nobody_reads(serve):
    served = serve(http={"write_timeout_s": 0.2})
    for _ in range(60):
        served.create("stay")
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", served.port))
        request = f"GET /v1.0/calls?page_size=100&token={TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        sock.sendall(request * 40)
        served.until(lambda: served.server.connections == 2)
        served.until(lambda: served.server.connections == 1)
        assert served.client.get("/healthz").status_code == 200


def test_requests_one_after_the_other_on_one_connection(served):
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert served.raw(request * 5 + last).count(b"HTTP/1.1 200 OK") == 6


def test_draining_refuses_new_calls_only(serve):
    served = serve()
    call = served.create("stay")
    served.do(served.switch.stop_taking_calls)
    refused = served.client.post("/v1.0/calls", json={"source": "+821028286521", "destination": "sip:bob@192.0.2.9"})
    assert_error(refused, 503, "DRAINING")
    assert refused.headers["retry-after"]
    assert served.get(call["id"])["id"] == call["id"]
    health = served.client.get("/healthz")
    assert (health.status_code, health.json()["status"]) == (503, "draining")


def test_a_head_that_is_too_long(serve):
    served = serve()
    for more in (b"X-Long: " + b"a" * 17_000 + b"\r\n\r\n", b"X-Many: 0\r\n" * 2000 + b"\r\n", b"X-No-End: " + b"a" * 200_000):
        assert error_of(served.raw(HEAD + more)) == (431, "HEAD_TOO_LARGE")
    assert served.client.get("/healthz").status_code == 200
