"""What happens when processes die, stop or stay silent."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from scripted_far_end import rtp_ports

from sipcore import engine, wire
from sipcore.errors import EngineError
from sipcore.pool import PjsipPool, PoolSettings, crew


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # the second: it went between open and read
        return False
    return state != "Z"


def open_fds() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def two_workers(line, far_end):
    """A bridged pair in one worker, a call in another."""
    capacity = line.pool.leg_capacity
    line.pool.reserve("pair", capacity)
    line.dial("a", far_end.uri("ok-a"), "pair")
    line.dial("b", far_end.uri("ok-b"), "pair")
    line.dial("other", far_end.uri("ok-other"))
    for call_id in ("a", "b", "other"):
        await line.got(engine.CallConfirmed, call_id)
    line.pool.submit(engine.Bridge("a", "b"))
    first, second = line.pool.workers()
    assert (first.legs, second.legs) == (2, 1)
    return first, second


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGABRT, signal.SIGSEGV])
async def test_a_dead_worker_takes_only_its_own_legs(line, far_end, number):
    first, second = await two_workers(line, far_end)
    killed_at = time.monotonic()
    os.kill(first.pid, number)
    for call_id in ("a", "b"):
        over = await line.got(engine.CallDisconnected, call_id, timeout_s=1)
        assert (over.sip_code, over.remote, over.error) == (0, True, "worker lost")
    assert time.monotonic() - killed_at < 1
    line.pool.submit(engine.Play("a", "p", "/x"))
    line.dial("again", far_end.uri("ok-again"))
    await line.got(engine.CallConfirmed, "again")
    assert second.pid in [worker.pid for worker in line.pool.workers()]
    assert not line.of(engine.CallDisconnected, "other")
    assert len(line.of(engine.CallDisconnected, "a")) == 1
    await line.until(lambda: not is_alive(first.pid))


async def test_the_last_worker_is_replaced(line, far_end):
    (worker,) = line.pool.workers()
    os.kill(worker.pid, signal.SIGKILL)
    await line.until(lambda: [w.sip_port for w in line.pool.workers() if w.pid != worker.pid and w.sip_port] != [])
    line.dial("c", far_end.uri("ok"))
    await line.got(engine.CallConfirmed, "c")


async def test_supervision_outlives_a_lack_of_descriptors(line, far_end, monkeypatch, caplog):
    handle, refusals = crew.WorkerHandle, []

    def scarce(*arguments):
        if not refusals:
            refusals.append(OSError(errno.EMFILE, "Too many open files"))
            raise refusals[0]
        return handle(*arguments)

    monkeypatch.setattr(crew, "WorkerHandle", scarce)
    os.kill(line.pool.workers()[0].pid, signal.SIGKILL)
    await line.until(lambda: bool(refusals) and any(worker.sip_port for worker in line.pool.workers()))
    assert caplog.text.count("Too many open files") == 1
    line.dial("c", far_end.uri("ok"))
    await line.got(engine.CallConfirmed, "c")


async def test_starts_that_fail_become_rare(open_line, monkeypatch):
    monkeypatch.setattr(crew, "_RESTART_DELAY_S", 20.0)
    settings_of = PoolSettings.worker

    def unusable(settings, new, *more):
        """The first worker can start; the others are told to bind an address that is not of this machine."""
        told = settings_of(settings, new, *more)
        return replace(told, sip_host="192.0.2.1") if new.index else told

    monkeypatch.setattr(PoolSettings, "worker", unusable)
    line = await open_line(min_workers=2)
    await asyncio.sleep(4)
    assert line.pool.workers_lost == 1


def test_the_server_takes_a_socket_of_a_high_number():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("the limit of descriptors is too low")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    ours, theirs = socket.socketpair()
    high = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 1500)
    theirs.close()
    try:
        arguments = [sys.executable, "-m", "sipcore.pjsip.server", "--fd", str(high)]
        with subprocess.Popen(arguments, pass_fds=(high,), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            os.close(high)
            ours.settimeout(20)
            (ready,) = wire.FrameDecoder().feed(ours.recv(4096))
            assert isinstance(ready, wire.ServerReady)
            ours.close()
            _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, b"")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_dead_server_is_replaced_and_its_workers_live_on(line, far_end):
    line.dial("c", far_end.uri("ok-c"))
    await line.got(engine.CallConfirmed, "c")
    server_pid = line.pool.server_pid
    os.kill(server_pid, signal.SIGKILL)
    await line.until(lambda: line.pool.server_pid != server_pid)
    line.pool.reserve("g", line.pool.leg_capacity)
    line.dial("d", far_end.uri("ok-d"), "g")
    await line.got(engine.CallConfirmed, "d")
    assert len(line.pool.workers()) == 2
    line.hang_up("c")
    assert (await line.got(engine.CallDisconnected, "c")).sip_code == 200


async def test_a_silent_worker_is_killed(open_line, far_end):
    line = await open_line(heartbeat_timeout_s=2)
    line.dial("c", far_end.uri("ok"))
    await line.got(engine.CallConfirmed, "c")
    (worker,) = line.pool.workers()
    os.kill(worker.pid, signal.SIGSTOP)
    assert (await line.got(engine.CallDisconnected, "c")).error == "worker lost"
    await line.until(lambda: not is_alive(worker.pid))


async def test_our_own_stall_kills_nobody(open_line, far_end):
    line = await open_line(heartbeat_timeout_s=2)
    line.dial("c", far_end.uri("ok"))
    await line.got(engine.CallConfirmed, "c")
    time.sleep(3)  # noqa: ASYNC251 - the event loop is blocked on purpose
    await asyncio.sleep(1.2)  # two rounds of the pool's housekeeping
    assert not line.of(engine.CallDisconnected, "c")


async def test_idle_workers_go_away(open_line, far_end):
    line = await open_line(idle_s=0.5)
    await two_workers(line, far_end)
    line.pool.release("pair")
    for call_id in ("a", "b"):
        line.hang_up(call_id)
    await line.until(lambda: len(line.pool.workers()) == 1)
    assert not line.of(engine.CallDisconnected, "other")


async def test_workers_are_behind_one_address(open_line, far_end):
    probe = await open_line()
    port = int(probe.pool.sip_address.rpartition(":")[2])
    await probe.pool.close(1)
    line = await open_line(sip_port=port)
    await two_workers(line, far_end)
    assert line.pool.sip_address == f"127.0.0.1:{port}"
    assert port not in [worker.sip_port for worker in line.pool.workers()]


async def test_a_taken_port_is_a_start_error(line):
    port = int(line.pool.sip_address.rpartition(":")[2])
    pool = PjsipPool(PoolSettings(sip_host="127.0.0.1", sip_port=port, rtp_ports=rtp_ports()))
    with pytest.raises(EngineError, match="Address already in use"):
        await pool.start(lambda _event: None)
    assert pool.workers() == ()


async def test_missing_pjsua2_is_a_start_error(monkeypatch, tmp_path):
    (tmp_path / "pjsua2.py").write_text("raise ImportError('pjsua2 is not for this machine')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pool = PjsipPool(PoolSettings(sip_host="127.0.0.1"))
    with pytest.raises(EngineError, match="pjsua2 is not for this machine"):
        await pool.start(lambda _event: None)


async def test_what_a_worker_prints_is_logged(line, caplog):
    (worker,) = line.pool.workers()
    with caplog.at_level(logging.WARNING, logger="sipcore.worker"):
        Path(f"/proc/{worker.pid}/fd/2").write_text("Assertion `call_id>=0' failed.\n")  # noqa: ASYNC240
        await line.until(lambda: "Assertion" in caplog.text)


async def test_nothing_is_left_behind(far_end):
    fds = open_fds()
    pool = PjsipPool(PoolSettings(sip_host="127.0.0.1", rtp_ports=rtp_ports(), min_workers=3))
    await pool.start(lambda _event: None)
    pids = [pool.server_pid, *(worker.pid for worker in pool.workers())]
    await pool.close(2)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)  # noqa: ASYNC240, PTH110
    assert open_fds() == fds


SCRIPT = """
import asyncio, sys
from sipcore import engine
from sipcore.pool import PjsipPool, PoolSettings

