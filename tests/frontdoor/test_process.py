"""The front door as a process, with a worker and a far end that are sockets of the test."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from sipcore import engine, wire
from sipcore.frontdoor.control import StartError, receive_start
from sipcore.pool import door_spare
from sipcore.pool.door import DoorHandle, DoorOptions

from .dialog import TIMEOUT_S, Caller, Party, Text, answer, message
from .test_tls import files, server_context

pytestmark = pytest.mark.slow

LOOPBACK = ("127.0.0.0/8",)


class Stage:
    """A door with one worker, and a far end."""

    def __init__(self, handle: DoorHandle, offers: asyncio.Queue[tuple[str, engine.Offer]]) -> None:
        self.handle = handle
        self.offers = offers
        self.worker = Party()
        self.far = Party()
        handle.set_workers({7: self.worker.port})

    @property
    def port(self) -> int:
        return int(self.handle.sip_address.rpartition(":")[2])

    async def offer(self) -> tuple[str, engine.Offer]:
        return await asyncio.wait_for(self.offers.get(), TIMEOUT_S)

    async def set_up(self, caller: Caller) -> tuple[Text, Text]:
        """A call of the far end up to its ACK; returns the INVITE the worker got and the 200 the far end got."""
        self.far.send(caller.request("INVITE", f"sip:1000@127.0.0.1:{self.port}", 1), self.port)
        key, _ = await self.offer()
        self.handle.place(key, f"id-{caller.number}", 7)
        invite = await self.worker.receive()
        contact = f"sip:127.0.0.1:{self.worker.port}"
        self.worker.send(answer(invite, 200, "OK", "worker", contact), self.handle.inner_port)
        ok = await self.far.receive()
        while ok.status == 100:
            ok = await self.far.receive()
        assert ok.status == 200
        caller.to_tag = "worker"
        self.far.send(caller.request("ACK", ok.contact_uri, 1), self.port)
        assert (await self.worker.receive()).start.startswith("ACK ")
        return invite, ok

    async def hang_up_from_outside(self, caller: Caller, ok: Text, cseq: int = 2) -> None:
        self.far.send(caller.request("BYE", ok.contact_uri, cseq), self.port)
        bye = await self.worker.receive()
        assert bye.start.startswith("BYE ")
        self.worker.send(answer(bye, 200, "OK"), self.handle.inner_port)
        assert (await self.far.receive()).status == 200

    def request_of_worker(self, invite: Text, method: str, cseq: int) -> str:
        """Within the dialog of an INVITE it got: roles swapped, its Record-Route as Route, the far end's Contact as request URI."""
        headers = [("Via", f"SIP/2.0/UDP 127.0.0.1:{self.worker.port};branch=z9hG4bKworker{method}{cseq}")]
        headers += [("Route", route) for route in invite.all("Record-Route")]
        headers += [("Max-Forwards", "70"), ("From", f"{invite.get('To')};tag=worker"), ("To", invite.get("From"))]
        headers += [("Call-ID", invite.get("Call-ID")), ("CSeq", f"{cseq} {method}")]
        return message(f"{method} {invite.contact_uri} SIP/2.0", headers)

    def close(self) -> None:
        self.worker.close()
        self.far.close()


@contextlib.asynccontextmanager
async def stage(**options) -> AsyncIterator[Stage]:
    offers: asyncio.Queue = asyncio.Queue()
    given = {"sip_host": "127.0.0.1", "open_networks": LOOPBACK} | options
    handle = DoorHandle(DoorOptions(**given), lambda key, offer: offers.put_nowait((key, offer)))
    await handle.start()
    made = Stage(handle, offers)
    try:
        yield made
    finally:
        made.close()
        await handle.close()


async def back_again(handle: DoorHandle, pid: int) -> float:
    """Seconds until another process serves."""
    begun = time.monotonic()
    async with asyncio.timeout(10):
        while handle.pid in {0, pid} or not handle.is_serving:  # noqa: ASYNC110 - what users see, too, is the property
            await asyncio.sleep(0.005)
    return time.monotonic() - begun


async def spare_is_warm(handle: DoorHandle, has_spare: bool) -> None:
    """Waits until it ignores signals of the terminal: its first act when it has imported everything."""
    async with asyncio.timeout(TIMEOUT_S):
        while has_spare and not (handle.spare_pid and ignores(handle.spare_pid, signal.SIGHUP)):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


