"""One request to a web server that a user names, with a bound on everything. Every address is checked before it is connected to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpcore
import httpx

from .cancel import Cancellation, Deadline
from .errors import FetchFailed, TooLarge, UrlRefused
from .network import AddressRefused, CheckedBackend, CheckedTransport
from .url import parse_url, shown

CONNECT_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """What a server answered."""

    status: int
    content_type: str
    """Without parameters, in lower case; empty when it says none."""
    body: bytes


def ask(
    method: str,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout_s: float,
    max_bytes: int,
    allow_private: bool,
    cancellation: Cancellation,
) -> WebAnswer:
    """Send a request and read the whole answer. Blocks; redirects are not followed.

    Raises:
        UrlRefused: by scheme, or by an address of the host.
        FetchFailed: network or time limit.
        TooLarge: the answer announced or sent more than ``max_bytes``.
        Cancelled: at any moment.
    """
    parsed = parse_url(url, allow_private=allow_private)
    deadline = Deadline(timeout_s)
    backend = CheckedBackend(
        allow_private=allow_private, connect_timeout_s=min(CONNECT_TIMEOUT_S, timeout_s), deadline=deadline, cancellation=cancellation
    )
    name = shown(url)
    given = {"Accept-Encoding": "identity", "User-Agent": "sipcore", **headers}
    try:
        with (
            httpx.Client(transport=CheckedTransport(backend), trust_env=False, follow_redirects=False) as client,
            client.stream(method, parsed, content=body or None, headers=given) as response,
        ):
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            return WebAnswer(response.status_code, kind, _read(response, name, max_bytes))
    except AddressRefused as error:
        raise UrlRefused(name, str(error)) from error
    except httpcore.TimeoutException as error:
        raise FetchFailed(name, f"no end within {timeout_s if deadline.is_over else CONNECT_TIMEOUT_S:g} s") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise FetchFailed(name, str(error) or type(error).__name__) from error


def _read(response: httpx.Response, name: str, max_bytes: int) -> bytes:
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise TooLarge(name, max_bytes)
    body = bytearray()
    for block in response.iter_raw():
        body += block
        if len(body) > max_bytes:
            raise TooLarge(name, max_bytes)
    if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise FetchFailed(name, "the answer is compressed, which was not asked for", response.status_code)
    return bytes(body)
