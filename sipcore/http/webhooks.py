"""Webhooks: the events of a call, POSTed to its `event_url`, one after the other, three tries each.

The header `Sipcore-Signature: t=<seconds since 1970>,v1=<hex>` has the HMAC-SHA256 of `<t>.<body>` under `webhook_secret`.
A call never waits for a webhook: events wait in a queue with a bound, and what finds it full is dropped, counted and logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httpcore

from media.network import AddressRefused
from media.url import shown
from sipcore.calls import AsyncCall
from sipcore.http.envelope import WEBHOOK_TYPES
from sipcore.http.hub import Told
from sipcore.http.outside import OutsideClient

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
BACKOFF_S: Final = (1.0, 5.0)
"""Before the second and the third try."""
MAX_WAITING: Final = 10_000
MAX_WAITING_PER_CALL: Final = 200
MAX_PER_HOST: Final = 16
"""Requests at once to one host: one that never answers holds up its own calls only."""
_AGAIN: Final = frozenset({408, 429})


@dataclass(slots=True)
class _Line:
    """What waits for one call."""

    url: str
    waiting: deque[Told] = field(default_factory=deque)


@dataclass(slots=True)
class _Host:
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_PER_HOST))
    lines: int = 0


class Webhooks:
    """Delivers events. `counts` has `delivered`, `failed`, `dropped`."""

    def __init__(
        self, client: OutsideClient, secret: str, *, timeout_s: float = TIMEOUT_S, backoff_s: tuple[float, ...] = BACKOFF_S
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._client, self._secret = client, secret.encode()
        self._timeout_s, self._backoff_s = timeout_s, backoff_s
        self._lines: dict[str, _Line] = {}
        self._hosts: dict[str, _Host] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Events that are not delivered yet."""
        return self._waiting

    def take(self, told: Told, call: AsyncCall | None) -> None:
        """Put an event in line, at once; nothing for a call without `event_url`."""
        if call is None or not call.event_url or told.type not in WEBHOOK_TYPES:
            return
        line = self._lines.get(told.event.call_id)
        if self._waiting >= MAX_WAITING or (line is not None and len(line.waiting) >= MAX_WAITING_PER_CALL):
            self.counts["dropped"] += 1
            log.warning("call %s: webhook %s dropped: the queue is full", told.event.call_id, told.type)
            return
        self._waiting += 1
        if line is not None:
            line.waiting.append(told)
            return
        line = self._lines[told.event.call_id] = _Line(call.event_url, deque([told]))
        task = asyncio.create_task(self._deliver_all(told.event.call_id, line), name=f"sipcore webhooks {told.event.call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, grace_s: float) -> None:
        """Give what waits `grace_s` seconds, then let go of it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._waiting:
            log.warning("%d webhooks were not delivered", self._waiting)
        await self._client.close()

    async def _deliver_all(self, call_id: str, line: _Line) -> None:
        try:
            name = (urlsplit(line.url).hostname or "").rstrip(".")
            host = self._hosts.setdefault(name, _Host())
            host.lines += 1
            try:
                await self._deliver_each(line, host.gate)
            finally:
                host.lines -= 1
                if not host.lines:
                    del self._hosts[name]
        except Exception:
            log.exception("call %s: webhooks", call_id)
            self._waiting -= len(line.waiting)
            self.counts["failed"] += len(line.waiting)
        finally:
            del self._lines[call_id]

    async def _deliver_each(self, line: _Line, gate: asyncio.Semaphore) -> None:
        while line.waiting:
            async with gate:
                is_delivered = await self._deliver(line.url, line.waiting[0])
            line.waiting.popleft()
            self._waiting -= 1
            self.counts["delivered" if is_delivered else "failed"] += 1

    async def _deliver(self, url: str, told: Told) -> bool:
        for wait_s in (*self._backoff_s, None):
            failure = await self._try(url, told)
            if failure is None:
                return True
            if wait_s is None or not failure.may_pass:
                log.warning("call %s: webhook %s to %s failed: %s", told.event.call_id, told.type, shown(url), failure.message)
                return False
            await asyncio.sleep(wait_s)
        return False

    async def _try(self, url: str, told: Told) -> _Failure | None:
        try:
            code = await self._client.post(url, told.body, self._headers(told), self._timeout_s)
        except AddressRefused as error:
            return _Failure(str(error), may_pass=False)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, TimeoutError, OSError) as error:
            return _Failure(str(error) or type(error).__name__, may_pass=True)
        if 200 <= code < 300:
            return None
        return _Failure(f"it answered {code}", may_pass=code >= 500 or code in _AGAIN)

    def _headers(self, told: Told) -> dict[str, str]:
        seconds = int(time.time())
        return {
            "content-type": "application/json",
            "user-agent": "sipcore-webhook",
            "sipcore-event-id": told.id,
            "sipcore-signature": f"t={seconds},v1={sign(self._secret, seconds, told.body)}",
        }


@dataclass(frozen=True, slots=True)
class _Failure:
    message: str
    may_pass: bool
    """Whether another try may go better."""


def sign(secret: bytes, seconds: int, body: bytes) -> str:
    """HMAC-SHA256 of `<seconds>.<body>`, hexadecimal."""
    return hmac.new(secret, b"%d." % seconds + body, hashlib.sha256).hexdigest()
