"""What live audio costs and how late it is.

First the road between two processes alone, 20 ms packets of 16-bit audio at 8 kHz: a Unix socket for each line, against rings in shared
memory with one eventfd that wakes the reader for all of them. Then pairs of real calls whose audio crosses over through numpy in this
process, against pairs that PJSIP bridges.

    python benchmarks/live_audio.py --calls 8 --seconds 20
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import select
import socket
import struct
import time
from multiprocessing import shared_memory
from typing import Any

import numpy as np

import harness
from harness import Generator, in_ms

FRAME_BYTES = 320
TICK_S = 0.02
STAMP = struct.Struct("<d")
SLOTS = 64
SLOT_BYTES = 8 + FRAME_BYTES


def _figures(late_s: list[float], cpu_s: float, frames: int) -> dict[str, float]:
    late_ms = np.array(late_s) * 1000
    return {
        "p50_ms": float(np.percentile(late_ms, 50)),
        "p99_ms": float(np.percentile(late_ms, 99)),
        "max_ms": float(late_ms.max()),
        "reader_us_per_frame": cpu_s / frames * 1e6,
        "frames": frames,
    }


def _tick(seconds: float, send: Any) -> None:
    start_s, frame = time.monotonic(), os.urandom(FRAME_BYTES - STAMP.size)
    for tick in range(round(seconds / TICK_S)):
        time.sleep(max(0.0, start_s + (tick + 1) * TICK_S - time.monotonic()))
        send(frame)
    os._exit(0)


def sockets(lines: int, seconds: float) -> dict[str, float]:
    """One `SOCK_SEQPACKET` pair for each line."""
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(lines)]

    def send(frame: bytes) -> None:
        for pair in pairs:
            pair[1].send(STAMP.pack(time.monotonic()) + frame)

    pid = os.fork()
    if pid == 0:
        _tick(seconds, send)
    late_s: list[float] = []
    poll = select.epoll()
    readers = {pair[0].fileno(): pair[0] for pair in pairs}
    for fd in readers:
        poll.register(fd, select.EPOLLIN)
    wanted, cpu_s = lines * round(seconds / TICK_S), time.process_time()
    while len(late_s) < wanted:
        for fd, _ in poll.poll(5):
            packet = readers[fd].recv(FRAME_BYTES)
            np.frombuffer(packet, np.int16)
            late_s.append(time.monotonic() - STAMP.unpack_from(packet)[0])
    cpu_s = time.process_time() - cpu_s
    os.waitpid(pid, 0)
    poll.close()
    for pair in pairs:
        pair[0].close()
        pair[1].close()
    return _figures(late_s, cpu_s, wanted)


def shared(lines: int, seconds: float) -> dict[str, float]:
    """A ring of slots in shared memory for each line, and one eventfd for all."""
    memory = shared_memory.SharedMemory(create=True, size=lines * (8 + SLOTS * SLOT_BYTES))
    buffer, wake = memory.buf, os.eventfd(0)
    heads = np.ndarray((lines,), np.int64, buffer)
    heads[:] = 0
    base = 8 * lines

    def send(frame: bytes) -> None:
        for line in range(lines):
            at = base + (line * SLOTS + int(heads[line]) % SLOTS) * SLOT_BYTES
            buffer[at : at + FRAME_BYTES] = STAMP.pack(time.monotonic()) + frame
            heads[line] += 1
            os.eventfd_write(wake, 1)

    pid = os.fork()
    if pid == 0:
        _tick(seconds, send)
    late_s: list[float] = []
    tails = [0] * lines
    wanted, cpu_s = lines * round(seconds / TICK_S), time.process_time()
    while len(late_s) < wanted:
        os.eventfd_read(wake)
        for line in range(lines):
            while tails[line] < heads[line]:
                at = base + (line * SLOTS + tails[line] % SLOTS) * SLOT_BYTES
                packet = bytes(buffer[at : at + FRAME_BYTES])
                np.frombuffer(packet, np.int16)
                late_s.append(time.monotonic() - STAMP.unpack_from(packet)[0])
                tails[line] += 1
    cpu_s = time.process_time() - cpu_s
    os.waitpid(pid, 0)
    return _released(memory, wake, late_s, cpu_s, wanted)


def _released(memory: shared_memory.SharedMemory, wake: int, late_s: list[float], cpu_s: float, wanted: int) -> dict[str, float]:
    """The views are gone with their function."""
    memory.close()
    memory.unlink()
    os.close(wake)
    return _figures(late_s, cpu_s, wanted)


async def _pass_on(one: Any, other: Any, left_out: list[Any], in_hand_s: float) -> None:
    """What a user writes."""
    from sipcore import InvalidState

    with contextlib.suppress(InvalidState):  # the other one has ended before
        async for frame in one.audio():
            if other.queued_s <= in_hand_s:
                other.write(frame)
            else:
                left_out.append(frame)  # rather than being late from now on


async def _pair(switch: Any, number: int, port: int, left_out: list[Any], in_hand_s: float | None) -> tuple[list[Any], list[Any]]:
    """Two far ends that talk to each other: our calls, and what carries their audio; `in_hand_s` is `None` where PJSIP does."""
    from sipcore import Connect, Sleep

    uris = [f"sip:{side}{number}@127.0.0.1:{port}" for side in "ab"]
    if in_hand_s is None:
        return [switch.calls.create(destination=uris[0], actions=[Connect([uris[1]])])], []
    calls = [switch.calls.create(destination=uri, actions=[Sleep(3_600_000)]) for uri in uris]
    sessions = [switch.session(call.id) for call in calls]
    await asyncio.gather(*(session.answered for session in sessions))
    return calls, [asyncio.create_task(_pass_on(*pair, left_out, in_hand_s)) for pair in (calls, calls[::-1])]


async def measure_calls(settings: argparse.Namespace, in_hand_s: float | None) -> dict[str, Any]:
    """Pairs of far ends that hear each other."""
    from sipcore import AsyncSwitch

    options = ["--send", "code", "--code-period-ms", "1000", "--window", str(settings.seconds), "--settle", "3", "--wait-s", "30"]
    options += ["--rtp-base", "20000", "--label", settings.label]
    async with AsyncSwitch(**harness.switch_settings(max_legs=max(4, settings.calls))) as switch:
        with Generator(settings.calls, *options) as generator:
            left_out: list[Any] = []
            pairs = await asyncio.gather(
                *(_pair(switch, number, generator.port, left_out, in_hand_s) for number in range(settings.calls // 2))
            )
            await asyncio.to_thread(generator.wait_for, "up", 30)
            calls, tasks = ([item for pair in pairs for item in pair[part]] for part in (0, 1))
            left_out.clear()
            cpu_s, start_s, stolen = time.process_time(), time.monotonic(), harness.Stolen()
            before = {process.pid: process.cpu_s for process in harness.descendants(memory=False)}
            await asyncio.sleep(settings.seconds)
            after = {process.pid: process.cpu_s for process in harness.descendants(memory=False)}
            lasted_s, steal_share = time.monotonic() - start_s, stolen.share
            control = (time.process_time() - cpu_s) / lasted_s
            workers = sum(after[pid] - before[pid] for pid in after if pid in before) / lasted_s
            await asyncio.to_thread(generator.wait_for, "closed", settings.seconds + 60)
            lines = [line for call in calls for line in switch.session(call.id)._lines.values()]
            figures = {
                "steal_share": steal_share,
                "control_share_per_call": control / settings.calls,
                "worker_share_per_call": workers / settings.calls,
                "lost_samples": sum(line.lost for line in lines),
                "left_out_frames": len(left_out),
                "underruns": sum(line.underruns for line in lines),
                "queued_ms": max((line.queued_samples / 8 for line in lines), default=0.0),
            }
            for call in calls:
                call.hangup()
            await asyncio.gather(*(call.wait() for call in calls), *tasks)
            result = await asyncio.to_thread(generator.finish)
    return {**result, "live_audio": figures}


def show(name: str, result: dict[str, Any], load: float) -> None:
    """One run on the terminal."""
    live, rtp = result["live_audio"], result["rtp"]
    rows = [
        ("mouth to ear", in_ms(result["bridge"]["latency_ms"], "p50", "p99", "max")),
        ("lost by sequence", str(rtp["seq_lost"])),
        ("lost samples, frames left out, late ticks", f"{live['lost_samples']}, {live['left_out_frames']}, {live['underruns']}"),
        ("waits in the line", f"{live['queued_ms']:.0f} ms at the most"),
        ("CPU of call control", f"{live['control_share_per_call']:.2%} of a core per call"),
        ("CPU of the worker", f"{live['worker_share_per_call']:.2%} of a core per call"),
        ("load average, steal", f"{load:.1f}, {live['steal_share']:.1%}"),
    ]
    harness.print_table(rows, name)


def main() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--calls", type=int, default=8)
    parser.add_argument("--lines", type=int, default=32, help="of the comparison without calls")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument(
        "--in-hand-ms", type=float, default=40.0, help="more is not kept for a late event loop: a frame is left out (default %(default)g)"
    )
    settings = parser.parse_args()
    for name, road in (("Unix sockets", sockets), ("shared memory", shared)):
        figures = road(settings.lines, settings.seconds / 2)
        rows = [(key, f"{value:.2f}") for key, value in figures.items()]
        harness.print_table([*rows, ("load average", f"{os.getloadavg()[0]:.1f}")], f"{name}, {settings.lines} lines")
    for name, in_hand_s in (("bridged by PJSIP", None), ("through numpy", settings.in_hand_ms / 1000)):
        result = asyncio.run(measure_calls(settings, in_hand_s))
        show(f"{name}, {settings.calls} calls", result, os.getloadavg()[0])
        print(f"  added to {harness.save('live_audio', settings, result)}")


if __name__ == "__main__":
    main()
