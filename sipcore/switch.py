"""The switch: what a user opens to place calls. This is the asyncio form; `sipcore.Switch` is the same for synchronous code."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from media import AudioLibrary, MediaError, Synthesizer
from sipcore.calls import AsyncCalls
from sipcore.clock import Clock, SystemClock
from sipcore.config import Config, load_config, make_config
from sipcore.engine import Engine, Event
from sipcore.errors import ConfigError, Fault, SwitchClosed
from sipcore.events import CallEvent
from sipcore.exchange import Exchange
from sipcore.session import Session
from sipcore.store_thread import StoreThread

log = logging.getLogger(__name__)

DEBIAN_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"  # Debian's OpenSSL knows a folder only, and PJSIP wants a file


class AsyncSwitch:
    """A softswitch inside this process; open it with `async with`.

    Args:
        engine: What carries the calls; the pool of PJSIP workers by default.
        clock: The time of day.
        synthesizer: Another speech engine for `talk`.
        config: A ready configuration, instead of keywords.
        **settings: The keys of `sipcore.config.Config`.

    Raises:
        ConfigError: a setting is wrong.
    """

    def __init__(
        self,
        *,
        engine: Engine | None = None,
        clock: Clock | None = None,
        synthesizer: Synthesizer | None = None,
        config: Config | None = None,
        **settings: Any,
    ) -> None:
        self.config = config if config is not None else make_config(settings)
        self.calls = AsyncCalls(self)
        self._clock: Clock = clock or SystemClock()
        self._given_engine = engine
        self._synthesizer = synthesizer
        self._exchange: Exchange | None = None
        self._is_open = False
        self._is_draining = False
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    def from_config(cls, path: str | Path, **parts: Any) -> Self:
        """A switch from a TOML file.

        Raises:
            ConfigError: the file or a key in it is wrong.
        """
        return cls(config=load_config(path), **parts)

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def sip_address(self) -> str:
        """`host:port` of our signalling; empty while the switch is not open."""
        return self.engine.sip_address if self._is_open else ""

    @property
    def exchange(self) -> Exchange:
        """The live calls.

        Raises:
            SwitchClosed: the switch is not open.
        """
        if self._exchange is None or not self._is_open:
            raise SwitchClosed("the switch is not open: use it in a with block, or call open()")
        return self._exchange

    @property
    def is_open(self) -> bool:
        """Whether the switch is open."""
        return self._is_open

    @property
    def takes_calls(self) -> bool:
        """Whether new calls are taken: the switch is open and not about to close."""
        return self._is_open and not self._is_draining

    @property
    def legs_in_use(self) -> int:
        """Legs reserved or up; 0 while the switch is not open."""
        return self.engine.legs_in_use if self._is_open else 0

    @property
    def workers_lost(self) -> int:
        """Workers that died and were replaced since the switch was opened."""
        return int(getattr(self.engine, "workers_lost", 0)) if self._is_open else 0

    def speech_counts(self) -> dict[str, int]:
        """How many texts of `talk` were found in the cache, and how many were made: `cache`, `engine`."""
        if self._exchange is None:
            return {"cache": 0, "engine": 0}
        library = self._exchange.library
        return {"cache": library.speech_hits, "engine": library.speech_misses}

    async def open(self) -> None:
        """Open the store and start the workers.

        Raises:
            ConfigError: the store cannot be opened.
            EngineError: PJSIP cannot run here.
        """
        if self._is_open:
            return
        config = self.config
        self.engine = self._given_engine or _default_engine(config)
        self.store = StoreThread(config.store)
        try:
            newest = await self.store.open(self._clock.now())
            library = self._new_library(config)
            await self.engine.start(self._on_event)
        except BaseException:
            await self.engine.close(0)
            await self.store.close()
            raise
        self._exchange = Exchange(config, self.engine, library, self.store, self._clock, newest)
        self._is_open, self._is_draining, self._closing = True, False, None
        log.info("open: SIP at %s, up to %d legs", self.sip_address, config.max_legs)

    def session(self, call_id: str) -> Session | None:
        """A call that is not over, also while the switch closes."""
        return None if self._exchange is None else self._exchange.live(call_id)

    def sessions(self) -> tuple[Session, ...]:
        """Every call that is not over, also while the switch closes."""
        return () if self._exchange is None else self._exchange.sessions()

    async def warm_up(self) -> None:
        """Start now what the first `talk` would wait for (0.2 s): for a switch that stays."""
        library = self.exchange.library
        try:
            await asyncio.get_running_loop().run_in_executor(None, library.check_speech, "hello")
        except MediaError as error:
            log.warning("talk will not work: %s", error)

    def stop_taking_calls(self) -> None:
        """From now on `create` raises `SwitchDraining`; calls that are up go on."""
        self._is_draining = True

    async def wait_idle(self, timeout_s: float) -> None:
        """Return when no call is up, or after `timeout_s` seconds."""
        await self.exchange.wait_idle(timeout_s)

    async def hang_up_all(self, timeout_s: float) -> None:
        """Hang up every call; return when the far ends have confirmed it, or after `timeout_s` seconds."""
        await self.exchange.hang_up_all(timeout_s)

    async def close(self, grace_s: float | None = None) -> None:
        """Hang up what is still up; return when no process, port or file of ours is left. Idempotent.

        Args:
            grace_s: How long to wait for the far ends to confirm, in seconds; the configured `grace_s` by default.
        """
        if self._exchange is None:
            return
        if self._closing is None:
            grace_s = self.config.grace_s if grace_s is None else grace_s
            self._closing = asyncio.create_task(self._close(self._exchange, grace_s), name="sipcore close")
        await asyncio.shield(self._closing)  # whoever waits may be cancelled; the closing goes on

    async def _close(self, exchange: Exchange, grace_s: float) -> None:
        self._is_open = False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        try:
            await exchange.hang_up_all(grace_s)
        finally:
            try:
                await self.engine.close(max(0.0, deadline - loop.time()))
            finally:
                await exchange.close()
                await self.store.close()
                log.info("closed")

    def listen(self, listener: Callable[[CallEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event of every call, on the event loop; returns the function that stops it."""
        return self.exchange.listen(listener)

    def _new_library(self, config: Config) -> AudioLibrary:
        try:
            return AudioLibrary(
                config.cache_dir.expanduser(),
                config.media_root.expanduser(),
                allow_private_urls=config.allow_private_urls,
                synthesizer=self._synthesizer,
                cache_max_bytes=config.cache_max_mb * 2**20,
            )
        except OSError as error:
            raise ConfigError([Fault("cache_dir", f"{config.cache_dir}: {error.strerror or error}")]) from None

    def _on_event(self, event: Event) -> None:
        if self._exchange is not None:
            self._exchange.on_event(event)


def _default_engine(config: Config) -> Engine:
    # Here, so that a switch on another engine works where PJSIP is not installed.
    from sipcore.pool import PjsipPool, PoolSettings

    host, port = config.sip_address
    return PjsipPool(
        PoolSettings(
            sip_host=host,
            sip_port=port,
            public_address=config.public_address,
            rtp_ports=config.rtp_ports,
            max_legs=config.max_legs,
            min_workers=config.min_workers,
            user_agent=config.user_agent,
            tls_ca_file=config.tls_ca_file or ssl.get_default_verify_paths().cafile or DEBIAN_CA_FILE,
        )
    )
