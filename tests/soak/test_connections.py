"""Many TCP connections: silent ones, and ones that begin a message and stop."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.sip.abuse import MAX_GAP_MS, assert_serves, door_rss_mb, engine_of, talking, until

HALF = b"INVITE sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\nContent-Le"


def connected(stack, switch, number, source):
    """One more connection from that address."""
    host, _, port = switch.sip_address.rpartition(":")
    sock = stack.enter_context(socket.socket())
    sock.settimeout(5)
    sock.bind((source, 0))
    sock.connect((host, int(port)))
    return sock


@pytest.mark.parametrize("said", [b"", HALF], ids=["silent", "half a message"])
def test_a_thousand_connections(switch, tmp_path, said):
    before_mb = door_rss_mb(switch)
    with contextlib.ExitStack() as stack, talking(switch, tmp_path, 60) as live:
        for number in range(1000):
            sock = connected(stack, switch, number, f"127.0.1.{1 + number // 100}")
            if said:
                sock.sendall(said)
        until(lambda: engine_of(switch).door_counters.connections >= 1000)
        assert_serves(switch)
        live.wait_packets(50)
        live.assert_steady(MAX_GAP_MS)
        assert door_rss_mb(switch) - before_mb < 60
        if said:
            until(lambda: engine_of(switch).door_counters.connections == 0, 20)  # who does not go on is cut off
    until(lambda: engine_of(switch).door_counters.connections == 0)
    assert_serves(switch)


def test_one_address_gets_no_more_than_its_share(switch):
    with contextlib.ExitStack() as stack:
        for number in range(300):
            with contextlib.suppress(OSError):
                connected(stack, switch, number, "127.0.1.1")
        until(lambda: 0 < engine_of(switch).door_counters.connections <= 200)
        other = connected(stack, switch, 0, "127.0.1.2")
        other.sendall(b"\r\n\r\n")
        assert other.recv(2) == b"\r\n", "another address is served (RFC 5626 §4.4.1)"
        assert_serves(switch)
