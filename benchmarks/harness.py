"""What the benchmark programs share: the load generator, a test tone, /proc readings, and the file of results."""

from __future__ import annotations

import argparse
import array
import json
import math
import os
import platform
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from build import build

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "bench"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

sys.path.insert(0, str(ROOT))  # the checkout is measured, installed or not


# ---------------------------------------------------------------------------------------------------- generator


class Generator:
    """`sipload` as a child process: the far end of every call the switch places (mode `wait`), or who calls it (`hold`, `cps`).

    `port` is its SIP port. `wait_for("closed")` returns when the measuring window is over; `finish` returns the result.
    """

    def __init__(self, calls: int, *options: str, mode: str = "wait", core: int | None = None) -> None:
        handle, path = tempfile.mkstemp(suffix=".json", prefix="sipload-")
        os.close(handle)
        self._json = Path(path)
        command = [str(build("sipload")), "--mode", mode, "--local", "127.0.0.1:0", "--calls", str(calls), "--pids", str(os.getpid())]
        self._process = subprocess.Popen([*command, "--json", path, *options], stdout=subprocess.PIPE, text=True)
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self.port = int(self._next_line(timeout_s=10))

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())
        self._lines.put("")  # the program has ended

    def _next_line(self, timeout_s: float) -> str:
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError("the load generator says nothing") from None
        if not line:
            raise RuntimeError(f"the load generator ended early with status {self._process.wait(5)}")
        return line

    def wait_for(self, word: str, timeout_s: float) -> None:
        """Returns when the generator has announced `up` (all calls answered), `open` or `closed` (the measuring window)."""
        end = time.monotonic() + timeout_s
        while self._next_line(max(0.1, end - time.monotonic())) != word:
            pass

    def finish(self, timeout_s: float = 60) -> dict[str, Any]:
        """The result, once the generator has seen all calls end."""
        self._process.wait(timeout_s)
        result: dict[str, Any] = json.loads(self._json.read_text())
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._json.unlink(missing_ok=True)


# -------------------------------------------------------------------------------------------------------- audio


def tone_wav(seconds: int, rate_hz: int = 8000, tone_hz: int = 440) -> Path:
    """A mono 16-bit file that is audible from its first sample to its last."""
    path = RESULTS / "audio" / f"tone-{seconds}s.wav"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    second = array.array("h", (round(8000 * math.cos(2 * math.pi * tone_hz * i / rate_hz)) for i in range(rate_hz)))
    fresh = path.with_suffix(".new")
    with wave.open(str(fresh), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate_hz)
        out.writeframes(second.tobytes() * seconds)
    fresh.replace(path)
    return path


def switch_settings(**settings: Any) -> dict[str, Any]:
    """Keywords of `Switch`: signalling and media on loopback, where the generator is, and files in `build/bench`."""
    return {
        "sip_address": "127.0.0.1:0",
        "public_address": "127.0.0.1",
        "media_root": str(RESULTS / "audio"),
        "cache_dir": str(RESULTS / "cache"),
        "store": ":memory:",
        **settings,
    }


# -------------------------------------------------------------------------------------------------------- /proc


@dataclass(frozen=True, slots=True)
class Process:
    """One descendant of this program. `depth` 1 is a child, 2 a grandchild: the workers, which a server process forks."""

    pid: int
    depth: int
    name: str
    cpu_s: float
    pss_kb: int
    private_kb: int


