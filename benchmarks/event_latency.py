"""Event to handler: from the SIP message at the front door to the line of Python that awaits the event.

A telephone in a process of its own rings, answers and hangs up. Its 180, 200 and BYE are stamped by the front door as they are read; the
events they cause are stamped by the `async for` over `call.events()` in the user's process. Between the two lie the front door, the PJSIP
process, two pipes, the state of the call and its store.

    python benchmarks/event_latency.py --calls 4 --each 25
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from typing import Any, Final

import harness
from harness import in_ms

PHONE: Final = """
import sys
from sipcore.testing.phone import Phone
with Phone("bench") as phone:
    phone.answer_after(0.1)
    phone.hang_up_after(0.2)
    print(phone.uri, flush=True)
    sys.stdin.read()
"""
EVENTS: Final = {"180": "CallRinging", "200": "CallAnswered", "BYE": "CallHangup"}


async def one_call(switch: Any, uri: str) -> dict[str, float]:
    """Seconds from each message to its event, by the name of the event."""
    from sipcore import Stop

    seen: dict[str, float] = {}
    call = switch.calls.create(destination=uri, actions=[Stop()])
    async for event in call.events():
        seen.setdefault(type(event).__name__, time.time())
    delays: dict[str, float] = {}
    for message in await switch.calls.trace(call.id):
        start = message.text.split("\r\n", 1)[0].split(" ")
        name = EVENTS.get(start[1] if start[0] == "SIP/2.0" else start[0])
        if not message.is_sent and name is not None and name not in delays:
            delays[name] = seen[name] - message.time
    return delays


async def measure(settings: argparse.Namespace, uri: str) -> dict[str, Any]:
    """Calls one after the other, some of them at once."""
    from sipcore import AsyncSwitch

    async with AsyncSwitch(**harness.switch_settings(max_legs=max(8, settings.calls))) as switch:
        await one_call(switch, uri)  # the first one loads what is loaded late
        found: list[dict[str, float]] = []

        async def row(number: int) -> None:
            await asyncio.sleep(0.037 * number)
            found.extend([await one_call(switch, uri) for _ in range(settings.each)])

        stolen = harness.Stolen()
        await asyncio.gather(*(row(number) for number in range(settings.calls)))
        steal_share = stolen.share
    result: dict[str, Any] = {"calls": len(found), "steal_share": steal_share, "steal_over_3_percent": steal_share > 0.03}
    for name in EVENTS.values():
        delays_ms = sorted(1000 * delays[name] for delays in found)
        parts = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
        result[name] = {part: delays_ms[min(len(delays_ms) - 1, int(share * len(delays_ms)))] for part, share in parts}
        result[name]["max"] = delays_ms[-1]
    return result


def main() -> None:
    """One or more rounds."""
    parser = harness.arguments(__doc__)
    parser.add_argument("--calls", type=int, default=4, help="at once")
    parser.add_argument("--each", type=int, default=25, help="one after the other")
    settings = parser.parse_args()
    with subprocess.Popen([sys.executable, "-c", PHONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as phone:
        assert phone.stdout is not None
        uri = phone.stdout.readline().strip()
        for number in range(settings.rounds):
            result = asyncio.run(measure(settings, uri))
            harness.save("event_latency", settings, result)
            rows = [(f"{code} to {name}", in_ms(result[name], "p50", "p90", "p99", "max")) for code, name in EVENTS.items()]
            rows.append(
                ("steal", f"{result['steal_share']:.1%}" + (", over 3 %: do not quote this run" if result["steal_over_3_percent"] else ""))
            )
            harness.print_table(rows, f"round {number + 1}: {result['calls']} calls, {settings.calls} at once")


if __name__ == "__main__":
    main()
