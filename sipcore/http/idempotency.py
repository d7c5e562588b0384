"""`Idempotency-Key`: a request that is sent twice makes one call.

Kept in memory for a day, the newest 10,000 keys of each user. Only what succeeded is kept: a refused request may be repeated.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sipcore.errors import Fault
from sipcore.http.errors import ApiError

LIFETIME_S: Final = 24 * 3600.0
MAX_KEYS: Final = 10_000
MAX_USERS: Final = 10_000


@dataclass(frozen=True, slots=True)
class _Kept:
    digest: bytes
    call_ids: tuple[str, ...]
    expires_s: float


class IdempotencyKeys:
    """The keys that were used, by user. `time_s` is a monotonic clock."""

    def __init__(self, time_s: Callable[[], float], *, max_keys: int = MAX_KEYS, lifetime_s: float = LIFETIME_S) -> None:
        self._time_s, self._max_keys, self._lifetime_s = time_s, max_keys, lifetime_s
        self._users: OrderedDict[int, OrderedDict[str, _Kept]] = OrderedDict()

    def find(self, user_id: int, key: str, body: Any) -> tuple[str, ...]:
        """The ids of the calls that this key made; empty when it is new.

        Raises:
            ApiError: 409, the key came with another body.
        """
        keys = self._users.get(user_id)
        kept = keys.get(key) if keys and key else None
        if kept is None or kept.expires_s <= self._time_s():
            return ()
        if kept.digest != _digest(body):
            fault = Fault("Idempotency-Key", "was used before with another body")
            raise ApiError(409, "IDEMPOTENCY_KEY_REUSED", str(fault), [fault])
        return kept.call_ids

    def keep(self, user_id: int, key: str, body: Any, call_ids: tuple[str, ...]) -> None:
        """Note what a key made; nothing without a key."""
        if not key:
            return
        now_s = self._time_s()
        keys = self._users.setdefault(user_id, OrderedDict())
        self._users.move_to_end(user_id)
        keys.pop(key, None)
        keys[key] = _Kept(_digest(body), call_ids, now_s + self._lifetime_s)
        while len(keys) > self._max_keys or next(iter(keys.values())).expires_s <= now_s:
            keys.popitem(last=False)
        while len(self._users) > MAX_USERS:
            self._users.popitem(last=False)


def _digest(body: Any) -> bytes:
    """Of the value, not of its spelling: spaces and the order of keys do not matter."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).digest()
