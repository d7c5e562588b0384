"""A far end in a few lines: answers INVITEs as the user part of the URI asks, and keeps what it was sent. No PJSIP in it."""

from __future__ import annotations

import asyncio
import os
import re
import struct
from dataclasses import dataclass, field

Address = tuple[str, int]


def headers(message: str, name: str) -> list[str]:
    return [line.strip() for line in re.findall(rf"(?im)^{name}:.*$", message)]


class RtpPort(asyncio.DatagramProtocol):
    """Counts the RTP packets that arrive and remembers when."""

    def __init__(self) -> None:
        self.arrived_at: list[float] = []
        self.payloads: list[bytes] = []
        self.events: list[tuple[int, int, int]] = []
        """Telephone-event packets (RFC 4733): timestamp, event, duration in samples."""
        self._sequence, self._timestamp = 1000, 160
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    async def arrived(self, count: int = 1) -> None:
        """Until `count` packets more have come."""
        wanted = len(self.payloads) + count
        async with asyncio.timeout(10):
            while len(self.payloads) < wanted:
                self._changed.clear()
                await self._changed.wait()

    def press(self, event: int, *, has_marker: bool = True, lost: tuple[int, ...] = ()) -> None:
        """One key, RFC 4733: three packets while it is down, three at its end; some of these six may get `lost`."""
        self._timestamp += 1600
        for number, (duration, end) in enumerate([(160, 0), (320, 0), (480, 0), (640, 128), (640, 128), (640, 128)]):
            self._sequence += 1
            marker = 0x80 if number == 0 and has_marker else 0
            head = struct.pack("!BBHII", 0x80, 120 | marker, self._sequence & 0xFFFF, self._timestamp, 7)
            if number not in lost:
                self.transport.sendto(head + struct.pack("!BBH", event, end | 10, duration), self.peer)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.arrived_at.append(asyncio.get_running_loop().time())
        self.payloads.append(data[12:])
        if data[1] & 0x7F == 120:
            event, _, duration = struct.unpack("!BBH", data[12:16])
            self.events.append((int.from_bytes(data[4:8]), event, duration))
        self._changed.set()
        if len(self.payloads) <= 1:
            self.peer = addr