def ignores(pid: int, number: signal.Signals) -> bool:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigIgn:"))
    return bool(int(line.split()[1], 16) & 1 << (number - 1))


async def test_a_call_from_outside_and_its_end_from_outside() -> None:
    async with stage() as s:
        caller = Caller(s.far.port)
        s.far.send(caller.request("INVITE", f"sip:1000@127.0.0.1:{s.port}", 1), s.port)
        key, offer = await s.offer()
        assert offer.request_uri.startswith("sip:1000@127.0.0.1")
        assert offer.source == f"127.0.0.1:{s.far.port}"
        assert offer.from_name == "Far End"
        s.handle.place(key, "the-call", 7)
        invite = await s.worker.receive()
        assert s.worker.peer == ("127.0.0.1", s.handle.inner_port)
        assert invite.get(wire.CALL_HEADER) == "the-call"
        assert invite.uri.startswith("sip:1000@")
        s.worker.send(answer(invite, 180, "Ringing", "worker", f"sip:127.0.0.1:{s.worker.port}"), s.handle.inner_port)
        ringing = await s.far.receive()
        assert ringing.status == 180
        assert str(s.worker.port) not in ringing.raw
        assert str(s.handle.inner_port) not in ringing.raw
        s.worker.send(answer(invite, 200, "OK", "worker", f"sip:127.0.0.1:{s.worker.port}"), s.handle.inner_port)
        ok = await s.far.receive()
        assert ok.contact_uri.rpartition("@")[2].startswith(f"127.0.0.1:{s.port}")
        caller.to_tag = "worker"
        s.far.send(caller.request("ACK", ok.contact_uri, 1), s.port)
        assert (await s.worker.receive()).start.startswith("ACK ")
        await s.hang_up_from_outside(caller, ok)


async def test_the_worker_hangs_up() -> None:
    async with stage() as s:
        invite, _ = await s.set_up(Caller(s.far.port))
        s.worker.send(s.request_of_worker(invite, "BYE", 1), s.handle.inner_port)
        bye = await s.far.receive()
        assert bye.start.startswith(f"BYE sip:far@127.0.0.1:{s.far.port}")
        assert s.far.peer == ("127.0.0.1", s.port)
        s.far.send(answer(bye, 200, "OK"), s.port)
        assert (await s.worker.receive()).status == 200


async def test_a_refused_offer() -> None:
    async with stage() as s:
        s.far.send(Caller(s.far.port).request("INVITE", "sip:1@127.0.0.1", 1), s.port)
        key, _ = await s.offer()
        s.handle.refuse(key, 404, "Not Found", (("X-Why", "no rule"),))
        refused = await s.far.receive()
        assert (refused.status, refused.get("X-Why")) == (404, "no rule")


async def test_kill_9_while_a_dialog_goes_on() -> None:
    async with stage() as s:
        caller = Caller(s.far.port)
        invite, ok = await s.set_up(caller)
        pid, address = s.handle.pid, s.handle.sip_address
        os.kill(pid, signal.SIGKILL)
        s.far.send(caller.request("INFO", ok.contact_uri, 2), s.port)  # at this moment nobody serves: the socket keeps it
        assert await back_again(s.handle, pid) < 5.0  # the figure asked for is one second, on a machine that does nothing else
        info = await s.worker.receive()
        assert info.start.startswith("INFO ")
        s.worker.send(answer(info, 200, "OK"), s.handle.inner_port)
        assert (await s.far.receive()).status == 200
        assert s.handle.sip_address == address
        assert s.handle.restarts == 1
        s.worker.send(s.request_of_worker(invite, "OPTIONS", 1), s.handle.inner_port)
        assert (await s.far.receive()).start.startswith("OPTIONS ")
        await s.hang_up_from_outside(caller, ok, 3)


