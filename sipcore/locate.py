"""Where a request for a host goes: asks for the DNS NAPTR, SRV and address records over which `sipcore.rfc3263` decides.

What a system knows by itself (`/etc/hosts`, `localhost`) counts too.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from sipcore.rfc3263 import DEFAULT_PORTS, MAX_HOPS, Answers, Hop, LocateError, Naptr, Srv, literal, select, srv_names

__all__ = ["DEFAULT_PORTS", "Hop", "LocateError", "Locator", "SystemNames", "literal", "locate", "parse_hosts"]

LOOKUP_TIMEOUT_S: Final = 10.0
QUERY_TIMEOUT_S: Final = 3.0
"""For all servers and retries of one query."""
TTL_BOUNDS_S: Final = (1.0, 300.0)
"""A record that may not be kept is kept for a second, as a burst of calls asks for it; one of a day outlives the move of a provider."""
NEGATIVE_TTL_S: Final = 5.0
MAX_CACHED: Final = 2000
MAX_ASKING: Final = 32
"""Threads that wait for getaddrinfo."""
HOSTS_FILE: Final = Path("/etc/hosts")
_T = TypeVar("_T")


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """The names of a hosts file (hosts(5)) and their addresses, IPv4 first."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names if literal(address) else ():
            found.setdefault(name.lower().removesuffix("."), []).append(literal(address))
    return {name: tuple(sorted(dict.fromkeys(addresses), key=lambda address: ":" in address)) for name, addresses in found.items()}


def _is_local(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")  # RFC 6761 §6.3: never asked for


# --------------------------------------------------------------------------------------------------------- asking


class Lookup(Protocol):
    """What `Locator` needs of `dns.asyncresolver.Resolver`."""

    def resolve(self, qname: str, rdtype: str, *, lifetime: float, search: bool) -> Awaitable[dns.resolver.Answer]:
        """The answer, or a `dns.exception.DNSException`."""


class _Silent(Exception):
    """No name server answers."""


class Locator:
    """Looks hosts up and remembers the records, no longer than they may be kept. For one event loop."""

    def __init__(self, resolver: Lookup | None = None, hosts_file: Path = HOSTS_FILE, rand: Callable[[], float] = random.random) -> None:
        self._resolver = self._given_resolver = resolver
        self._hosts_file = hosts_file
        self._hosts: tuple[float, dict[str, tuple[str, ...]]] = (-1.0, {})
        self._rand = rand
        self._system = SystemNames()
        self._cache: dict[tuple[str, str], tuple[float, tuple[object, ...]]] = {}

    async def locate(self, host: str, port: int | None, transport: str | None) -> tuple[Hop, ...]:
        """The hops for a request to `host`, the best first; never empty. Addresses are answered at once.

        Raises:
            LocateError: it has none, or no answer came within `LOOKUP_TIMEOUT_S`.
        """
        wanted = transport or "any"
        if address := literal(host):
            return (Hop(wanted, address, port or DEFAULT_PORTS[wanted], address),)
        name = host.lower().removesuffix(".")
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                answers = await self._ask(name, port, wanted)
        except TimeoutError:
            raise LocateError("no answer in time") from None
        hops = select(name, port, wanted, answers, self._rand)
        if not hops:
            raise LocateError("it has no address")
        return hops

    async def _ask(self, host: str, port: int | None, transport: str) -> Answers:
        if known := self._known(host):
            return Answers(addresses={host: known})
        try:
            return await self._ask_dns(host, port, transport)
        except _Silent:
            return Answers(addresses={host: await self._system.addresses(host)})

    def _known(self, host: str) -> tuple[str, ...]:
        """Addresses that need no name server."""
        try:
            changed_at = self._hosts_file.stat().st_mtime
            if changed_at != self._hosts[0]:
                self._hosts = (changed_at, parse_hosts(self._hosts_file.read_text(encoding="utf-8", errors="replace")))
        except OSError:
            self._hosts = (-1.0, {})
        return self._hosts[1].get(host) or (("127.0.0.1",) if _is_local(host) else ())

    async def _ask_dns(self, host: str, port: int | None, transport: str) -> Answers:
        naptr: tuple[Naptr, ...] = ()
        srv: dict[str, tuple[Srv, ...]] = {}
        if port is None:
            naptr, srv = await self._services(host, transport)
        names = dict.fromkeys(record.target for records in srv.values() for record in records if record.target)
        targets = list(names)[: 2 * MAX_HOPS] if any(srv.values()) else [host]
        found = await _all(*(self._addresses(target) for target in targets))
        return Answers(naptr, srv, dict(zip(targets, found, strict=True)))

    async def _services(self, host: str, transport: str) -> tuple[tuple[Naptr, ...], dict[str, tuple[Srv, ...]]]:
        """NAPTR and SRV records; the usual SRV names are asked for along with NAPTR, which few have."""
        usual = [name for _, name in srv_names(host, transport)]
        queries = [self._query(host, "NAPTR")] if transport == "any" else []
        found = await _all(*queries, *(self._query(name, "SRV") for name in usual))
        services = tuple(record for record in found.pop(0) if isinstance(record, Naptr)) if queries else ()
        answers = dict(zip(usual, found, strict=True))
        for _, name in srv_names(host, transport, services)[:MAX_HOPS]:
            if name not in answers:
                answers[name] = await self._query(name, "SRV")
        return services, {name: tuple(record for record in records if isinstance(record, Srv)) for name, records in answers.items()}

    async def _addresses(self, host: str) -> tuple[str, ...]:
        """IPv4, and only without one IPv6: PJSIP has no IPv6 media. What DNS does not know, the system may."""
        if known := self._known(host):
            return known
        for kind in ("A", "AAAA"):
            if found := await self._query(host, kind):
                return tuple(str(address) for address in found)
        return await self._system.addresses(host)

    async def _query(self, name: str, kind: str) -> tuple[object, ...]:
        """The records, from the cache while they may be kept; empty when there are none.

        Raises:
            _Silent: there is no name server, or none answers.
        """
        now = asyncio.get_running_loop().time()
        kept = self._cache.get((name, kind))
        if kept is not None and kept[0] > now:
            return kept[1]
        ttl_s, records = await self._fetch(name, kind)
        while len(self._cache) >= MAX_CACHED:
            del self._cache[next(iter(self._cache))]
        self._cache[name, kind] = (now + ttl_s, records)
        return records

    async def _fetch(self, name: str, kind: str) -> tuple[float, tuple[object, ...]]:
        try:
            is_address = kind in {"A", "AAAA"}  # the search list is for hosts, not for services
            answer = await self._lookup().resolve(name, kind, lifetime=QUERY_TIMEOUT_S, search=is_address)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer, dns.resolver.YXDOMAIN, dns.name.LabelTooLong, dns.name.EmptyLabel):
            return NEGATIVE_TTL_S, ()
        except (dns.exception.DNSException, OSError) as error:
            self._resolver = self._given_resolver  # what the system says of its name servers may be new next time
            raise _Silent(str(error)) from None
        least, most = TTL_BOUNDS_S
        ttl_s = float(answer.rrset.ttl) if answer.rrset is not None else NEGATIVE_TTL_S
        return min(max(ttl_s, least), most), tuple(_record(rdata) for rdata in answer)

    def _lookup(self) -> Lookup:
        if self._resolver is None:
            self._resolver = dns.asyncresolver.Resolver()  # raises NoResolverConfiguration, a DNSException
        return self._resolver


