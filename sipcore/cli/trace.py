"""`sipcore calls trace`: the SIP messages of a call, as a ladder diagram or a capture file."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sipcore.errors import SipcoreError
from sipcore.ladder import DEFAULT_WIDTH, draw_ladder
from sipcore.pcap import make_pcap
from sipcore.record import parse_time
from sipcore.wire import TracedMessage


class TraceUnusable(SipcoreError):
    """The server's answer is no trace, or the file cannot be written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what only `trace` has."""
    parser.add_argument("--pcap", metavar="FILE", help="write a capture file for Wireshark instead; - is standard output")
    parser.add_argument("--legs", action="store_true", help="with the calls that a connect made")
    parser.add_argument("--full", action="store_true", help="print the messages too")


def show(answer: dict[str, Any], options: argparse.Namespace) -> None:
    """Print the ladder, or write the capture file."""
    messages = parse_messages(answer)
    if options.pcap == "-":
        sys.stdout.buffer.write(make_pcap(messages))
    elif options.pcap:
        _write(Path(options.pcap), make_pcap(messages))
        print(f"{len(messages)} messages written to {options.pcap}")
    else:
        print(draw_ladder(messages, shutil.get_terminal_size((DEFAULT_WIDTH, 0)).columns), end="")
        if options.full:
            print_full(messages)


def print_full(messages: Sequence[TracedMessage]) -> None:
    """Print every message, without what could steer a terminal."""
    for message in messages:
        way = "sent to" if message.is_sent else "received from"
        print(_harmless(f"\n--- {way} {message.remote} over {message.transport}, by {message.local}"))
        print("\n".join(_harmless(line) for line in message.text.replace("\r\n", "\n").rstrip("\n").split("\n")))


def parse_messages(answer: dict[str, Any]) -> list[TracedMessage]:
    """The messages of `GET /v1.0/calls/{id}/trace`.

    Raises:
        TraceUnusable: it is something else.
    """
    try:
        return [_message(shown) for shown in answer["result"]]
    except (KeyError, TypeError, ValueError):
        raise TraceUnusable("what the server answered is no trace: has it another version?") from None


def _message(shown: dict[str, Any]) -> TracedMessage:
    at = parse_time(shown["at"])
    if at is None:
        raise ValueError("a message without a time")
    texts = [shown[name] for name in ("transport", "local", "remote", "text")]
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("text is no text")
    transport, local, remote, text = texts
    return TracedMessage(at.timestamp(), bool(shown["is_sent"]), transport, local, remote, text, int(shown["missing"]))


def _harmless(line: str) -> str:
    """Letters of any language stay; control and formatting characters do not."""
    return "".join(letter if letter.isprintable() else "?" for letter in line)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise TraceUnusable(f"{path}: {error.strerror or error}") from None
