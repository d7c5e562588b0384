"""`sipcore serve` as `http_calls.py` measures it: in a process of its own that notes every pause for garbage, and what that process used.

python benchmarks/http_server.py pjsip|fake CONFIG HOST:PORT PAUSES   # PAUSES is the file that the pauses are written to at the end
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server has used so far, by `/proc`."""

    at_s: float
    """`time.perf_counter`: the same clock in every process of the machine."""
    main_cpu_s: float
    """All threads of call control."""
    door_cpu_s: float
    loop_waited_s: float
    """Its event loop was ready to run, and others had the cores."""

    @classmethod
    def read(cls, pid: int) -> Usage:
        """Of a server, now."""
        doors = sum(_cpu_s(child) for child in _children(pid) if b"sipcore.frontdoor.process" in _read(f"/proc/{child}/cmdline"))
        waited_ns = int(_read(f"/proc/{pid}/schedstat").split()[1])
        return cls(time.perf_counter(), _cpu_s(pid), doors, waited_ns / 1e9)


def spent(before: Usage, after: Usage, requests: int, pauses: Path) -> dict[str, Any]:
    """What each request has cost, and the pauses for garbage of the time between."""
    listed: list[list[float]] = json.loads(pauses.read_text())
    lengths_ms = [[length_ms for at_s, kind, length_ms in listed if kind == generation and before.at_s <= at_s] for generation in range(3)]
    lasted_s = after.at_s - before.at_s
    return {
        "main_cpu_ms_per_request": round((after.main_cpu_s - before.main_cpu_s) / requests * 1000, 2),
        "door_cpu_ms_per_request": round((after.door_cpu_s - before.door_cpu_s) / requests * 1000, 2),
        "loop_waited_for_a_core_percent": round((after.loop_waited_s - before.loop_waited_s) / lasted_s * 100, 1),
        "gc_pauses": [len(lengths) for lengths in lengths_ms],
        "gc_longest_ms": [round(max(lengths, default=0.0), 1) for lengths in lengths_ms],
        "load_average": round(os.getloadavg()[0], 1),
    }


def _cpu_s(pid: int) -> float:
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S if fields else 0.0


def _children(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _read(str(task / "children")).split()]


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


class _Pauses:
    """Notes each collection: when it ended (`time.perf_counter`), its generation, how long it took in ms of CPU time."""

    def __init__(self) -> None:
        self.listed: list[tuple[float, int, float]] = []
        self._began_s = 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_s = time.thread_time()
        else:
            self.listed.append((time.perf_counter(), info["generation"], (time.thread_time() - self._began_s) * 1000))


async def _serve_fake(config: str, listen: str) -> None:
    import signal

    from sipcore.cli.serve import settle
    from sipcore.config import load_config
    from sipcore.http.addresses import bind, parse_listen, url_of
    from sipcore.http.server import HttpServer
    from sipcore.switch import AsyncSwitch
    from sipcore.testing.fake_engine import FakeEngine, FarEnd

    settings = load_config(config)
    engine = FakeEngine(max_legs=settings.max_legs)
    engine.far_end("busy", FarEnd(reject_code=486, ring_after_s=None, answer_after_s=0.02))
    stop, sock = asyncio.Event(), bind(*parse_listen(listen))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with HttpServer(AsyncSwitch(engine=engine, config=settings), sock):
        settle()
        print(f"sipcore: HTTP at {url_of(sock)}, SIP nowhere", flush=True)
        await stop.wait()


def main(engine: str, config: str, listen: str, pauses_file: str) -> None:
    """Serve until SIGTERM."""
    pauses = _Pauses()
    gc.callbacks.append(pauses)  # type: ignore[arg-type]
    try:
        if engine == "fake":
            import logging

            import uvloop

            from sipcore.cli.serve import SWITCH_INTERVAL_S

            logging.basicConfig(level=logging.INFO)  # its log is part of what a call costs
            sys.setswitchinterval(SWITCH_INTERVAL_S)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve_fake(config, listen))
        else:
            from sipcore.cli import main as sipcore

            sipcore(["serve", "--config", config, "--http", listen])
    finally:
        Path(pauses_file).write_text(json.dumps(pauses.listed))


if __name__ == "__main__":
    main(*sys.argv[1:])
