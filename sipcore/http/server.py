"""A switch and its HTTP server on one event loop, from the first socket to the last."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Final, Self

import uvicorn

from sipcore.http import webhooks
from sipcore.http.app import create_app
from sipcore.http.hub import EventHub
from sipcore.http.idempotency import IdempotencyKeys
from sipcore.http.metrics import Metrics
from sipcore.http.outside import OutsideClient
from sipcore.http.protocol import bounded_by
from sipcore.http.routes import CallRoutes
from sipcore.http.sse import EventStreams
from sipcore.http.tokens import Authenticator
from sipcore.switch import AsyncSwitch

log = logging.getLogger(__name__)

_KEEP_ALIVE_S: Final = 30
_LAST_ANSWERS_S: Final = 2
_WEBHOOK_GRACE_S: Final = 5.0
_HURRIED_S: Final = 0.5


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; says when it is done."""
        await super().startup(sockets)
        self.is_ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the command line's."""
        yield


class HttpServer:
    """Serves `switch` at a listening socket. The switch is opened and closed with it.

    Args:
        switch: Not open yet.
        sock: From `sipcore.http.addresses.bind`; closed with the server.
        webhook_timeout_s: How long one try of a webhook may take.
        webhook_backoff_s: What is waited before the second and the third try.
    """

    def __init__(
        self,
        switch: AsyncSwitch,
        sock: socket.socket,
        *,
        webhook_timeout_s: float = webhooks.TIMEOUT_S,
        webhook_backoff_s: tuple[float, ...] = webhooks.BACKOFF_S,
    ) -> None:
        config = switch.config.http
        self.switch = switch
        self.hub = EventHub(switch)
        client = OutsideClient(allow_private=switch.config.allow_private_urls)
        secret = config.webhook_secret.get_secret_value()
        self.webhooks = webhooks.Webhooks(client, secret, timeout_s=webhook_timeout_s, backoff_s=webhook_backoff_s)
        self._is_drained = False
        self._sock = sock
        authenticator = Authenticator(config)
        streams = self.streams = EventStreams(self.hub, authenticator, max_streams=config.max_event_streams, heartbeat_s=config.heartbeat_s)
        metrics = Metrics(switch, self.webhooks, streams)
        self.hub.show_to(metrics.watch)
        self.hub.send_to(self.webhooks.take)
        keys = IdempotencyKeys(asyncio.get_running_loop().time)
        app = create_app(switch, authenticator, CallRoutes(switch, authenticator, keys, config), streams, metrics)
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                app,
                http=bounded_by(config),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                backlog=128,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_LAST_ANSWERS_S,
            )
        )
        self._serving: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._uvicorn.server_state.connections)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Open the switch and answer requests.

        Raises:
            ConfigError, EngineError: see `AsyncSwitch.open`.
        """
        try:
            await self.switch.open()
        except BaseException:
            self._sock.close()
            await self.webhooks.close(0)
            raise
        await self.switch.warm_up()
        self.hub.open()
        self._serving = asyncio.create_task(self._uvicorn.serve([self._sock]), name="sipcore http")
        ready = asyncio.create_task(self._uvicorn.is_ready.wait())
        await asyncio.wait([ready, self._serving], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()

    async def wait_ended(self) -> None:
        """Until nobody answers any more: after `close`, or when something went badly wrong."""
        if self._serving is not None:
            await asyncio.wait([self._serving])

    async def drain(self, hurry: asyncio.Event) -> None:
        """Take no new call; let the live ones go on for `grace_s` seconds, then hang them up. `hurry` cuts all of it short."""
        grace_s = self.switch.config.grace_s
        self.switch.stop_taking_calls()
        live = len(self.switch.calls.live_records())
        log.info("draining: %d calls have %g s", live, grace_s)
        for phase in (self.switch.wait_idle(grace_s), self.switch.hang_up_all(grace_s)):
            await _unless(hurry, phase)
        self._is_drained = True

    async def close(self, *, hurried: bool = False) -> None:
        """Hang up what is up, deliver what waits, answer what was asked, and let go of everything. Idempotent."""
        serving, self._serving = self._serving, None
        if serving is None:
            return
        await self.switch.close(_HURRIED_S if hurried or self._is_drained else None)
        self.hub.close()
        await self.webhooks.close(_HURRIED_S if hurried else _WEBHOOK_GRACE_S)
        self._uvicorn.should_exit = True
        self._uvicorn.force_exit = hurried
        await asyncio.wait([serving])
        self._sock.close()
        if not serving.cancelled() and (error := serving.exception()) is not None:
            log.error("the HTTP server failed", exc_info=error)


async def _unless(hurry: asyncio.Event, work: object) -> None:
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(hurry.wait())]  # type: ignore[call-overload]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
