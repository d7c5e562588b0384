"""A far end over UDP that answers, and breaks a rule of SIP on purpose."""

from __future__ import annotations

import re
import socket
import threading
from typing import Self


class FaultyPhone:
    """Rings, answers, and takes a BYE; with `rings_after_s` late, with `ignores_bye` it takes none, with `hangs_up` it sends two."""

    def __init__(self, *, rings_after_s: float = 0.0, ignores_bye: bool = False, hangs_up: bool = False) -> None:
        self._rings_after_s, self._ignores_bye, self._hangs_up = rings_after_s, ignores_bye, hangs_up
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.port: int = self._sock.getsockname()[1]
        self.uri = f"sip:faulty@127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._run, name="faulty phone")
        self._is_over = threading.Event()
        self._byes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._sock.sendto(b"\r\n", ("127.0.0.1", self.port))  # ends its sleep
        self._thread.join()
        self._sock.close()

    def _run(self) -> None:
        while True:
            data, self._peer = self._sock.recvfrom(65535)
            if self._is_over.is_set():
                return
            self._take(data.decode())  # no RTP comes here: port 9 is named for that

    def _take(self, text: str) -> None:
        method = text.partition(" ")[0]
        if method == "INVITE" and ";tag=" not in re.search(r"(?im)^To:.*$", text)[0]:
            self._is_over.wait(self._rings_after_s)
            self._answer(text, "180 Ringing")
            self._answer(
                text,
                "200 OK",
                "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n",
            )
            self._invite = text
        elif method == "ACK" and self._hangs_up and not self._byes:
            self._bye()
        elif method == "BYE" and not self._ignores_bye:
            self._answer(text, "200 OK")
        elif text.startswith("SIP/2.0 200") and "BYE" in text and self._byes == 1:
            self._bye()

    def _answer(self, request: str, status: str, body: str = "") -> None:
        kept = re.findall(r"(?im)^((?:Via|From|To|Call-ID|CSeq|Record-Route):.*?)\r$", request)
        kept = [f"{line};tag=faulty" if line.startswith("To:") and ";tag=" not in line else line for line in kept]
        kept += [f"Contact: <{self.uri}>", *(["Content-Type: application/sdp"] if body else []), f"Content-Length: {len(body)}", "", body]
        self._sock.sendto("\r\n".join([f"SIP/2.0 {status}", *kept]).encode(), self._peer)

    def _bye(self) -> None:
        self._byes += 1
        headers = {name: re.search(rf"(?im)^{name}:\s*(.*?)\r$", self._invite)[1] for name in ("From", "To", "Call-ID", "Contact")}
        lines = [
            f"BYE {re.search('<(.*?)>', headers['Contact'])[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};rport;branch=z9hG4bKfaulty{self.port}-{self._byes}",
            *(f"Route: {route}" for route in re.findall(r"(?im)^Record-Route:\s*(.*?)\r$", self._invite)),
            "Max-Forwards: 70",
            f"From: {headers['To']};tag=faulty",
            f"To: {headers['From']}",
            f"Call-ID: {headers['Call-ID']}",
            f"CSeq: {self._byes} BYE",
            "Content-Length: 0",
        ]
        self._sock.sendto("\r\n".join([*lines, "", ""]).encode(), self._peer)
