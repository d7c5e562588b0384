"""The body of a request: bounded in size, time and depth before anything looks at it."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any, Final, NoReturn

from starlette.requests import ClientDisconnect, Request

from sipcore.config_http import HttpConfig
from sipcore.errors import Fault
from sipcore.http.errors import ApiError, bad_request

MAX_DEPTH: Final = 16
"""The deepest that is of any use is 6: the target of a destination of a connect."""
MAX_KEYS: Final = 32
"""Of one object; none that we know has more than five."""
_DISCARDED_BYTES: Final = 8 * 2**20
"""So much of a body that is too large is read and thrown away, for the client to get to our answer; of more, the connection is cut."""
_IDEMPOTENCY_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}")


async def read_json(request: Request, limits: HttpConfig) -> Any:
    """The JSON value in the body.

    Raises:
        ApiError: 415 not said to be JSON, 413 too large, 408 too slow, 400 not JSON, or deeper than anything we know.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        shown = repr(kind[:100]) if kind else "nothing"
        raise ApiError(415, "CONTENT_TYPE", f"the body must be application/json, its Content-Type says {shown}")
    try:
        async with asyncio.timeout(limits.request_timeout_s):
            body = await _read(request, limits.max_body_bytes)
    except TimeoutError:
        message = f"the body did not arrive within {limits.request_timeout_s:g} s"
        raise ApiError(408, "BODY_TOO_SLOW", message, headers={"connection": "close"}) from None
    except ClientDisconnect:
        raise ApiError(400, "INCOMPLETE_BODY", "the connection ended before the body did") from None
    value = _parsed(body)
    _check_shape(value)
    return value


def read_idempotency_key(request: Request) -> str:
    """The `Idempotency-Key` header; empty when there is none.

    Raises:
        ApiError: 400, it is too long or has odd characters.
    """
    key = request.headers.get("idempotency-key")
    if key is None:
        return ""
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise bad_request("INVALID_HEADER", [Fault("Idempotency-Key", "must have 1 to 255 printable ASCII characters without spaces")])
    return key


def read_page_size(request: Request, default: int) -> int:
    """The `page_size` of the query; whether it is in range is for the switch to say.

    Raises:
        ApiError: 400, it is no number.
    """
    text = request.query_params.get("page_size")
    if text is None:
        return default
    if not _NUMBER.fullmatch(text):
        raise bad_request("INVALID_REQUEST", [Fault("page_size", f"must be a number from 1 to 100, not {text[:50]!r}")])
    return int(text)


async def _read(request: Request, max_bytes: int) -> bytes:
    announced = request.headers.get("content-length", "")
    is_hopeless = announced.isdecimal() and int(announced) > _DISCARDED_BYTES
    body, size = bytearray(), 0
    if not is_hopeless:
        async for block in request.stream():
            size += len(block)
            if size <= max_bytes:
                body += block
            elif size > _DISCARDED_BYTES:
                break
    if size > max_bytes or is_hopeless:
        raise ApiError(413, "BODY_TOO_LARGE", f"the body may have at most {max_bytes} bytes", headers={"connection": "close"})
    return bytes(body)


def _parsed(body: bytes) -> Any:
    try:
        return _decode(body.decode("utf-8"))
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # not UTF-8, not JSON, NaN, an integer of thousands of digits
        raise bad_request("MALFORMED_JSON", [Fault("", f"the body is not JSON: {error}")]) from None


def _check_shape(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for item in level:
            match item:
                case dict():
                    if len(item) > MAX_KEYS:
                        raise bad_request("MALFORMED_JSON", [Fault("", f"an object has more than {MAX_KEYS} keys")])
                    inner += item
                    inner += item.values()
                case list():
                    inner += item
                case str() if not item.isascii():
                    _check_text(item)
        if not inner:
            return
        level = inner
    raise _too_deep()


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise bad_request("MALFORMED_JSON", [Fault("", "a string has half of a surrogate pair (\\ud800 to \\udfff)")]) from None


def _too_deep() -> ApiError:
    return bad_request("MALFORMED_JSON", [Fault("", f"the body is nested deeper than {MAX_DEPTH} levels")])


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode: Final = json.JSONDecoder(parse_constant=_refuse_constant).decode
