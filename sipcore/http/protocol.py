"""uvicorn's connection, with the bounds that it has not: how many, how long a head may take, and how long a client may take nothing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from http import HTTPStatus
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sipcore.config_http import HttpConfig
from sipcore.http.errors import RETRY_AFTER_S, ApiError, error_body

_SEND_BUFFER_BYTES: Final = 128 * 1024
"""What the kernel may hold of one connection: a client that stops reading is seen soon, and costs no more."""
_MAX_HEAD_BYTES: Final = 16 * 1024
_LINE_BYTES: Final = len(": \r\n")
_LINGER_S: Final = 1.0
_GONE_AFTER_MS: Final = 60_000
"""A client whose machine is gone without a word (Linux TCP_USER_TIMEOUT)."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. `limits` is set by `bounded_by`."""

    limits: ClassVar[HttpConfig] = HttpConfig()
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _is_refused = False
    _has_head = False
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse one connection too many; the head of the first request must come soon."""
        super().connection_made(transport)
        self.access_log = False  # a line of it would have the token in it
        sock = transport.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # head and body are two writes: without it 40 ms lie between them
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_AFTER_MS)
        if len(self.connections) > self.limits.max_connections:
            message = f"{self.limits.max_connections} connections are open already"
            self._refuse(ApiError(503, "TOO_MANY_CONNECTIONS", message, headers={"retry-after": str(RETRY_AFTER_S)}))
            if len(self.connections) > 2 * self.limits.max_connections:
                transport.abort()
            return
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        for timer in (self._head_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        """Take bytes; whatever is not a whole head yet must become one in time."""
        if self._is_refused or self.transport.is_closing():
            return
        if not self._has_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._has_head and self._head_bytes > _MAX_HEAD_BYTES:
            self._refuse_head()
        self._watch_head()

    def on_message_begin(self) -> None:
        """The head of a request begins."""
        self._has_head = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole; one that came at once may still be too long."""
        self._has_head, self._head_bytes = True, 0
        names = [name for name, _ in self.headers]
        if len(self.url) + sum(len(name) + len(value) + _LINE_BYTES for name, value in self.headers) > _MAX_HEAD_BYTES:
            self._refuse_head()
        elif names.count(b"host") != 1 and self.parser.get_http_version() != "1.0":  # RFC 9112 §3.2
            self.send_400_response("")
        elif not self._is_refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Part of the body."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; the head of the next one begins."""
        self._has_head = False
        if not self._is_refused:
            super().on_message_complete()

    def pause_writing(self) -> None:
        """The client takes nothing: it has `write_timeout_s` to go on."""
        super().pause_writing()
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(self.limits.write_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client goes on."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, in our shape."""
        del msg
        self._refuse(ApiError(400, "MALFORMED_HTTP", "this is not an HTTP request"))

    def _watch_head(self) -> None:
        is_answering: bool = self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first
        if is_answering:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.request_timeout_s, self._head_is_late)

    def on_response_complete(self) -> None:
        """The keep-alive timer takes over."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_response_complete()

    def _refuse_head(self) -> None:
        self._refuse(ApiError(431, "HEAD_TOO_LARGE", f"the head of a request may have at most {_MAX_HEAD_BYTES} bytes"))

    def _head_is_late(self) -> None:
        self._refuse(ApiError(408, "HEAD_TOO_SLOW", f"no request within {self.limits.request_timeout_s:g} s"))

    def _refuse(self, error: ApiError) -> None:
        """Answer without the application, and close; what still comes is thrown away, or the client would lose our answer to a reset."""
        if self._is_refused or self.transport.is_closing():
            return
        self._is_refused = True
        body = error_body(error)
        headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close", **error.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(f"HTTP/1.1 {error.code} {HTTPStatus(error.code).phrase}\r\n{head}\r\n".encode() + body)
        self.transport.write_eof()
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = self.loop.call_later(_LINGER_S, self.transport.abort)


def bounded_by(limits: HttpConfig) -> type[BoundedProtocol]:
    """The class of connections that keep these limits."""
    return type("BoundedProtocol", (BoundedProtocol,), {"limits": limits})
