"""A caller on a UDP socket: one INVITE, and what follows from it. As little as a contract test needs."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable

from sipcore.testing.fake_engine import Caller


def _header(text: str, name: str) -> str:
    found = re.search(rf"^{name}\s*:\s*(.*?)\r?$", text, re.MULTILINE | re.IGNORECASE)
    return found[1].strip() if found else ""


class SipCaller(asyncio.DatagramProtocol):
    """One call to `target` (`host:port`); `refused` is told a final code that is no 2xx."""

    def __init__(self, target: str, to: str, script: Caller, refused: Callable[[int], None]) -> None:
        self._script = script
        self._refused = refused
        self._uri = f"sip:{to}@{target}"
        self._remote = self._uri
        self._routes: list[str] = []
        self._call_id = secrets.token_hex(8)
        self._branch = f"z9hG4bK{secrets.token_hex(8)}"
        self._to = f"<{self._uri}>"
        self._is_answered = False
        self._timers: list[asyncio.TimerHandle] = []

    @classmethod
    async def calling(cls, target: str, to: str, script: Caller, refused: Callable[[int], None]) -> SipCaller:
        """A caller whose INVITE is on its way."""
        host, _, port = target.rpartition(":")
        caller = cls(target, to, script, refused)
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: caller, remote_addr=(host, int(port)))
        return caller

    def close(self) -> None:
        """No more of it."""
        for timer in self._timers:
            timer.cancel()
        self._transport.close()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport
        host, port = transport.get_extra_info("sockname")
        self._me, self._host = f"{host}:{port}", host
        body = (
            f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n"
        )
        self._send("INVITE", 1, self._branch, body="" if self._script.has_late_offer else body)
        if self._script.cancel_after_s is not None:
            self._after(self._script.cancel_after_s, lambda: self._send("CANCEL", 1, self._branch))

    def datagram_received(self, data: bytes, addr: object) -> None:
        text = data.decode("latin-1")
        if text.startswith("SIP/2.0"):
            self._on_response(text, int(text.split()[1]))
        else:
            self._answer_request(text)

    def _on_response(self, text: str, code: int) -> None:
        method = _header(text, "CSeq").split()[-1]
        if method != "INVITE" or code < 200:
            return
        self._to = _header(text, "To")
        if code >= 300:
            self._send("ACK", 1, self._branch)
            self._refused(code)
            return
        self._routes = [route.strip() for route in _header(text, "Record-Route").split(",") if route.strip()][::-1]
        contact = re.search(r"<([^>]*)>", _header(text, "Contact"))
        self._remote = contact[1] if contact else self._uri
        if self._script.acknowledges:
            self._send("ACK", 1, f"z9hG4bK{secrets.token_hex(8)}")
        if self._script.hang_up_after_s is not None and not self._is_answered:
            self._after(self._script.hang_up_after_s, lambda: self._send("BYE", 2, f"z9hG4bK{secrets.token_hex(8)}"))
        self._is_answered = True

    def _answer_request(self, text: str) -> None:
        if text.startswith("ACK"):
            return
        copied = [
            line for line in text.split("\r\n\r\n")[0].split("\r\n")[1:] if re.match(r"(Via|From|To|Call-ID|CSeq)\s*:", line, re.IGNORECASE)
        ]
        self._transport.sendto("\r\n".join(["SIP/2.0 200 OK", *copied, "Content-Length: 0", "", ""]).encode("latin-1"))

    def _send(self, method: str, cseq: int, branch: str, body: str = "") -> None:
        in_first = method in {"INVITE", "CANCEL"}
        to = f"<{self._uri}>" if in_first else self._to
        head = [
            f"{method} {self._uri if in_first else self._remote} SIP/2.0",
            f"Via: SIP/2.0/UDP {self._me};branch={branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:+821021656521@{self._host}>;tag=caller",
            f"To: {to}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {cseq} {method}",
            *(f"Route: {route}" for route in self._routes),
            f"Contact: <sip:caller@{self._me}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self._transport.sendto(("\r\n".join(head) + "\r\n\r\n" + body).encode("latin-1"))

    def _after(self, delay_s: float, action: Callable[[], None]) -> None:
        self._timers.append(asyncio.get_running_loop().call_later(delay_s, action))
