"""A SIP peer that does what the test says, one message at a time: both ends of every exchange are asserted."""

from __future__ import annotations

import asyncio
import re
from typing import Self

from scripted_far_end import Address, RtpPort, headers

from sipcore.wire import CALL_HEADER

PCMU = "0"


class Peer(asyncio.DatagramProtocol):
    """One dialog at a time, opened by either side."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self._taken: set[int] = set()
        self._changed = asyncio.Event()
        self._cseq = 0
        self._local = self._remote = self._target = self._sip_call_id = ""
        self._addr: Address = ("127.0.0.1", 0)

    @classmethod
    async def open(cls) -> Self:
        loop = asyncio.get_running_loop()
        transport, peer = await loop.create_datagram_endpoint(cls, local_addr=("127.0.0.1", 0))
        peer.transport, peer.port = transport, transport.get_extra_info("sockname")[1]
        _, peer.rtp = await loop.create_datagram_endpoint(RtpPort, local_addr=("127.0.0.1", 0))
        return peer

    transport: asyncio.DatagramTransport
    port: int
    rtp: RtpPort

    def close(self) -> None:
        self.transport.close()
        self.rtp.transport.close()

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if data.strip():
            self.messages.append(data.decode())
            self._addr = addr
            self._changed.set()

    def error_received(self, exc: Exception) -> None:
        """The worker has ended."""

    async def got(self, start: str, method: str = "", timeout_s: float = 8) -> str:
        """The next message, not taken yet, that starts so: `BYE`, `SIP/2.0 200`."""
        async with asyncio.timeout(timeout_s):
            while True:
                for index, message in enumerate(self.messages):
                    fits = message.startswith(start) and (not method or headers(message, "CSeq")[0].endswith(method))
                    if index not in self._taken and fits:
                        self._taken.add(index)
                        return message
                self._changed.clear()
                await self._changed.wait()

    def forget(self) -> None:
        """What was received so far."""
        self.messages.clear()
        self._taken.clear()

    # ------------------------------------------------------------------------------------------------ as caller

    def sdp(self, payloads: str = PCMU, *lines: str, host: str = "127.0.0.1", profile: str = "RTP/AVP", version: int = 1) -> str:
        text = (
            "v=0",
            f"o=- 1 {version} IN IP4 {host}",
            "s=-",
            f"c=IN IP4 {host}",
            "t=0 0",
            f"m=audio {self.rtp.port} {profile} {payloads}",
            *lines,
        )
        return "".join(f"{line}\r\n" for line in text)

    def invite(self, worker_port: int, call_id: str, body: str, *extra: str) -> None:
        """Open a dialog to a worker, as the front door would."""
        self._addr = ("127.0.0.1", worker_port)
        self._target = f"sip:1000@127.0.0.1:{worker_port}"
        self._sip_call_id = f"peer-{self.port}-{self._cseq}"
        self._local, self._remote = "<sip:caller@127.0.0.1>;tag=peer", "<sip:1000@127.0.0.1>"
        self.request("INVITE", body, f"{CALL_HEADER}: {call_id}", *extra)

    def request(self, method: str, body: str = "", *extra: str, cseq: int | None = None, branch: str = "") -> None:
        """Within the dialog."""
        if cseq is None:
            self._cseq += 1
        number = self._cseq if cseq is None else cseq
        lines = [
            f"{method} {self._target} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{branch or f'{method}{self.port}.{number}'}",
            "Max-Forwards: 70",
            f"From: {self._local}",
            f"To: {self._remote}",
            f"Call-ID: {self._sip_call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:peer@127.0.0.1:{self.port}>",
            *(["Content-Type: application/sdp"] if body.startswith("v=0") else []),
            *extra,
            f"Content-Length: {len(body)}",
        ]
        self.transport.sendto("\r\n".join([*lines, "", body]).encode(), self._addr)

    def cancel(self) -> None:
        """The INVITE just sent."""
        self.request("CANCEL", cseq=self._cseq, branch=f"INVITE{self.port}.{self._cseq}")

    def ack(self, response: str, body: str = "") -> None:
        """A 2xx (and learn the dialog), or a refusal."""
        number = int(headers(response, "CSeq")[0].split()[1])
        if response.startswith("SIP/2.0 2"):
            self.learn(response)
            self.request("ACK", body, cseq=number)
        else:
            self.request("ACK", cseq=number, branch=f"INVITE{self.port}.{number}")

    def learn(self, response: str) -> None:
        """The dialog a response opens."""
        self._remote = headers(response, "To")[0].partition(":")[2].strip()
        self._target = contact_of(response)

    # ------------------------------------------------------------------------------------------------ as callee

    def uri(self, user: str = "peer") -> str:
        return f"sip:{user}@127.0.0.1:{self.port}"

    def answer(self, request: str, status: str, body: str = "", *extra: str) -> None:
        to = headers(request, "To")[0]
        kept = [*headers(request, "Via"), *headers(request, "From"), to if "tag=" in to else f"{to};tag=peer"]
        kept += [*headers(request, "Call-ID"), *headers(request, "CSeq"), *extra]
        if not any(line.startswith("Contact:") for line in extra):
            kept.append(f"Contact: <sip:peer@127.0.0.1:{self.port}>")
        if body:
            kept.append("Content-Type: application/sdp")
        self.transport.sendto("\r\n".join([f"SIP/2.0 {status}", *kept, f"Content-Length: {len(body)}", "", body]).encode(), self._addr)
        self._sip_call_id = headers(request, "Call-ID")[0].partition(":")[2].strip()
        if request.startswith("INVITE"):
            self._remote = headers(request, "From")[0].partition(":")[2].strip()
            self._local = (to if "tag=" in to else f"{to};tag=peer").partition(":")[2].strip()
            self._target = contact_of(request)


def contact_of(message: str) -> str:
    match = re.search(r"<(sip:[^>]+)>", headers(message, "Contact")[0])
    assert match
    return match[1]


def media_port(sdp: str) -> int:
    match = re.search(r"m=audio (\d+)", sdp)
    assert match
    return int(match[1])
