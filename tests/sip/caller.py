"""A far end that calls in: one UDP socket, blocking, with just enough SIP for a call it may end itself or have ended."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable
from itertools import count
from types import TracebackType
from typing import Final, Self

T1_S: Final = 0.5  # RFC 3261 §17.1.1.1
_numbers = count(1)


class CallRefused(AssertionError):
    """The INVITE got a final answer that is not 200."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"refused with {code}")


class Caller:
    """Calls `user` at `address` (`host:port`) from `host`; audio is wanted at `rtp_port`."""

    def __init__(self, address: str, user: str = "service", *, host: str = "127.0.0.1", rtp_port: int = 9) -> None:
        name, _, port = address.rpartition(":")
        self.to, self.user, self.host, self.rtp_port = (name, int(port)), user, host, rtp_port
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((host, 0))
        self.port: int = self._sock.getsockname()[1]
        self._key = f"{host}-{self.port}-{next(_numbers)}"
        self._uri = f"sip:{user}@{address}"
        self._target, self._to = self._uri, f"<{self._uri}>"
        self._routes: list[str] = []
        self.answered_after_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._sock.close()

    def call(self, timeout_s: float = 5.0) -> Self:
        """INVITE, 200, ACK.

        Raises:
            CallRefused: another final answer.
            TimeoutError: none.
        """
        started_s = time.monotonic()
        answer = self._ask(self._invite(), timeout_s, lambda text: status(text) >= 200 and "INVITE" in _header(text, "CSeq"))
        self.answered_after_s = time.monotonic() - started_s
        self._to = _header(answer, "To")
        if status(answer) >= 300:
            self._send(self._request("ACK", 1, branch="INVITE1"))
            raise CallRefused(status(answer))
        self._routes = re.findall(r"(?im)^Record-Route:\s*(.*?)\r$", answer)[::-1]
        self._target = re.search(r"<([^>]+)>", _header(answer, "Contact"))[1]
        self._send(self._request("ACK", 1))
        return self

    def send_invite(self) -> None:
        """INVITE, once; `call` sends the same one again."""
        self._send(self._invite())

    def hang_up(self, timeout_s: float = 5.0) -> int:
        """BYE; returns the code of its answer."""
        return status(self._ask(self._request("BYE", 2), timeout_s, lambda text: status(text) >= 200 and "BYE" in _header(text, "CSeq")))

    def wait_bye(self, timeout_s: float = 5.0) -> None:
        """Wait for the other side's BYE, and answer it."""
        request = self._receive(time.monotonic() + timeout_s, lambda text: text.startswith("BYE "))
        kept = re.findall(r"(?im)^((?:Via|From|To|Call-ID|CSeq):.*?)\r$", request)
        self._send("\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""]))

    def _invite(self) -> str:
        body = f"v=0\r\no=- 1 1 IN IP4 {self.host}\r\ns=-\r\nc=IN IP4 {self.host}\r\nt=0 0\r\nm=audio {self.rtp_port} RTP/AVP 0\r\n"
        return self._request("INVITE", 1, body)

    def _request(self, method: str, cseq: int, body: str = "", branch: str = "") -> str:
        lines = [
            f"{method} {self._target} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.host}:{self.port};rport;branch=z9hG4bK{branch or f'{method}{cseq}'}{self._key}",
            *(f"Route: {route}" for route in self._routes),
            "Max-Forwards: 70",
            f"From: <sip:caller@{self.host}:{self.port}>;tag=f{self._key}",
            f"To: {self._to}",
            f"Call-ID: {self._key}@{self.host}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:caller@{self.host}:{self.port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    def _send(self, text: str) -> None:
        self._sock.sendto(text.encode(), self.to)

    def _ask(self, request: str, timeout_s: float, is_wanted: Callable[[str], bool]) -> str:
        """Send, and again until an answer comes (RFC 3261 §17.1.2.2)."""
        end_s, wait_s = time.monotonic() + timeout_s, T1_S
        while True:
            self._send(request)
            try:
                return self._receive(min(end_s, time.monotonic() + wait_s), is_wanted)
            except TimeoutError:
                if time.monotonic() >= end_s:
                    raise
                wait_s = min(4.0, 2 * wait_s)

    def _receive(self, end_s: float, is_wanted: Callable[[str], bool]) -> str:
        while (left_s := end_s - time.monotonic()) > 0:
            self._sock.settimeout(left_s)
            text = self._sock.recv(65535).decode()
            if is_wanted(text):
                return text
        raise TimeoutError("nothing of what was waited for came")


def status(text: str) -> int:
    """The code of a response, 0 for a request."""
    return int(text.split(" ", 2)[1]) if text.startswith("SIP/2.0 ") else 0


def _header(text: str, name: str) -> str:
    found = re.search(rf"(?im)^{name}:\s*(.*?)\r$", text)
    assert found, f"no {name} in {text}"
    return found[1]
