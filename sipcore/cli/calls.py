"""`sipcore calls list | show | hangup | trace`: the calls of a running `sipcore serve`."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console
from rich.table import Table

from sipcore.cli import trace
from sipcore.errors import SipcoreError

URL_VARIABLE, TOKEN_VARIABLE = "SIPCORE_URL", "SIPCORE_TOKEN"
_DEFAULT_URL = "http://127.0.0.1:8080"
_TIMEOUT_S = 10.0


class ServerRefused(SipcoreError):
    """The server did not do it, or there is none."""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    epilog = f"The token is read from {TOKEN_VARIABLE}. Exit code: 0 done, 2 not."
    parser = commands.add_parser("calls", help="the calls of a running `sipcore serve`", epilog=epilog)
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb, text in (
        ("list", "newest first"),
        ("show", "one call"),
        ("hangup", "end one call"),
        ("trace", "what happened to one call: messages, events, audio"),
    ):
        added = verbs.add_parser(verb, help=text, epilog=epilog)
        added.add_argument(
            "--url", default=os.environ.get(URL_VARIABLE, _DEFAULT_URL), help=f"of the server (default {_DEFAULT_URL}, or {URL_VARIABLE})"
        )
        added.add_argument("--json", action="store_true", help="print the server's JSON")
        added.add_argument("-v", "--verbose", action="count", default=0, help="log; twice for everything")
        if verb == "list":
            added.add_argument("--page-size", type=int, default=20, metavar="N", help="1 to 100 (default %(default)s)")
            added.add_argument("--page-token", default="", metavar="TIME", help="older than this")
        else:
            added.add_argument("id", metavar="ID")
        if verb == "trace":
            trace.add_arguments(added)
        added.set_defaults(run=run, verb=verb)


def run(options: argparse.Namespace) -> int:
    """Ask the server and print what it says."""
    path = "/v1.0/calls" if options.verb == "list" else f"/v1.0/calls/{quote(options.id, safe='')}"
    match options.verb:
        case "list":
            answer = _ask(options.url, "GET", path, {"page_size": options.page_size, "page_token": options.page_token})
        case "show":
            answer = _ask(options.url, "GET", path)
        case "trace":
            answer = _trace(options)
        case _:
            answer = _ask(options.url, "POST", f"{path}/hangup")
    if options.json:
        is_foreign = options.verb == "trace"  # any character may be in it, and not all are good for a terminal
        print(json.dumps(answer, indent=4, ensure_ascii=is_foreign))
    elif options.verb == "trace":
        return trace.show(trace.parse_record(answer), options)
    elif options.verb == "list":
        _show_list(answer)
    else:
        _show_call(answer)
        if options.verb == "show":
            _show_quality(_ask(options.url, "GET", f"{path}/quality")["quality"])
    return 0


def _ask(url: str, method: str, path: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        response = httpx.request(method, url.rstrip("/") + path, params=query, headers=headers, timeout=_TIMEOUT_S, trust_env=False)
        answer = response.json()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServerRefused(f"{url}: {error}") from None
    except ValueError:
        raise ServerRefused(f"{url}: {response.status_code}, and no JSON: is this a sipcore server?") from None
    if response.status_code != 200:
        told = answer.get("error", {}) if isinstance(answer, dict) else {}
        raise ServerRefused(f"{response.status_code} {told.get('reason', '')}: {told.get('message', '')}")
    return dict(answer)


def _trace(options: argparse.Namespace) -> dict[str, Any]:
    """What happened to the call and, with `--legs`, to the calls made for it."""
    answer = _ask(options.url, "GET", f"/v1.0/calls/{quote(options.id, safe='')}/trace", {"legs": "true"} if options.legs else None)
    trace.parse_record(answer)
    return answer


def _show_list(page: dict[str, Any]) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("created (UTC)", "id", "from", "to", "status", "by", "reason"):
        table.add_column(heading, overflow="fold")
    for call in page["result"]:
        ends = (call["source"]["target"], call["destination"]["target"])
        table.add_row(call["tm_create"][:19], call["id"], *ends, call["status"], call["hangup_by"], call["hangup_reason"])
    console = Console(highlight=False)
    console.print(table)
    if page["next_page_token"]:
        console.print(f"older: --page-token '{page['next_page_token']}'", style="dim")


def _show_call(call: dict[str, Any]) -> None:
    console = Console(highlight=False)
    for key, value in call.items():
        shown = f"{value['type']}:{value['target']}" if isinstance(value, dict) else ", ".join(value) if isinstance(value, list) else value
        console.print(f"{key:>16}  {shown}", markup=False)


def _show_quality(quality: dict[str, Any] | None) -> None:
    if quality is None:
        return
    trip, mos = quality["round_trip_ms"], quality["mos"]
    parts = [
        quality["codec"],
        f"{quality['received']} packets received, {quality['loss_percent']:.2f} % lost",
        f"jitter {quality['jitter_ms']:.1f} ms",
        "no RTCP" if trip is None else f"round trip {trip:.1f} ms",
    ]
    if mos is not None:
        parts.append(f"MOS {mos:.2f}")
    Console(highlight=False).print(f"{'quality':>16}  {', '.join(parts)}", markup=False)
