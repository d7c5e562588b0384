"""The pool's handle of the front door: its sockets, its processes."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sipcore import wire
from sipcore.errors import EngineError
from sipcore.pool import door as door_module
from sipcore.pool import door_spare
from sipcore.pool.door import DoorHandle, DoorOptions
from sipcore.pool.listening import bind_outer, close_all, split_address
from sipcore.testing.ports import is_bound

pytestmark = pytest.mark.slow

TIMEOUT_S = 10.0
OPTIONS = (
    "OPTIONS sip:{host} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKo{number};rport\r\nMax-Forwards: 70\r\n"
    "From: <sip:a@b.test>;tag=1\r\nTo: <sip:{host}>\r\nCall-ID: o{number}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def handle(**options) -> DoorHandle:
    return DoorHandle(DoorOptions(**{"sip_host": "127.0.0.1", "open_networks": ("127.0.0.0/8",)} | options), lambda _key, _offer: None)


async def ping(address: str, family: socket.AddressFamily = socket.AF_INET, number: int = 1) -> str:
    """The status line that an OPTIONS is answered with."""
    host, port = split_address(address, 0)
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect((host, port))
        mine = sock.getsockname()
        local = f"[{mine[0]}]:{mine[1]}" if family == socket.AF_INET6 else f"{mine[0]}:{mine[1]}"
        sock.send(OPTIONS.format(host=address, local=local, number=number).encode())
        return (await asyncio.wait_for(loop.sock_recv(sock, 65535), TIMEOUT_S)).decode().partition("\r\n")[0]


async def until(condition) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def test_it_serves_and_leaves_nothing_behind() -> None:
    door = handle()
    await door.start()
    port = int(door.sip_address.rpartition(":")[2])
    assert door.addresses == (("udp", f"127.0.0.1:{port}"), ("tcp", f"127.0.0.1:{port}"))
    assert await ping(door.sip_address) == "SIP/2.0 200 OK"
    assert is_bound(door.inner_port)
    await until(lambda: door.counters.received == 1)
    assert (door.counters.sent, door.counters.dropped) == (1, 0)
    pid = door.pid
    await door.close()
    await door.close()
    assert door.counters.received == 1
    assert not is_bound(port)
    assert not is_bound(port, "tcp")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
async def test_an_address_that_is_taken_is_named(kind: socket.SocketKind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "_TAKEN_PATIENCE_S", 0.0)
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EngineError, match=rf"127\.0\.0\.1:{port}.*in use"):
            await handle(sip_port=port).start()


def test_a_free_port_is_free_for_udp_and_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where TCP has the first number already, another one is tried."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        real, numbers = socket.socket.bind, [taken.getsockname()[1]]

        def bind(sock: socket.socket, address: tuple[str, int]) -> None:
            real(sock, (address[0], numbers.pop() if address[1] == 0 and numbers else address[1]))

        monkeypatch.setattr(socket.socket, "bind", bind)
        listeners = bind_outer(("127.0.0.1",), 0, tcp=True)
        ports = {listener.sock.getsockname()[1] for listener in listeners}
        close_all(listeners)
        assert not numbers
        assert len(ports) == 1
        assert taken.getsockname()[1] not in ports


async def test_ipv6_beside_ipv4_on_the_same_port() -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    door = handle(more_hosts=("::1",))
    await door.start()
    try:
        port = door.sip_address.rpartition(":")[2]
        assert [where for _, where in door.addresses] == [f"127.0.0.1:{port}", f"[::1]:{port}"] * 2
        assert await ping(f"[::1]:{port}", socket.AF_INET6) == "SIP/2.0 200 OK"
    finally:
        await door.close()


async def test_without_tcp() -> None:
    door = handle(tcp=False)
    await door.start()
    assert [kind for kind, _ in door.addresses] == ["udp"]
    await door.close()


async def test_a_certificate_that_cannot_be_read_is_named() -> None:
    with pytest.raises(EngineError, match=r"certificate /missing\.pem: No such file"):
        await handle(tls_address="127.0.0.1:0", tls=wire.DoorTls("/missing.pem")).start()
    with pytest.raises(EngineError, match="needs a certificate"):
        await handle(tls_address="127.0.0.1:0").start()


async def test_killed_again_and_again() -> None:
    lost = []
    door = DoorHandle(DoorOptions(sip_host="127.0.0.1"), lambda _key, _offer: None, lost.append)
    await door.start()
    try:
        for number in range(3):
            pid = door.pid
            os.kill(pid, signal.SIGKILL)
            await until(lambda pid=pid: door.is_serving and door.pid != pid)
            assert await ping(door.sip_address, number=number) == "SIP/2.0 200 OK"
        assert door.restarts == len(lost) == 3
        await until(lambda: door.counters.received >= 1)  # what the others have counted in their last second is lost with them
    finally:
        await door.close()


async def test_one_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "_SILENCE_S", 1.5)
    door = handle()
    await door.start()
    try:
        pid = door.pid
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: door.is_serving and door.pid != pid)
        assert await ping(door.sip_address) == "SIP/2.0 200 OK"
    finally:
        await door.close()


async def test_one_that_cannot_start_is_tried_again_later_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "_RESTART_DELAY_S", 0.1)
    door = handle()
    await door.start()
    try:
        begun = time.monotonic()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/bin/false")
            os.kill(door.pid, signal.SIGKILL)
            await until(lambda: door.restarts == 4)
        assert time.monotonic() - begun > 0.1 + 0.2 + 0.4
        await until(lambda: door.is_serving)
        assert await ping(door.sip_address) == "SIP/2.0 200 OK"
    finally:
        await door.close()


@pytest.fixture
def early_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    """The spare is started as soon as the front door is ready."""
    monkeypatch.setattr(door_spare, "_DELAY_S", 0.0)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def is_warm(pid: int) -> bool:
    """It has imported everything: its first act after that is to ignore signals of the terminal."""
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(status["SigIgn"], 16) & 1 << (signal.SIGHUP - 1))


async def warm_spare(door: DoorHandle) -> int:
    await until(lambda: door.spare_pid and is_warm(door.spare_pid))
    return door.spare_pid


async def test_a_front_door_that_is_not_open_for_long_has_no_spare() -> None:
    door = handle()
    await door.start()
    assert await ping(door.sip_address) == "SIP/2.0 200 OK"
    assert door.spare_pid == 0
    await door.close()


@pytest.mark.usefixtures("early_spare")
async def test_the_spare_takes_over_and_another_one_follows(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sipcore")
    door = handle()
    await door.start()
    try:
        for number in range(1, 3):
            before, spare = door.pid, await warm_spare(door)
            os.kill(before, signal.SIGKILL)
            assert await ping(door.sip_address, number=number) == "SIP/2.0 200 OK"
            assert door.pid == spare
            assert door.restarts == number
        last = await warm_spare(door)
        assert sum("takes over" in record.message for record in caplog.records) == 2
    finally:
        await door.close()
    assert (door.pid, door.spare_pid) == (0, 0)
    assert is_gone(last)


@pytest.mark.usefixtures("early_spare")
async def test_a_spare_that_has_not_imported_everything_takes_over() -> None:
    door = handle()
    await door.start()
    try:
        await until(lambda: door.spare_pid)
        spare = door.spare_pid
        os.kill(door.pid, signal.SIGKILL)
        assert await ping(door.sip_address) == "SIP/2.0 200 OK"
        assert door.pid == spare
    finally:
        await door.close()


@pytest.mark.usefixtures("early_spare")
async def test_killed_with_its_spare() -> None:
    door = handle()
    await door.start()
    try:
        both = [door.pid, await warm_spare(door)]
        for pid in both:
            os.kill(pid, signal.SIGKILL)
        assert await ping(door.sip_address) == "SIP/2.0 200 OK"
        assert door.pid not in both
        await warm_spare(door)
    finally:
        await door.close()


@pytest.mark.usefixtures("early_spare")
async def test_a_spare_that_dies_is_replaced_later_each_time(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    door = handle()
    await door.start()
    try:
        pid, spare = door.pid, await warm_spare(door)
        monkeypatch.setattr(door_spare, "_SETTLED_S", 0.0)
        os.kill(spare, signal.SIGKILL)
        await until(lambda: door.spare_pid not in (0, spare))
        monkeypatch.setattr(door_spare, "_SETTLED_S", 30.0)
        monkeypatch.setattr(door_spare, "_DELAY_S", 0.1)
        door._spare._delay_s = 0.1
        begun = time.monotonic()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", "/bin/false")
            os.kill(door.spare_pid, signal.SIGKILL)
            await until(lambda: sum("no spare process" in record.message for record in caplog.records) == 4)
        assert time.monotonic() - begun > 0.2 + 0.4
        await warm_spare(door)
        assert (door.pid, door.restarts) == (pid, 0)
    finally:
        await door.close()


@pytest.mark.usefixtures("early_spare")
@pytest.mark.parametrize("state", ["young", "stopped", "dead", "taking over"])
async def test_the_spare_ends_with_the_handle(state: str) -> None:
    door = handle()
    await door.start()
    await until(lambda: door.spare_pid)
    pids = [door.pid, door.spare_pid]
    if state != "young":
        await warm_spare(door)
    if state == "stopped":
        os.kill(door.spare_pid, signal.SIGSTOP)
    elif state == "dead":
        os.kill(door.spare_pid, signal.SIGKILL)
    elif state == "taking over":
        os.kill(door.pid, signal.SIGKILL)
        await until(lambda: door.pid == pids[1])
        assert not door.is_serving
    begun = time.monotonic()
    await door.close()
    assert time.monotonic() - begun < 1.5, "it was not ended at once"
    assert all(map(is_gone, pids))
    assert not is_bound(int(door.sip_address.rpartition(":")[2]))


CONTROL = """
import asyncio, os, sys, time
from sipcore.pool import door_spare
from sipcore.pool.door import DoorHandle, DoorOptions
async def main():
    door_spare._DELAY_S = 0.0
    door = DoorHandle(DoorOptions(sip_host="127.0.0.1"), lambda key, offer: None)
    await door.start()
    while not door.spare_pid:
        await asyncio.sleep(0.01)
    fork = os.fork() if "fork" in sys.argv else -1
    if fork == 0:
        time.sleep(3600)
    print(door.pid, door.sip_address, door.spare_pid, fork, flush=True)
    await asyncio.sleep(3600)
