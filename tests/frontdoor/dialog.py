"""A worker and a far end as plain UDP sockets, and just enough SIP text for a dialog between them."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass, field
from itertools import count

TIMEOUT_S = 5.0
_numbers = count(1)


@dataclass(frozen=True)
class Text:
    """A SIP message that is looked at by eye."""

    raw: str

    @property
    def start(self) -> str:
        return self.raw.partition("\r\n")[0]

    @property
    def status(self) -> int:
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def uri(self) -> str:
        return self.start.split()[1]

    def get(self, name: str) -> str:
        found = self.all(name)
        assert found, f"no {name} in {self.raw}"
        return found[0]

    def all(self, name: str) -> list[str]:
        return re.findall(rf"(?im)^{re.escape(name)}[ \t]*:[ \t]*(.*?)\r$", self.raw.partition("\r\n\r\n")[0] + "\r\n")

    @property
    def contact_uri(self) -> str:
        return re.search(r"<([^>]+)>", self.get("Contact"))[1]


class Party:
    """One UDP socket; messages are taken one at a time."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind(("127.0.0.1", 0))
        self.port: int = self.sock.getsockname()[1]

    async def receive(self) -> Text:
        data, self.peer = await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(self.sock, 65535), TIMEOUT_S)
        return Text(data.decode())

    def send(self, text: str, port: int) -> None:
        self.sock.sendto(text.encode(), ("127.0.0.1", port))

    def close(self) -> None:
        self.sock.close()


def message(start: str, headers: list[tuple[str, str]], body: str = "") -> str:
    lines = [start, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def answer(request: Text, code: int, phrase: str, to_tag: str = "", contact: str = "") -> str:
    """A response of a UAS to a request it got."""
    headers = [("Via", via) for via in request.all("Via")]
    headers += [("Record-Route", route) for route in request.all("Record-Route")]
    to = request.get("To")
    headers += [("From", request.get("From")), ("To", f"{to};tag={to_tag}" if to_tag and ";tag=" not in to else to)]
    headers += [("Call-ID", request.get("Call-ID")), ("CSeq", request.get("CSeq"))]
    headers += [("Contact", f"<{contact}>")] if contact else []
    return message(f"SIP/2.0 {code} {phrase}", headers)


@dataclass
class Caller:
    """What a far end says of its call."""

    port: int
    transport: str = "UDP"
    number: int = field(default_factory=lambda: next(_numbers))
    to_tag: str = ""
    call_id: str = ""

    def request(self, method: str, uri: str, cseq: int, *, branch: str = "", contact: bool = True) -> str:
        tag = f";tag={self.to_tag}" if self.to_tag else ""
        headers = [
            ("Via", f"SIP/2.0/{self.transport} 127.0.0.1:{self.port};branch=z9hG4bK{branch or f'{method}{cseq}'}x{self.number};rport"),
            ("Max-Forwards", "70"),
            ("From", f'"Far End" <sip:far@127.0.0.1:{self.port}>;tag=far{self.number}'),
            ("To", f"<sip:1000@sipcore.test>{tag}"),
            ("Call-ID", self.call_id or f"call-{self.number}@far.test"),
            ("CSeq", f"{cseq} {method}"),
        ]
        headers += [("Contact", f"<sip:far@127.0.0.1:{self.port};transport={self.transport.lower()}>")] if contact else []
        return message(f"{method} {uri} SIP/2.0", headers)
