"""GET a URL into a temporary file that has no name, with a bound on everything."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httpcore
import httpx

from .cancel import Cancellation, Deadline
from .errors import FetchFailed, NotAudio, TooLarge, UrlRefused
from .limits import Limits
from .network import AddressRefused, CheckedBackend, CheckedTransport
from .url import parse_url, shown

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HTML_TYPES = ("text/html", "application/xhtml+xml")
_HTML_STARTS = (b"<!doctype", b"<html", b"<head", b"<body")
_HEADERS = {"Accept": "audio/*, application/octet-stream;q=0.8, */*;q=0.5", "Accept-Encoding": "identity", "User-Agent": "sipcore-media"}
_BLOCK_BYTES = 65536
HTML_REASON = "the server sent a page of HTML, not audio"


@dataclass(slots=True)
class Download:
    """A body on disk. Closing the file removes it."""

    file: BinaryIO
    sha256: str

    def close(self) -> None:
        """Remove the bytes."""
        self.file.close()


def is_html(start: bytes) -> bool:
    """Whether a file that begins with ``start`` is a page of HTML."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_HTML_STARTS)


def fetch(url: str, directory: Path, limits: Limits, cancellation: Cancellation, *, allow_private: bool) -> Download:
    """Read ``url`` into an unnamed file in ``directory``: even a kill -9 leaves nothing there.

    Raises:
        UrlRefused: by scheme, or by an address found on the way (redirects are checked like the first URL).
        FetchFailed: network, time limit, status other than 200, unknown content encoding.
        NotAudio: HTML, or an empty body.
        TooLarge: announced or sent more than ``limits.download_max_bytes``.
        Cancelled: at any moment.
    """
    parsed = parse_url(url, allow_private=allow_private)
    deadline = Deadline(limits.fetch_timeout_s)
    backend = CheckedBackend(
        allow_private=allow_private, connect_timeout_s=limits.connect_timeout_s, deadline=deadline, cancellation=cancellation
    )
    name = shown(url)
    try:
        with httpx.Client(transport=CheckedTransport(backend), trust_env=False, follow_redirects=False) as client:
            return _follow(client, parsed, directory, name, limits, allow_private=allow_private)
    except AddressRefused as error:
        raise UrlRefused(name, str(error)) from error
    except httpcore.TimeoutException as error:
        limit_s = limits.fetch_timeout_s if deadline.is_over else limits.connect_timeout_s
        raise FetchFailed(name, f"no end within {limit_s:g} s") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchFailed(name, str(error) or type(error).__name__) from error


def _follow(client: httpx.Client, url: httpx.URL, directory: Path, name: str, limits: Limits, *, allow_private: bool) -> Download:
    for _hop in range(limits.redirects_max + 1):
        with client.stream("GET", url, headers=_HEADERS) as response:
            if response.status_code not in _REDIRECTS:
                return _receive(response, directory, name, limits)
            target = response.headers.get("location", "")
        if not target:
            raise FetchFailed(name, f"redirect {response.status_code} without a location", response.status_code)
        url = _redirected(url, target, name, allow_private=allow_private)
    raise FetchFailed(name, f"more than {limits.redirects_max} redirects", response.status_code)


def _redirected(url: httpx.URL, target: str, name: str, *, allow_private: bool) -> httpx.URL:
    try:
        joined = str(url.join(target))
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise FetchFailed(name, f"redirect to something that is no URL: {error}") from error
    try:
        return parse_url(joined, allow_private=allow_private)
    except UrlRefused as error:
        raise UrlRefused(name, f"redirect to {error.source}: {error.reason}") from error


def _receive(response: httpx.Response, directory: Path, name: str, limits: Limits) -> Download:
    _check_head(response, name, limits)
    file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115  # handed on to the caller
    try:
        return Download(file, _write(response, file, name, limits))
    except BaseException:
        file.close()
        raise


def _write(response: httpx.Response, file: BinaryIO, name: str, limits: Limits) -> str:
    digest = hashlib.sha256()
    size_bytes = 0
    for block in _decoded(response, name):
        if not size_bytes and is_html(block):
            raise NotAudio(name, HTML_REASON)
        size_bytes += len(block)
        if size_bytes > limits.download_max_bytes:
            raise TooLarge(name, limits.download_max_bytes)
        digest.update(block)
        file.write(block)
    if not size_bytes:
        raise NotAudio(name, "the server sent an empty body")
    file.flush()
    return digest.hexdigest()


def _check_head(response: httpx.Response, name: str, limits: Limits) -> None:
    if response.status_code != 200:
        raise FetchFailed(name, f"the server answered {response.status_code} {response.reason_phrase}".rstrip(), response.status_code)
    if response.headers.get("content-type", "").partition(";")[0].strip().lower() in _HTML_TYPES:
        raise NotAudio(name, HTML_REASON)
    length = response.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limits.download_max_bytes:
        raise TooLarge(name, limits.download_max_bytes)


def _decoded(response: httpx.Response, name: str) -> Iterator[bytes]:
    """Yield the body in blocks. Some servers compress although we ask them not to; a bomb comes out block by block too."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        yield from response.iter_raw()
        return
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise FetchFailed(name, f"content encoding {encoding!r} is not supported", response.status_code)
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # takes gzip and zlib headers
    try:
        for data in response.iter_raw():
            while data and not inflate.eof:
                if block := inflate.decompress(data, _BLOCK_BYTES):
                    yield block
                data = inflate.unconsumed_tail  # what did not fit into the block
    except zlib.error as error:
        raise FetchFailed(name, f"the {encoding} body is damaged: {error}", response.status_code) from error
    if not inflate.eof:
        raise FetchFailed(name, f"the {encoding} body is cut short", response.status_code)
