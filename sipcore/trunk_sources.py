"""Trunks whose addresses are names: what these resolve to is where their calls come from, and it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from sipcore.addresses import SipUri
from sipcore.locate import Hop, LocateError, Locator
from sipcore.trunk import Trunks
from sipcore.wire import DoorTrunk

log = logging.getLogger(__name__)

REFRESH_S: Final = 60.0
Locate = Callable[[str, int | None, str | None], Awaitable[tuple[Hop, ...]]]


class TrunkSources:
    """Keeps the front door's table of trunks up to date.

    Addresses that were found once stay when their name does not resolve for a while: a trunk is not locked out by its name server.
    """

    def __init__(self, trunks: Trunks, tell: Callable[[tuple[DoorTrunk, ...]], None], locate: Locate | None = None) -> None:
        self._trunks = trunks
        self._tell = tell
        self._locate = locate or Locator().locate
        self._resolved: dict[str, tuple[str, ...]] = {}
        self._failed: set[str] = set()

    async def keep(self, refresh_s: float = REFRESH_S) -> None:
        """Look the names up, again and again, and tell the trunks whenever something has changed. Ends at once when there are no names."""
        while self._trunks.names_to_resolve():
            if await self.refresh():
                self._tell(self._trunks.door_trunks(self._resolved))
            await asyncio.sleep(refresh_s)

    async def refresh(self) -> bool:
        """Look each name up once. Returns whether anything is new."""
        names = self._trunks.names_to_resolve()
        found = await asyncio.gather(*(self._addresses(uri) for uri in names))
        before = dict(self._resolved)
        fresh: dict[str, set[str]] = {}
        for uri, addresses in zip(names, found, strict=True):
            fresh.setdefault(uri.host, set()).update(addresses)
        self._resolved |= {host: tuple(sorted(addresses)) for host, addresses in fresh.items() if addresses}
        return self._resolved != before

    async def _addresses(self, uri: SipUri) -> tuple[str, ...]:
        try:
            hops = await self._locate(uri.host, uri.port, uri.transport)
        except LocateError as error:
            if uri.host not in self._failed:
                log.warning("trunk address %s cannot be resolved: %s; calls from there are not known as its own", uri.host, error)
            self._failed.add(uri.host)
            return ()
        self._failed.discard(uri.host)
        return tuple(hop.host for hop in hops)
