"""`sipcore call`: place one call and watch it."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from sipcore.actions import Action, Connect, Play, RecordingStart, Talk
from sipcore.cli.progress import Progress
from sipcore.cli.recording import recording_path, recording_to
from sipcore.config import load_config, make_config
from sipcore.sync import Switch

_SETTINGS = ("trunk", "caller_id", "username", "sip_address", "public_address", "dial_timeout_s")
PASSWORD_VARIABLE = "SIPCORE_PASSWORD"  # noqa: S105 - its name, not its value


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "call",
        help="place a call",
        description="Place a call; what it does after the answer is given by --say, --play and --connect, in their order.",
        epilog=f"The password of the trunk is read from {PASSWORD_VARIABLE}. Exit code: 0 answered, 1 not, 2 wrong usage.",
    )
    parser.add_argument("destination", help="sip:user@host[:port][;transport=tcp], or tel:+E164 with a trunk")
    parser.add_argument("--say", metavar="TEXT", dest="actions", action=_AddAction, help="speak a text")
    parser.add_argument("--play", metavar="FILE_OR_URL", dest="actions", action=_AddAction, help="play a sound file")
    parser.add_argument(
        "--connect", metavar="ADDRESS[,ADDRESS]", dest="actions", action=_AddAction, help="ring others and bridge the first"
    )
    parser.add_argument("--record", metavar="FILE", type=recording_path, help="record the call: a .wav, .flac, .ogg or .mp3 file")
    parser.add_argument("--language", default="en-US", help="of --say (default %(default)s)")
    parser.add_argument("--gender", default="female", choices=["female", "male", "neutral"], help="of --say (default %(default)s)")
    parser.add_argument("--config", metavar="FILE", help="a TOML file with the settings of the switch")
    parser.add_argument("--trunk", help="sip:host[:port][;transport=udp|tcp|tls]")
    parser.add_argument("--caller-id", help="tel:+E164 or sip:user@host")
    parser.add_argument("--username", help="digest account at the trunk")
    parser.add_argument("--sip-address", metavar="HOST:PORT", help="where SIP is bound")
    parser.add_argument("--public-address", metavar="HOST", help="our address as the far end sees it, behind NAT")
    parser.add_argument("--dial-timeout-s", type=float, metavar="SECONDS", help="give up when nobody answers")
    parser.add_argument("--json", action="store_true", help="print the final record as JSON on standard output, progress on standard error")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log; twice for everything")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Place the call and wait for its end."""
    console = Console(stderr=options.json, highlight=False)
    progress = Progress(console)
    with recording_to(options.record, console) as folder, Switch(config=_config(options, folder)) as switch:
        call = switch.calls.create(destination=options.destination, actions=_actions(options))
        try:
            for event in call.events():
                progress.show(event)
        except KeyboardInterrupt:
            call.hangup()
        record = call.wait(switch.config.grace_s + switch.config.hangup_timeout_s)
    if options.json:
        print(json.dumps(record.to_json(), indent=4))
    return 0 if record.tm_progressing else 1


class _AddAction(argparse.Action):
    """Keeps --say, --play and --connect in the order in which they were typed."""

    def __call__(self, _parser: object, namespace: argparse.Namespace, values: Any, option_string: str | None = None) -> None:
        listed = [*(getattr(namespace, self.dest) or []), (option_string, values)]
        setattr(namespace, self.dest, listed)


def _actions(options: argparse.Namespace) -> list[Action]:
    actions: list[Action] = [RecordingStart(options.record.suffix[1:])] if options.record else []
    for option, value in options.actions or []:
        match option:
            case "--say":
                actions.append(Talk(value, language=options.language, gender=options.gender))
            case "--play":
                actions.append(Play([value if "://" in value else str(Path(value).absolute())]))
            case "--connect":
                actions.append(Connect([part.strip() for part in value.split(",")]))
    return actions


def _config(options: argparse.Namespace, recordings: Path | None) -> Any:
    typed = {name: getattr(options, name) for name in _SETTINGS if getattr(options, name) is not None}
    if password := os.environ.get(PASSWORD_VARIABLE):
        typed["password"] = password
    if recordings is not None:
        typed["recordings_dir"] = recordings
    if options.config:
        return load_config(options.config, **typed)
    return make_config({"media_root": "/"} | typed)  # whoever types the path may read the file
