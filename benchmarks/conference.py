"""A room of calls: how late each hears the others, what is lost, and what it costs.

Two legs tell the delay, by coded tones that nobody else speaks over; a full room tells the rest.

    python benchmarks/conference.py --legs 30 --seconds 20
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from typing import Any

import harness
from harness import Generator, in_ms


async def measure(settings: argparse.Namespace, legs: int) -> dict[str, Any]:
    """One room."""
    from sipcore import AsyncSwitch, ConferenceJoin
    from sipcore.record import NIL_ID

    options = ["--send", "code", "--code-period-ms", "1000", "--window", str(settings.seconds), "--settle", "3", "--wait-s", "60"]
    options += ["--rtp-base", "20000", "--label", settings.label]
    async with AsyncSwitch(**harness.switch_settings(max_legs=max(4, legs))) as switch:
        with Generator(legs, *options) as generator:
            uris = [f"sip:{'ab'[number % 2]}{number // 2}@127.0.0.1:{generator.port}" for number in range(legs)]
            join = ConferenceJoin("bench", entry_tone=False, exit_tone=False)
            calls = [switch.calls.create(destination=uri, actions=[join]) for uri in uris]
            while [call.record.conf_id for call in calls].count(NIL_ID):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            room = switch.exchange.conferences.room("bench")
            await asyncio.to_thread(generator.wait_for, "up", 60)
            dropped = sum(member.dropped for member in room.members)
            cpu_s, start_s = time.process_time(), time.monotonic()
            before = {process.pid: process.cpu_s for process in harness.descendants(memory=False)}
            await asyncio.sleep(settings.seconds)
            lasted_s, control_s = time.monotonic() - start_s, time.process_time() - cpu_s
            after = {process.pid: process.cpu_s for process in harness.descendants(memory=False)}
            figures = {
                "control_share_per_leg": control_s / lasted_s / legs,
                "worker_share_per_leg": sum(after[pid] - before[pid] for pid in after if pid in before) / lasted_s / legs,
                "dropped_frames": sum(member.dropped for member in room.members) - dropped,
                "frames": round(2 * legs * lasted_s / 0.02),
                "workers": len([view for view in switch.engine.workers() if view.legs]),
                "load_average": os.getloadavg()[0],
            }
            await asyncio.to_thread(generator.wait_for, "closed", settings.seconds + 60)
            for call in calls:
                call.hangup()
            await asyncio.gather(*(call.wait() for call in calls))
            result = await asyncio.to_thread(generator.finish)
    return {**result, "room": figures}


def show(legs: int, result: dict[str, Any]) -> None:
    """One room on the terminal."""
    room = result["room"]
    rows = [
        ("lost by sequence", str(result["rtp"]["seq_lost"])),
        ("frames left out", f"{room['dropped_frames']} of {room['frames']}"),
        ("workers", str(room["workers"])),
        ("CPU of call control", f"{room['control_share_per_leg']:.2%} of a core per leg"),
        ("CPU of the workers", f"{room['worker_share_per_leg']:.2%} of a core per leg"),
        ("load average", f"{room['load_average']:.1f}"),
    ]
    if legs == 2:
        rows.insert(0, ("mouth to ear", in_ms(result["bridge"]["latency_ms"], "p50", "p99", "max")))
    harness.print_table(rows, f"a room of {legs}")


def main() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--legs", type=int, default=30)
    parser.add_argument("--seconds", type=int, default=20)
    settings = parser.parse_args()
    for legs in (2, settings.legs):
        result = asyncio.run(measure(settings, legs))
        show(legs, result)
        print(f"  added to {harness.save('conference', settings, result)}")


if __name__ == "__main__":
    main()