async def _all(*queries: Coroutine[Any, Any, _T]) -> list[_T]:
    """Every result; an error only when all have ended, so that none goes on unseen."""
    found = await asyncio.gather(*queries, return_exceptions=True)
    for result in found:
        if isinstance(result, BaseException):
            raise result
    return [result for result in found if not isinstance(result, BaseException)]


class SystemNames:
    """What getaddrinfo says: nsswitch.conf may name sources beside DNS.

    It may take long, and cannot be stopped. So it runs in a thread that nobody waits for at the end, once for each host at a time.
    """

    def __init__(self) -> None:
        self._asking: dict[str, asyncio.Future[tuple[str, ...]]] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        """Of a host, IPv4 first; empty when it has none, or when too much is being asked already."""
        asking = self._asking.get(host)
        if asking is None:
            if len(self._asking) >= MAX_ASKING:
                return ()
            asking = self._asking[host] = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._ask, args=(host, asking), name="sipcore getaddrinfo", daemon=True).start()
        return await asyncio.shield(asking)

    def _ask(self, host: str, asking: asyncio.Future[tuple[str, ...]]) -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError):
            found = []
        addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody asks any more
            in_order = sorted(addresses, key=lambda address: ":" in address)
            asking.get_loop().call_soon_threadsafe(self._answer, host, in_order, threading.current_thread())

    def _answer(self, host: str, addresses: list[str], thread: threading.Thread) -> None:
        thread.join()  # this was the last that it did
        self._asking.pop(host).set_result(tuple(addresses))


def _record(rdata: Any) -> object:
    """A record of ours from one of dnspython."""
    kind = getattr(rdata, "rdtype", None)
    if kind == dns.rdatatype.SRV:
        return Srv(rdata.priority, rdata.weight, rdata.port, _name(rdata.target))
    if kind == dns.rdatatype.NAPTR:
        flags, service, regexp = (bytes(part).decode("ascii", "replace") for part in (rdata.flags, rdata.service, rdata.regexp))
        return Naptr(rdata.order, rdata.preference, flags, service, regexp, _name(rdata.replacement))
    return str(rdata.address)


def _name(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


_SHARED: Final = Locator()


async def locate(host: str, port: int | None, transport: str | None, resolver: Lookup | None = None) -> tuple[Hop, ...]:
    """`Locator.locate` with the records of this process kept from one call to the next, unless a `resolver` is given.

    Raises:
        LocateError: as there.
    """
    return await (Locator(resolver) if resolver is not None else _SHARED).locate(host, port, transport)
