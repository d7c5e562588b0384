"""What a switch costs that does nothing: CPU share and private memory of idle workers; then the memory that each leg adds.

python benchmarks/idle.py --workers 8 --seconds 60
"""

from __future__ import annotations

import math
import os
import statistics
import time
from typing import Any

import harness
from harness import Generator, Process


def _workers(processes: list[Process]) -> list[Process]:
    """A server process forks the workers, so they are grandchildren."""
    return [process for process in processes if process.depth >= 2]


def measure_idle(seconds: int) -> dict[str, Any]:
    """CPU and memory of all processes of a switch without calls."""
    control_s, steal_s, start = time.process_time(), harness.steal_s(), time.monotonic()
    before = {process.pid: process for process in harness.descendants(memory=False)}
    time.sleep(seconds)
    lasted_s = time.monotonic() - start
    after = [process for process in harness.descendants() if process.pid in before]
    control_s, steal_s = time.process_time() - control_s, harness.steal_s() - steal_s

    def line(process: Process) -> dict[str, Any]:
        share = (process.cpu_s - before[process.pid].cpu_s) / lasted_s
        return {
            "depth": process.depth,
            "name": process.name,
            "cpu_share": share,
            "private_kb": process.private_kb,
            "pss_kb": process.pss_kb,
        }

    workers = [line(process) for process in _workers(after)]
    return {
        "workers": workers,
        "others": [line(process) for process in after if process.depth < 2],
        "control": {"cpu_share": control_s / lasted_s, "pss_kb": harness.own_pss_kb()},
        "cpu_share_per_worker": statistics.mean(worker["cpu_share"] for worker in workers) if workers else None,
        "private_kb_per_worker": statistics.median(worker["private_kb"] for worker in workers) if workers else None,
        "private_kb_largest": max((worker["private_kb"] for worker in workers), default=None),
        "seconds": lasted_s,
        "steal_share": steal_s / lasted_s,
    }


def _total_pss_kb() -> int:
    return harness.own_pss_kb() + sum(process.pss_kb for process in harness.descendants())


def measure_legs(switch: Any, legs: int, steps: int) -> dict[str, Any]:
    """PSS of the whole switch while legs are added in steps; the slope of the line through the points is the memory per leg."""
    from sipcore import Play

    wav = str(harness.tone_wav(300))
    size = max(1, legs // steps)
    points = [(0, _total_pss_kb())]
    calls = []
    options = ["--wait-s", "240", "--window", "1", "--settle", "2", "--rtp-base", "20000", "--send", "silence"]
    with Generator(size * steps, *options) as generator:
        for _ in range(steps):
            for _ in range(size):
                calls.append(switch.calls.create(destination=f"sip:bench@127.0.0.1:{generator.port}", actions=[Play([wav])]))
                time.sleep(0.05)
            time.sleep(3)
            points.append((len(calls), _total_pss_kb()))
        generator.wait_for("closed", timeout_s=60)
        for call in calls:
            switch.calls.hangup(call.id)
        for call in calls:
            call.wait(timeout_s=30)
        result = generator.finish()
    slope = statistics.linear_regression([x for x, _ in points], [y for _, y in points]).slope
    return {"points_kb": points, "pss_kb_per_leg": slope, "complete": result["complete"]}


def show(result: dict[str, Any]) -> None:
    """The table on the terminal."""
    idle, rows = result["idle"], []
    if idle["workers"]:
        rows = [
            ("idle workers", str(len(idle["workers"]))),
            ("CPU of an idle worker", f"{idle['cpu_share_per_worker']:.2%} of a core (mean)"),
            (
                "private memory of a worker",
                f"{idle['private_kb_per_worker'] / 1024:.1f} MB (largest {idle['private_kb_largest'] / 1024:.1f})",
            ),
        ]
    else:
        rows = [("idle workers", "none found: were they started?")]
    rows += [
        (f"other process {other['name']}", f"{other['cpu_share']:.2%}, {other['pss_kb'] / 1024:.1f} MB PSS") for other in idle["others"]
    ]
    rows += [("this process (call control)", f"{idle['control']['cpu_share']:.2%}, {idle['control']['pss_kb'] / 1024:.1f} MB PSS")]
    if "legs" in result:
        rows += [("memory of an added leg (PSS)", f"{result['legs']['pss_kb_per_leg']:.0f} KB")]
    rows += [("steal", f"{idle['steal_share']:.1%}")]
    harness.print_table(rows, f"idle for {idle['seconds']:.0f} s on {os.cpu_count()} cores")


def main() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--workers", type=int, default=8, help="min_workers of the switch")
    parser.add_argument("--seconds", type=int, default=60, help="how long to look at the idle workers")
    parser.add_argument("--settle", type=float, default=5, help="seconds between start and measurement")
    parser.add_argument("--legs", type=int, default=32, help="legs to add afterwards; 0: skip that part")
    parser.add_argument("--leg-steps", type=int, default=4)
    settings = parser.parse_args()
    from sipcore import Switch

    for _ in range(settings.rounds):
        max_legs = max(math.ceil(settings.legs / settings.leg_steps) * settings.leg_steps, settings.workers * 4)
        with Switch(**harness.switch_settings(max_legs=max_legs, min_workers=settings.workers)) as switch:
            time.sleep(settings.settle)
            result: dict[str, Any] = {"idle": measure_idle(settings.seconds)}
            if settings.legs:
                result["legs"] = measure_legs(switch, settings.legs, settings.leg_steps)
        show(result)
        print(f"  added to {harness.save('idle', settings, result)}")


if __name__ == "__main__":
    main()
