"""Names of trunks become the sources of their calls."""

from __future__ import annotations

import asyncio
import logging

from sipcore.config import make_config
from sipcore.locate import Hop, LocateError
from sipcore.trunk import Trunks
from sipcore.trunk_sources import TrunkSources


class Names:
    def __init__(self, **table: tuple[str, ...]) -> None:
        self.table = table
        self.asked = 0

    async def locate(self, host: str, port: int | None, transport: str | None) -> tuple[Hop, ...]:
        self.asked += 1
        if host not in self.table:
            raise LocateError("it has no address")
        return tuple(Hop("any", address, 5060, host) for address in self.table[host])


def trunks(*addresses: str) -> Trunks:
    return Trunks.of(make_config({"trunks": [{"name": "t", "addresses": list(addresses)}]}), "192.0.2.7")


async def test_what_names_resolve_to_is_told_when_it_changes_and_kept_when_dns_fails(caplog):
    names, told = Names(a=("192.0.2.1", "192.0.2.2")), []
    sources = TrunkSources(trunks("a", "a:5080", "b", "198.51.100.1"), told.append, names.locate)
    with caplog.at_level(logging.WARNING):
        assert await sources.refresh()
        assert not await sources.refresh()
    assert [record.args[0] for record in caplog.records] == ["b"], "once for each name"
    names.table = {"b": ("192.0.2.9",)}
    keeping = asyncio.create_task(sources.keep(0.0))
    async with asyncio.timeout(5):
        while not told:  # noqa: ASYNC110 - the task has nothing to wait for
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
    keeping.cancel()
    ((trunk,),) = told
    assert trunk.networks == ("192.0.2.1", "192.0.2.2", "192.0.2.9", "198.51.100.1")


async def test_without_names_nobody_is_asked():
    names = Names()
    async with asyncio.timeout(5):
        await TrunkSources(trunks("198.51.100.1"), [].append, names.locate).keep()
    assert names.asked == 0
