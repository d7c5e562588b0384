"""Who asks: bearer tokens and JSON Web Tokens.

A token is looked for in `?token=`, then in the cookie `token`, then in `Authorization: Bearer`; the first one found counts.
Every comparison takes the same time, whatever is compared.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
from starlette.requests import Request

from sipcore.config_http import HttpConfig
from sipcore.errors import Fault
from sipcore.http.addresses import is_loopback
from sipcore.http.errors import ApiError

ALGORITHM: Final = "HS256"
MAX_TOKEN_CHARS: Final = 4096
_SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class User:
    """Who asks; an admin sees everybody's calls."""

    id: int
    is_admin: bool

    @property
    def sees(self) -> int | None:
        """Whose calls: a user id, `None` for everybody's."""
        return None if self.is_admin else self.id


class Authenticator:
    """Knows the tokens. Without any, everybody on this machine is user 1 and an admin."""

    def __init__(self, config: HttpConfig) -> None:
        self._is_open = not config.has_tokens
        self._admin_ids = frozenset(config.admin_ids)
        self._jwt_secret = config.jwt_secret.get_secret_value()
        self._known: list[tuple[bytes, int]] = []
        self._know(1, [token.get_secret_value() for token in config.tokens], config.hashed_tokens)
        for user in config.users:
            self._know(user.id, [token.get_secret_value() for token in user.tokens], user.hashed_tokens)

    def authenticate(self, request: Request) -> User:
        """Who asks.

        Raises:
            ApiError: 401 no token, or one that is not good (any more); 403 a web page of somebody else asks through a browser.
        """
        if self._is_open:
            _check_host(request)
            return User(1, is_admin=True)
        token, place = _find_token(request)
        if not token:
            raise _unauthenticated("TOKEN_MISSING", "no token in ?token=, the cookie token or Authorization: Bearer")
        user_id = self._user_id(token)
        if place == "cookie":
            _check_origin(request)
        return User(user_id, user_id in self._admin_ids)

    def _user_id(self, token: str) -> int:
        if len(token) <= MAX_TOKEN_CHARS:
            digest = hash_token(token).encode()
            found = 0
            for known, user_id in self._known:
                if hmac.compare_digest(known, digest):
                    found = found or user_id
            if found:
                return found
            if self._jwt_secret and token.count(".") == 2:
                return _user_of_jwt(token, self._jwt_secret)
        raise _unauthenticated("TOKEN_INVALID", "the token is not known here")

    def _know(self, user_id: int, plain: list[str], hashed: tuple[str, ...]) -> None:
        self._known += [(digest.encode(), user_id) for digest in (*map(hash_token, plain), *hashed)]


def hash_token(token: str) -> str:
    """`sha256:<hex>`. A plain hash is enough for tokens that are random; words do not become safe by it."""
    return "sha256:" + hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


def new_token() -> str:
    """A random bearer token of 256 bits."""
    return secrets.token_urlsafe(32)


def new_jwt(secret: str, user_id: int, lifetime_s: float) -> str:
    """A JSON Web Token `{"user": {"id"}, "exp"}`, good for `lifetime_s` seconds."""
    now_s = int(time.time())
    return jwt.encode({"user": {"id": user_id}, "iat": now_s, "exp": now_s + int(lifetime_s)}, secret, ALGORITHM)


def _user_of_jwt(token: str, secret: str) -> int:
    try:
        claims: dict[str, Any] = jwt.decode(token, secret, [ALGORITHM], options={"require": ["exp"], "verify_aud": False})
    except jwt.ExpiredSignatureError:
        raise _unauthenticated("TOKEN_EXPIRED", "the token has expired") from None
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise _unauthenticated("TOKEN_INVALID", "the token is not known here") from None
    user = claims.get("user")
    user_id = user.get("id") if isinstance(user, dict) else None
    if isinstance(user_id, bool) or not isinstance(user_id, int) or not 0 < user_id < 2**53:
        raise _unauthenticated("TOKEN_INVALID", "the token names no user: it needs user.id, a number from 1")
    return user_id


def _find_token(request: Request) -> tuple[str, str]:
    if token := request.query_params.get("token"):
        return token, "query"
    if token := request.cookies.get("token"):
        return token, "cookie"
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return (token.strip(), "header") if scheme.lower() == "bearer" else ("", "")


def _check_origin(request: Request) -> None:
    """A browser sends cookies along with what any page asks for: only our own pages may change things with one."""
    origin = request.headers.get("origin")
    if request.method not in _SAFE_METHODS and origin is not None and not _is_at(origin, request.headers.get("host")):
        raise ApiError(403, "FOREIGN_ORIGIN", "a page of another site may not use the cookie", [Fault("Origin", origin)])


def _is_at(origin: str, host: str | None) -> bool:
    try:
        place = urlsplit(origin).netloc
    except ValueError:
        return False
    return bool(place) and place == host


def _check_host(request: Request) -> None:
    """Without tokens a web page must not get here by a name of its own that leads to this machine (DNS rebinding)."""
    try:
        host = urlsplit("//" + request.headers.get("host", "")).hostname or ""
    except ValueError:
        host = ""
    if not is_loopback(host):
        message = "without tokens only this machine is served: ask for http://127.0.0.1, or configure tokens"
        raise ApiError(403, "FOREIGN_HOST", message, [Fault("Host", host)])


def _unauthenticated(reason: str, message: str) -> ApiError:
    return ApiError(401, reason, message, headers={"www-authenticate": 'Bearer realm="sipcore"'})
