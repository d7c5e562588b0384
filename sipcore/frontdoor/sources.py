"""Whose call is it: the trunk an INVITE belongs to, by where it comes from and what it asks for."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from sipcore.wire import DoorTrunk

_CACHED_HOSTS: Final = 4096

_Network = IPv4Network | IPv6Network


class Sources:
    """Trunks and open networks, asked by source address."""

    __slots__ = ("_cache", "_open", "_registered", "_trunks")

    def __init__(self, trunks: tuple[DoorTrunk, ...], open_networks: tuple[str, ...]) -> None:
        self._trunks = [(ip_network(network, strict=False), trunk) for trunk in trunks for network in trunk.networks]
        self._registered = {trunk.contact_user: trunk for trunk in trunks if trunk.contact_user and not trunk.networks}
        self._open = [ip_network(network, strict=False) for network in open_networks]
        self._cache: dict[str, tuple[tuple[DoorTrunk, ...], bool]] = {}

    def trunk_of(self, host: str, called_user: str) -> str:
        """Name of the trunk, empty when it is none's.

        The longest prefix that holds the source wins; of several trunks at one provider the one that registered the called user. A trunk
        without networks is known by its registration alone.
        """
        candidates = self._of_host(host)[0]
        if candidates:
            return next((trunk.name for trunk in candidates if trunk.contact_user == called_user), candidates[0].name)
        registered = self._registered.get(called_user)
        return "" if registered is None else registered.name

    def is_trunk(self, host: str) -> bool:
        """True when calls of a trunk come from this address."""
        return bool(self._of_host(host)[0])

    def is_open(self, host: str) -> bool:
        """True when this address may call without belonging to a trunk."""
        return self._of_host(host)[1]

    def _of_host(self, host: str) -> tuple[tuple[DoorTrunk, ...], bool]:
        known = self._cache.get(host)
        if known is None:
            if len(self._cache) >= _CACHED_HOSTS:
                self._cache.clear()
            known = self._cache[host] = self._look_up(host)
        return known

    def _look_up(self, host: str) -> tuple[tuple[DoorTrunk, ...], bool]:
        address = plain_address(host)
        if address is None:
            return (), False
        holding = [(network.prefixlen, trunk) for network, trunk in self._trunks if address in network]
        longest = max((length for length, _ in holding), default=0)
        return tuple(trunk for length, trunk in holding if length == longest), any(address in network for network in self._open)


@lru_cache(maxsize=_CACHED_HOSTS)
def plain_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address, an IPv4 one that a dual-stack socket shows as `::ffff:192.0.2.1` unwrapped; None for a name."""
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped if mapped is not None else address
