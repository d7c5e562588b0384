"""Which hosts may be asked: public addresses only, unless private ones are allowed."""

from __future__ import annotations

import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1


def literal(host: str) -> Address | None:
    """Return the address when ``host`` is one, in any spelling that the resolver takes (``127.1``, ``0x7f000001``), or None."""
    bare = host.strip("[]").partition("%")[0].rstrip(".")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(bare))
    except (OSError, ValueError):
        return None


def is_public(address: Address) -> bool:
    """Whether anybody on the internet may have this address (IANA special-purpose registries, RFC 6890).

    False for private, loopback, link-local (cloud metadata with it), carrier-grade NAT, multicast, unspecified and reserved
    ones, and for IPv6 forms that carry such an IPv4 address: mapped, 6to4, Teredo, NAT64.
    """
    if isinstance(address, IPv6Address) and (inner := _embedded(address)) is not None:
        return is_public(inner)
    return address.is_global and not (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    )


def is_private_name(host: str) -> bool:
    """Whether ``host`` is, by itself, an address that is not public, or a name of this machine (RFC 6761 §6.3)."""
    address = literal(host)
    if address is not None:
        return not is_public(address)
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of ``host``, in the system's order of preference. Blocks for as long as the system's resolver does.

    Raises:
        OSError: the name is not known (``socket.gaierror``), or cannot be one.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise OSError(f"no valid host name: {error}") from error
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
