"""Simultaneous inbound calls that hear G.711, on one address: answered, lost packets, rhythm, time to answer and first sound, CPU, memory.

python benchmarks/inbound.py --calls 200 --seconds 20             on all cores
python benchmarks/inbound.py --calls 200 --seconds 20 --pin       the generator on one core, the switch on the other
"""

from __future__ import annotations

import argparse
import math
import os
from typing import Any

import harness
from harness import Generator, in_ms

TRUNK = {"name": "generator", "addresses": ["127.0.0.1"], "sources": ["127.0.0.0/8"]}
"""The generator's calls are a trunk's: strangers may have a quarter of the legs only."""


def measure(settings: argparse.Namespace) -> dict[str, Any]:
    """One round: a fresh switch, the generator calls it, measures, and hangs up."""
    from sipcore import Answer, Play, Switch

    generator_core, switch_core = harness.cores_for(pinned=settings.pin)
    wav = harness.tone_wav(math.ceil(settings.calls / settings.ramp + settings.settle + settings.seconds + 60))
    allowed = os.sched_getaffinity(0)
    if switch_core is not None:
        harness.pin(switch_core)
    try:
        with Switch(**harness.switch_settings(max_legs=settings.max_legs, min_workers=settings.workers, trunks=[TRUNK])) as switch:
            switch.on_call(actions=[Answer(), Play([str(wav)])])
            harness.wait_until_started(settings.workers)
            with Generator(settings.calls, *_options(settings, switch.sip_address), mode="hold", core=generator_core) as generator:
                generator.wait_for("closed", timeout_s=settings.calls / settings.ramp + settings.settle + settings.seconds + 40)
                return generator.finish()
    finally:
        os.sched_setaffinity(0, allowed)


def _options(settings: argparse.Namespace, address: str) -> list[str]:
    options = ["--target", address, "--user", "bench", "--ramp", str(settings.ramp), "--rtp-base", "34000", "--label", settings.label]
    options += ["--window", str(settings.seconds), "--settle", str(settings.settle), "--send", settings.send]
    return [*options, "--timeout-ms", "20000"]


def show(settings: argparse.Namespace, result: dict[str, Any]) -> None:
    """The table on the terminal."""
    rtp, server = result["rtp"], result["server"]
    rows = [
        ("answered", f"{result['ok']} of {settings.calls}, refused or failed {result['failed']} {result['codes'] or ''}"),
        ("ended early", str(result["dropped"])),
        ("INVITE to 200", in_ms(result["setup_ms"])),
        ("200 to first packet", in_ms(result["first_rtp_after_200_ms"])),
        ("200 to first audible packet", in_ms(result["first_audible_after_200_ms"])),
        ("packets", f"{rtp['rx']} of {rtp['expected']} in the window, {rtp['silent_ratio']:.2%} silent"),
        ("lost by sequence", f"{rtp['seq_lost']} in the window, {rtp['seq_lost_whole_call']} in whole calls"),
        ("deviation from 20 ms", in_ms(rtp["dev_ms"], "p50", "p99", "p999", "max")),
        ("CPU", f"{server['cores']:.3f} cores, {server['cpu_ms_per_call_s']:.2f} ms per call-second"),
        ("memory (PSS)", f"{server['pss_up_mb']:.0f} MB in {server['procs_up']} processes"),
        ("SIP sent again", str(result["retrans"])),
        ("generator", f"late by at most {result['harness']['tick_late_max_ms']:.1f} ms, {result['harness']['cpu_s']:.1f} s CPU"),
        ("dropped by full buffers", f"{result['harness']['udp_buffer_errors']} datagrams, anywhere on the machine"),
        ("other programs", f"{result['noise_cpu_s']:.1f} s CPU"),
        ("steal", f"{result['steal_share']:.1%}" + (", over 3 %: do not quote this run" if result["steal_over_3_percent"] else "")),
    ]
    harness.print_table(rows, f"{settings.calls} inbound calls, {settings.seconds} s, {'pinned' if settings.pin else 'not pinned'}")


def main() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=20, help="length of the measuring window")
    parser.add_argument("--ramp", type=float, default=20, help="calls placed per second")
    parser.add_argument("--settle", type=float, default=2, help="seconds between the last answer and the window")
    parser.add_argument("--send", choices=("none", "silence", "tone"), default="silence", help="what the callers say")
    parser.add_argument("--max-legs", type=int, default=220, help="limit given to the switch")
    parser.add_argument("--workers", type=int, default=50, help="workers the switch keeps ready")
    settings = parser.parse_args()
    for _ in range(settings.rounds):
        result = measure(settings)
        show(settings, result)
        print(f"  added to {harness.save('inbound', settings, result)}")


if __name__ == "__main__":
    main()