def _stat(pid: int) -> tuple[str, int, float] | None:
    """Name, parent and CPU seconds of a process; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return name, int(fields[1]), (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _memory_kb(pid: int) -> tuple[int, int]:
    """PSS and private memory; zero when the process is gone."""
    sizes = {"Pss": 0, "Private_Clean": 0, "Private_Dirty": 0}
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    for line in lines:
        key, _, rest = line.partition(":")
        if key in sizes:
            sizes[key] = int(rest.split()[0])
    return sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def descendants(*, memory: bool = True, without: str = "sipload") -> list[Process]:
    """All processes below this one, but for the load generator."""
    stats = {int(entry.name): _stat(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    depths = {os.getpid(): 0}
    while True:
        new = {
            pid: depths[stat[1]] + 1
            for pid, stat in stats.items()
            if stat and pid not in depths and stat[1] in depths and stat[0] != without
        }
        if not new:
            break
        depths |= new
    found = []
    for pid, depth in depths.items():
        stat = stats.get(pid)
        if depth and stat:
            pss_kb, private_kb = _memory_kb(pid) if memory else (0, 0)
            found.append(Process(pid, depth, stat[0], stat[2], pss_kb, private_kb))
    return found


def wait_until_started(workers: int, timeout_s: float = 60) -> None:
    """Returns when so many workers of this program's switch exist and the machine's work for their start is over."""
    end = time.monotonic() + timeout_s
    used_s = -1.0
    while time.monotonic() < end:
        found = [process for process in descendants(memory=False) if process.depth == 2]
        now_s = sum(process.cpu_s for process in found)
        if len(found) >= workers and now_s - used_s < 0.25:
            return
        used_s = now_s
        time.sleep(0.5)
    raise TimeoutError(f"{workers} workers have not started within {timeout_s:g} s")


def own_pss_kb() -> int:
    """Memory of this process, which holds the switch's call control."""
    return _memory_kb(os.getpid())[0]


def steal_s() -> float:
    """Seconds of CPU time the hypervisor has given to others since boot, all cores together."""
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8]) / TICKS_PER_S


class Stolen:
    """What the hypervisor gives to others from now on."""

    def __init__(self) -> None:
        self._steal_s, self._begun_s = steal_s(), time.monotonic()

    @property
    def share(self) -> float:
        """Up to now, of the time of all cores."""
        return (steal_s() - self._steal_s) / (time.monotonic() - self._begun_s) / (os.cpu_count() or 1)


# ------------------------------------------------------------------------------------------------------ pinning


def pin(core: int) -> None:
    """Keeps this process, and what it starts from now on, on one core."""
    os.sched_setaffinity(0, {core})


def cores_for(*, pinned: bool) -> tuple[int | None, int | None]:
    """Core of the generator and core of the switch, or None and None when nothing is pinned."""
    if not pinned:
        return None, None
    cores = sorted(os.sched_getaffinity(0))  # before anything is pinned
    if len(cores) < 2:
        raise SystemExit("--pin needs two cores")
    return cores[0], cores[1]


# ------------------------------------------------------------------------------------------------------ results


def arguments(description: str | None) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--label", default="", help="goes into the result")
    parser.add_argument("--rounds", type=int, default=1, help="measure so many times; the report takes the median")
    parser.add_argument("--pin", action="store_true", help="generator on one core, the switch on another")
    return parser


def _machine() -> dict[str, Any]:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), ""
    )
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()}


def save(program: str, settings: argparse.Namespace, result: dict[str, Any]) -> Path:
    """Appends one line to `build/bench/PROGRAM.json`."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{program}.json"
    line = {
        "program": program,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": _machine(),
        "settings": vars(settings),
    }
    with path.open("a") as out:
        out.write(json.dumps(line | {"result": result}) + "\n")
    return path


def load(program: str) -> list[dict[str, Any]]:
    """All saved results of a program, oldest first."""
    path = RESULTS / f"{program}.json"
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()] if path.exists() else []


def print_table(rows: list[tuple[str, str]], title: str) -> None:
    """Two columns for the terminal."""
    width = max(len(name) for name, _ in rows)
    print(f"\n{title}")
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")


def in_ms(figures: dict[str, float], *names: str) -> str:
    """`p50 1.2, p99 3.4 ms` from a group of percentiles; a dash where nothing was measured."""
    if figures.get("n") == 0:
        return "-"
    return ", ".join(f"{name} {figures[name]:.2f}" for name in names or ("p50", "p99", "max")) + " ms"
