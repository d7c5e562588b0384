"""Digest authentication as the server sees it: MD5 with qop=auth (RFC 2617 §3.2, RFC 3261 §22)."""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from .sip_message import Header, Headers

_FIELD = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')


class Verdict(enum.Enum):
    """What the credentials of a request are worth."""

    MISSING = "missing"
    STALE = "stale"
    WRONG = "wrong"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class DigestRule:
    """The account a caller must know. `code` is 401 (a UAS) or 407 (a proxy)."""

    username: str
    password: str = field(repr=False)
    realm: str = "test"
    code: int = 401
    is_in_dialog: bool = False

    def __post_init__(self) -> None:
        if self.code not in (401, 407):
            raise ValueError(f"a digest challenge is 401 or 407, not {self.code}")

    def challenge(self, nonce: str, *, is_stale: bool = False) -> Header:
        """Return the header that asks for credentials."""
        name = "WWW-Authenticate" if self.code == 401 else "Proxy-Authenticate"
        stale = ", stale=true" if is_stale else ""
        return name, f'Digest realm="{self.realm}", nonce="{nonce}", algorithm=MD5, qop="auth"{stale}'

    def verify(self, method: str, headers: Headers, nonce: str) -> Verdict:
        """Judge the credentials in `headers` for this realm against the nonce given out."""
        name = "authorization" if self.code == 401 else "proxy-authorization"
        for value in headers.get_all(name):
            given = parse_credentials(value)
            if given.get("realm") == self.realm:
                return self._judge(method, given, nonce)
        return Verdict.MISSING

    def _judge(self, method: str, given: dict[str, str], nonce: str) -> Verdict:
        if given.get("nonce") != nonce:
            return Verdict.STALE
        expected = digest_response(
            username=self.username, password=self.password, realm=self.realm, method=method, uri=given.get("uri", ""), nonce=nonce,
            qop=given.get("qop", ""), nonce_count=given.get("nc", ""), client_nonce=given.get("cnonce", ""),
        )  # fmt: skip
        is_right = given.get("username") == self.username and hmac.compare_digest(expected, given.get("response", "").lower())
        return Verdict.RIGHT if is_right else Verdict.WRONG


def parse_credentials(value: str) -> dict[str, str]:
    """Return the fields of `Digest a="b", c=d`, names in lower case."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        return {}
    return {name.lower(): quoted or bare for name, quoted, bare in _FIELD.findall(rest)}


def digest_response(
    *,
    username: str,
    password: str,
    realm: str,
    method: str,
    uri: str,
    nonce: str,
    qop: str = "",
    nonce_count: str = "",
    client_nonce: str = "",
) -> str:
    """Return the `response` field: RFC 2617 §3.2.2.1 with `qop`, the older form of RFC 2069 without."""
    secret = _md5(f"{username}:{realm}:{password}")
    request = _md5(f"{method}:{uri}")
    middle = f"{nonce}:{nonce_count}:{client_nonce}:{qop}" if qop else nonce
    return _md5(f"{secret}:{middle}:{request}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
