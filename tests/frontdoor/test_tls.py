"""TLS both ways, with certificates made here."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from sipcore.frontdoor.accepting import Acceptor
from sipcore.frontdoor.sending import Sender
from sipcore.frontdoor.steps import Target
from sipcore.frontdoor.streams import ConnectionLimits, Connections
from sipcore.frontdoor.tls import TlsFilesError, load, mismatch, names_match
from sipcore.frontdoor.udp import UdpSocket
from sipcore.locate import Hop
from sipcore.wire import DoorTls

from .test_streams import MESSAGE, Outlet, bound, request, soon

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


def files(folder: Path, authority: trustme.CA, *names: str, verifies_clients: bool = False) -> DoorTls:
    """The files of a door whose certificate is for `names`."""
    certificate = authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA)
    paths = folder / "chain.pem", folder / "key.pem", folder / "ca.pem"
    paths[0].write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(paths[1])
    authority.cert_pem.write_to_path(paths[2])
    return DoorTls(*map(str, paths), verifies_clients=verifies_clients)


def far_end_context(authority: trustme.CA, *, name: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if name:
        authority.issue_cert(name, key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


class TlsEdge:
    """A TLS listener and a sender, as the process has them."""

    def __init__(self, settings: DoorTls, locate=None) -> None:
        self.contexts = load(settings)
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.closed: asyncio.Queue[str] = asyncio.Queue()
        self.outlet = Outlet()
        self.connections = Connections(
            ConnectionLimits(100, 100, 65535),
            lambda _c, data: self.messages.put_nowait(data),
            lambda _c, reason: self.closed.put_nowait(reason),
        )
        listener = bound(socket.SOCK_STREAM)
        listener.listen(10)
        self.address = listener.getsockname()
        self.acceptor = Acceptor(listener, "tls", self.connections, lambda: self.contexts.server)
        self.udp = UdpSocket(bound(socket.SOCK_DGRAM), lambda *_: None, 8)
        self.sender = Sender([self.udp], self.connections, lambda: self.contexts, self.outlet, has_tcp=True, locate=locate)

    async def close(self) -> None:
        self.sender.close()
        self.acceptor.close()
        self.connections.close()
        self.udp.close()
        for _ in range(5):
            await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def edge(settings: DoorTls, locate=None) -> AsyncIterator[TlsEdge]:
    made = TlsEdge(settings, locate)
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def client(address, context: ssl.SSLContext, name: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*address, ssl=context, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def server(context: ssl.SSLContext) -> AsyncIterator[tuple[tuple[str, int], asyncio.Queue[bytes]]]:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                received.put_nowait(data)
        writer.transport.abort()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield listening.sockets[0].getsockname(), received


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA).configure_cert(context)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_caller_by_tls_is_served(tmp_path: Path, authority: trustme.CA, version: ssl.TLSVersion) -> None:
    async with edge(files(tmp_path, authority, "door.test")) as door:
        context = far_end_context(authority)
        context.maximum_version = version
        async with client(door.address, context, "door.test") as (_, writer):
            assert writer.get_extra_info("ssl_object").version() == {"TLSv1_2": "TLSv1.2", "TLSv1_3": "TLSv1.3"}[version.name]
            writer.write(MESSAGE)
            assert await soon(door.messages.get()) == MESSAGE


async def test_plain_text_at_the_tls_port_is_closed(tmp_path: Path, authority: trustme.CA) -> None:
    async with edge(files(tmp_path, authority, "door.test")) as door:
        reader, writer = await asyncio.open_connection(*door.address)
        writer.write(MESSAGE)
        with contextlib.suppress(ConnectionError):
            await soon(reader.read())
        writer.close()
        assert (await soon(door.closed.get())).startswith("handshake")
        assert not len(door.connections)


async def test_clients_without_a_certificate_are_refused_where_it_is_asked_for(tmp_path: Path, authority: trustme.CA) -> None:
    async with edge(files(tmp_path, authority, "door.test", verifies_clients=True)) as door:
        async with client(door.address, far_end_context(authority, name="peer.test"), "door.test") as (_, writer):
            writer.write(MESSAGE)
            assert await soon(door.messages.get()) == MESSAGE
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            async with client(door.address, far_end_context(authority), "door.test") as (reader, writer):
                writer.write(MESSAGE)
                await soon(reader.read())
        assert (await soon(door.closed.get())).startswith("handshake")
        assert door.messages.empty()


async def test_a_server_is_called_when_its_certificate_has_the_name(tmp_path: Path, authority: trustme.CA) -> None:
    settings = files(tmp_path, authority, "door.test")
    async with server(server_context(authority, "sip.test")) as (address, received):

        async def locate(host, _port, _transport):
            return (Hop("tls", *address, host),)

        async with edge(settings, locate) as door:
            door.sender.to_target(request(Target("sip.test", None, "tls"), b"by name"))
            assert (await soon(received.get())).startswith(b"by name tls 127.0.0.1:")
            door.sender.to_target(request(Target(*address, "tls", "SIP.test"), b"named apart"))
            assert (await soon(received.get())).startswith(b"named apart tls ")
            assert len(door.connections) == 1
            door.sender.to_target(request(Target("other.test", None, "tls")))
            assert "certificate: it is not for other.test" in await soon(door.outlet.failed.get())
            door.sender.to_target(request(Target(*address, "tls")))
            assert "certificate: it is not for 127.0.0.1" in await soon(door.outlet.failed.get())
            assert received.empty()


async def test_a_server_of_an_unknown_authority_is_not_called(tmp_path: Path, authority: trustme.CA) -> None:
    settings = files(tmp_path, authority, "door.test")
    async with server(server_context(trustme.CA(), "sip.test")) as (address, received), edge(settings) as door:
        door.sender.to_target(request(Target(*address, "tls", "sip.test")))
        assert "certificate: " in await soon(door.outlet.failed.get())
        assert received.empty()


async def test_our_certificate_is_shown_to_a_server_that_asks(tmp_path: Path, authority: trustme.CA) -> None:
    context = server_context(authority, "sip.test")
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    async with server(context) as (address, received), edge(files(tmp_path, authority, "door.test")) as door:
        door.sender.to_target(request(Target(*address, "tls", "sip.test"), b"known"))
        assert (await soon(received.get())).startswith(b"known")


async def test_a_reload_serves_the_new_certificate_and_keeps_open_connections(tmp_path: Path, authority: trustme.CA) -> None:
    context = far_end_context(authority)
    async with edge(files(tmp_path, authority, "old.test")) as door, client(door.address, context, "old.test") as (_, old):
        door.contexts = load(files(tmp_path, authority, "new.test"))
        async with client(door.address, context, "new.test") as (_, new):
            for writer in (old, new):
                writer.write(MESSAGE)
                assert await soon(door.messages.get()) == MESSAGE


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("sip.secure.test", "it is not for sip.secure.test but for *.secure.test, and SIP takes no wildcards (RFC 5922)"),
        ("deep.sip.secure.test", "it is not for deep.sip.secure.test"),
        ("192.0.2.1", "it is not for 192.0.2.1"),
    ],
)
def test_a_wildcard_matches_nothing_and_is_named(name: str, why: str) -> None:
    certificate = {"subjectAltName": (("DNS", "*.Secure.test"),)}
    assert not names_match(certificate, name)
    assert mismatch(certificate, name) == why


def test_files_that_cannot_be_used_are_named(tmp_path: Path, authority: trustme.CA) -> None:
    good = files(tmp_path, authority, "door.test")
    with pytest.raises(TlsFilesError, match=r"certificate /missing\.pem.*No such file"):
        load(DoorTls("/missing.pem"))
    with pytest.raises(TlsFilesError, match=r"authorities /missing\.pem"):
        load(DoorTls(ca_file="/missing.pem"))
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("x.test").private_key_pem.write_to_path(other)
    with pytest.raises(TlsFilesError, match=r"other\.pem"):
        load(DoorTls(good.certificate_file, str(other)))
    assert load(DoorTls()).server is None
