"""In which order a request for a host tries where it may go: RFC 3263 and RFC 2782 over DNS answers that are there. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

MAX_HOPS: Final = 8
DEFAULT_PORTS: Final[Mapping[str, int]] = {"any": 5060, "udp": 5060, "tcp": 5060, "tls": 5061}
"""RFC 3261 §19.1.2."""

_SRV_PREFIX: Final[Mapping[str, str]] = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}
_NAPTR_SERVICE: Final[Mapping[str, str]] = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}


class LocateError(Exception):
    """A host has no address that we can use; the message says why, without naming the host."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One place a request may be sent to.

    `transport` is `udp`, `tcp`, `tls`, or `any`: UDP, and TCP for what is too large for it (RFC 3261 §18.1.1). `host` is an address without
    brackets, `name` the host that was asked for: a TLS certificate has to name it (RFC 5922 §7.1).
    """

    transport: str
    host: str
    port: int
    name: str = ""


@dataclass(frozen=True, slots=True)
class Naptr:
    """The fields of a NAPTR record that SIP uses (RFC 3263 §4.1)."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


@dataclass(frozen=True, slots=True)
class Answers:
    """What DNS said: all that `select` needs. Names are lower case without the last dot."""

    naptr: Sequence[Naptr] = ()
    srv: Mapping[str, Sequence[Srv]] = field(default_factory=dict)
    addresses: Mapping[str, Sequence[str]] = field(default_factory=dict)


def order_srv(records: Iterable[Srv], rand: Callable[[], float]) -> list[Srv]:
    """By priority, and within one priority by a draw weighted with `rand`, which gives [0, 1) (RFC 2782, "Weight")."""
    ordered: list[Srv] = []
    known = list(records)
    for priority in sorted({record.priority for record in known}):
        left = sorted((record for record in known if record.priority == priority), key=lambda record: record.weight)
        while left:
            ordered.append(left.pop(_draw([record.weight for record in left], rand())))
    return ordered


def _draw(weights: Sequence[int], part: float) -> int:
    """The first whose running sum reaches the drawn part of the total; weights of zero stand first and are drawn seldom."""
    threshold, running = part * sum(weights), 0
    for index, weight in enumerate(weights):
        running += weight
        if running >= threshold and (weight or not threshold):
            return index
    return len(weights) - 1


def order_naptr(records: Iterable[Naptr]) -> list[tuple[str, str]]:
    """`(transport, SRV name)` of the records that SIP may follow, the preferred first."""
    usable = (
        record for record in records if record.flags.lower() == "s" and not record.regexp and record.service.upper() in _NAPTR_SERVICE
    )
    ordered = sorted(usable, key=lambda record: (record.order, record.preference))
    return list(dict.fromkeys((_NAPTR_SERVICE[record.service.upper()], record.replacement) for record in ordered))


def srv_names(host: str, transport: str, naptr: Iterable[Naptr] = ()) -> list[tuple[str, str]]:
    """`(transport, SRV name)` to ask for, in order: what NAPTR says, or else each transport of a plain `sip:` URI (RFC 3263 §4.1)."""
    if transport != "any":
        return [(transport, f"{_SRV_PREFIX[transport]}.{host}")]
    return order_naptr(naptr) or [(known, f"{_SRV_PREFIX[known]}.{host}") for known in ("udp", "tcp")]


def select(host: str, port: int | None, transport: str, answers: Answers, rand: Callable[[], float]) -> tuple[Hop, ...]:
    """The hops for `host` in the order to try them (RFC 3263 §4.1, §4.2), at most `MAX_HOPS`. `transport` may be `any`."""
    return tuple(dict.fromkeys(_hops(host, port, transport, answers, rand)))[:MAX_HOPS]


def _hops(host: str, port: int | None, transport: str, answers: Answers, rand: Callable[[], float]) -> Iterator[Hop]:
    has_srv = False
    for found, name in srv_names(host, transport, answers.naptr) if port is None else ():
        for record in order_srv(answers.srv.get(name, ()), rand):
            has_srv = True
            for address in answers.addresses.get(record.target, ()):
                yield Hop("any" if found == "udp" and transport == "any" else found, address, record.port, host)
    if not has_srv:
        for address in answers.addresses.get(host, ()):
            yield Hop(transport, address, port or DEFAULT_PORTS[transport], host)


def literal(host: str) -> str:
    """The address that `host` is, without brackets; empty when it is a name."""
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return ""
