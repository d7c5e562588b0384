"""What the front door costs: datagrams a second on one core, and the delay it adds, beside a bare UDP relay in the same run.

    python benchmarks/frontdoor.py [--rate 2000] [--seconds 10]

Requests within a dialog go from a far end through the front door to a worker, whose responses go back: two datagrams a round. Far end and
worker are sockets of this process, which spins on one core; front door and relay have the other.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import socket
import sys
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sipcore.pool.door import DoorHandle, DoorOptions
from tests.frontdoor.dialog import Caller, Text, answer
from tests.frontdoor.test_process import Stage

WINDOW = 32
"""Rounds under way when as many as possible are wanted."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def relay(sock: socket.socket, core: int, far: int, worker: int) -> None:
    """A bare relay: what Python and the kernel cost without SIP."""
    os.sched_setaffinity(0, {core})
    while True:
        data, peer = sock.recvfrom(65535)
        sock.sendto(data, ("127.0.0.1", worker if peer[1] == far else far))


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


class Rounds:
    """Requests out of one socket, answered by the other."""

    def __init__(self, far: socket.socket, worker: socket.socket, request: bytes, response: bytes, to: int, back_to: int) -> None:
        self.far, self.worker, self.request, self.response = far, worker, request, response
        self.to, self.back_to = ("127.0.0.1", to), ("127.0.0.1", back_to)
        self.delays_s: list[float] = []
        self.sent_at: deque[float] = deque()

    def send(self) -> None:
        self.far.sendto(self.request, self.to)
        self.sent_at.append(time.perf_counter())

    def turn(self) -> None:
        """Answer what the worker has, take what the far end has."""
        try:
            while True:
                self.worker.recv(65535)
                self.worker.sendto(self.response, self.back_to)
        except BlockingIOError:
            pass
        try:
            while True:
                self.far.recv(65535)
                if self.sent_at:
                    self.delays_s.append(time.perf_counter() - self.sent_at.popleft())
        except BlockingIOError:
            pass

    def at_rate(self, datagrams_per_s: float, seconds: float) -> int:
        """Returns how many rounds were sent."""
        self.delays_s.clear()
        begun, gap, sent = time.perf_counter(), 2 / datagrams_per_s, 0
        while (now := time.perf_counter() - begun) < seconds:
            if now >= sent * gap:
                self.send()
                sent += 1
            self.turn()
        self.settle()
        return sent

    def at_most(self, seconds: float) -> float:
        """Rounds a second with a full window."""
        self.delays_s.clear()
        begun = time.perf_counter()
        while time.perf_counter() - begun < seconds:
            while len(self.sent_at) < WINDOW:
                self.send()
            self.turn()
        rounds = len(self.delays_s) / (time.perf_counter() - begun)
        self.settle()
        return rounds

    def settle(self) -> None:
        """Wait for what is under way; what has not come then is lost."""
        end = time.perf_counter() + 3.0
        while self.sent_at and time.perf_counter() < end:
            self.turn()
        self.sent_at.clear()

    def part_ms(self, part: float) -> float:
        """Of the delay of one datagram: half a round."""
        ordered = sorted(self.delays_s)
        return ordered[min(int(len(ordered) * part), len(ordered) - 1)] * 500


async def dialog(handle: DoorHandle) -> tuple[Stage, bytes, bytes]:
    """A call through the door; returns an INFO in it and the worker's answer."""
    offers: asyncio.Queue = asyncio.Queue()
    handle._on_offer = lambda key, offer: offers.put_nowait((key, offer))
    stage = Stage(handle, offers)
    caller = Caller(stage.far.port)
    _, ok = await stage.set_up(caller)
    info = caller.request("INFO", ok.contact_uri, 2)
    stage.far.send(info, stage.port)
    request: Text = await stage.worker.receive()
    response = answer(request, 200, "OK")
    stage.worker.send(response, handle.inner_port)
    await stage.far.receive()
    return stage, info.encode(), response.encode()


def measure(name: str, rounds: Rounds, pid: int, options: argparse.Namespace) -> tuple[float, float]:
    rounds.at_rate(options.rate, 1.0)
    used = cpu_s(pid)
    sent = rounds.at_rate(options.rate, options.seconds)
    used = cpu_s(pid) - used
    lost = sent - len(rounds.delays_s)
    p50, p99 = rounds.part_ms(0.5), rounds.part_ms(0.99)
    print(f"{name:11} at {options.rate:.0f}/s: p50 {p50:.3f} ms, p99 {p99:.3f} ms, {used / sent / 2 * 1e6:.0f} us of CPU each, {lost} lost")
    print(f"{name:11} at most: {2 * rounds.at_most(options.seconds / 2):.0f} datagrams/s")
    return p50, p99


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=float, default=2000.0, help="datagrams a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    own_core, other_core = sorted(os.sched_getaffinity(0))[:2]
    handle = DoorHandle(DoorOptions(sip_host="127.0.0.1", open_networks=("127.0.0.0/8",)), lambda _key, _offer: None)
    await handle.start()
    stage, request, response = await dialog(handle)
    os.sched_setaffinity(handle.pid, {other_core})
    os.sched_setaffinity(0, {own_core})
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    bare = multiprocessing.Process(target=relay, args=(sock, other_core, stage.far.port, stage.worker.port), daemon=True)
    bare.start()
    try:
        far, worker, port = stage.far.sock, stage.worker.sock, sock.getsockname()[1]
        without = measure("bare relay", Rounds(far, worker, request, response, port, port), bare.pid or 0, options)
        with_door = measure("front door", Rounds(far, worker, request, response, stage.port, handle.inner_port), handle.pid, options)
        print(f"added: p50 {with_door[0] - without[0]:.3f} ms, p99 {with_door[1] - without[1]:.3f} ms")
    finally:
        bare.terminate()
        bare.join()
        sock.close()
        stage.close()
        await handle.close()


if __name__ == "__main__":
    asyncio.run(main())