async def main():
    pool = PjsipPool(PoolSettings(sip_host="127.0.0.1", rtp_ports=(int(sys.argv[2]), int(sys.argv[2]) + 255)))
    confirmed = asyncio.Event()
    await pool.start(lambda event: confirmed.set() if isinstance(event, engine.CallConfirmed) else None)
    pool.reserve("g", 1)
    pool.submit(engine.Dial("c", "g", sys.argv[1], "<sip:me@example.org>", engine.Account()))
    await confirmed.wait()
    print(pool.server_pid, *(worker.pid for worker in pool.workers()), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def printed(path: Path, lines: int) -> list[int]:
    """The numbers a script has written, once it wrote so many lines."""
    async with asyncio.timeout(20):
        while path.read_text().count("\n") < lines:  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.02)
    return [int(number) for number in path.read_text().split()]  # noqa: ASYNC240


async def all_gone(pids: list[int], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_when_the_user_process_is_killed_everything_ends_with_bye(far_end, tmp_path):
    output = tmp_path / "pids"
    arguments = [sys.executable, "-c", SCRIPT, far_end.uri("ok"), str(rtp_ports()[0] + 512)]
    with output.open("w") as stdout, subprocess.Popen(arguments, stdout=stdout) as process:  # noqa: ASYNC220
        pids = await printed(output, 1)
        process.kill()
        process.wait()
        await all_gone(pids, within_s=2)
        await far_end.saw("ok", "BYE")


async def test_a_fork_of_the_user_process_keeps_nothing_alive(far_end, tmp_path):
    """A fork holds copies of our sockets, so that the workers never read end of file."""
    script = SCRIPT.replace("    await asyncio.sleep(60)", "    import os, time\n    print(os.fork(), flush=True)\n    time.sleep(60)")
    output = tmp_path / "pids"
    arguments = [sys.executable, "-c", script, far_end.uri("ok"), str(rtp_ports()[0] + 768)]
    with output.open("w") as stdout, subprocess.Popen(arguments, stdout=stdout) as process:  # noqa: ASYNC220
        numbers = await printed(output, 3)
        child = max(numbers[2:])
        process.kill()
        process.wait()
        try:
            await all_gone(numbers[:2], within_s=2.5)
            await far_end.saw("ok", "BYE")
        finally:
            os.kill(child, signal.SIGKILL)
