"""One bridged pair: one-way mouth-to-ear delay, and does each side hear the other?

The switch calls `a`, which answers, and connects it to `b`. Both are legs of the same generator, so one clock times both ends of each
coded tone. Every round is a new call: the delay depends on how the 20 ms rasters of the two sides happen to lie.

    python benchmarks/bridge.py --rounds 5 --seconds 20
"""

from __future__ import annotations

import argparse
from typing import Any

import harness
from harness import Generator, in_ms


def measure(settings: argparse.Namespace, generator_core: int | None, switch: Any) -> dict[str, Any]:
    """One round with a switch that is already up."""
    from sipcore import Connect

    options = ["--send", "code", "--code-period-ms", "1000", "--window", str(settings.seconds), "--settle", "3", "--wait-s", "30"]
    options += ["--answer-ms", str(settings.answer_ms), "--rtp-base", "20000", "--label", settings.label]
    legs = 2 * settings.pairs
    with Generator(legs, *options, core=generator_core) as generator:
        target = f"127.0.0.1:{generator.port}"
        calls = [
            switch.calls.create(destination=f"sip:a{pair}@{target}", actions=[Connect([f"sip:b{pair}@{target}"])])
            for pair in range(settings.pairs)
        ]
        generator.wait_for("closed", timeout_s=settings.seconds + 60)
        for call in calls:
            switch.calls.hangup(call.id)
        for call in calls:
            call.wait(timeout_s=30)
        return generator.finish()


def heard_right(result: dict[str, Any], pairs: int) -> bool:
    """Each side of each pair hears exactly its other side."""
    heard = {(way["from"], way["to"]) for way in result["bridge"]["directions"]}
    wanted = {way for pair in range(pairs) for way in ((f"a{pair}", f"b{pair}"), (f"b{pair}", f"a{pair}"))}
    return heard == wanted and result["bridge"]["id_bad"] == 0


def show(settings: argparse.Namespace, result: dict[str, Any], round_number: int) -> None:
    """The table on the terminal."""
    rtp = result["rtp"]
    ways = [
        (f"{way['from']} to {way['to']}", f"{way['good']} codes, {in_ms(way['latency_ms'])}") for way in result["bridge"]["directions"][:8]
    ]
    rows = [
        *ways,
        ("both ways", in_ms(result["bridge"]["latency_ms"], "p50", "p99", "max")),
        ("heard the right side", "yes" if result["heard_right"] else f"NO, {result['bridge']['id_bad']} wrong codes"),
        ("lost by sequence", str(rtp["seq_lost"])),
        ("deviation from 20 ms", in_ms(rtp["dev_ms"], "p50", "p99", "max")),
        ("CPU", f"{result['server']['cores'] * 1000 / settings.pairs:.2f} ms per pair-second"),
        ("steal", f"{result['steal_share']:.1%}" + (", over 3 %: do not quote this run" if result["steal_over_3_percent"] else "")),
    ]
    harness.print_table(rows, f"bridge, {settings.pairs} pair(s), round {round_number}")


def main() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=20, help="length of the measuring window of each round")
    parser.add_argument("--answer-ms", type=int, default=0, help="each side rings so long")
    parser.set_defaults(rounds=3)
    settings = parser.parse_args()
    from sipcore import Switch

    generator_core, switch_core = harness.cores_for(pinned=settings.pin)
    if switch_core is not None:
        harness.pin(switch_core)
    with Switch(**harness.switch_settings(max_legs=2 * settings.pairs)) as switch:
        for round_number in range(1, settings.rounds + 1):
            result = measure(settings, generator_core, switch)
            result["heard_right"] = heard_right(result, settings.pairs)
            show(settings, result, round_number)
            print(f"  added to {harness.save('bridge', settings, result)}")


if __name__ == "__main__":
    main()