@pytest.mark.parametrize("has_spare", [False, True])
async def test_kill_9_while_it_rings(has_spare: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new process learns where the INVITE went before it looks at the CANCEL, which therefore finds its worker."""
    monkeypatch.setattr(door_spare, "_DELAY_S", 0.0 if has_spare else 60.0)
    async with stage() as s:
        await spare_is_warm(s.handle, has_spare)
        caller = Caller(s.far.port)
        s.far.send(caller.request("INVITE", f"sip:1000@127.0.0.1:{s.port}", 1, branch="same"), s.port)
        key, _ = await s.offer()
        s.handle.place(key, "the-call", 7)
        await s.worker.receive()

        def tell_again() -> None:
            time.sleep(0.5)  # the control process may be held up here: a spare is quicker
            s.handle.place(key, "the-call", 7)

        s.handle._on_restart = tell_again
        pid = s.handle.pid
        os.kill(pid, signal.SIGKILL)
        s.far.send(caller.request("CANCEL", f"sip:1000@127.0.0.1:{s.port}", 1, branch="same", contact=False), s.port)
        assert (await s.worker.receive()).start.startswith("CANCEL ")
        assert s.handle.pid != pid


def test_the_first_table_of_workers_ends_the_start() -> None:
    """What is sent before it is known when the first datagram is read."""
    settings = wire.DoorSettings("127.0.0.1:1", (), "", b"secret", "test")
    placed = wire.InvitePlaced("key", "call", 1)
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inner:
        socket.send_fds(ours, [wire.encode(settings)], [inner.fileno()])
        ours.sendall(b"".join(map(wire.encode, (placed, wire.DoorWorkers(((1, 2),)), wire.DoorWorkers(())))))
        _, (sock,), workers, _, rest = receive_start(theirs)
        sock.close()
    assert workers == wire.DoorWorkers(((1, 2),))
    assert rest == [placed, wire.DoorWorkers(())]


def test_who_is_not_the_child_of_the_control_process_does_not_wait_for_it() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(StartError, match="is gone"):
        receive_start(theirs, os.getpid())


async def test_an_offer_that_was_open_is_asked_again() -> None:
    async with stage() as s:
        invite = Caller(s.far.port).request("INVITE", f"sip:1000@127.0.0.1:{s.port}", 1)
        s.far.send(invite, s.port)
        key, _ = await s.offer()
        pid = s.handle.pid
        os.kill(pid, signal.SIGKILL)
        await back_again(s.handle, pid)
        s.far.send(invite, s.port)
        again, _ = await s.offer()
        assert again == key


async def connect(port: int, context: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="door.test" if context else None)


async def read_message(reader: asyncio.StreamReader) -> Text:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), TIMEOUT_S)
    text = Text(head.decode())
    return Text(text.raw + (await reader.readexactly(int(text.get("Content-Length")))).decode())


async def call_over_a_connection(s: Stage, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, transport: str) -> None:
    """A call whose every message outside goes over one connection, BYE of the worker included."""
    caller = Caller(writer.get_extra_info("sockname")[1], transport)
    writer.write(caller.request("INVITE", f"sip:1000@127.0.0.1:{s.port}", 1).encode())
    key, offer = await s.offer()
    assert offer.transport == transport.lower()
    s.handle.place(key, "by-stream", 7)
    invite = await s.worker.receive()
    s.worker.send(answer(invite, 200, "OK", "worker", f"sip:127.0.0.1:{s.worker.port}"), s.handle.inner_port)
    ok = await read_message(reader)
    while ok.status == 100:
        ok = await read_message(reader)
    caller.to_tag = "worker"
    writer.write(caller.request("ACK", ok.contact_uri, 1).encode())
    assert (await s.worker.receive()).start.startswith("ACK ")
    s.worker.send(s.request_of_worker(invite, "BYE", 1), s.handle.inner_port)
    bye = await read_message(reader)
    assert bye.start.startswith("BYE ")
    assert f"SIP/2.0/{transport} " in bye.get("Via")
    writer.write(answer(bye, 200, "OK").encode())
    assert (await s.worker.receive()).status == 200


async def test_a_call_over_tcp() -> None:
    async with stage() as s:
        reader, writer = await connect(s.port)
        try:
            await call_over_a_connection(s, reader, writer, "TCP")
        finally:
            writer.close()
            await writer.wait_closed()


async def test_a_call_over_tls_and_a_reload(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = trustme.CA()
    tls = files(tmp_path, authority, "door.test")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with stage(tls=tls, tls_address="127.0.0.1:0") as s:
        port = int(dict(s.handle.addresses)["tls"].rpartition(":")[2])
        reader, writer = await connect(port, context)
        try:
            await call_over_a_connection(s, reader, writer, "TLS")
        finally:
            writer.transport.abort()
        other = trustme.CA()
        files(tmp_path, other, "door.test")
        s.handle.reload_tls()
        await s.handle.trace("nothing")  # a round trip: the reload is done
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(port, context)
        Path(tls.key_file).write_text("no key")  # noqa: ASYNC240 - a few bytes
        s.handle.reload_tls()
        await s.handle.trace("nothing")
        assert any("TLS stays as it was" in record.message for record in caplog.records)
        other.configure_trust(context)
        _, writer = await connect(port, context)
        writer.transport.abort()
        await asyncio.sleep(0)


async def test_the_trace_has_what_was_outside() -> None:
    async with stage() as s:
        caller = Caller(s.far.port)
        _, ok = await s.set_up(caller)
        await s.hang_up_from_outside(caller, ok)
        messages = await s.handle.trace(f"id-{caller.number}")
        starts = [(one.is_sent, one.text.split("\r\n")[0].split(" sip:")[0]) for one in messages if " 100 " not in one.text[:20]]
        assert starts == [(False, "INVITE"), (True, "SIP/2.0 200 OK"), (False, "ACK"), (False, "BYE"), (True, "SIP/2.0 200 OK")]
        assert {one.remote for one in messages} == {f"127.0.0.1:{s.far.port}"}
        assert {one.local for one in messages} == {s.handle.sip_address}
        assert not any(str(s.worker.port) in one.text or wire.CALL_HEADER in one.text for one in messages)
        assert await s.handle.trace("unknown") == ()


def invite_of_worker(s: Stage, hop: str, number: int = 1) -> str:
    headers = [
        ("Via", f"SIP/2.0/UDP 127.0.0.1:{s.worker.port};rport;branch=z9hG4bKout{number}"),
        ("Route", f"<sip:127.0.0.1:{s.handle.inner_port};lr;hop={hop}>"),
        ("Max-Forwards", "70"),
        ("From", "<sip:1000@sipcore.test>;tag=w"),
        ("To", "<sip:2000@trunk.test>"),
        ("Call-ID", f"out-{number}"),
        ("CSeq", "1 INVITE"),
        ("Contact", f"<sip:127.0.0.1:{s.worker.port};ob>"),
    ]
    return message("INVITE sip:2000@trunk.test SIP/2.0", headers)


async def test_a_request_that_cannot_be_sent_is_told_to_its_worker() -> None:
    async with stage() as s:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            s.worker.send(invite_of_worker(s, f"tcp-127.0.0.1-{closed.getsockname()[1]}"), s.handle.inner_port)
            assert (await s.worker.receive()).status == 503


async def call_out(s: Stage, context: ssl.SSLContext | None, transport: str, hop_end: str) -> None:
    """A worker's call to a far end that listens, all on the one connection; then a BYE of the far end."""
    accepted: asyncio.Queue = asyncio.Queue()
    listening = await asyncio.start_server(lambda *streams: accepted.put_nowait(streams), "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    writer = None
    try:
        s.worker.send(invite_of_worker(s, f"{transport.lower()}-127.0.0.1-{port}{hop_end}"), s.handle.inner_port)
        reader, writer = await asyncio.wait_for(accepted.get(), TIMEOUT_S)
        invite = await read_message(reader)
        assert f"SIP/2.0/{transport} " in invite.get("Via")
        assert f":{s.worker.port}" not in invite.raw
        assert f"transport={transport.lower()}" in invite.contact_uri
        writer.write(answer(invite, 200, "OK", "far", f"sip:2000@127.0.0.1:{port};transport={transport.lower()}").encode())
        ok = await s.worker.receive()
        assert ok.status == 200
        assert "branch=z9hG4bKout1" in ok.get("Via")
        caller = Caller(port, transport, to_tag="w", call_id="out-1")
        writer.write(caller.request("BYE", invite.contact_uri, 1).encode())
        asked = await s.worker.receive()
        assert asked.start.startswith("BYE ")
        s.worker.send(answer(asked, 200, "OK"), s.handle.inner_port)
        assert (await read_message(reader)).status == 200
    finally:
        if writer is not None:
            writer.transport.abort()
        listening.close()
        await listening.wait_closed()


async def test_a_call_out_over_tcp() -> None:
    async with stage() as s:
        await call_out(s, None, "TCP", "")


async def test_a_call_out_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = files(tmp_path, authority, "door.test")
    async with stage(tls=wire.DoorTls(ca_file=tls.ca_file)) as s:
        await call_out(s, server_context(authority, "sip.trunk.test"), "TLS", ";sni=sip.trunk.test")


async def test_on_all_interfaces() -> None:
    """Bound to 0.0.0.0: nobody hears of that address, and answers leave from the one that was called."""
    async with stage(sip_host="0.0.0.0") as s:
        caller = Caller(s.far.port)
        _, ok = await s.set_up(caller)
        assert s.far.peer == ("127.0.0.1", s.port)
        assert f"@127.0.0.1:{s.port}" in ok.contact_uri
        await s.hang_up_from_outside(caller, ok)


async def test_control_stays_responsive_in_a_flood() -> None:
    """Datagrams as fast as a thread can send them; a trace is asked for and a worker's request passes meanwhile."""
    async with stage(limits=wire.DoorLimits(source_rate=20, source_burst=20)) as s:
        invite, _ = await s.set_up(Caller(s.far.port))
        stop = asyncio.Event()
        caller = Caller(s.far.port)
        packet = caller.request("INVITE", f"sip:1000@127.0.0.1:{s.port}", 1, branch="flood%06d")

        def flood() -> int:
            sent = 0
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                while not stop.is_set():
                    sock.sendto((packet % (sent % 1000000)).encode(), ("127.0.0.1", s.port))
                    sent += 1
            return sent

        flooding = asyncio.create_task(asyncio.to_thread(flood))
        try:
            slowest_s = 0.0
            for number in range(1, 21):
                begun = time.monotonic()
                assert await s.handle.trace("unknown") == ()
                slowest_s = max(slowest_s, time.monotonic() - begun)
                s.worker.send(s.request_of_worker(invite, "INFO", number), s.handle.inner_port)
                while not (await s.far.receive()).start.startswith("INFO "):  # refusals of the flood's beginning come here too
                    pass
        finally:
            stop.set()
            assert await flooding > 100
        assert slowest_s < 1.0  # generous: the thread has our interpreter half of the time
        assert s.handle.restarts == 0


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def flood_invites(port: int, sources: int, per_s: int, seconds: float) -> int:
    """INVITEs of strangers, from as many addresses of the loopback network; returns how many."""
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(sources)]
    try:
        for number, sock in enumerate(socks):
            sock.bind((f"127.77.{number // 250}.{number % 250 + 1}", 0))
        begun, sent = time.monotonic(), 0
        while (passed := time.monotonic() - begun) < seconds:
            while sent < passed * per_s:
                caller = Caller(9, number=1_000_000 + sent)
                socks[sent % sources].sendto(caller.request("INVITE", f"sip:{sent}@127.0.0.1:{port}", 1).encode(), ("127.0.0.1", port))
                sent += 1
            time.sleep(0.002)
        return sent
    finally:
        for sock in socks:
            sock.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sources", "seconds"), [(1, 3.0), (400, 3.0), *(pytest.param(sources, 10.0, marks=pytest.mark.soak) for sources in (1, 400))]
)
async def test_2000_invites_a_second(sources: int, seconds: float) -> None:
    """From one address they are dropped, from many offered and refused as time allows; a dialog goes on, and memory stays where it was."""
    async with stage() as s:
        caller = Caller(s.far.port)
        _, ok = await s.set_up(caller)
        s.handle._on_offer = lambda key, _offer: s.handle.refuse(key, 404, "Not Found")
        before = rss_bytes(s.handle.pid)
        flooding = asyncio.create_task(asyncio.to_thread(flood_invites, s.port, sources, 2000, seconds))
        delays_s = []
        cseq = 1
        while not flooding.done():
            cseq += 1
            begun = time.monotonic()
            s.far.send(caller.request("INFO", ok.contact_uri, cseq), s.port)
            info = await s.worker.receive()
            s.worker.send(answer(info, 200, "OK"), s.handle.inner_port)
            assert (await s.far.receive()).status == 200
            delays_s.append(time.monotonic() - begun)
            await asyncio.sleep(0.02)  # fifty a second: what calls do
        assert await flooding > 1000 * seconds
        begun = time.monotonic()
        await s.hang_up_from_outside(caller, ok, cseq + 1)
        assert time.monotonic() - begun < 3.0
        assert sorted(delays_s)[len(delays_s) // 2] < 0.5
        assert rss_bytes(s.handle.pid) - before < 128 << 20
        assert s.handle.restarts == 0
        print(f"{len(delays_s)} rounds, p50 {sorted(delays_s)[len(delays_s) // 2] * 1000:.1f} ms, worst {max(delays_s) * 1000:.1f} ms")
        print(f"{(rss_bytes(s.handle.pid) - before) / 1e6:.1f} MB more, {s.handle.counters}")
