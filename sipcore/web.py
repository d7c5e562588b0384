"""Web servers that actions talk to: `fetch` waits for the answer, `webhook_send` need not.

The requests run on threads of their own, so that a slow server or name server holds up its own call only, and one that is not waited for
holds up no `fetch`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from media import Cancellation, MediaError
from media.url import shown
from media.web import WebAnswer, ask

log = logging.getLogger(__name__)

ASKING_THREADS = 16
SENDING_THREADS = 4
MAX_SENDING = 200
"""Requests that nobody waits for; further ones are refused."""
SENDING_GRACE_S = 2.0
"""How long closing waits for them."""
MAX_ANSWER_BYTES = 65_536
"""Of an answer that nobody reads."""


@dataclass(frozen=True, slots=True)
class WebRequest:
    """What is to be sent. An empty media type stands for no body."""

    method: str
    url: str
    body: bytes = b""
    media_type: str = ""
    max_answer_bytes: int = MAX_ANSWER_BYTES

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that it needs."""
        return {"Content-Type": self.media_type} if self.media_type else {}


class WebClient:
    """Sends requests, each to an address that was checked before."""

    def __init__(self, *, allow_private: bool, timeout_s: float) -> None:
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self._asking = ThreadPoolExecutor(ASKING_THREADS, "sipcore-web")
        self._sending = ThreadPoolExecutor(SENDING_THREADS, "sipcore-web-send")
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = threading.Event()

    async def ask(self, request: WebRequest) -> WebAnswer:
        """The answer.

        Raises:
            MediaError: there was none, or one that is too large.
        """
        return await self._on_thread(self._asking, request)

    def send(self, request: WebRequest, call_id: str) -> bool:
        """Send it soon, and log it when that fails; False when too many are waiting."""
        if len(self._tasks) >= MAX_SENDING:
            return False
        task = asyncio.create_task(self._send(request, call_id), name=f"sipcore webhook_send {call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def close(self) -> None:
        """Give what is on its way two seconds, then end it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SENDING_GRACE_S)
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks)
        loop = asyncio.get_running_loop()
        for threads in (self._asking, self._sending):
            await loop.run_in_executor(None, threads.shutdown)

    async def _send(self, request: WebRequest, call_id: str) -> None:
        try:
            answer = await self._on_thread(self._sending, request)
        except MediaError as error:
            log.warning("call %s: webhook_send: %s", call_id, error)
            return
        if not is_success(answer):
            log.warning("call %s: webhook_send: %s answered %d", call_id, shown(request.url), answer.status)

    async def _on_thread(self, threads: ThreadPoolExecutor, request: WebRequest) -> WebAnswer:
        given_up = threading.Event()
        work = functools.partial(
            ask,
            request.method,
            request.url,
            request.body,
            request.headers,
            timeout_s=self._timeout_s,
            max_bytes=request.max_answer_bytes,
            allow_private=self._allow_private,
            cancellation=Cancellation(given_up, self._closing),
        )
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, work)
        finally:
            given_up.set()


def is_success(answer: WebAnswer) -> bool:
    """Whether the server says that it has done it."""
    return 200 <= answer.status < 300
