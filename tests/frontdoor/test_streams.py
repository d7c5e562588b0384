"""Connections and what is sent over them, over real sockets on loopback; nothing routes here."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from sipcore.frontdoor import connection as limits
from sipcore.frontdoor.accepting import Acceptor
from sipcore.frontdoor.connection import Connection
from sipcore.frontdoor.sending import Sender
from sipcore.frontdoor.steps import Flow, Tag, Target, ToFlow, ToTarget
from sipcore.frontdoor.streams import ConnectionLimits, Connections
from sipcore.frontdoor.tls import load
from sipcore.frontdoor.udp import UdpSocket
from sipcore.locate import Hop, LocateError
from sipcore.pool.listening import bind_outer
from sipcore.wire import DoorTls

pytestmark = pytest.mark.slow

MESSAGE = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 4\r\n\r\nbody"
LIMITS = ConnectionLimits(2000, 2000, 65535)


@dataclass
class Edge:
    """Connections, a TCP listener and a sender, as the process has them, with a clock that tests turn."""

    connections: Connections
    sender: Sender
    udp: UdpSocket
    address: tuple[str, int]
    messages: asyncio.Queue[tuple[Connection, bytes]]
    datagrams: asyncio.Queue[tuple[bytes, str, tuple[str, int]]]
    closed: list[str]
    outlet: Outlet
    offset_s: float = 0.0


@dataclass
class Outlet:
    sent_to: list[tuple[str, str, str, bytes]] = field(default_factory=list)
    failed: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def sent(self, transport: str, local: str, remote: str, data: bytes, tag: Tag | None) -> None:
        self.sent_to.append((transport, local, remote, data))

    def unsendable(self, step: ToTarget, reason: str) -> None:
        self.failed.put_nowait(reason)

    def lost(self, reason: str) -> None:
        self.failed.put_nowait(reason)


def bound(kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    sock.bind(("127.0.0.1", 0))
    return sock


@contextlib.asynccontextmanager
async def edge(bounds: ConnectionLimits = LIMITS, locate=None, host="127.0.0.1") -> AsyncIterator[Edge]:
    messages: asyncio.Queue = asyncio.Queue()
    datagrams: asyncio.Queue = asyncio.Queue()
    closed: list[str] = []
    outlet = Outlet()
    contexts = load(DoorTls())
    connections = Connections(bounds, lambda c, data: messages.put_nowait((c, data)), lambda _c, reason: closed.append(reason))
    listener = bound(socket.SOCK_STREAM)
    listener.listen(1024)
    address = listener.getsockname()
    udp_sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp_sock.bind((host, 0))
    acceptor = Acceptor(listener, "tcp", connections, lambda: None)
    udp = UdpSocket(udp_sock, lambda *arrived: datagrams.put_nowait(arrived), 8)
    sender = Sender([udp], connections, lambda: contexts, outlet, has_tcp=True, locate=locate)
    made = Edge(connections, sender, udp, address, messages, datagrams, closed, outlet)
    loop_time = asyncio.get_running_loop().time
    connections.now = lambda: loop_time() + made.offset_s  # type: ignore[method-assign]
    try:
        yield made
    finally:
        sender.close()
        acceptor.close()
        connections.close()
        udp.close()
        await asyncio.sleep(0)  # aborted transports close their sockets in the next turn
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def client(address: tuple[str, int]) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*address)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, 5)


async def until(condition) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.005)


def request(target: Target, data: bytes = MESSAGE, flow: Flow | None = None) -> ToTarget:
    return ToTarget(target, lambda local, transport: data + f" {transport} {local}".encode(), 5060, data, flow)


async def test_a_message_in_pieces_arrives_whole_and_a_ping_is_answered() -> None:
    async with edge() as door, client(door.address) as (reader, writer):
        for piece in (MESSAGE[:10], MESSAGE[10:30], MESSAGE[30:] + MESSAGE):
            writer.write(piece)
            await writer.drain()
        assert (await soon(door.messages.get()))[1] == MESSAGE
        connection, data = await soon(door.messages.get())
        assert data == MESSAGE
        assert connection.peer == writer.get_extra_info("sockname")
        writer.write(b"\r\n\r\n")
        assert await soon(reader.readexactly(2)) == b"\r\n"


async def test_a_response_goes_back_on_the_connection_and_is_lost_with_it() -> None:
    async with edge() as door:
        async with client(door.address) as (reader, writer):
            writer.write(MESSAGE)
            connection, _ = await soon(door.messages.get())
            flow = Flow("tcp", "127.0.0.1:1", connection.peer, connection.number)
            door.sender.to_flow(ToFlow(flow, b"SIP/2.0 200 OK"), is_of_worker=True)
            assert await soon(reader.readexactly(14)) == b"SIP/2.0 200 OK"
            door.sender.to_flow(ToFlow(Flow("tcp", "127.0.0.1:1", connection.peer, 999), b"again"), is_of_worker=True)
            assert await soon(reader.readexactly(5)) == b"again"  # of a front door before this one: found by its peer
        await until(lambda: not len(door.connections))
        door.sender.to_flow(ToFlow(flow, b"late"), is_of_worker=True)
        assert "gone" in await soon(door.outlet.failed.get())


async def test_half_a_message_then_silence_is_closed_after_ten_seconds() -> None:
    async with edge() as door, client(door.address) as (reader, writer):
        writer.write(MESSAGE + MESSAGE[:30])
        await soon(door.messages.get())
        door.offset_s = limits.HALF_MESSAGE_S - 1
        door.connections.sweep()
        assert len(door.connections) == 1
        door.offset_s = limits.HALF_MESSAGE_S + 1
        door.connections.sweep()
        with contextlib.suppress(ConnectionError):
            assert await soon(reader.read()) == b""
        assert door.closed == ["half a message"]


@pytest.mark.parametrize(
    ("sent", "is_of_worker", "limit_s", "reason"),
    [
        (b"", False, limits.SILENT_S, "it says nothing"),
        (MESSAGE, False, limits.IDLE_S, "idle"),
        (MESSAGE, True, limits.IDLE_IN_USE_S, "idle"),
    ],
)
async def test_idle_connections_are_closed(sent: bytes, is_of_worker: bool, limit_s: float, reason: str) -> None:
    async with edge() as door, client(door.address) as (reader, writer):
        writer.write(sent)
        await until(lambda: len(door.connections) == 1)
        if sent:
            connection, _ = await soon(door.messages.get())
            door.sender.to_flow(ToFlow(Flow("tcp", "", connection.peer, connection.number), b"x"), is_of_worker=is_of_worker)
            assert await soon(reader.readexactly(1)) == b"x"
        door.offset_s = limit_s - 1
        door.connections.sweep()
        assert len(door.connections) == 1
        door.offset_s = limit_s + 1
        door.connections.sweep()
        assert door.closed == [reason]
        with contextlib.suppress(ConnectionError):
            assert await soon(reader.read()) == b""


async def test_what_cannot_be_framed_closes_the_connection() -> None:
    async with edge() as door, client(door.address) as (reader, writer):
        writer.write(b"OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert await soon(reader.read()) == b""
        assert door.closed == ["bad Content-Length"]


async def test_a_peer_that_does_not_read_is_cut_off() -> None:
    async with edge() as door, client(door.address) as (_, writer):
        writer.write(MESSAGE)
        connection, _ = await soon(door.messages.get())
        flow = Flow("tcp", "", connection.peer, connection.number)
        for _ in range(1000):
            if connection.is_gone:
                break
            door.sender.to_flow(ToFlow(flow, bytes(65536)), is_of_worker=True)
        assert door.closed == ["it does not read"]
        assert not len(door.connections)


async def test_limits_of_one_source_and_of_all() -> None:
    async with edge(ConnectionLimits(5, 3, 65535)) as door, contextlib.AsyncExitStack() as stack:
        first = [await stack.enter_async_context(client(door.address)) for _ in range(3)]
        await until(lambda: len(door.connections) == 3)
        reader, _ = await stack.enter_async_context(client(door.address))
        with contextlib.suppress(ConnectionError):
            assert await soon(reader.read()) == b""
        first[0][1].close()
        await until(lambda: len(door.connections) == 2)
        _, writer = await stack.enter_async_context(client(door.address))
        writer.write(MESSAGE)
        assert (await soon(door.messages.get()))[1] == MESSAGE
        called = [door.connections.call("tcp", ("127.0.0.1", number), "") for number in range(6)]
        assert [connection is None for connection in called] == [False] * 5 + [True]  # strangers take no room from ours


async def _many_connections(count: int) -> None:
    async with edge() as door, contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(client(door.address)) for _ in range(count)]
        for _, writer in opened:
            writer.write(MESSAGE)
        senders = {(await soon(door.messages.get()))[0].peer for _ in range(count)}
        assert len(senders) == len(door.connections) == count
    assert not len(door.connections)


async def test_300_open_connections_are_served() -> None:
    await _many_connections(300)


@pytest.mark.slow
async def test_1000_open_connections_are_served() -> None:
    await _many_connections(1000)


async def test_a_connection_full_of_messages_does_not_hold_up_the_others() -> None:
    async with edge() as door, client(door.address) as (_, greedy), client(door.address) as (_, modest):
        await until(lambda: len(door.connections) == 2)
        greedy.write(MESSAGE * 2000)
        modest.write(MESSAGE)
        peers = [(await soon(door.messages.get()))[0].peer for _ in range(2001)]
        assert peers.index(modest.get_extra_info("sockname")) < 500
        assert peers.count(greedy.get_extra_info("sockname")) == 2000


async def test_calls_open_one_connection_and_keep_the_order() -> None:
    with bound(socket.SOCK_STREAM) as listener:
        listener.listen(5)
        listener.setblocking(False)
        host, port = listener.getsockname()
        async with edge() as door:
            for number in range(5):
                door.sender.to_target(request(Target(host, port, "tcp"), f"{number}".encode()))
            loop = asyncio.get_running_loop()
            theirs, _ = await soon(loop.sock_accept(listener))
            with theirs:
                local = ":".join(map(str, theirs.getpeername()))
                wanted = "".join(f"{number} tcp {local}" for number in range(5)).encode()
                got = b""
                while len(got) < len(wanted):
                    got += await soon(loop.sock_recv(theirs, 4096))
                assert got == wanted
                door.sender.to_target(request(Target(host, port, "tcp"), b"x"))
                assert await soon(loop.sock_recv(theirs, 4096)) == f"x tcp {local}".encode()
                assert len(door.connections) == 1
                await loop.sock_sendall(theirs, MESSAGE)  # requests come back on it too
                connection, data = await soon(door.messages.get())
                assert data == MESSAGE
                assert connection.is_ours


async def test_nobody_listens() -> None:
    with bound(socket.SOCK_STREAM) as closed:
        async with edge() as door:
            door.sender.to_target(request(Target(*closed.getsockname(), "tcp")))
            assert "refused" in (await soon(door.outlet.failed.get())).lower()
            assert not len(door.connections)


async def test_large_requests_leave_by_tcp_where_the_transport_is_free_and_by_udp_when_nobody_listens() -> None:
    loop = asyncio.get_running_loop()
    async with edge() as door:
        udp, tcp = (listener.sock for listener in bind_outer(("127.0.0.1",), 0, tcp=True))
        with udp, tcp:
            tcp.shutdown(socket.SHUT_RD)  # on Linux it listens no more, and keeps its port
            target = Target(*udp.getsockname())
            door.sender.to_target(request(target, bytes(1200)))
            assert (await soon(loop.sock_recv(udp, 4096))).startswith(bytes(1200) + b" udp 127.0.0.1:")
            door.sender.to_target(request(target, bytes(1300)))
            assert (await soon(loop.sock_recv(udp, 4096))).startswith(bytes(1300) + b" udp 127.0.0.1:")
            tcp.listen(1)
            door.sender.to_target(request(target, bytes(1300)))
            theirs, _ = await soon(loop.sock_accept(tcp))
            with theirs:
                assert (await soon(loop.sock_recv(theirs, 4096))).startswith(bytes(1300) + b" tcp 127.0.0.1:")


async def test_names_are_looked_up_once_and_the_next_hop_is_tried() -> None:
    asked = []
    with bound(socket.SOCK_STREAM) as closed, bound(socket.SOCK_STREAM) as listener:
        listener.listen(1)
        listener.setblocking(False)

        async def locate(host, port, transport):
            asked.append((host, port, transport))
            await asyncio.sleep(0)
            if host == "nowhere.test":
                raise LocateError("it has no address")
            return (Hop("tcp", *closed.getsockname(), host), Hop("tcp", *listener.getsockname(), host))

        async with edge(locate=locate) as door:
            for data in (b"1", b"2"):
                door.sender.to_target(request(Target("sip.test"), data))
            loop = asyncio.get_running_loop()
            theirs, _ = await soon(loop.sock_accept(listener))
            with theirs:
                got = b""
                while got.count(b"tcp") < 2:
                    got += await soon(loop.sock_recv(theirs, 4096))
            assert got.startswith(b"1 ")
            assert asked == [("sip.test", None, None)]
            door.sender.to_target(request(Target("nowhere.test"), b"3"))
            assert await soon(door.outlet.failed.get()) == "nowhere.test: it has no address"


async def test_a_wildcard_socket_knows_the_address_a_datagram_came_to_and_answers_from_it() -> None:
    loop = asyncio.get_running_loop()
    async with edge(host="0.0.0.0") as door:
        with bound(socket.SOCK_DGRAM) as far_end:
            far_end.setblocking(False)
            await loop.sock_sendto(far_end, b"hello", ("127.0.0.7", door.udp.port))
            data, local, peer = await soon(door.datagrams.get())
            assert (data, local, peer) == (b"hello", f"127.0.0.7:{door.udp.port}", far_end.getsockname())
            door.sender.to_flow(ToFlow(Flow("udp", local, peer), b"back"), is_of_worker=True)
            assert await soon(loop.sock_recvfrom(far_end, 100)) == (b"back", ("127.0.0.7", door.udp.port))
            door.sender.to_target(request(Target(*peer), b"new"))
            assert (await soon(loop.sock_recvfrom(far_end, 100)))[0] == f"new udp 127.0.0.1:{door.udp.port}".encode()


async def test_ipv6_both_ways() -> None:
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        far_end = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        try:
            far_end.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        far_end.setblocking(False)
        async with edge() as door:
            arrived: asyncio.Queue = asyncio.Queue()
            sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            sock.bind(("::", 0))
            six = UdpSocket(sock, lambda *found: arrived.put_nowait(found), 8)
            try:
                sender = Sender([door.udp, six], door.connections, lambda: load(DoorTls()), door.outlet, has_tcp=True)
                await loop.sock_sendto(far_end, b"hello", ("::1", six.port))
                _, local, peer = await soon(arrived.get())
                assert local == f"[::1]:{six.port}"
                sender.to_flow(ToFlow(Flow("udp", local, peer), b"back"), is_of_worker=True)
                assert await soon(loop.sock_recv(far_end, 100)) == b"back"
                sender.to_target(request(Target("::1", peer[1]), b"new"))
                assert await soon(loop.sock_recv(far_end, 100)) == f"new udp [::1]:{six.port}".encode()
            finally:
                six.close()


async def test_a_flood_leaves_other_sockets_their_turn() -> None:
    """With a thousand datagrams waiting, another reader is served after one budget of them."""
    loop = asyncio.get_running_loop()
    async with edge() as door:
        with bound(socket.SOCK_DGRAM) as flood:
            for _ in range(200):
                flood.sendto(b"x", (door.udp.host, door.udp.port))
            turns = 0

            def turn() -> None:
                nonlocal turns
                turns += 1
                if door.datagrams.qsize() < 200:
                    loop.call_soon(turn)

            loop.call_soon(turn)
            await until(lambda: door.datagrams.qsize() == 200)
            assert turns >= 200 // 8


@pytest.mark.parametrize(
    "peer", [("localhost", 5060), ("127.0.0.1", 0), ("127.0.0.1", 70000), ("127.0.0.1\0", 5060), ("::1", 5060), ("", 1)]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_peer_that_is_no_address_is_never_looked_up(peer: tuple[str, int], host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    async with edge(host=host) as door:
        door.sender.to_flow(ToFlow(Flow("udp", door.udp.address, peer), b"x"), is_of_worker=True)
        assert await soon(door.outlet.failed.get())
        assert not door.outlet.sent_to
