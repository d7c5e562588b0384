"""What strangers do to an open port, in short: live calls are heard without a gap, and the switch serves. Long versions: tests/soak."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest

from sipcore.testing.phone import Phone
from tests.frontdoor.test_torture import CASES, read

from .abuse import (
    NEIGHBOUR,
    SETTINGS,
    STRANGER,
    TRUNK_SOURCE,
    assert_serves,
    door_rss_mb,
    engine_of,
    flood,
    serve,
    talking,
    until,
    worker_pids,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def switch(open_switch, tmp_path):
    with open_switch(**SETTINGS) as switch:
        serve(switch, tmp_path)
        yield switch


def address_of(switch):
    host, _, port = switch.sip_address.rpartition(":")
    return host, int(port)


@contextlib.contextmanager
def udp(source):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.settimeout(0.3)
        yield sock


def answers(sock):
    """Everything that comes until nothing has come for 0.3 s."""
    found = []
    with contextlib.suppress(TimeoutError):
        while True:
            found.append(sock.recv(65535))
    return found


def lines_about(caplog, word):
    return [record.getMessage() for record in caplog.records if word in record.getMessage()]


def test_a_stranger_is_refused_and_the_trunk_is_served(switch):
    with Phone("stranger", host=STRANGER) as phone:
        call = phone.call(f"sip:service@{switch.sip_address}")
        call.wait_ended(5)
    assert call.sip_code == 403
    assert_serves(switch)


@pytest.mark.sip_faults("bye-missing")  # who floods acknowledges no answer, and no BYE may be sent before (RFC 3261 §15)
@pytest.mark.parametrize("source", [STRANGER, NEIGHBOUR])
def test_a_flood_of_invites_is_not_heard_in_live_calls(switch, tmp_path, source):
    assert_serves(switch)
    memory_mb = door_rss_mb(switch)
    with talking(switch, tmp_path, 60) as live:
        workers = worker_pids(switch)
        with flood(switch.sip_address, source=source, rate=2000, seconds=2, user="nobody") as told:
            pass
        assert_serves(switch)
        live.wait_packets(25)
        live.assert_steady()
        assert workers <= worker_pids(switch)
    assert told["sent"] > 3000
    assert door_rss_mb(switch) - memory_mb < 30
    assert engine_of(switch).workers_lost == 0


def test_a_scanner_is_not_answered_and_logged_once(switch, caplog):
    with flood(switch.sip_address, source=NEIGHBOUR, rate=50, seconds=1, method="OPTIONS", user_agent="friendly-scanner") as told:
        pass
    assert told["answers"] == {}
    with flood(switch.sip_address, source=NEIGHBOUR, rate=50, seconds=1, user_agent="friendly-scanner") as told:
        pass
    assert told["answers"] == {}
    until(lambda: lines_about(caplog, NEIGHBOUR), 5)
    assert len(lines_about(caplog, NEIGHBOUR)) == 1, lines_about(caplog, NEIGHBOUR)
    assert_serves(switch)
    until(lambda: all(record.status == "hangup" for record in switch.calls.list().result), 5)
    assert [record.hangup_reason for record in switch.calls.list().result] == ["normal"], "no call was made of a scan"


def test_a_sweep_of_options_is_limited(switch):
    with flood(switch.sip_address, source=STRANGER, rate=1000, seconds=1, method="OPTIONS") as told:
        pass
    assert 0 < sum(told["answers"].values()) <= 400, "the burst of 200, and 100 a second"


def test_torture_at_a_live_switch(switch, tmp_path):
    with talking(switch, tmp_path, 60, count=4) as live, udp(TRUNK_SOURCE) as sock:
        workers = worker_pids(switch)
        for rfc, name in CASES:
            sock.sendto(read(rfc, name), address_of(switch))
        replies = answers(sock)
        live.assert_steady()
        assert workers <= worker_pids(switch)
        assert replies, "nothing of it was answered"
        assert all(reply.startswith(b"SIP/2.0 ") for reply in replies)
    assert_serves(switch)
    assert engine_of(switch).workers_lost == 0


@pytest.mark.parametrize("source", [TRUNK_SOURCE, STRANGER])
def test_datagrams_that_are_no_sip(switch, source):
    door = engine_of(switch).door_pid
    invite = b"INVITE sip:a@127.0.0.1 SIP/2.0\r\n"
    with udp(source) as sock:
        for data in (
            b"",
            b"\0",
            b"\r\n\r\n",
            b"x" * 65_507,
            b"\xff" * 65_507,
            invite + b"X: " + b"y" * 65_000,
            os.urandom(1400),
            invite * 500,
        ):
            sock.sendto(data, address_of(switch))
        assert not [reply for reply in answers(sock) if reply.startswith(b"SIP/2.0 2")]
    assert_serves(switch)
    assert engine_of(switch).door_pid == door


def test_half_a_message_over_tcp_then_silence(switch, tmp_path):
    with contextlib.ExitStack() as stack:
        for _ in range(50):
            sock = stack.enter_context(socket.create_connection(address_of(switch), 5))
            sock.sendall(b"INVITE sip:a@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\nContent-Le")
        with talking(switch, tmp_path, 30, count=2) as live:
            assert_serves(switch)
            live.wait_packets(25)
            live.assert_steady()


def test_a_hundred_connections_that_say_nothing(switch, tmp_path):
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(address_of(switch), 5))
        until(lambda: engine_of(switch).door_counters.connections >= 100)
        with talking(switch, tmp_path, 30, count=2) as live:
            assert_serves(switch)
            live.wait_packets(25)
            live.assert_steady()
    until(lambda: engine_of(switch).door_counters.connections == 0)
