"""`sipcore calls trace`: what happened to a call, as a ladder diagram, a picture, a page, or a capture file."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sipcore.errors import SipcoreError
from sipcore.flight.form import from_json
from sipcore.flight.forms import FORMS
from sipcore.flight.record import FlightRecord
from sipcore.flight.text import draw_text
from sipcore.ladder import DEFAULT_WIDTH
from sipcore.siplint import lint_flight
from sipcore.wire import TracedMessage


class TraceUnusable(SipcoreError):
    """The server's answer is no trace, or the file cannot be written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what only `trace` has."""
    parser.add_argument("--format", choices=sorted(FORMS), default=None, help="of what is shown or written (default text)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write it to this file; - is standard output")
    parser.add_argument("--pcap", metavar="FILE", help="the same as --format pcap -o FILE: a capture file for Wireshark")
    parser.add_argument("--legs", action="store_true", help="with the calls that a connect made")
    parser.add_argument("--full", action="store_true", help="print the messages too")
    parser.add_argument("--lint", action="store_true", help="say which rules of SIP were broken; exit code 1 when one was")


def show(record: FlightRecord, options: argparse.Namespace) -> int:
    """Print the record, or write it to a file; the exit code."""
    form = "pcap" if options.pcap else options.format or "text"
    output = options.pcap or options.output
    if form == "text" and not output:
        print(draw_text(record, shutil.get_terminal_size((DEFAULT_WIDTH, 0)).columns), end="")
        if options.full:
            print_full(record.messages)
    elif output in {None, "-"}:
        sys.stdout.flush()
        sys.stdout.buffer.write(FORMS[form].draw(record))
        sys.stdout.buffer.flush()
    else:
        _write(Path(output), FORMS[form].draw(record))
        print(f"{len(record.messages)} messages written to {output}")
    return print_findings(record) if options.lint else 0


def print_findings(record: FlightRecord) -> int:
    """Print what SIP lint says, on standard error; 1 when it has found something."""
    findings = lint_flight(record)
    for finding in findings:
        print(_harmless(str(finding)), file=sys.stderr)
    if not findings:
        print("no rule was broken", file=sys.stderr)
    return 1 if findings else 0


def print_full(messages: Sequence[TracedMessage]) -> None:
    """Print every message, without what could steer a terminal."""
    for message in messages:
        way = "sent to" if message.is_sent else "received from"
        print(_harmless(f"\n--- {way} {message.remote} over {message.transport}, by {message.local}"))
        print("\n".join(_harmless(line) for line in message.text.replace("\r\n", "\n").rstrip("\n").split("\n")))


def parse_record(answer: dict[str, Any]) -> FlightRecord:
    """The record that `GET /v1.0/calls/{id}/trace` has answered with.

    Raises:
        TraceUnusable: it is something else.
    """
    try:
        record = from_json(answer)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise TraceUnusable("what the server answered is no trace: has it another version?") from None
    if not record.calls:
        raise TraceUnusable("what the server answered is no trace: it names no call")
    return record


def _harmless(line: str) -> str:
    """Letters of any language stay; control and formatting characters do not."""
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise TraceUnusable(f"{path}: {error.strerror or error}") from None
