"""`sipcore load`: a load test, with a report."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sipcore.actions import Action, Play, Talk
from sipcore.cli.call import PASSWORD_VARIABLE
from sipcore.config import Config, load_config, make_config
from sipcore.load import (
    LoadPlan,
    LoadProgress,
    LoadReport,
    LoadRun,
    Thresholds,
    check_thresholds,
    check_writable,
    judge,
    write_csv,
    write_html,
    write_junit,
)
from sipcore.load.plan import legs_wanted
from sipcore.load.run import check_load, legs_per_call
from sipcore.switch import AsyncSwitch

MOST_LEGS = 1000
"""What the test takes by itself; `--config` can say `max_legs`."""
PLAIN_EVERY_S = 5.0
_SETTINGS = ("trunk", "caller_id", "username", "sip_address", "public_address", "dial_timeout_s")


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "load",
        help="place many calls, and measure",
        description="Place calls at a rate, and tell how they went. Ctrl-C ends it in order, with the report so far.",
        epilog=f"The password of the trunk is read from {PASSWORD_VARIABLE}. Exit code: 0 every threshold is met, 1 not, 2 wrong usage.",
    )
    parser.add_argument("destination", nargs="+", help="sip:user@host[:port][;transport=tcp], or tel:+E164 with a trunk; several: in turn")
    _add_load(parser.add_argument_group("load"))
    _add_call(parser.add_argument_group("calls"))
    _add_results(parser.add_argument_group("results"))
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log; twice for everything")
    parser.set_defaults(run=run)


def _add_load(group: Any) -> None:
    group.add_argument("--calls", type=int, default=10, metavar="N", help="how many (default %(default)s)")
    group.add_argument("--rate", type=float, default=1.0, metavar="N", help="how many begin in a second (default %(default)g)")
    group.add_argument(
        "--hold", type=float, default=10.0, metavar="SECONDS", help="from answer to hang-up; 0: until all is said (default %(default)g)"
    )
    group.add_argument("--ramp", type=float, default=0.0, metavar="SECONDS", help="the rate rises from 0 for so long")
    group.add_argument("--concurrent", type=int, default=0, metavar="N", help="the most calls at once")
    group.add_argument("--poisson", action="store_true", help="begin at random moments, as callers do")
    group.add_argument("--seed", type=int, default=0, metavar="N", help="of the random moments")


def _add_call(group: Any) -> None:
    group.add_argument("--say", metavar="TEXT", help="speak a text")
    group.add_argument("--play", metavar="FILE_OR_URL", help="play a sound file")
    group.add_argument("--language", default="en-US", help="of --say (default %(default)s)")
    group.add_argument("--config", metavar="FILE", help="a TOML file with the settings of the switch")
    group.add_argument("--trunk", help="sip:host[:port][;transport=udp|tcp|tls]")
    group.add_argument("--caller-id", help="tel:+E164 or sip:user@host")
    group.add_argument("--username", help="digest account at the trunk")
    group.add_argument("--sip-address", metavar="HOST:PORT", help="where SIP is bound")
    group.add_argument("--public-address", metavar="HOST", help="our address as the far end sees it, behind NAT")
    group.add_argument("--dial-timeout-s", type=float, metavar="SECONDS", help="give up when nobody answers")


def _add_results(group: Any) -> None:
    group.add_argument("--csv", type=Path, metavar="FILE", help="a line for each call")
    group.add_argument("--junit", type=Path, metavar="FILE", help="JUnit XML, a test case for each threshold")
    group.add_argument("--html", type=Path, metavar="FILE", help="one page with plots")
    group.add_argument("--max-failed", default="0", metavar="N|N%", help="calls that may fail (default %(default)s)")
    for name, unit, text in (
        ("max-p99-setup-ms", "MS", "INVITE to ringing or answer"),
        ("max-p99-answer-ms", "MS", "INVITE to answer"),
        ("max-p99-first-audio-ms", "MS", "answer to the first RTP packet"),
        ("max-p99-jitter-ms", "MS", "RTP jitter"),
        ("max-loss-percent", "N", "RTP packets of all calls that were lost or too late"),
        ("min-mos", "MOS", "what 99 of 100 calls have at least"),
    ):
        group.add_argument(f"--{name}", type=float, metavar=unit, help=text)


def run(options: argparse.Namespace) -> int:
    """Carry the test out, and write the results."""
    thresholds = Thresholds(options.max_failed, *(getattr(options, name) for name in Thresholds.__slots__[1:]))
    check_thresholds(thresholds)
    check_writable(path for path in (options.csv, options.junit, options.html) if path)
    plan = _plan(options)
    config = _config(options, plan)
    check_load(plan, config)
    console = Console(highlight=False, markup=False)
    report = asyncio.run(_carry_out(plan, config, console))
    verdicts = judge(report, thresholds)
    console.print(str(report))
    for verdict in verdicts:
        console.print(str(verdict), style="green" if verdict.is_met else "bold red")
    if options.csv:
        write_csv(report, options.csv)
    if options.junit:
        write_junit(report, verdicts, options.junit)
    if options.html:
        write_html(report, verdicts, options.html)
    return 0 if all(verdict.is_met for verdict in verdicts) else 1


async def _carry_out(plan: LoadPlan, config: Config, console: Console) -> LoadReport:
    loop = asyncio.get_running_loop()
    async with AsyncSwitch(config=config) as switch:
        with _Display(console, plan.calls) as display:
            load = LoadRun(switch, plan, display.show)
            loop.add_signal_handler(signal.SIGINT, load.stop)
            try:
                return await load.report()
            finally:
                loop.remove_signal_handler(signal.SIGINT)


class _Display:
    """A progress bar; a plain line now and then where there is no terminal."""

    def __init__(self, console: Console, calls: int) -> None:
        self._console = console
        self._told_s = 0.0
        columns = (TextColumn("calls"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[state]}"), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task = None if self._bar is None else self._bar.add_task("calls", total=calls, state="")

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: LoadProgress) -> None:
        """Tell how far it is."""
        state = f"{progress.up} up, {progress.failed} failed"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=progress.done, state=state)
        elif progress.elapsed_s - self._told_s >= PLAIN_EVERY_S:
            self._told_s = progress.elapsed_s
            self._console.print(f"{progress.elapsed_s:7.1f} s  {progress.begun} of {progress.planned} begun, {progress.done} done, {state}")


def _plan(options: argparse.Namespace) -> LoadPlan:
    actions: list[Action] = [Talk(options.say, language=options.language)] if options.say else []
    if options.play:
        actions.append(Play([options.play if "://" in options.play else str(Path(options.play).absolute())]))
    return LoadPlan(
        tuple(options.destination),
        calls=options.calls,
        rate=options.rate,
        hold_s=options.hold,
        ramp_s=options.ramp,
        concurrent=options.concurrent,
        is_poisson=options.poisson,
        seed=options.seed,
        actions=actions,
    )


def _config(options: argparse.Namespace, plan: LoadPlan) -> Config:
    typed: dict[str, Any] = {name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None}
    if password := os.environ.get(PASSWORD_VARIABLE):
        typed["password"] = password
    if options.config:
        return load_config(options.config, **typed)
    legs = min(MOST_LEGS, legs_wanted(plan, legs_per_call(plan)))
    return make_config({"media_root": "/", "max_legs": legs} | typed)  # whoever types the path may read the file