asyncio.run(main())
"""


@pytest.mark.parametrize(("number", "end"), [(signal.SIGKILL, ""), (signal.SIGINT, ""), (signal.SIGKILL, "fork")])
def test_they_end_with_their_control_process(number: signal.Signals, end: str) -> None:
    """Also when a fork of it has the sockets to them."""
    with subprocess.Popen([sys.executable, "-c", CONTROL, end], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as control:
        assert control.stdout is not None
        pid, _, spare, fork = control.stdout.readline().decode().split()
        pidfds = [os.pidfd_open(int(pid)), os.pidfd_open(int(spare))]
        try:
            control.send_signal(number)
            control.wait(TIMEOUT_S)
            for pidfd in pidfds:
                assert select.select([pidfd], [], [], TIMEOUT_S)[0], "it outlived its control process"
        finally:
            for pidfd in pidfds:
                os.close(pidfd)
            if end:
                os.kill(int(fork), signal.SIGKILL)


async def test_who_was_killed_and_starts_again_at_once_gets_its_port_back() -> None:
    """The front door before goes on for a moment, so that calls are ended by BYE."""
    with subprocess.Popen([sys.executable, "-c", CONTROL], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as control:  # noqa: ASYNC220
        assert control.stdout is not None
        pid, address, *_ = control.stdout.readline().decode().split()
        pidfd = os.pidfd_open(int(pid))
        control.kill()
        control.wait(TIMEOUT_S)
    door = handle(sip_port=int(address.rpartition(":")[2]))
    try:
        await door.start()
        assert door.sip_address == address
        assert await ping(address) == "SIP/2.0 200 OK"
        assert select.select([pidfd], [], [], 1.0)[0], "two front doors at one address"
    finally:
        os.close(pidfd)
        await door.close()


async def test_signals_of_a_terminal_do_not_reach_it() -> None:
    door = handle()
    await door.start()
    try:
        assert os.getsid(door.pid) != os.getsid(0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(door.pid, number)
        assert await ping(door.sip_address) == "SIP/2.0 200 OK"
        assert door.restarts == 0
    finally:
        await door.close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", 5061)),
        ("192.0.2.1:7", ("192.0.2.1", 7)),
        ("::1", ("::1", 5061)),
        ("[::1]", ("::1", 5061)),
        ("[::1]:7", ("::1", 7)),
        ("name", ("name", 5061)),
        ("name:7", ("name", 7)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert split_address(text, 5061) == address


@pytest.mark.parametrize("text", ["", ":1", "name:", "name:70000", "name:x", "a:b:c"])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="is no host:port"):
        split_address(text, 5061)
