"""A room of calls: how late each hears the others, what is lost, and what it costs.

One leg after the other speaks a coded tone, a second each, and all others time it: so the delay is that between any two of the full room,
who are in different workers for the most part.

    python benchmarks/conference.py --legs 30 --seconds 30
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from statistics import mean
from typing import Any

import harness
from harness import Generator, in_ms


async def measure(settings: argparse.Namespace, legs: int) -> dict[str, Any]:
    """One room."""
    from sipcore import AsyncSwitch, ConferenceJoin
    from sipcore.record import NIL_ID

    options = ["--send", "code", "--turns", "--window", str(settings.seconds), "--settle", "3", "--wait-s", "60"]
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
            before_dropped, before_late = counted(room)
            cpu_s, start_s = time.process_time(), time.monotonic()
            before = {process.pid: process.cpu_s for process in harness.descendants(memory=False)}
            await asyncio.sleep(settings.seconds)
            lasted_s, control_s = time.monotonic() - start_s, time.process_time() - cpu_s
            after = {process.pid: process.cpu_s for process in harness.descendants(memory=False)}
            dropped, late = counted(room)
            said, heard = zip(*(member.depth_frames for member in room.members), strict=True)
            figures = {
                "control_share_per_leg": control_s / lasted_s / legs,
                "worker_share_per_leg": sum(after[pid] - before[pid] for pid in after if pid in before) / lasted_s / legs,
                "dropped_frames": dropped - before_dropped,
                "late_frames": late - before_late,
                "depth_said_frames": mean(said),
                "depth_heard_frames": mean(heard),
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


def counted(room: Any) -> tuple[int, int]:
    """Frames that were left out, and that came too late, up to now."""
    return sum(member.dropped for member in room.members), sum(member.late for member in room.members)


def show(legs: int, result: dict[str, Any]) -> None:
    """One room on the terminal."""
    room = result["room"]
    bridge = result["bridge"]
    rows = [
        ("mouth to ear", in_ms(bridge["latency_ms"], "p50", "p99", "max")),
        ("tones heard", f"{bridge['id_ok']}, and {bridge['id_bad']} not as they were said"),
        ("lost by sequence", str(result["rtp"]["seq_lost"])),
        ("frames left out", f"{room['dropped_frames']} of {room['frames']}"),
        ("frames too late", f"{room['late_frames']} of {room['frames']}"),
        ("depth", f"{room['depth_said_frames']:.1f} frames of what is said, {room['depth_heard_frames']:.1f} of what is heard"),
        ("workers", str(room["workers"])),
        ("CPU of call control", f"{room['control_share_per_leg']:.2%} of a core per leg"),
        ("CPU of the workers", f"{room['worker_share_per_leg']:.2%} of a core per leg"),
        ("load average", f"{room['load_average']:.1f}"),
    ]
    harness.print_table(rows, f"a room of {legs}")


def main() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--legs", type=int, default=30)
    parser.add_argument("--seconds", type=int, default=30, help="as many as legs lets each speak once")
    settings = parser.parse_args()
    result = asyncio.run(measure(settings, settings.legs))
    show(settings.legs, result)
    print(f"  added to {harness.save('conference', settings, result)}")


if __name__ == "__main__":
    main()
