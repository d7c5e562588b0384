"""Digest authentication of phones (RFC 3261 §22, RFC 7616, RFC 8760), without a memory: the nonce is signed and carries its time."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sipcore.frontdoor.grammar import Malformed
from sipcore.frontdoor.message import Message
from sipcore.frontdoor.seal import Seal
from sipcore.frontdoor.uri import Uri
from sipcore.wire import DoorPhone

NONCE_LIFETIME_S: Final = 60
"""Within it a phone may use a nonce again, from the same address only; after it, it gets a new one with `stale=true`."""

_ALGORITHMS: Final = {"SHA-256": "sha256", "MD5": "md5"}
_PARAMETER: Final = re.compile(r'([!-+\--<>-~]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)')
_ESCAPED: Final = re.compile(r"\\(.)")
_TIME_DIGITS: Final = 12
_MARK_DIGITS: Final = 32
_MAX_HEADER: Final = 2000


class Proof(Enum):
    """What an `Authorization` is worth."""

    MISSING = "missing"
    WRONG = "wrong"
    STALE = "stale"
    """The password is right, the nonce is over."""
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome, and the phone it is about when it is good or stale."""

    proof: Proof
    phone: DoorPhone | None = None


class Digest:
    """Challenges and checks for a set of phones."""

    __slots__ = ("_algorithms", "_by_name", "_realm", "_realms", "_seal")

    def __init__(self, seal: Seal, phones: tuple[DoorPhone, ...]) -> None:
        self._seal = seal
        self._by_name = {(phone.username, phone.realm): phone for phone in phones}
        self._realms = {phone.username: phone.realm for phone in reversed(phones)}
        self._realm = phones[0].realm if phones else ""
        self._algorithms = phones[0].algorithms if phones else ()

    def realm_for(self, username: str) -> str:
        """Realm to ask this user in; of an unknown one that of the first phone, so that nobody learns which exist."""
        return self._realms.get(username, self._realm)

    def knows(self, username: str) -> bool:
        """True when a phone has this user name."""
        return username in self._realms

    def challenges(self, username: str, realm: str, host: str, now: float, *, is_stale: bool = False) -> tuple[tuple[str, str], ...]:
        """`WWW-Authenticate` headers of a 401, one per algorithm of the phone; of an unknown one as for the first phone."""
        phone = self._by_name.get((username, realm))
        nonce = self._nonce(f"{int(now):0{_TIME_DIGITS}x}", host)
        stale = ", stale=true" if is_stale else ""
        text = f'Digest realm="{realm}", nonce="{nonce}", qop="auth"{stale}, algorithm='
        return tuple([("WWW-Authenticate", text + algorithm) for algorithm in (phone.algorithms if phone else self._algorithms)])

    def check(self, request: Message, host: str, now: float) -> Checked:
        """Look at the `Authorization` headers for a realm of ours; `host` is the source address."""
        outcome = Checked(Proof.MISSING)
        for value in request.get_all("Authorization"):
            fields = _fields(value)
            phone = self._by_name.get((fields.get("username", ""), fields.get("realm", "")))
            if phone is None:
                outcome = Checked(Proof.WRONG) if outcome.proof is Proof.MISSING else outcome
                continue
            return self._check_fields(fields, phone, request, host, now)
        return outcome

    def _check_fields(self, fields: dict[str, str], phone: DoorPhone, request: Message, host: str, now: float) -> Checked:
        response = _response(fields, phone, request.method)
        nonce = fields.get("nonce", "")
        is_ours = hmac.compare_digest(_octets(nonce), _octets(self._nonce(nonce[:_TIME_DIGITS], host)))
        is_right = response is not None and hmac.compare_digest(_octets(fields.get("response", "").lower()), _octets(response))
        if not is_right or not _is_for(fields.get("uri", ""), request.request_uri):
            return Checked(Proof.WRONG)
        age_s = now - int(nonce[:_TIME_DIGITS], 16) if is_ours else NONCE_LIFETIME_S + 1
        # a nonce of another address or of a secret before: the password is right, a new nonce will do
        return Checked(Proof.GOOD if -1 <= age_s <= NONCE_LIFETIME_S else Proof.STALE, phone)

    def _nonce(self, time_text: str, host: str) -> str:
        return time_text + self._seal.sign(_MARK_DIGITS, "nonce", time_text, host)


def _fields(value: str) -> dict[str, str]:
    """Parameters of `Digest a=b, c="d"`, names in lower case; empty when it is something else or has one twice."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() != "digest" or len(value) > _MAX_HEADER:
        return {}
    found: dict[str, str] = {}
    rest = rest.strip()
    position = 0
    while position < len(rest):
        match = _PARAMETER.match(rest, position)
        if match is None or match[1].lower() in found:
            return {}
        found[match[1].lower()] = match[3] if match[2] is None else _ESCAPED.sub(r"\1", match[2])
        position = match.end()
        while position < len(rest) and rest[position] in " \t":
            position += 1
    return found


def _response(fields: dict[str, str], phone: DoorPhone, method: str) -> str | None:
    """What `response` has to be (RFC 7616 §3.4.1); None when something is missing, or the algorithm or qop is none that we offer."""
    name = fields.get("algorithm", "MD5").upper()
    algorithm = _ALGORITHMS.get(name)
    if (
        algorithm is None
        or name not in phone.algorithms
        or fields.get("qop", "").lower() != "auth"
        or not all(fields.get(field) for field in ("nonce", "nc", "cnonce", "uri"))
    ):
        return None
    ha1 = phone.ha1_sha256 if algorithm == "sha256" else phone.ha1_md5
    ha2 = hashlib.new(algorithm, _octets(f"{method}:{fields['uri']}"), usedforsecurity=False).hexdigest()
    text = f"{ha1}:{fields['nonce']}:{fields['nc']}:{fields['cnonce']}:auth:{ha2}"
    return hashlib.new(algorithm, _octets(text), usedforsecurity=False).hexdigest()


def _is_for(uri: str, request_uri: str) -> bool:
    """Whether the URI that was signed is the one that is asked for: user, host and port; clients leave parameters out."""
    if uri == request_uri:
        return True
    try:
        signed, asked = Uri.parse(uri), Uri.parse(request_uri)
    except Malformed:
        return False
    return (signed.user, signed.host.lower(), signed.port) == (asked.user, asked.host.lower(), asked.port)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
