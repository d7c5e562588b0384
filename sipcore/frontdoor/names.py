"""Names of targets become hops: looked up once, kept for a while, and what waits for one stays in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from sipcore.rfc3263 import DEFAULT_PORTS, Hop, LocateError, literal

from .steps import Target

LOOKUP_TIMEOUT_S: Final = 5.0

_MAX_WAITING: Final = 64
"""Messages that wait for one name."""
_MAX_NAMES: Final = 512
_KEPT_S: Final = 30.0
_FAILURE_KEPT_S: Final = 2.0

Locate = Callable[[str, int | None, str | None], Awaitable[tuple[Hop, ...]]]
Then = Callable[[tuple[Hop, ...], str], None]
"""`(hops, reason)`; without hops the reason says why."""
_Key = tuple[str, int | None, str | None]


class Names:
    """See the module docstring. `locate` is `sipcore.locate.Locator.locate` unless told otherwise."""

    def __init__(self, locate: Locate | None = None) -> None:
        self._locate = locate
        self._waiting: dict[_Key, list[tuple[Target, Then]]] = {}
        self._known: dict[_Key, tuple[float, tuple[Hop, ...], str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Give up what waits."""
        for task in self._tasks:
            task.cancel()

    def ask(self, target: Target, then: Then) -> None:
        """The hops of a target: at once when it is an address or known, else later."""
        if address := literal(target.host):
            transport = target.transport or "any"
            then((Hop(transport, address, target.port or DEFAULT_PORTS.get(transport, 5060), target.server_name or address),), "")
            return
        key = (target.host.lower(), target.port, target.transport)
        known = self._known.get(key)
        if known is not None and self._loop.time() < known[0]:
            then(_named(known[1], target), known[2])
        elif len(self._waiting.get(key, ())) >= _MAX_WAITING or (key not in self._waiting and len(self._waiting) >= _MAX_NAMES):
            then((), "too many messages wait for a name")
        elif key in self._waiting:
            self._waiting[key].append((target, then))
        else:
            self._waiting[key] = [(target, then)]
            task = self._loop.create_task(self._look_up(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _asker(self) -> Locate:
        """Not before it is wanted: a front door that is started again has no time to import a DNS library."""
        if self._locate is None:
            from sipcore.locate import Locator

            draw = random.random()  # noqa: S311 - one for the life of the process: all requests of a transaction take the same hop
            self._locate = Locator(rand=lambda: draw).locate
        return self._locate

    async def _look_up(self, key: _Key) -> None:
        hops: tuple[Hop, ...] = ()
        reason = ""
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                hops = await self._asker()(*key)
        except (LocateError, OSError, ValueError) as error:  # TimeoutError is an OSError
            reason = f"{key[0]}: {str(error) or 'no answer in time'}"
        if len(self._known) >= _MAX_NAMES:
            self._known.clear()
        self._known[key] = (self._loop.time() + (_KEPT_S if hops else _FAILURE_KEPT_S), hops, reason)
        for target, then in self._waiting.pop(key):
            then(_named(hops, target), reason)


def _named(hops: tuple[Hop, ...], target: Target) -> tuple[Hop, ...]:
    """With the name that a certificate must have, where it is another than the target's."""
    return tuple(replace(hop, name=target.server_name) for hop in hops) if target.server_name else hops
