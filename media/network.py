"""TCP and TLS for httpx which check where they go, and can be stopped at any moment.

A host is resolved once; every address found is checked, and the connection goes to one of exactly these. The name stays in the
Host header and in TLS. Every wait looks at the cancellation and at one deadline for the whole fetch, so that a server
that sends a byte now and then gains nothing.
"""

from __future__ import annotations

import errno
import functools
import os
import select
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import httpcore
import httpx

from .address import Address, is_public, resolve
from .cancel import SLICE_S, Cancellation, Deadline

_T = TypeVar("_T")


class AddressRefused(Exception):
    """``host`` leads to ``address``, which is not public."""

    def __init__(self, host: str, address: Address) -> None:
        self.host = host
        self.address = address
        super().__init__(f"{host} has the address {address}, which is not public")


@functools.cache
def ssl_context() -> ssl.SSLContext:
    """Return what verifies servers: httpx's certificates, or those that ``SSL_CERT_FILE`` names. Made once: it takes 60 ms."""
    return httpx.create_ssl_context()


class CheckedBackend(httpcore.NetworkBackend):
    """Connects sockets for one fetch."""

    def __init__(self, *, allow_private: bool, connect_timeout_s: float, deadline: Deadline, cancellation: Cancellation) -> None:
        self._allow_private = allow_private
        self._connect_timeout_s = connect_timeout_s
        self._deadline = deadline
        self._cancellation = cancellation

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  # ours are stricter
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Connect to the first address of ``host`` that answers.

        Raises:
            AddressRefused: one of them is not public, and it has to be.
            httpcore.ConnectError, httpcore.ConnectTimeout: nobody answers.
        """
        self._cancellation.check()
        try:
            addresses = resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(error.strerror or str(error)) from error
        if not self._allow_private:
            for address in addresses:
                if not is_public(address):
                    raise AddressRefused(host, address)
        waiter = _Waiter(Deadline(min(self._connect_timeout_s, self._deadline.left_s)), self._cancellation)
        failure: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                return _Stream(_connect(address, port, waiter), self._connect_timeout_s, self._deadline, self._cancellation)
            except (OSError, TimeoutError) as error:
                failure = _translated(error, httpcore.ConnectTimeout, httpcore.ConnectError)
        raise failure


class CheckedTransport(httpx.BaseTransport):
    """The httpx end of :class:`CheckedBackend`. Errors stay httpcore's."""

    def __init__(self, backend: CheckedBackend) -> None:
        self._pool = httpcore.ConnectionPool(ssl_context=ssl_context(), max_connections=1, network_backend=backend)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send ``request``; the body of the response is read as it is iterated."""
        url = httpcore.URL(scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path)
        response = self._pool.handle_request(
            httpcore.Request(request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions)
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions)

    def close(self) -> None:
        """Close what is open."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class _Waiter:
    """Waits for one socket, in slices, up to a deadline."""

    def __init__(self, deadline: Deadline, cancellation: Cancellation) -> None:
        self._deadline = deadline
        self._cancellation = cancellation

    def wait(self, sock: socket.socket, event: int) -> None:
        """Return when ``event`` came. Raises TimeoutError at the deadline, Cancelled when cancelled."""
        poll = select.poll()
        poll.register(sock, event)
        while True:
            self._cancellation.check()
            if poll.poll(min(SLICE_S, self._deadline.left_s) * 1000):
                return
            if self._deadline.is_over:
                raise TimeoutError

    def run(self, sock: socket.socket, step: Callable[[], _T], event: int) -> _T:
        """Repeat ``step`` until the socket does not make it wait."""
        if self._deadline.is_over:
            raise TimeoutError
        while True:
            self._cancellation.check()
            try:
                return step()
            except ssl.SSLWantReadError:
                self.wait(sock, select.POLLIN)
            except ssl.SSLWantWriteError:
                self.wait(sock, select.POLLOUT)
            except BlockingIOError:
                self.wait(sock, event)


class _Stream(httpcore.NetworkStream):
    def __init__(self, sock: socket.socket, tls_timeout_s: float, deadline: Deadline, cancellation: Cancellation) -> None:
        self._socket = sock
        self._tls_timeout_s = tls_timeout_s
        self._deadline = deadline
        self._cancellation = cancellation
        self._waiter = _Waiter(deadline, cancellation)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002  # the deadline is stricter
        try:
            return self._waiter.run(self._socket, lambda: self._socket.recv(max_bytes), select.POLLIN)
        except (OSError, TimeoutError) as error:
            raise _translated(error, httpcore.ReadTimeout, httpcore.ReadError) from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        view = memoryview(buffer)
        try:
            while view:
                part = view
                view = view[self._waiter.run(self._socket, lambda: self._socket.send(part), select.POLLOUT) :]  # noqa: B023  # run at once
        except (OSError, TimeoutError) as error:
            raise _translated(error, httpcore.WriteTimeout, httpcore.WriteError) from error

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        waiter = _Waiter(Deadline(min(self._tls_timeout_s, self._deadline.left_s)), self._cancellation)
        try:
            secured = ssl_context.wrap_socket(self._socket, server_hostname=server_hostname, do_handshake_on_connect=False)
            self._socket = secured
            waiter.run(secured, secured.do_handshake, select.POLLIN)
        except (OSError, TimeoutError) as error:
            self.close()
            raise _translated(error, httpcore.ConnectTimeout, httpcore.ConnectError) from error
        except BaseException:
            self.close()
            raise
        return _Stream(secured, self._tls_timeout_s, self._deadline, self._cancellation)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._socket if isinstance(self._socket, ssl.SSLSocket) else None
        return self._socket if info == "socket" else None


def _connect(address: Address, port: int, waiter: _Waiter) -> socket.socket:
    sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        status = sock.connect_ex((str(address), port))
        if status == errno.EINPROGRESS:
            waiter.wait(sock, select.POLLOUT)
            status = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        _check_status(status)
    except BaseException:
        sock.close()
        raise
    return sock


def _check_status(status: int) -> None:
    if status:
        raise OSError(status, os.strerror(status))


def _translated(error: Exception, timeout: type[Exception], other: type[Exception]) -> Exception:
    if isinstance(error, TimeoutError):
        return timeout("timed out")
    return other(getattr(error, "strerror", None) or str(error))
