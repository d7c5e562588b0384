"""What the front door's router costs per datagram, sockets left out: CPU time, best of some rounds.

python benchmarks/frontdoor_router.py [--profile]
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time

from sipcore.frontdoor.message import parse
from sipcore.frontdoor.router import Ask, Flow, Router, ToFlow, ToTarget, ToWorker
from sipcore.wire import DoorSettings, DoorTrunk

US = "198.51.100.1:5060"
TRUNK = Flow("udp", US, ("192.0.2.10", 5060))
STRANGER = Flow("udp", US, ("203.0.113.66", 5060))
TRUNKS = (DoorTrunk("provider", ("192.0.2.0/24",)),)
SETTINGS = DoorSettings("127.0.0.1:5999", (("udp", US),), "", b"s" * 32, "sipcore", TRUNKS)
SDP = (
    "v=0\r\no=- 3812 3812 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=sendrecv\r\na=ptime:20\r\n"
)


def message(start: str, via: str, number: int, method: str, to_tag: str, contact: str, *extra: str, body: str = "") -> bytes:
    lines = [start, f"Via: {via}", "Max-Forwards: 70", 'From: "Caller" <sip:+15550001@192.0.2.10>;tag=as58f4201b']
    lines += [
        f"To: <sip:1000@198.51.100.1>{to_tag}",
        f"Call-ID: {number}-313fa8a04@192.0.2.10",
        f"CSeq: {number} {method}",
        f"Contact: <{contact}>",
    ]
    lines += ["User-Agent: far/1.0", "Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, INFO", "Supported: replaces, timer", *extra]
    lines += ["Content-Type: application/sdp"] if body else []
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()


def asked(number: int, method: str, uri: str = "sip:1000@198.51.100.1", to_tag: str = "", body: str = "") -> bytes:
    via = f"SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK{method}{number};rport"
    return message(f"{method} {uri} SIP/2.0", via, number, method, to_tag, "sip:+15550001@192.0.2.10:5060", body=body)


def answered(request: bytes, contact: str, body: str = "") -> bytes:
    got = parse(request)
    kept = [
        f"{header.name}: {header.value}"
        for header in got.headers
        if header.name in {"Via", "From", "To", "Call-ID", "CSeq", "Record-Route"}
    ]
    lines = ["SIP/2.0 200 OK", *kept, f"Contact: <{contact}>", "Content-Type: application/sdp", f"Content-Length: {len(body)}", "", body]
    return "\r\n".join(lines).encode()


def own_invite(number: int) -> bytes:
    via = f"SIP/2.0/UDP 127.0.0.1:40001;rport;branch=z9hG4bKPj{number}"
    extra = ("Route: <sip:127.0.0.1:5999;lr;hop=udp-192.0.2.10-5060>", f"X-Sipcore-Call: {number}")
    return message("INVITE sip:+8210@192.0.2.10 SIP/2.0", via, number, "INVITE", "", "sip:us@127.0.0.1:40001;ob", *extra, body=SDP)


class Round:
    """One router and the messages of so many calls, each kind made from what the one before it gave."""

    def __init__(self, calls: int) -> None:
        self.router = Router(SETTINGS)
        self.router.set_workers({1: 40001})
        self.invites = [asked(number, "INVITE", body=SDP) for number in range(calls)]
        self.strangers = [asked(number, "INVITE", body=SDP) for number in range(calls, 2 * calls)]
        self.own = [own_invite(number) for number in range(calls)]
        self.keys: list[str] = []
        self.inside: list[bytes] = []
        self.outside: list[bytes] = []

    def invite_in(self) -> None:
        for data in self.invites:
            self.keys.extend(step.key for step in self.router.from_outside(data, TRUNK, 0.0) if isinstance(step, Ask))

    def placed(self) -> None:
        for key in self.keys:
            self.inside.extend(step.data for step in self.router.placed(key, "call", 1, 0.0) if isinstance(step, ToWorker))

    def invite_out(self) -> None:
        for data in self.own:
            for step in self.router.from_worker(data, 40001, 0.0):
                assert isinstance(step, ToTarget)
                self.outside.append(step.finish(US, "udp"))

    def prepare(self) -> None:
        self.worker_answers = [answered(data, "sip:127.0.0.1:40001;ob", SDP) for data in self.inside]
        contacts = [(parse(data).get("Contact") or "").strip("<>") for data in self.outside]
        self.byes = [asked(number, "BYE", contact, f";tag=x{number}") for number, contact in enumerate(contacts)]
        self.answers = [answered(data, "sip:sbc@192.0.2.10:5060", SDP) for data in self.outside]

    def answer_out(self) -> None:
        for data in self.worker_answers:
            assert isinstance(self.router.from_worker(data, 40001, 0.0)[-1], ToFlow)

    def bye_in(self) -> None:
        for data in self.byes:
            assert isinstance(self.router.from_outside(data, TRUNK, 0.0)[-1], ToWorker)

    def answer_in(self) -> None:
        for data in self.answers:
            assert isinstance(self.router.from_outside(data, TRUNK, 0.0)[-1], ToWorker)

    def flood(self) -> None:
        for data in self.strangers:
            self.router.from_outside(data, STRANGER, 0.0)


def main() -> None:
    calls = 500
    best: dict[str, float] = {}
    profile = cProfile.Profile() if "--profile" in sys.argv else None
    for _ in range(9):
        one = Round(calls)
        for run in (one.invite_in, one.placed, one.invite_out, one.prepare, one.answer_out, one.bye_in, one.answer_in, one.flood):
            start = time.process_time()
            if profile is not None:
                profile.runcall(run)
            else:
                run()
            best[run.__name__] = min(best.get(run.__name__, 1e9), (time.process_time() - start) / calls)
    del best["prepare"]
    for name, seconds in best.items():
        print(f"{name:16}{seconds * 1e6:8.1f} us")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
