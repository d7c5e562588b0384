"""Simultaneous outbound calls that play G.711: answered, lost packets, rhythm of the packets, time to the first sound, CPU and memory.

python benchmarks/outbound.py --calls 64 --seconds 20             on all cores
python benchmarks/outbound.py --calls 64 --seconds 20 --pin       the generator on one core, the switch on the other
"""

from __future__ import annotations

import argparse
import math
import os
import time
from typing import Any

import harness
from harness import Generator, in_ms


def measure(settings: argparse.Namespace) -> dict[str, Any]:
    """One round: a fresh switch places the calls, the generator measures them, the switch hangs up."""
    from sipcore import Switch

    generator_core, switch_core = harness.cores_for(pinned=settings.pin)
    ramp_s = settings.calls / settings.ramp
    wav = harness.tone_wav(math.ceil(ramp_s + settings.settle + settings.seconds + 60))
    options = ["--window", str(settings.seconds), "--settle", str(settings.settle), "--wait-s", str(math.ceil(ramp_s + 20))]
    options += ["--answer-ms", str(settings.answer_ms), "--send", settings.send, "--rtp-base", "20000", "--label", settings.label]
    allowed = os.sched_getaffinity(0)
    if switch_core is not None:
        harness.pin(switch_core)
    try:
        with (
            Switch(**harness.switch_settings(max_legs=settings.max_legs or settings.calls)) as switch,
            Generator(settings.calls, *options, core=generator_core) as generator,
        ):
            return _call_and_measure(settings, switch, generator, str(wav))
    finally:
        os.sched_setaffinity(0, allowed)


def _call_and_measure(settings: argparse.Namespace, switch: Any, generator: Generator, wav: str) -> dict[str, Any]:
    from sipcore import Play

    calls = []
    start = time.monotonic()
    for number in range(settings.calls):
        time.sleep(max(0.0, start + number / settings.ramp - time.monotonic()))
        calls.append(switch.calls.create(destination=f"sip:bench@127.0.0.1:{generator.port}", actions=[Play([wav])]))
    generator.wait_for("closed", timeout_s=settings.calls / settings.ramp + settings.settle + settings.seconds + 40)
    for call in calls:
        switch.calls.hangup(call.id)
    records = [call.wait(timeout_s=30) for call in calls]
    result = generator.finish()
    result["answered"] = sum(record.sip_code == 200 and record.hangup_by == "local" for record in records)
    return result


def show(settings: argparse.Namespace, result: dict[str, Any]) -> None:
    """The table on the terminal."""
    rtp, server = result["rtp"], result["server"]
    rows = [
        ("answered", f"{result['answered']} of {settings.calls}, ended early {result['dropped']}"),
        ("packets", f"{rtp['rx']} of {rtp['expected']} in the window"),
        ("lost by sequence", f"{rtp['seq_lost']} in the window, {rtp['seq_lost_whole_call']} in whole calls"),
        ("deviation from 20 ms", in_ms(rtp["dev_ms"], "p50", "p99", "p999", "max")),
        ("ACK to first packet", in_ms(result["first_rtp_ms"])),
        ("ACK to first audible packet", in_ms(result["first_audible_ms"])),
        ("CPU", f"{server['cores']:.3f} cores, {server['cpu_ms_per_call_s']:.2f} ms per call-second"),
        (
            "memory (PSS)",
            f"{server['pss_up_mb']:.0f} MB in {server['procs_up']} processes, {server.get('pss_kb_per_call', 0):.0f} KB per call",
        ),
        ("generator", f"late by at most {result['harness']['tick_late_max_ms']:.1f} ms, {result['harness']['cpu_s']:.1f} s CPU"),
        ("steal", f"{result['steal_share']:.1%}" + (", over 3 %: do not quote this run" if result["steal_over_3_percent"] else "")),
    ]
    harness.print_table(rows, f"{settings.calls} outbound calls, {settings.seconds} s, {'pinned' if settings.pin else 'not pinned'}")


def main() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--calls", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=20, help="length of the measuring window")
    parser.add_argument("--ramp", type=float, default=20, help="calls placed per second")
    parser.add_argument("--settle", type=float, default=2, help="seconds between the last answer and the window")
    parser.add_argument("--answer-ms", type=int, default=0, help="the far end rings so long")
    parser.add_argument("--send", choices=("none", "silence", "tone"), default="silence", help="what the far end says")
    parser.add_argument("--max-legs", type=int, default=0, help="limit given to the switch; 0: as many as calls")
    settings = parser.parse_args()
    for _ in range(settings.rounds):
        result = measure(settings)
        show(settings, result)
        print(f"  added to {harness.save('outbound', settings, result)}")


if __name__ == "__main__":
    main()
