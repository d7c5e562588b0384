"""`sipcore scenario`: the SIPp scenarios that come with sipcore, shown and written."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sipcore.errors import Fault, InvalidRequest


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("scenario", help="list and write scenarios for SIPp")
    parts = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = parts.add_parser("list", help="show the scenarios, or the variables of some")
    listing.add_argument("names", nargs="*", metavar="NAME", help="show the variables of these")
    listing.add_argument("--role", choices=["uac", "uas"], help="only those that call, or that are called")
    listing.set_defaults(run=_list)
    writing = parts.add_parser("write", help="write scenarios as SIPp's XML", description="Write scenarios as NAME.xml.")
    writing.add_argument("names", nargs="+", metavar="NAME", help="of a scenario, or `all`")
    writing.add_argument("-o", "--output", type=Path, default=Path(), metavar="FOLDER", help="default: here")
    writing.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="values", help="the value of a variable")
    writing.set_defaults(run=_write)
    for part in (listing, writing):
        part.add_argument("-v", "--verbose", action="count", default=0, help="log; twice for everything")


def _list(options: argparse.Namespace) -> int:
    from sipcore.testing.scenarios import LIBRARY, find_scenario

    chosen = [find_scenario(name) for name in options.names] or list(LIBRARY.values())
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    for scenario in chosen:
        if options.role not in {None, scenario.role}:
            continue
        table.add_row(scenario.name, escape(scenario.summary))
        for name, variable in scenario.used.items() if options.names else ():
            table.add_row(f"  {name}", escape(f"{variable.summary} (default: {variable.default or 'empty'})"))
    Console(highlight=False).print(table)
    return 0


def _write(options: argparse.Namespace) -> int:
    from sipcore.testing.scenarios import LIBRARY, find_scenario, write_scenario

    values = dict(_value(text) for text in options.values)
    is_all = options.names == ["all"]
    scenarios = list(LIBRARY.values()) if is_all else [find_scenario(name) for name in options.names]
    known = {name for scenario in scenarios for name in scenario.used}
    for scenario in scenarios:
        given = {name: value for name, value in values.items() if name in scenario.used or not (is_all and name in known)}
        print(write_scenario(scenario, options.output, **given))
    return 0


def _value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidRequest([Fault("--set", f"{text!r} is not NAME=VALUE")])
    return name, value
