"""`sipcore serve`: a switch that stays, and its HTTP interface."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from sipcore.config import Config, load_config, make_config
from sipcore.errors import SipcoreError

log = logging.getLogger(__name__)

SWITCH_INTERVAL_S = 0.0005
"""Python's own 5 ms are what the event loop waits for each time a thread of the store or of the audio is at work."""


_MIDDLE_COLLECTIONS = 50
"""Between two full ones, 350,000 new objects: what calls leave in cycles (45 objects each) is at most some 30 MB."""


class HttpMissing(SipcoreError):
    """The extra `sipcore[http]` is not installed."""


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "serve",
        help="keep a switch running, with its HTTP interface",
        description="Keep a switch running. SIGTERM and Ctrl-C drain it: no new calls, live ones have grace_s; once more "
        "stops at once. SIGHUP has certificates read again.",
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="a TOML file with the settings of the switch")
    parser.add_argument("--http", metavar="HOST:PORT", help="where HTTP listens; port 0 takes a free one (default: listen in [http])")
    parser.add_argument("-v", "--verbose", action="count", default=1, help="log everything")
    parser.set_defaults(run=run)


def check_http() -> None:
    """See that the HTTP extra is there.

    Raises:
        HttpMissing: it is not.
    """
    try:
        import sipcore.http.server  # noqa: F401 - whether it can be
    except ImportError as error:
        raise HttpMissing(f"{error.name} is not installed: pip install 'sipcore[http]'") from None


def run(options: argparse.Namespace) -> int:
    """Serve until a signal says otherwise."""
    config = load_config(options.config) if options.config else make_config({})
    check_http()
    import uvloop

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(config, options.http or config.http.listen or "127.0.0.1:8080"))


async def _serve(config: Config, listen: str) -> int:
    from sipcore.http.addresses import bind, guarded, parse_listen, url_of
    from sipcore.http.server import HttpServer
    from sipcore.switch import AsyncSwitch

    host, port = parse_listen(listen)
    switch = AsyncSwitch(config=guarded(config, host))
    if config.store == ":memory:":
        log.warning('store is ":memory:": records of calls are lost at the end, and until then they are all kept in memory')
    signals = _Signals(switch.reload_tls)
    signals.take()
    try:
        sock = bind(host, port)
        url = url_of(sock)
        async with HttpServer(switch, sock) as server:
            settle()
            print(f"sipcore: HTTP at {url}, SIP at {switch.sip_address}", flush=True)
            await _first(signals.stop.wait(), server.wait_ended())
            if not signals.stop.is_set():
                log.error("the HTTP server ended by itself")
                return 1
            await server.drain(signals.hurry)
            await server.close(hurried=signals.hurry.is_set())
            return 0
    finally:
        signals.give_back()


def settle() -> None:
    """What is there now stays: the collector need not look through it again, for 70 ms each time; nor often through what calls leave.

    At 200 calls a second the young generations take 0.4 and 4 ms at a time. A full collection takes 20 to 80 ms, and with Python's own
    threshold comes every five seconds, which is one request in a hundred; so, every half minute. Larger thresholds of the young ones cost
    as much in all, in pauses of 40 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(700, 10, _MIDDLE_COLLECTIONS)


async def _first(*work: Coroutine[Any, Any, object]) -> None:
    tasks = [asyncio.create_task(each) for each in work]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


class _Signals:
    """The first signal stops, the second one hurries; SIGHUP has the TLS files read again."""

    def __init__(self, reload: Callable[[], None]) -> None:
        self._reload = reload
        self.stop, self.hurry = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def take(self) -> None:
        """Handle them from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal, number)
        self._loop.add_signal_handler(signal.SIGHUP, self._on_hangup)

    def give_back(self) -> None:
        """Leave them to Python again."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.remove_signal_handler(number)

    def _on_hangup(self) -> None:
        log.info("SIGHUP: reading the TLS files again")
        self._reload()

    def _on_signal(self, number: int) -> None:
        log.info("%s", signal.Signals(number).name)
        if self.stop.is_set():
            self.hurry.set()
        self.stop.set()
