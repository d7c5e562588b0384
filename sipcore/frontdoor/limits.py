"""What one source may send: token buckets with bounded memory, and scanners that get no answer at all."""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Final

from sipcore.frontdoor.message import Message

MAX_SOURCES: Final = 10_000
"""Buckets kept, the least recently used is forgotten first: about 3 MB."""

SCANNERS: Final = (
    "friendly-scanner", "friendly-request", "sipvicious", "sipcli", "sip-scan", "sipsak", "sundayddr", "iwar", "vaxasip", "vaxsipuseragent",
    "sipptk", "sivus", "gulp", "smap", "pplsip", "eyebeam_scan", "custom-sip-scanner", "sipscan",
)  # fmt: skip
"""Parts of User-Agent values, in lower case, that only scanning tools send."""


class Verdict(Enum):
    """What to do with a message."""

    PASS = "pass"  # noqa: S105 - no password
    DROP = "drop"
    DROP_AND_TELL = "drop and tell"
    """Drop it and log it: the first one of this source since it last behaved, or was last remembered."""


class _Source:
    __slots__ = ("is_told", "tokens", "updated")

    def __init__(self, tokens: float, updated: float) -> None:
        self.tokens = tokens
        self.updated = updated
        self.is_told = False


class SourceLimits:
    """Token buckets, one for each source.

    Args:
        rate: requests a second that a source may keep up.
        burst: and how many at once.
        max_sources: buckets kept.
    """

    __slots__ = ("_burst", "_max_sources", "_rate", "_sources")

    def __init__(self, rate: float, burst: int, max_sources: int = MAX_SOURCES) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._max_sources = max_sources
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sources)

    def take(self, source: str, now: float) -> Verdict:
        """One request of `source`, which is an address without port."""
        bucket = self._bucket(source, now)
        if bucket.tokens >= 1.0:
            bucket.tokens -= 1.0
            return Verdict.PASS
        return self._drop(bucket)

    def ban(self, source: str, now: float) -> Verdict:
        """A scanner's request: dropped, and the bucket is emptied, so that what it sends under another name is dropped for a while, too."""
        bucket = self._bucket(source, now)
        bucket.tokens = 0.0
        return self._drop(bucket)

    def _bucket(self, source: str, now: float) -> _Source:
        bucket = self._sources.get(source)
        if bucket is None:
            bucket = self._sources[source] = _Source(self._burst, now)
            if len(self._sources) > self._max_sources:
                self._sources.popitem(last=False)
            return bucket
        self._sources.move_to_end(source)
        bucket.tokens = min(self._burst, bucket.tokens + max(0.0, now - bucket.updated) * self._rate)
        bucket.updated = now
        if bucket.tokens >= self._burst:
            bucket.is_told = False  # it has been quiet: the next excess is news
        return bucket

    @staticmethod
    def _drop(bucket: _Source) -> Verdict:
        if bucket.is_told:
            return Verdict.DROP
        bucket.is_told = True
        return Verdict.DROP_AND_TELL


def is_scanner(message: Message) -> bool:
    """Whether a request says that it comes from a scanning tool."""
    if not message.is_request:
        return False
    agent = (message.get("User-Agent") or "").lower()
    return bool(agent) and any(name in agent for name in SCANNERS)