@dataclass
class FarEnd(asyncio.DatagramProtocol):
    """Modes: ok, ring, silent, late, cross (200 crosses the CANCEL), early (183 with SDP, then 200), nobye, auth407, latin486 and
    latin200 (phrases that are not UTF-8), or a status code."""

    rtp: RtpPort
    requests: list[tuple[str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    invites: dict[str, tuple[str, Address]] = field(default_factory=dict)
    answered_at: dict[str, float] = field(default_factory=dict)
    cseq: int = 6
    """Of the last request from this side."""
    answers: list[str] = field(default_factory=list)
    """What came to the requests from this side."""
    info_answer: str = "200 OK"
    takes_events: bool = True
    """Whether its SDP has telephone-event (RFC 4733)."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.port: int = transport.get_extra_info("sockname")[1]

    def uri(self, mode: str) -> str:
        return f"sip:{mode}@127.0.0.1:{self.port}"

    def methods(self, mode: str) -> list[str]:
        return [method for method, user in self.requests if user == mode]

    async def saw(self, mode: str, method: str, count: int = 1) -> None:
        while self.methods(mode).count(method) < count:
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), 10)

    def _sdp(self) -> str:
        lines = (
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "c=IN IP4 127.0.0.1",
            "t=0 0",
            f"m=audio {self.rtp.port} RTP/AVP 0" + " 120" * self.takes_events,
            "a=rtpmap:120 telephone-event/8000",
        )
        return "".join(f"{line}\r\n" for line in lines[: None if self.takes_events else -1])

    def answer(self, message: str, addr: Address, status: str, body: str = "", *extra: str) -> None:
        to = headers(message, "To")[0]
        kept = [*headers(message, "Via"), *headers(message, "From"), to if "tag=" in to else f"{to};tag=far", *headers(message, "Call-ID")]
        kept += [*headers(message, "CSeq"), f"Contact: <sip:far@127.0.0.1:{self.port}>", *extra]
        if body:
            kept.append("Content-Type: application/sdp")
        text = "\r\n".join([f"SIP/2.0 {status}", *kept, f"Content-Length: {len(body)}", "", body])
        self.transport.sendto(text.encode(errors="surrogateescape"), addr)

    def bye(self, mode: str, reason: str) -> None:
        """Hang up from this side."""
        self.send(mode, "BYE", reason)

    def info(self, mode: str, kind: str, body: str) -> None:
        """Send an INFO."""
        self.send(mode, "INFO", f"Content-Type: {kind}", body=body)

    def send(self, mode: str, method: str, *extra: str, body: str = "") -> None:
        """A request within the dialog."""
        message, addr = next(entry for entry in self.invites.values() if f"sip:{mode}@" in entry[0].split()[1])
        contact = re.search(r"<(sip:[^>]+)>", headers(message, "Contact")[0])
        assert contact
        from_, to = headers(message, "From")[0], headers(message, "To")[0]
        self.cseq += 1
        lines = [
            f"{method} {contact[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{method}{self.cseq}",
            "Max-Forwards: 70",
            f"From:{to.partition(':')[2]};tag=far",
            f"To:{from_.partition(':')[2]}",
            headers(message, "Call-ID")[0],
            f"CSeq: {self.cseq} {method}",
            *extra,
            f"Content-Length: {len(body)}",
        ]
        self.transport.sendto(("\r\n".join([*lines, "", ""]) + body).encode(errors="surrogateescape"), addr)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        message = data.decode(errors="replace")
        if message.startswith("SIP/2.0"):
            self.answers.append(message)
            self.changed.set()
        if not message.strip() or message.startswith("SIP/2.0"):
            return
        method = message.split()[0]
        call_id = headers(message, "Call-ID")[0]
        if method == "INVITE":
            self.invites[call_id] = (message, addr)
        user = re.search(r"sip:([^@]*)@", self.invites[call_id][0].split()[1])
        mode = user[1] if user else ""
        self.requests.append((method, mode))
        self.texts.append(message)
        self.changed.set()
        answers = {"INVITE": self._invite, "CANCEL": self._cancel, "BYE": self._bye, "INFO": self._info}
        answers.get(method, lambda *_: None)(mode, message, addr)

    def _invite(self, mode: str, message: str, addr: Address) -> None:
        mode = mode.partition("-")[0]
        if mode.isdigit():
            self.answer(message, addr, f"{mode} Whatever", "", 'Reason: SIP;cause=200, Q.850;cause=17;text="user busy"')
        elif mode == "latin486":
            self.answer(message, addr, "486 Besetzt\udcfc", "", 'Reason: Q.850;cause=17;text="\udcfc"')
        elif mode == "latin200":
            self.answer(message, addr, "180 L\udce4utet")
            self.answer(message, addr, "200 Gr\udcfc\udcdf", self._sdp())
        elif mode in ("ring", "cross"):
            self.answer(message, addr, "180 Ringing")
        elif mode == "late":
            asyncio.get_running_loop().call_later(0.7, self.answer, message, addr, "180 Ringing")
        elif mode == "early":
            self.answer(message, addr, "183 Session Progress", self._sdp())
            asyncio.get_running_loop().call_later(0.3, self.answer, message, addr, "200 OK", self._sdp())
        elif mode == "auth407" and not headers(message, "Proxy-Authorization"):
            self.answer(message, addr, "407 Auth", "", 'Proxy-Authenticate: Digest realm="far", nonce="abc", algorithm=MD5, qop="auth"')
        elif mode != "silent":
            self.answered_at[mode] = asyncio.get_running_loop().time()
            self.answer(message, addr, "200 OK", self._sdp())

    def _cancel(self, mode: str, message: str, addr: Address) -> None:
        self.answer(message, addr, "200 OK")
        invite, _ = self.invites[headers(message, "Call-ID")[0]]
        if mode == "cross":
            self.answer(invite, addr, "200 OK", self._sdp())
        else:
            self.answer(invite, addr, "487 Request Terminated")

    def _info(self, mode: str, message: str, addr: Address) -> None:
        self.answer(message, addr, self.info_answer)

    def _bye(self, mode: str, message: str, addr: Address) -> None:
        if mode != "nobye":
            self.answer(message, addr, "200 OK")


def rtp_ports() -> tuple[int, int]:
    """A range per test process, since several may run at once."""
    first = 16384 + os.getpid() % 15 * 1024
    return first, first + 1023


async def open_far_end() -> FarEnd:
    loop = asyncio.get_running_loop()
    _, rtp = await loop.create_datagram_endpoint(RtpPort, local_addr=("127.0.0.1", 0))
    _, far_end = await loop.create_datagram_endpoint(lambda: FarEnd(rtp), local_addr=("127.0.0.1", 0))
    return far_end


def close_far_end(far_end: FarEnd) -> None:
    far_end.rtp.transport.close()
    far_end.transport.close()
