"""A program that floods: SIP requests from one address at a rate. Last it writes a line of JSON: how many were sent, and what came back.

python -m tests.sip.flooder 127.0.0.1:5060 --source 127.0.0.5 --rate 2000 --seconds 10 --method INVITE
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import time
from collections import Counter

BODY = "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"


def template(options: argparse.Namespace, host: str, port: int) -> str:
    """A request with `%d` where its number belongs."""
    body = BODY.format(host=host) if options.method == "INVITE" else ""
    lines = [
        f"{options.method} sip:{options.user}@{options.address} SIP/2.0",
        f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bKf%d.{os.getpid()}",
        "Max-Forwards: 70",
        f"From: <sip:flood@{host}>;tag=f%d",
        f"To: <sip:{options.user}@{options.address}>",
        f"Call-ID: f%d.{os.getpid()}@{host}",
        f"CSeq: 1 {options.method}",
        f"Contact: <sip:flood@{host}:{port}>",
        f"User-Agent: {options.user_agent}",
        *(["Content-Type: application/sdp"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines) + "\r\n\r\n" + body


def take_answers(sock: socket.socket, answers: Counter[str]) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            answers[sock.recv(65535)[8:11].decode(errors="replace")] += 1


def flood(options: argparse.Namespace) -> dict[str, object]:
    host, port = options.address.rsplit(":", 1)
    answers: Counter[str] = Counter()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((options.source, 0))
        sock.connect((host, int(port)))
        sock.setblocking(False)
        text = template(options, *sock.getsockname())
        sent, begun = 0, time.monotonic()
        while (elapsed := time.monotonic() - begun) < options.seconds:
            while sent < elapsed * options.rate:
                sent += 1
                with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
                    sock.send((text % (sent, sent, sent)).encode())
            take_answers(sock, answers)
            time.sleep(0.002)
        return {"sent": sent, "answers": answers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address")
    parser.add_argument("--source", default="127.0.0.1")
    parser.add_argument("--rate", type=float, default=2000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--method", default="INVITE")
    parser.add_argument("--user", default="flood")
    parser.add_argument("--user-agent", default="test")
    print(json.dumps(flood(parser.parse_args())))


if __name__ == "__main__":
    main()
