"""The command line: `sipcore call`, `plan`, `serve`, `calls`, `token`, `scenario`, `load`, `demo`. `python -m sipcore` is the same."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from sipcore import __version__
from sipcore.cli import call, calls, demo, load, plan, scenario, serve, token
from sipcore.errors import SipcoreError

EXIT_USAGE = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 answered, 1 not, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="sipcore", description="Place phone calls over SIP.")
    parser.add_argument("--version", action="version", version=f"sipcore {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (call, plan, serve, calls, token, scenario, load, demo):
        command.add_parser(commands)
    options = parser.parse_args(arguments)
    _set_up_log(options.verbose)
    try:
        return int(options.run(options))
    except SipcoreError as error:
        faults = getattr(error, "faults", None) or (error,)
        for fault in faults:
            print(f"sipcore: {fault}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return 130


def _set_up_log(verbose: int) -> None:
    level = (logging.ERROR, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # What no line of this format shows need not be found out (Python's logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    if verbose < 2:
        logging.getLogger("httpx").setLevel(logging.WARNING)
