"""The `[http]` table of the configuration: who may use the HTTP interface, and how much of it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

_HASHED = re.compile(r"sha256:[0-9a-f]{64}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,512}")
_JWT_SECRET_MIN_BYTES = 32  # RFC 7518 §3.2: a key of HS256 is as long as its hash
_WEBHOOK_SECRET_MIN_BYTES = 16


def _token(value: SecretStr) -> SecretStr:
    if not _TOKEN.fullmatch(value.get_secret_value()):
        raise ValueError("a token has 1 to 512 printable ASCII characters and no spaces")
    return value


def _hashed(value: str) -> str:
    if not _HASHED.fullmatch(value):
        raise ValueError('a hashed token is "sha256:" and 64 hexadecimal digits, as `sipcore token create --opaque` prints it')
    return value


def _jwt_secret(value: SecretStr) -> SecretStr:
    length = len(value.get_secret_value().encode())
    if 0 < length < _JWT_SECRET_MIN_BYTES:
        raise ValueError(f"must have at least {_JWT_SECRET_MIN_BYTES} bytes, this has {length}")
    return value


def _webhook_secret(value: SecretStr) -> SecretStr:
    length = len(value.get_secret_value().encode())
    if 0 < length < _WEBHOOK_SECRET_MIN_BYTES:
        raise ValueError(f"must have at least {_WEBHOOK_SECRET_MIN_BYTES} bytes, this has {length}")
    return value


Tokens = tuple[Annotated[SecretStr, AfterValidator(_token)], ...]
HashedTokens = tuple[Annotated[str, AfterValidator(_hashed)], ...]
UserId = Annotated[int, Field(ge=1, le=2**53 - 1)]


class HttpUser(BaseModel):
    """The bearer tokens of one user."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: UserId
    tokens: Tokens = ()
    hashed_tokens: HashedTokens = ()


class HttpConfig(BaseModel):
    """Settings of the HTTP interface. Units are in the names."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listen: str = ""
    """`host:port`; `--http` of the command line goes before it. Empty: no HTTP."""
    tokens: Tokens = ()
    """Bearer tokens of user 1, in plain text."""
    hashed_tokens: HashedTokens = ()
    """Bearer tokens of user 1, as `sha256:<hex>`."""
    jwt_secret: Annotated[SecretStr, AfterValidator(_jwt_secret)] = SecretStr("")
    """Accept JSON Web Tokens (HS256) signed with it; at least 32 bytes."""
    users: tuple[HttpUser, ...] = ()
    """Further users with tokens of their own."""
    admin_ids: tuple[UserId, ...] = (1,)
    """Users that see everybody's calls."""
    webhook_secret: Annotated[SecretStr, AfterValidator(_webhook_secret)] = SecretStr("")
    """Signs webhooks; without it `event_url` is refused. At least 16 bytes."""

    max_connections: Annotated[int, Field(ge=1, le=60_000)] = 512
    """Open connections; one more is answered 503 and closed."""
    max_event_streams: Annotated[int, Field(ge=0, le=60_000)] = 64
    """Of these, connections that follow `/v1.0/events`."""
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 2**20)] = 512 * 1024
    """The largest request body."""
    request_timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """How long the head of a request may take to arrive, and again its body."""
    write_timeout_s: Annotated[float, Field(gt=0, le=600)] = 20.0
    """A client that takes nothing of what we send for this long is dropped."""
    heartbeat_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    """After this long without an event an event stream says that it lives."""

    @property
    def has_tokens(self) -> bool:
        """Whether anybody has to show a token."""
        return bool(self.tokens or self.hashed_tokens or self.jwt_secret.get_secret_value() or self.users)
