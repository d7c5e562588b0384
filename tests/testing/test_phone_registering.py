"""A phone that registers: the challenge, the end, and who refuses or is silent. With a real PBX: examples/test-my-pbx."""

import contextlib
import socket
import threading

import pytest

from sipcore.testing.phone import Phone
from sipcore.testing.phone.digest import DigestRule, Verdict
from sipcore.testing.phone.sip_message import format_message, parse_message

pytestmark = pytest.mark.sip
RULE = DigestRule("201", "secret", realm="pbx")


class Registrar:
    """Takes REGISTER with the right password; `requests` are what came. `code` is what it says to the right one."""

    def __init__(self, code=200):
        self.code, self.requests = code, []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1", self.sock.getsockname()[1]
        self.uri = "sip:{}:{}".format(*self.address)

    def run(self):
        while data := self.sock.recvfrom(65535):
            if len(data[0]) <= 4:
                return
            self.answer(parse_message(data[0]), data[1])

    def answer(self, request, source):
        self.requests.append(request)
        is_right = RULE.verify("REGISTER", request.headers, "n1") is Verdict.RIGHT
        more = [] if is_right else [RULE.challenge("n1")]
        kept = [(name, request.headers.get(name)) for name in ("Via", "From", "Call-ID", "CSeq")]
        status = f"{self.code} OK" if is_right else "401 Unauthorized"
        lines = [*kept, ("To", request.headers.get("to") + ";tag=r"), *more]
        self.sock.sendto(format_message(f"SIP/2.0 {status}", lines).encode(), source)


@contextlib.contextmanager
def running(code=200):
    registrar = Registrar(code)
    thread = threading.Thread(target=registrar.run)
    thread.start()
    try:
        yield registrar
    finally:
        registrar.sock.sendto(b"\r\n", registrar.address)
        thread.join()
        registrar.sock.close()


def test_registers_and_takes_it_back():
    with running() as registrar:
        with Phone("201") as phone:
            phone.register(registrar.uri, "201", "secret", expires_s=120)
            uri = phone.uri
        asked, given, _, back = registrar.requests
    assert [request.headers.get("expires") for request in registrar.requests] == ["120", "120", "0", "0"]
    assert [request.cseq for request in registrar.requests] == [1, 2, 3, 4]
    assert {request.call_id for request in registrar.requests} == {asked.call_id}
    assert given.headers.get("contact") == back.headers.get("contact") == f"<{uri}>"
    assert given.headers.get("to") == "<sip:201@{}:{}>".format(*registrar.address)
    assert given.uri == registrar.uri


def test_refused():
    with running(403) as registrar, Phone("201") as phone:
        with pytest.raises(AssertionError, match="has refused to register 201: 403"):
            phone.register(registrar.uri, "201", "secret")
        with pytest.raises(AssertionError, match="has refused to register 201: 401"):
            phone.register(registrar.uri, "201", "wrong")
    assert len(registrar.requests) == 4, "what was refused is not taken back"


def test_no_answer_or_no_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent, Phone("201") as phone:
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(TimeoutError, match=r"has not answered to REGISTER of 201 within 0.1 s"):
            phone.register(f"sip:127.0.0.1:{silent.getsockname()[1]}", "201", "secret", timeout_s=0.1)
        for uri in ("127.0.0.1:5060", "sip:pbx.example", "sip:192.0.2.1"):
            with pytest.raises(ValueError, match="registers at sip:address:port"):
                phone.register(uri, "201", "secret")
