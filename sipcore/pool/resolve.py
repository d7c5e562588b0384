"""Names of hosts become addresses here, before PJSIP sees the call.

PJSIP without a name server of its own asks the system's resolver and blocks its only thread meanwhile, with every other call of the worker
behind it. So the address goes along as a route with PJSIP's `hide` parameter: it decides where the request is sent, and is not in it.
Only A records are looked up, as PJSIP would (no SRV). With TLS the name stays, since the certificate is checked against it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from sipcore import engine

LOOKUP_TIMEOUT_S: Final = 10.0

_URI: Final = re.compile(
    r"<?(?P<scheme>sips?):(?:[^@]*@)?(?P<host>[^\s;:?>@\[\]]+)(?::(?P<port>\d+))?(?P<parameters>(?:;[^?>]*)?)(?:[?>]|$)", re.IGNORECASE
)


class Sink(Protocol):
    """Where commands go: a worker."""

    def submit(self, command: engine.Command) -> None:
        """Take a command."""


def host_to_look_up(dial: engine.Dial) -> str:
    """The name that the call's first hop has; empty when it is an address, or TLS needs the name."""
    match = _URI.match(dial.account.route_uri or dial.request_uri)
    if match is None or match["scheme"].lower() == "sips" or "transport=tls" in match["parameters"].lower():
        return ""
    try:
        ipaddress.ip_address(match["host"])
    except ValueError:
        return match["host"]
    return ""


def with_address(dial: engine.Dial, address: str) -> engine.Dial:
    """The same call, sent to `address` without another look-up."""
    route = dial.account.route_uri
    match = _URI.match(route or dial.request_uri)
    assert match is not None
    port = f":{match['port']}" if match["port"] else ""
    if route is not None:
        next_hop = f"sip:{address}{port}{match['parameters']}"
    else:
        transport = re.search(r";transport=[a-z]+", match["parameters"], re.IGNORECASE)
        next_hop = f"sip:{address}{port}{transport[0] if transport else ''};lr;hide"
    return replace(dial, account=replace(dial.account, route_uri=next_hop))


class Resolver:
    """Passes commands on to their worker, those of a call whose host is being looked up after that."""

    def __init__(self, fail: Callable[[str, str], None]) -> None:
        self._fail = fail
        self._waiting: dict[str, list[tuple[Sink, engine.Command]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def submit(self, sink: Sink, command: engine.Command) -> None:
        """Pass on, now or when the host is known."""
        peer_id = command.peer_id if isinstance(command, engine.Bridge | engine.Unbridge) else ""
        held = next((call_id for call_id in (command.call_id, peer_id) if call_id in self._waiting), None)
        if held is not None:
            self._waiting[held].append((sink, command))
        elif isinstance(command, engine.Dial) and (host := host_to_look_up(command)):
            self._waiting[command.call_id] = []
            self._tasks[command.call_id] = asyncio.get_running_loop().create_task(self._look_up(sink, command, host))
        else:
            sink.submit(command)

    def withdraw(self, call_id: str) -> bool:
        """Forget a call whose host is not known yet. Returns False when there is none."""
        waiting = self._waiting.pop(call_id, None)
        if (task := self._tasks.pop(call_id, None)) is not None:
            task.cancel()
        return waiting is not None

    def close(self) -> None:
        """Forget everything."""
        for call_id in list(self._tasks):
            self.withdraw(call_id)

    async def _look_up(self, sink: Sink, dial: engine.Dial, host: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                found = await loop.getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:  # TimeoutError is one
            self._tasks.pop(dial.call_id, None)
            self._waiting.pop(dial.call_id, None)
            self._fail(dial.call_id, f"cannot resolve {host}: {str(error) or 'no answer in time'}")
            return
        self._tasks.pop(dial.call_id, None)
        sink.submit(with_address(dial, str(found[0][4][0])))
        for waiting_sink, command in self._waiting.pop(dial.call_id, ()):
            self.submit(waiting_sink, command)
