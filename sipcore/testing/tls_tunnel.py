"""TLS for programs that speak SIP over TCP only: takes their connections and passes every octet on through TLS, or the other way round.

with TlsTunnel(("127.0.0.1", tls_port), tls_to_target=client_context) as tunnel:    # a program connects to tunnel.port
with TlsTunnel(("127.0.0.1", sipp_port), tls_from_clients=server_context) as tunnel:    # TLS clients connect to tunnel.port
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from types import TracebackType
from typing import Final, Self

_CHUNK_BYTES: Final = 65_536
_START_TIMEOUT_S: Final = 10.0


class TlsTunnel:
    """A listening port on 127.0.0.1 in a thread of its own.

    Args:
        target: Where each connection goes on to.
        tls_to_target: Speak TLS there, with this context.
        tls_from_clients: Expect TLS of those who connect, with this context.
        server_name: Whom the target's certificate has to be for.

    Attributes:
        port: Where it listens.
    """

    def __init__(
        self,
        target: tuple[str, int],
        *,
        tls_to_target: ssl.SSLContext | None = None,
        tls_from_clients: ssl.SSLContext | None = None,
        server_name: str = "localhost",
    ) -> None:
        self.port = 0
        self._target, self._outer, self._inner, self._server_name = target, tls_to_target, tls_from_clients, server_name
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._end = asyncio.Event()
        self._is_open = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), name="tls-tunnel", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._is_open.wait(_START_TIMEOUT_S):
            raise TimeoutError("the tunnel did not open")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accepted, "127.0.0.1", 0, ssl=self._inner)
        self.port = server.sockets[0].getsockname()[1]
        self._is_open.set()
        await self._end.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError, asyncio.CancelledError):  # either side is gone, or we are
            await self._join(reader, writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = self._server_name if self._outer is not None else None
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target, ssl=self._outer, server_hostname=name)
        except BaseException:
            writer.transport.abort()
            raise
        copies = [asyncio.create_task(_copy(reader, far_writer)), asyncio.create_task(_copy(far_reader, writer))]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)
            writer.transport.abort()
            far_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK_BYTES):
        writer.write(data)
        await writer.drain()
