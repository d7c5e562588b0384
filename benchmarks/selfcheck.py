"""Checks the load generator without a switch, and shows the floor of its figures on this machine.

A few lines of third-party call control place two calls to one waiting sipload, so that its two legs send their RTP straight to
each other (RFC 3725, flow I): each must hear the other's code, and the delay is what the generator and the kernel cost. Then one
sipload calls another: nothing may be lost and the deviation is that of the machine.
"""

from __future__ import annotations

import re
import socket
import subprocess

from build import build
from harness import Generator, in_ms, print_table


def _sdp(description: str, port: int) -> str:
    return re.sub(r"m=audio \d+", f"m=audio {port}", description)


class _Caller:
    """Two calls of a user agent that has no audio of its own."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(5)
        self._peer = ("127.0.0.1", port)
        self._own_port = self._socket.getsockname()[1]
        self._to: dict[str, str] = {}

    def _send(self, method: str, user: str, cseq: int, body: str = "") -> None:
        number = 1 if method == "ACK" else cseq
        content = "Content-Type: application/sdp\r\n" if body else ""
        lines = (
            f"{method} sip:{user}@127.0.0.1:{self._peer[1]} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self._own_port};rport;branch=z9hG4bK{user}{method}\r\nMax-Forwards: 70\r\n"
            f"From: <sip:check@127.0.0.1:{self._own_port}>;tag=check\r\nTo: {self._to.get(user, f'<sip:{user}@127.0.0.1>')}\r\n"
            f"Call-ID: {user}@check\r\nCSeq: {number} {method}\r\nContact: <sip:check@127.0.0.1:{self._own_port}>\r\n"
            f"{content}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self._socket.sendto(lines.encode(), self._peer)

    def invite(self, user: str, body: str = "") -> str:
        """Returns the session description of the answer."""
        self._send("INVITE", user, 1, body)
        while True:
            head, _, description = self._socket.recv(9000).decode().partition("\r\n\r\n")
            if head.startswith("SIP/2.0 200") and f"Call-ID: {user}@check" in head:
                to = re.search(r"(?m)^To: (.*?)\r?$", head)
                assert to is not None
                self._to[user] = to.group(1)
                return description

    def ack(self, user: str, body: str = "") -> None:
        self._send("ACK", user, 1, body)

    def bye(self, user: str) -> None:
        self._send("BYE", user, 2)

    def close(self) -> None:
        self._socket.close()


def check_codes() -> bool:
    """Two legs that hear each other."""
    options = ("--send", "code", "--code-period-ms", "1000", "--settle", "2", "--window", "8", "--bye-wait-s", "5")
    with Generator(2, *options) as generator:
        caller = _Caller(generator.port)
        offer = caller.invite("anna")  # no description in the INVITE: the 200 brings the offer
        answer = caller.invite("bert", offer)
        caller.ack("anna", answer)
        caller.ack("bert")
        generator.wait_for("closed", timeout_s=30)
        caller.bye("anna")
        caller.bye("bert")
        result = generator.finish()
        caller.close()
    bridge = result["bridge"]
    heard = {(direction["from"], direction["to"]) for direction in bridge["directions"]}
    good = heard == {("anna", "bert"), ("bert", "anna")} and not bridge["id_bad"] and result["complete"] and not result["still_up"]
    rows = [(f"{way['from']} to {way['to']}", f"{way['good']} codes, {in_ms(way['latency_ms'])}") for way in bridge["directions"]]
    print_table([*rows, ("steal", f"{result['steal_share']:.1%}")], f"coded tones without a switch: {'good' if good else 'BAD'}")
    return good


def check_calls(calls: int = 64) -> bool:
    """One generator calls the other."""
    with Generator(calls, "--settle", "1", "--window", "8", "--rtp-base", "20000", "--send", "code", "--code-base", "0") as generator:
        command = [str(build("sipload")), "--mode", "hold", "--local", "127.0.0.1:0", "--target", f"127.0.0.1:{generator.port}"]
        command += ["--calls", str(calls), "--ramp", "32", "--settle", "2", "--window", "8", "--rtp-base", "40000", "--send", "code"]
        caller = subprocess.run([*command, "--code-base", "1000"], stdout=subprocess.DEVNULL, timeout=120, check=False)
        result = generator.finish()
    rtp = result["rtp"]
    hears = [way["from_code"] - 1000 == way["to_code"] for way in result["bridge"]["directions"]]
    good = caller.returncode == 0 and result["complete"] and rtp["seq_lost_whole_call"] == 0 and all(hears) and bool(hears)
    rows = [
        ("calls", str(result["ok"])),
        ("lost", str(rtp["seq_lost_whole_call"])),
        ("deviation from 20 ms", in_ms(rtp["dev_ms"], "p50", "p99", "max")),
        ("ACK to first packet", in_ms(result["first_rtp_ms"])),
        ("ACK to first audible packet", in_ms(result["first_audible_ms"])),
        ("steal", f"{result['steal_share']:.1%}"),
    ]
    print_table(rows, f"one generator calling the other: {'good' if good else 'BAD'}")
    return good


if __name__ == "__main__":
    raise SystemExit(0 if check_codes() and check_calls() else 1)
