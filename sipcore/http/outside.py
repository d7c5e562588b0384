"""HTTP requests of ours to places that users name: each address is checked before it is connected to, as `media` does for `play`."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import httpcore
import httpx

from media.address import is_public
from media.network import AddressRefused, ssl_context
from sipcore.errors import Fault
from sipcore.http.errors import bad_request

_RESOLVERS: Final = 4
_MAX_CONNECTIONS: Final = 256
_KEPT_CONNECTIONS: Final = 32
_KEPT_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 64 * 1024


def ascii_url(text: str, field: str) -> str:
    """The URL as it goes over the wire: host in IDNA, path in percent signs. What is no URL at all stays, for the switch to refuse.

    Raises:
        ApiError: 400, it has a user or password, or no form that everybody reads alike.
    """
    text = text.strip()
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        return text
    if " " in text or not text.isprintable() or url.scheme not in {"http", "https"} or not url.host:
        return text
    if url.userinfo:
        raise bad_request("INVALID_REQUEST", [Fault(field, "must have no user or password")])
    plain = str(url.copy_with(fragment=None))
    try:
        is_clear = plain.isascii() and httpcore.URL(plain).host == url.raw_host
    except (UnicodeError, ValueError):
        is_clear = False
    if not is_clear:
        raise bad_request("INVALID_REQUEST", [Fault(field, "is not a URL")])
    return plain


class OutsideClient:
    """POSTs to URLs of users. Names are looked up on threads of its own, so that a slow DNS server holds up no call."""

    def __init__(self, *, allow_private: bool) -> None:
        self._threads = ThreadPoolExecutor(_RESOLVERS, "sipcore-webhook-dns")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context(),
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_KEPT_CONNECTIONS,
            keepalive_expiry=_KEPT_S,
            network_backend=_CheckedBackend(self._threads, allow_private=allow_private),
        )

    async def post(self, url: str, body: bytes, headers: dict[str, str], timeout_s: float) -> int:
        """The status code of the answer; what else it says is thrown away. Redirects are not followed.

        Raises:
            TimeoutError: no answer within `timeout_s`, from the look-up to the end.
            AddressRefused: the name leads to an address that is not public.
            httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError: no answer at all.
        """
        content = {"content-length": str(len(body)), **headers}
        async with asyncio.timeout(timeout_s), self._pool.stream("POST", url, headers=list(content.items()), content=body) as response:
            size = 0
            async for block in response.aiter_stream():
                size += len(block)
                if size > _MAX_ANSWER_BYTES:
                    break
            return response.status

    async def close(self) -> None:
        """Close what is open."""
        await self._pool.aclose()
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)


class _CheckedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, threads: ThreadPoolExecutor, *, allow_private: bool) -> None:
        self._threads = threads
        self._allow_private = allow_private
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own name
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in await self._resolve(host, port):
            try:
                return await self._backend.connect_tcp(address, port, timeout=timeout, socket_options=socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)

    async def _resolve(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(getattr(error, "strerror", None) or str(error)) from error
        addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
        for address in addresses:
            if not self._allow_private and not is_public(parsed := ipaddress.ip_address(address)):
                raise AddressRefused(host, parsed)
        return addresses
