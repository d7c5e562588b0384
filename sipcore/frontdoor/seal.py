"""What the front door signs: the names of workers that it hides in Contacts and branches."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

COOKIE: Final = "z9hG4bK"
"""Every branch of RFC 3261 starts with it (§8.1.1.7)."""

_DIGEST_BYTES: Final = 16
_TOKEN_DIGITS: Final = 20
"""80 bits: one try in 10^24 reaches a dialog of somebody else."""
_BRANCH_DIGITS: Final = 12
_URI_DIGITS: Final = 4
_LIKE_OURS: Final = re.compile(rf"{COOKIE}[0-9]+\.[0-9a-f]+\.")


class Seal:
    """Signs and checks with the secret of the pool: a front door that is started again knows what the one before has signed."""

    __slots__ = ("_keyed",)

    def __init__(self, secret: bytes) -> None:
        key = secret if len(secret) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.blake2b(secret).digest()
        self._keyed = hashlib.blake2b(key=key, digest_size=_DIGEST_BYTES)

    def sign(self, digits: int, *parts: str) -> str:
        """So many hex digits, at most 32, of a keyed BLAKE2b (RFC 7693) over the parts; an HMAC takes five times as long."""
        mac = self._keyed.copy()
        mac.update("\0".join(parts).encode("utf-8", "surrogateescape"))
        return mac.hexdigest()[:digits]

    def contact_user(self, worker_id: int, sip_call_id: str) -> str:
        """User part of the Contact that stands for this worker in this dialog."""
        return f"{worker_id}-{self.sign(_TOKEN_DIGITS, 'contact', str(worker_id), sip_call_id)}"

    def worker_of_contact(self, user: str, sip_call_id: str) -> int | None:
        """The worker that a request URI's user part names; None when we did not make it for this Call-ID."""
        worker, dash, _ = user.partition("-")
        if not dash or not _is_small_number(worker):
            return None
        worker_id = int(worker)
        # some far ends change the case of what they repeat; hex digits do not mind
        return worker_id if _is_same(user.lower(), self.contact_user(worker_id, sip_call_id)) else None

    def branch(self, worker_id: int, own_branch: str, request_uri: str) -> str:
        """Branch of the Via that a worker's request leaves with: the same for its CANCEL and the ACK of a refusal."""
        return f"{COOKIE}{worker_id}.{self._branch_mark(worker_id, own_branch)}.{self._uri_mark(request_uri)}.{own_branch}"

    def worker_of_branch(self, branch: str) -> tuple[int, str] | None:
        """The worker and its own branch; None when the branch is not ours."""
        fields = self._fields(branch)
        return None if fields is None else (fields[0], fields[2])

    def has_looped(self, branch: str, request_uri: str) -> bool:
        """True when a Via of ours is in a request that has still the URI we sent it with: a loop, no spiral (RFC 3261 §16.3)."""
        fields = self._fields(branch)
        return fields is not None and fields[1] == self._uri_mark(request_uri)

    def _fields(self, branch: str) -> tuple[int, str, str] | None:
        if not branch.startswith(COOKIE):
            return None
        parts = branch[len(COOKIE) :].split(".", 3)
        if len(parts) != 4 or not _is_small_number(parts[0]):
            return None
        worker_id, mark, uri_mark, own_branch = int(parts[0]), parts[1], parts[2], parts[3]
        return (worker_id, uri_mark, own_branch) if _is_same(mark, self._branch_mark(worker_id, own_branch)) else None

    def _branch_mark(self, worker_id: int, own_branch: str) -> str:
        return self.sign(_BRANCH_DIGITS, "branch", str(worker_id), own_branch)

    def _uri_mark(self, request_uri: str) -> str:
        return self.sign(_URI_DIGITS, "uri", request_uri)


def is_perhaps_ours(via: str) -> bool:
    """False for most Vias that have no branch of ours: a quick look."""
    return _LIKE_OURS.search(via) is not None


def _is_small_number(text: str) -> bool:
    return len(text) <= 9 and text.isascii() and text.isdigit()


def _is_same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
