"""The torture messages over and over, whole and damaged, at a switch with live calls: no worker dies, and every call is heard."""

from __future__ import annotations

import contextlib
import random
import socket

import pytest

from tests.frontdoor.test_torture import CASES, read
from tests.sip.abuse import MAX_GAP_MS, NEIGHBOUR, TRUNK_SOURCE, assert_serves, engine_of, talking, worker_pids

ROUNDS = 40
DAMAGES = 4


def damaged(data, rng):
    """A few bytes changed, cut out or repeated."""
    text = bytearray(data)
    for _ in range(rng.randint(1, DAMAGES)):
        at = rng.randrange(len(text)) if text else 0
        match rng.randrange(4):
            case 0 if text:
                text[at] = rng.randrange(256)
            case 1:
                del text[at : at + rng.randint(1, 40)]
            case 2:
                text[at:at] = text[at : at + rng.randint(1, 200)]
            case _:
                text[at:at] = rng.choice(
                    [b"\r\n", b"\0", b";", b"<", b'"', b":", b"%", b"\xff", b"a=ptime:0\r\n", b"m=audio 0 RTP/AVP\r\n"]
                )
    return bytes(text)


@pytest.mark.sip_faults("tag-changed")  # damaged copies of one message are several calls with one Call-ID, branch and CSeq
def test_torture_whole_and_damaged(switch, tmp_path):
    rng = random.Random(4475)
    host, _, port = switch.sip_address.rpartition(":")
    messages = [read(rfc, name) for rfc, name in CASES]
    with talking(switch, tmp_path, 120, count=4) as live, contextlib.ExitStack() as stack:
        workers = worker_pids(switch)
        senders = [stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(2)]
        for sock, source in zip(senders, (TRUNK_SOURCE, NEIGHBOUR), strict=True):
            sock.bind((source, 0))
        for _ in range(ROUNDS):
            for message in messages:
                sock = rng.choice(senders)
                sock.sendto(damaged(message, rng)[:65_000], (host, int(port)))
            live.wait_packets(5)
        live.assert_steady(MAX_GAP_MS)
        assert workers <= worker_pids(switch)
    assert_serves(switch)
    assert engine_of(switch).workers_lost == 0
