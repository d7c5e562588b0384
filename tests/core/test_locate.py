"""RFC 3263: the order of hops, and what is asked of a name server that runs here."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import random
import threading

import dns.asyncresolver
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from sipcore.locate import LocateError, Locator, SystemNames, locate, parse_hosts
from sipcore.rfc3263 import Answers, Hop, Naptr, Srv, literal, order_naptr, order_srv, select

# ------------------------------------------------------------------------------------------------------ deciding


def test_srv_by_priority():
    records = [Srv(20, 0, 1, "c"), Srv(10, 0, 1, "a"), Srv(15, 9, 1, "b")]
    assert [record.target for record in order_srv(records, lambda: 0.5)] == ["a", "b", "c"]


def test_srv_by_weight():
    """RFC 2782: of 1 and 3 the second is first in three of four draws; weight 0 hardly ever is."""
    rand = random.Random(1).random
    records = [Srv(0, 3, 1, "three"), Srv(0, 0, 1, "none"), Srv(0, 1, 1, "one")]
    first = collections.Counter(order_srv(records, rand)[0].target for _ in range(4000))
    assert 2850 < first["three"] < 3150
    assert 850 < first["one"] < 1150
    assert first["none"] < 50
    assert order_srv(records, lambda: 0.0)[0].target == "none"
    assert [record.target for record in order_srv(records, lambda: 0.99)] == ["three", "one", "none"]


def test_all_weights_zero():
    records = [Srv(0, 0, 1, "a"), Srv(0, 0, 1, "b")]
    assert {record.target for record in order_srv(records, lambda: 0.7)} == {"a", "b"}


def test_naptr_by_order_then_preference_and_only_what_sip_may_follow():
    records = [
        Naptr(20, 1, "s", "SIP+D2U", "", "_sip._udp.x"),
        Naptr(10, 9, "S", "sip+d2t", "", "_sip._tcp.x"),
        Naptr(10, 5, "s", "SIPS+D2T", "", "_sips._tcp.x"),
        Naptr(1, 1, "u", "E2U+sip", "!^.*$!sip:info@x!", ""),
        Naptr(1, 1, "s", "SIP+D2S", "", "_sip._sctp.x"),
        Naptr(1, 1, "s", "SIP+D2U", "!a!b!", "y"),
    ]
    assert order_naptr(records) == [("tls", "_sips._tcp.x"), ("tcp", "_sip._tcp.x"), ("udp", "_sip._udp.x")]


ADDRESSES = {"h": ("192.0.2.1",), "a": ("192.0.2.2", "192.0.2.3"), "b": ("192.0.2.4",)}
UDP, TCP = "_sip._udp.h", "_sip._tcp.h"


@pytest.mark.parametrize(
    ("port", "transport", "answers", "hops"),
    [
        (None, "any", Answers(addresses=ADDRESSES), [("any", "192.0.2.1", 5060)]),
        (None, "tls", Answers(addresses=ADDRESSES), [("tls", "192.0.2.1", 5061)]),
        (5080, "any", Answers(srv={UDP: [Srv(1, 1, 7000, "a")]}, addresses=ADDRESSES), [("any", "192.0.2.1", 5080)]),
        (
            None,
            "any",
            Answers(srv={TCP: [Srv(1, 1, 7001, "b")], UDP: [Srv(1, 1, 7000, "a")]}, addresses=ADDRESSES),
            [("any", "192.0.2.2", 7000), ("any", "192.0.2.3", 7000), ("tcp", "192.0.2.4", 7001)],
        ),
        (None, "udp", Answers(srv={UDP: [Srv(1, 1, 7000, "b")]}, addresses=ADDRESSES), [("udp", "192.0.2.4", 7000)]),
        (None, "tcp", Answers(srv={UDP: [Srv(1, 1, 7000, "b")]}, addresses=ADDRESSES), [("tcp", "192.0.2.1", 5060)]),
        (
            None,
            "any",
            Answers([Naptr(1, 1, "s", "SIPS+D2T", "", "_t.h")], {"_t.h": [Srv(1, 1, 7000, "b")]}, ADDRESSES),
            [("tls", "192.0.2.4", 7000)],
        ),
        (None, "udp", Answers(srv={UDP: [Srv(0, 0, 0, "")]}, addresses=ADDRESSES), []),  # "." says: not here (RFC 2782)
        (None, "any", Answers(), []),
    ],
)
def test_hops(port, transport, answers, hops):
    found = select("h", port, transport, answers, lambda: 0.5)
    assert [(hop.transport, hop.host, hop.port) for hop in found] == hops
    assert {hop.name for hop in found} <= {"h"}


def test_hops_are_bounded():
    addresses = {"h": tuple(f"192.0.2.{n}" for n in range(200))}
    assert len(select("h", None, "any", Answers(addresses=addresses), lambda: 0.5)) == 8


@pytest.mark.parametrize(
    ("host", "address"),
    [("192.0.2.1", "192.0.2.1"), ("[2001:DB8::1]", "2001:db8::1"), ("::1", "::1"), ("h", ""), ("1.2.3", ""), ("", "")],
)
def test_what_is_an_address(host, address):
    assert literal(host) == address


def test_a_hosts_file():
    text = "127.0.0.1 localhost\n::1 Localhost pbx.\n# 10.0.0.1 no\n10.0.0.2\tpbx  other # 3\nnonsense here\n\n10.0.0.2 pbx\n"
    assert parse_hosts(text) == {"localhost": ("127.0.0.1", "::1"), "pbx": ("10.0.0.2", "::1"), "other": ("10.0.0.2",)}


# -------------------------------------------------------------------------------------------------------- asking


class NameServer(asyncio.DatagramProtocol):
    """A name server of one zone file; names it does not know it denies."""

    def __init__(self, zone: str, *, is_silent: bool = False, rcode: dns.rcode.Rcode | None = None) -> None:
        self.records: dict[tuple[str, str], dns.rrset.RRset] = {}
        for line in filter(None, (line.strip() for line in zone.splitlines())):
            name, ttl, kind, data = line.split(None, 3)
            rrset = self.records.get((name, kind))
            new = dns.rrset.from_text(name, int(ttl), "IN", kind, data)
            self.records[name, kind] = new if rrset is None else rrset.union(new)
        self.asked: collections.Counter[tuple[str, str]] = collections.Counter()
        self.is_silent, self.rcode = is_silent, rcode

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, peer) -> None:
        query = dns.message.from_wire(data)
        key = (query.question[0].name.to_text(), query.question[0].rdtype.name)
        self.asked[key] += 1
        if self.is_silent:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if self.rcode is not None:
            answer.set_rcode(self.rcode)
        elif key in self.records:
            answer.answer.append(self.records[key])
        elif not any(name == key[0] for name, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), peer)


@contextlib.asynccontextmanager
async def served(zone: str, **options):
    """`(server, resolver)`"""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(zone, **options), local_addr=("127.0.0.1", 0)
    )
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port, resolver.timeout = ["127.0.0.1"], transport.get_extra_info("sockname")[1], 0.1
    try:
        yield server, resolver
    finally:
        transport.close()
        await asyncio.sleep(0)


ZONE = """
sip.test. 60 NAPTR 20 0 "s" "SIP+D2U" "" _sip._udp.sip.test.
sip.test. 60 NAPTR 10 0 "s" "SIP+D2T" "" _x._tcp.sip.test.
_x._tcp.sip.test. 60 SRV 1 1 5070 edge1.sip.test.
_sip._udp.sip.test. 60 SRV 2 1 5060 edge2.sip.test.
_sip._udp.sip.test. 60 SRV 1 1 5080 edge1.sip.test.
edge1.sip.test. 60 A 192.0.2.1
edge2.sip.test. 60 A 192.0.2.2
plain.test. 60 A 192.0.2.9
six.test. 60 AAAA 2001:db8::6
both.test. 60 A 192.0.2.6
both.test. 60 AAAA 2001:db8::6
_sips._tcp.tls.test. 60 SRV 1 1 5062 edge1.sip.test.
"""


@pytest.fixture
def no_hosts(tmp_path):
    return tmp_path / "hosts"


@pytest.mark.parametrize(
    ("host", "port", "transport", "hops"),
    [
        ("sip.test", None, None, [("tcp", "192.0.2.1", 5070), ("any", "192.0.2.1", 5080), ("any", "192.0.2.2", 5060)]),
        ("SIP.test.", None, "udp", [("udp", "192.0.2.1", 5080), ("udp", "192.0.2.2", 5060)]),
        ("plain.test", None, None, [("any", "192.0.2.9", 5060)]),
        ("plain.test", 5099, "tcp", [("tcp", "192.0.2.9", 5099)]),
        ("tls.test", None, "tls", [("tls", "192.0.2.1", 5062)]),
        ("plain.test", None, "tls", [("tls", "192.0.2.9", 5061)]),
        ("six.test", None, None, [("any", "2001:db8::6", 5060)]),
        ("both.test", None, None, [("any", "192.0.2.6", 5060)]),
    ],
)
async def test_a_name_server_is_asked(host, port, transport, hops, no_hosts):
    async with served(ZONE) as (_, resolver):
        found = await Locator(resolver, no_hosts).locate(host, port, transport)
    assert [(hop.transport, hop.host, hop.port) for hop in found] == hops
    assert {hop.name for hop in found} == {host.lower().removesuffix(".")}


@pytest.mark.parametrize(
    ("host", "transport", "hop"),
    [
        ("192.0.2.5", None, Hop("any", "192.0.2.5", 5060, "192.0.2.5")),
        ("[::1]", "tls", Hop("tls", "::1", 5061, "::1")),
        ("localhost", "tcp", Hop("tcp", "127.0.0.1", 5060, "localhost")),
        ("a.localhost", None, Hop("any", "127.0.0.1", 5060, "a.localhost")),
        ("pbx", None, Hop("any", "10.0.0.2", 5060, "pbx")),
    ],
)
async def test_nobody_is_asked_for_addresses_and_for_what_the_system_knows(host, transport, hop, tmp_path):
    (tmp_path / "hosts").write_text("10.0.0.2 pbx\n")
    async with served(ZONE) as (server, resolver):
        assert await Locator(resolver, tmp_path / "hosts").locate(host, None, transport) == (hop,)
    assert not server.asked


async def test_the_hosts_file_is_read_again_when_it_changes(tmp_path):
    hosts = tmp_path / "hosts"
    async with served(ZONE) as (_, resolver):
        locator = Locator(resolver, hosts)
        assert (await locator.locate("plain.test", None, None))[0].host == "192.0.2.9"
        hosts.write_text("10.0.0.3 plain.test\n")
        assert (await locator.locate("plain.test", None, None))[0].host == "10.0.0.3"


async def test_records_are_kept_as_long_as_they_may_be(no_hosts, monkeypatch):
    zone = "short.test. 0 A 192.0.2.1\nlong.test. 86400 A 192.0.2.2\n"
    async with served(zone) as (server, resolver):
        locator = Locator(resolver, no_hosts)
        loop = asyncio.get_running_loop()
        start = loop.time()
        for later_s, short, long in ((0.0, 1, 1), (0.5, 1, 1), (1.5, 2, 1), (299.0, 3, 1), (301.0, 4, 2)):
            monkeypatch.setattr(loop, "time", lambda later_s=later_s: start + later_s)
            for host in ("short.test", "long.test"):
                monkeypatch.setattr(loop, "time", lambda later_s=later_s: start + later_s)
                await locator._query(host, "A")
            assert (server.asked["short.test.", "A"], server.asked["long.test.", "A"]) == (short, long)
            monkeypatch.undo()


async def test_what_there_is_not_is_kept_too(no_hosts):
    async with served(ZONE) as (server, resolver):
        locator = Locator(resolver, no_hosts)
        for _ in range(3):
            await locator.locate("plain.test", None, None)
    assert server.asked["plain.test.", "NAPTR"] == server.asked["_sip._udp.plain.test.", "SRV"] == 1


async def test_the_memory_is_bounded(no_hosts, monkeypatch):
    monkeypatch.setattr("sipcore.locate.MAX_CACHED", 5)
    async with served(ZONE) as (_, resolver):
        locator = Locator(resolver, no_hosts)
        for number in range(20):
            assert await locator._query(f"h{number}.test", "A") == ()
        assert len(locator._cache) == 5


@pytest.mark.parametrize("options", [{"is_silent": True}, {"rcode": dns.rcode.SERVFAIL}, {"rcode": dns.rcode.REFUSED}])
async def test_without_an_answer_the_system_is_asked(options, no_hosts, monkeypatch):
    monkeypatch.setattr("sipcore.locate.QUERY_TIMEOUT_S", 0.1)

    def system(host, *_, **__):
        return [(10, 2, 17, "", ("::9", 0)), (2, 2, 17, "", ("10.0.0.9", 0))] if host == "lan.test" else []

    monkeypatch.setattr("sipcore.locate.socket.getaddrinfo", system)
    async with served(ZONE, **options) as (_, resolver):
        locator = Locator(resolver, no_hosts)
        assert await locator.locate("lan.test", None, None) == (
            Hop("any", "10.0.0.9", 5060, "lan.test"),
            Hop("any", "::9", 5060, "lan.test"),
        )
        with pytest.raises(LocateError, match="it has no address"):
            await locator.locate("none.test", None, None)


async def test_a_name_that_nobody_knows(no_hosts, monkeypatch):
    def system(*_, **__):
        raise OSError

    monkeypatch.setattr("sipcore.locate.socket.getaddrinfo", system)
    async with served(ZONE) as (_, resolver):
        for host in ("none.test", "a" * 64 + ".test", "..", "a..b"):
            with pytest.raises(LocateError, match="it has no address"):
                await locate(host, None, None, resolver)


async def test_no_look_up_takes_longer_than_its_limit(no_hosts, monkeypatch):
    monkeypatch.setattr("sipcore.locate.LOOKUP_TIMEOUT_S", 0.05)
    async with served(ZONE, is_silent=True) as (_, resolver):
        with pytest.raises(LocateError, match="no answer in time"):
            await Locator(resolver, no_hosts).locate("sip.test", None, None)


async def test_a_system_that_is_slow_holds_nobody_up(no_hosts, monkeypatch):
    """Each host is asked for by one thread, a bounded number of them, and closing the loop waits for none."""
    release, asked = threading.Event(), []

    def system(host, *_, **__):
        asked.append(host)
        release.wait(10)
        return [(2, 2, 17, "", ("10.0.0.9", 0))]

    monkeypatch.setattr("sipcore.locate.socket.getaddrinfo", system)
    monkeypatch.setattr("sipcore.locate.MAX_ASKING", 2)
    names = SystemNames()
    waiting = [asyncio.create_task(names.addresses(host)) for host in ("a", "a", "b", "a")]
    await asyncio.sleep(0)
    assert await names.addresses("c") == ()
    waiting[0].cancel()
    release.set()
    assert await asyncio.gather(*waiting[1:]) == [("10.0.0.9",)] * 3
    assert sorted(asked) == ["a", "b"]


def test_an_answer_after_the_end_of_the_loop_is_nobodys(monkeypatch):
    release, done = threading.Event(), threading.Event()

    def system(*_, **__):
        release.wait(10)
        done.set()
        raise OSError

    monkeypatch.setattr("sipcore.locate.socket.getaddrinfo", system)

    async def ask() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(SystemNames().addresses("a"), 0.01)

    asyncio.run(ask())
    (asking,) = [thread for thread in threading.enumerate() if thread.name == "sipcore getaddrinfo"]
    release.set()
    assert done.wait(10)
    asking.join(10)
    assert not asking.is_alive()
