"""`sipcore plan`: check an action list, or a whole request, without a call."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from media import AudioLibrary, PreparedAudio
from sipcore.actions import Action, parse_actions
from sipcore.config import Config, load_config, make_config
from sipcore.dialing import Dialing
from sipcore.errors import InvalidRequest
from sipcore.plan import Plan, make_plan
from sipcore.preparation import Kind, Work
from sipcore.request import check_actions, check_request, parse_request, parse_requests
from sipcore.switch import new_library
from sipcore.trunk import Trunks

EXIT_FAULTY = 1
_THREADS = 2


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "plan",
        help="check an action list",
        description="Check an action list as a call would, without one: every fault with its place, else how long its prompts are and how "
        "many legs it needs. Its texts are spoken into the cache; URLs are not fetched.",
        epilog="Exit code: 0 the list can be carried out, 1 it cannot, 2 wrong usage.",
    )
    parser.add_argument(
        "file", metavar="FILE", help="a list of actions, or a request with `actions`: JSON, or TOML in a .toml file; - reads JSON"
    )
    parser.add_argument("--config", metavar="FILE", help="a TOML file with the settings of the switch")
    parser.add_argument("--trunk", help="sip:host[:port], for telephone numbers")
    parser.add_argument("--json", action="store_true", help="print the plan, or the faults, as JSON")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log; twice for everything")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Check the file and say what is in it."""
    settings = {"trunk": options.trunk} if options.trunk else {}
    config = load_config(options.config, **settings) if options.config else make_config(settings)
    try:
        plan = asyncio.run(_planned(_read(options.file), config))
    except InvalidRequest as error:
        if options.json:
            print(json.dumps({"faults": [asdict(fault) for fault in error.faults]}, indent=4))
        else:
            for fault in error.faults:
                print(f"{options.file}: {fault}", file=sys.stderr)
        return EXIT_FAULTY
    print(json.dumps(_shown(plan), indent=4) if options.json else plan)
    return 0


def _read(name: str) -> Any:
    """What the file says.

    Raises:
        InvalidRequest: it cannot be read, or says nothing.
    """
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return tomllib.loads(text) if name.endswith(".toml") else json.loads(text)
    except OSError as error:
        raise InvalidRequest(f"cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(f"is not {'TOML' if name.endswith('.toml') else 'JSON'}: {error}") from None


async def _planned(given: Any, config: Config) -> Plan:
    library = new_library(config)
    try:
        actions = _checked(given, config, library)
        with ThreadPoolExecutor(_THREADS) as threads:
            return await make_plan(actions, _Host(library, threads))
    finally:
        library.close()


def _checked(given: Any, config: Config, library: AudioLibrary) -> Sequence[Action]:
    """The actions of a list, or of a request; no trunk is called and nothing registers."""
    route = Dialing(Trunks.of(config, "")).route
    if isinstance(given, Mapping) and set(given) != {"actions"}:
        requests = parse_requests(given) if "destinations" in given else (parse_request(given),)
        faults = [fault for request in requests for fault in check_request(request, library, route, config.flow)]
        actions = requests[0].actions
    else:
        actions = parse_actions(given["actions"] if isinstance(given, Mapping) else given)
        faults = check_actions(actions, library, route, "actions", config.flow)
    if faults:
        raise InvalidRequest(list(dict.fromkeys(faults)))
    return actions


class _Host:
    """Where the prompts are made."""

    def __init__(self, library: AudioLibrary, threads: ThreadPoolExecutor) -> None:
        self.library, self._threads = library, threads

    def in_background(self, work: Work, kind: Kind) -> asyncio.Future[PreparedAudio]:
        """On a thread of the command."""
        del kind
        return asyncio.get_running_loop().run_in_executor(self._threads, work)


def _shown(plan: Plan) -> dict[str, Any]:
    totals = {"legs_needed": plan.legs_needed, "audio_s": plan.audio_s, "is_complete": plan.is_complete}
    return {"actions": [asdict(planned) for planned in plan.actions], **totals}
