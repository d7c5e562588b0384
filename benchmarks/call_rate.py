"""New calls a second, each answered, played to and ended: how many failed, and how long the answer took.

python benchmarks/call_rate.py --rate 50 --seconds 60                       they come in; the caller hangs up
python benchmarks/call_rate.py --rate 50 --seconds 60 --direction out       they go out; the switch hangs up
"""

from __future__ import annotations

import argparse
import math
import time
from typing import Any

from inbound import TRUNK

import harness
from harness import Generator, in_ms


def measure(settings: argparse.Namespace) -> dict[str, Any]:
    """One round with a fresh switch."""
    from sipcore import Switch

    with Switch(**harness.switch_settings(max_legs=settings.max_legs, min_workers=settings.workers, trunks=[TRUNK])) as switch:
        harness.wait_until_started(settings.workers)
        before = _cpu_s()
        result = (_inbound if settings.direction == "in" else _outbound)(settings, switch)
        result["cpu_by_role_s"] = {role: used - before[role] for role, used in _cpu_s().items()}
        return result


def _cpu_s() -> dict[str, float]:
    """Used so far by call control (and this program), the processes below it, and the workers below those."""
    found = harness.descendants(memory=False)
    below = {role: sum(process.cpu_s for process in found if process.depth == depth) for role, depth in (("front door", 1), ("workers", 2))}
    return {"control": time.process_time(), **below}


def _inbound(settings: argparse.Namespace, switch: Any) -> dict[str, Any]:
    from sipcore import Answer, Play

    wav = harness.tone_wav(math.ceil(settings.hold_ms / 1000) + 60)
    switch.on_call(actions=[Answer(), Play([str(wav)])])
    options = ["--target", switch.sip_address, "--rate", str(settings.rate), "--duration", str(settings.seconds), "--rtp-base", "34000"]
    options += ["--hold-ms", str(settings.hold_ms), "--send", "none", "--label", settings.label, "--timeout-ms", "20000"]
    with Generator(1, *options, mode="cps") as generator:
        generator.wait_for("closed", timeout_s=settings.seconds + 60)
        return generator.finish()


def _outbound(settings: argparse.Namespace, switch: Any) -> dict[str, Any]:
    from sipcore import Play, SipcoreError

    number = round(settings.rate * settings.seconds)
    wav = harness.tone_wav(max(1, round(settings.hold_ms / 1000)))
    options = ["--rtp-base", "34000", "--send", "none", "--label", settings.label]
    options += ["--wait-s", str(math.ceil(settings.seconds + 30)), "--settle", "0", "--window", "1"]
    calls, refused = [], 0
    with Generator(number, *options, mode="wait") as generator:
        start = time.monotonic()
        for index in range(number):
            time.sleep(max(0.0, start + index / settings.rate - time.monotonic()))
            try:
                calls.append(switch.calls.create(destination=f"sip:bench@127.0.0.1:{generator.port}", actions=[Play([str(wav)])]))
            except SipcoreError:
                refused += 1
        placed_s = time.monotonic() - start
        records = [call.wait(timeout_s=60) for call in calls]
        result = generator.finish(timeout_s=settings.seconds + 120)
    good = sum(record.sip_code == 200 and record.hangup_by == "local" for record in records)
    result |= {"ok": good, "failed": number - good, "refused_by_us": refused, "placed_s": placed_s}
    return result


def show(settings: argparse.Namespace, result: dict[str, Any]) -> None:
    """The table on the terminal."""
    number = round(settings.rate * settings.seconds)
    rtp = result["rtp"]
    rows = [
        ("good", f"{result['ok']} of {number}, failed {result['failed']} {result['codes'] or ''}, ended early {result['dropped']}"),
        ("INVITE to 200", in_ms(result["setup_ms"], "p50", "p90", "p99", "max")),
        ("200 to first audible packet", in_ms(result["first_audible_after_200_ms"])),
        ("packets lost in whole calls", str(rtp["seq_lost_whole_call"])),
        ("CPU per call", ", ".join(f"{role} {used / number * 1000:.1f} ms" for role, used in result["cpu_by_role_s"].items())),
        ("SIP sent again", str(result["retrans"])),
        ("generator", f"late by at most {result['harness']['tick_late_max_ms']:.1f} ms, {result['harness']['cpu_s']:.1f} s CPU"),
        ("steal", f"{result['steal_share']:.1%}" + (", over 3 %: do not quote this run" if result["steal_over_3_percent"] else "")),
    ]
    if "placed_s" in result:
        rows.append(("placed in", f"{result['placed_s']:.1f} s, refused by the switch {result['refused_by_us']}"))
    harness.print_table(rows, f"{settings.rate:g} calls a second {settings.direction} for {settings.seconds} s, {settings.hold_ms} ms each")


def main() -> None:
    parser = harness.arguments(__doc__)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--hold-ms", type=int, default=1000, help="how long a call lasts")
    parser.add_argument("--direction", choices=("in", "out"), default="in")
    parser.add_argument("--max-legs", type=int, default=220, help="limit given to the switch")
    parser.add_argument("--workers", type=int, default=50, help="workers the switch keeps ready")
    settings = parser.parse_args()
    for _ in range(settings.rounds):
        result = measure(settings)
        show(settings, result)
        print(f"  added to {harness.save('call_rate', settings, result)}")


if __name__ == "__main__":
    main()
