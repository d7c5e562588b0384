"""A caller that does nothing by itself: every message is written by the test and every one received is read by it."""

import contextlib
import itertools
import secrets
import socket
import struct
from dataclasses import dataclass

from sipcore.testing import g711

OFFER = (
    "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP {formats}\r\n{attributes}a={direction}\r\n"
)
EVENTS = "a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\n"


@dataclass(frozen=True)
class Received:
    start: str
    headers: list[tuple[str, str]]
    body: str

    @property
    def code(self):
        return int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else 0

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name):
        (value,) = self.all(name)
        return value


def read_text(text):
    head, _, body = text.partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    return Received(start, [tuple(line.split(": ", 1)) for line in lines], body)


class RawCaller:
    """One call. `with RawCaller(phone) as caller:`"""

    def __init__(self, phone):
        self.phone, self.target = phone, ("127.0.0.1", phone.sip_port)
        self.sip, self.rtp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for sock in (self.sip, self.rtp):
            sock.bind(("127.0.0.1", 0))
            sock.settimeout(5)
        self.port, self.rtp_port = self.sip.getsockname()[1], self.rtp.getsockname()[1]
        self.call_id, self.from_tag, self.to_tag = secrets.token_hex(6), secrets.token_hex(4), ""
        self.cseq = itertools.count(1)
        self.invite_cseq, self.invite_branch = 0, ""
        self.sequence = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sip.close()
        self.rtp.close()

    def sdp(self, formats="0 8 96", attributes=EVENTS, direction="sendrecv", host="127.0.0.1", port=None):
        return OFFER.format(host=host, port=port or self.rtp_port, formats=formats, attributes=attributes, direction=direction)

    def send(self, method, *, body="", headers=(), cseq=None, branch=None, to_tag=None, call_id=None):
        cseq = next(self.cseq) if cseq is None else cseq
        branch = branch or "z9hG4bK" + secrets.token_hex(6)
        tag = self.to_tag if to_tag is None else to_tag
        lines = [
            f"{method} {self.phone.uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};rport;branch={branch}",
            f"From: <sip:alice@127.0.0.1>;tag={self.from_tag}",
            f"To: <{self.phone.uri}>" + (f";tag={tag}" if tag else ""),
            f"Call-ID: {call_id or self.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:alice@127.0.0.1:{self.port}>",
            "Max-Forwards: 70",
            *(f"{name}: {value}" for name, value in headers),
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        self.raw = ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
        self.sip.sendto(self.raw, self.target)
        return cseq, branch

    def invite(self, body=None, **more):
        self.invite_cseq, self.invite_branch = self.send("INVITE", body=self.sdp() if body is None else body, **more)

    def receive(self):
        return read_text(self.sip.recv(65536).decode())

    def expect(self, *codes):
        """Receive exactly these responses, return the last."""
        for code in codes:
            message = self.receive()
            assert message.code == code, message
            if "tag=" in message.one("To"):
                self.to_tag = message.one("To").rpartition("tag=")[2]
        return message

    def expect_request(self, method):
        message = self.receive()
        assert message.start.split()[0] == method, message
        return message

    def reply(self, request, code=200):
        lines = [f"SIP/2.0 {code} OK", *(f"{n}: {v}" for n, v in request.headers if n in ("Via", "From", "To", "Call-ID", "CSeq"))]
        self.sip.sendto(("\r\n".join(lines) + "\r\nContent-Length: 0\r\n\r\n").encode(), self.target)

    def ack(self, **more):
        self.send("ACK", cseq=self.invite_cseq, **more)

    def ack_refusal(self):
        self.ack(branch=self.invite_branch)

    def cancel(self):
        self.send("CANCEL", cseq=self.invite_cseq, branch=self.invite_branch, to_tag="")

    def bye(self, **more):
        self.send("BYE", **more)

    def establish(self, **more):
        """INVITE, answer, ACK; returns the 200."""
        self.invite(**more)
        ok = self.expect(180, 200)
        self.ack()
        return ok

    def finish(self):
        self.bye()
        return self.expect(200)

    def send_rtp(self, ok, payload, payload_type=0, *, timestamp, marker=False, ssrc=7, sequence=None):
        """Send one packet to the port in the SDP of `ok`."""
        port = int(ok.body.split("m=audio ")[1].split()[0])
        self.sequence = self.sequence + 1 if sequence is None else sequence
        header = struct.pack("!BBHII", 0x80, payload_type | (0x80 if marker else 0), self.sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
        self.rtp.sendto(header + payload, ("127.0.0.1", port))

    def send_samples(self, ok, samples, start=0):
        for position in range(0, len(samples), 160):
            self.send_rtp(ok, g711.encode_mu_law(samples[position : position + 160]), timestamp=start + position)

    def receive_rtp(self):
        """Return payload type, marker, sequence, timestamp, payload."""
        data = self.rtp.recv(2048)
        _, second, sequence, timestamp, _ = struct.unpack_from("!BBHII", data)
        return second & 0x7F, bool(second & 0x80), sequence, timestamp, data[12:]

    def count_rtp(self):
        """Receive RTP until there is none for 0.1 s; return how many packets there were."""
        self.rtp.settimeout(0.1)
        try:
            for count in itertools.count():  # noqa: B007
                self.rtp.recv(2048)
        except TimeoutError:
            return count

    def drain(self):
        """Throw away the SIP messages that are here already."""
        self.sip.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.sip.recv(65536)

    def hears_nothing(self, seconds):
        """Tell whether no SIP message comes within `seconds`."""
        self.sip.settimeout(seconds)
        try:
            self.sip.recv(65536)
        except TimeoutError:
            return True
        return False
