"""The switch: what a user opens to place calls. This is the asyncio form; `sipcore.Switch` is the same for synchronous code."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from media import AudioLibrary, Synthesizer
from sipcore.actions import Action
from sipcore.clock import Clock, SystemClock
from sipcore.config import Config, load_config, make_config
from sipcore.engine import Engine, Event
from sipcore.errors import CallNotFound, Fault, InvalidRequest, SwitchClosed
from sipcore.events import CallEvent, CallHangup
from sipcore.exchange import Exchange
from sipcore.record import CallRecord, Page
from sipcore.request import parse_request
from sipcore.session import Session
from sipcore.store import DEFAULT_PAGE_SIZE
from sipcore.store_thread import StoreThread

log = logging.getLogger(__name__)

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?")


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

    async def open(self) -> None:
        """Open the store and start the workers.

        Raises:
            ConfigError: the store cannot be opened.
            EngineError: PJSIP cannot run here.
        """
        config = self.config
        self.engine = self._given_engine or _default_engine(config)
        self.store = StoreThread(config.store)
        try:
            newest = await self.store.open(self._clock.now())
            await self.engine.start(self._on_event)
        except BaseException:
            await self.engine.close(0)
            await self.store.close()
            raise
        library = AudioLibrary(
            config.cache_dir.expanduser(),
            config.media_root,
            allow_private_urls=config.allow_private_urls,
            synthesizer=self._synthesizer,
            cache_max_bytes=config.cache_max_mb * 2**20,
        )
        self._exchange = Exchange(config, self.engine, library, self.store, self._clock, newest)
        self._is_open = True
        log.info("open: SIP at %s, up to %d legs", self.sip_address, config.max_legs)

    async def close(self) -> None:
        """Hang up what is still up; return when no process, port or file of ours is left. Idempotent."""
        exchange = self._exchange
        if exchange is None or not self._is_open:
            return
        self._is_open = False
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.config.grace_s
        await exchange.hang_up_all(self.config.grace_s)
        await self.engine.close(max(0.0, deadline - loop.time()))
        await exchange.close()
        await self.store.close()
        log.info("closed")

    def listen(self, listener: Callable[[CallEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event of every call, on the event loop; returns the function that stops it."""
        return self.exchange.listen(listener)

    def _on_event(self, event: Event) -> None:
        if self._exchange is not None:
            self._exchange.on_event(event)


class AsyncCall:
    """A call that was placed, and what became of it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def id(self) -> str:
        """The call id."""
        return self._session.id

    @property
    def record(self) -> CallRecord:
        """The record as it is now; final when the call is over."""
        return self._session.record

    async def wait(self, timeout_s: float | None = None) -> CallRecord:
        """The final record, when the call is over.

        Raises:
            TimeoutError: it is not over in `timeout_s` seconds; the call goes on.
        """
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(self._session.over)

    async def events(self) -> AsyncIterator[CallEvent]:
        """Every event of the call from its creation, ending with `CallHangup`."""
        queue: asyncio.Queue[CallEvent] = asyncio.Queue()
        for event in self._session.history:
            queue.put_nowait(event)
        stop = self._session.listen(queue.put_nowait)
        try:
            while True:
                event = await queue.get()
                yield event
                if isinstance(event, CallHangup):
                    return
        finally:
            stop()

    def subscribe(self, listener: Callable[[CallEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event so far and from now on, on the event loop; returns the function that stops it."""
        for event in tuple(self._session.history):
            listener(event)
        return self._session.listen(listener)

    def hangup(self) -> None:
        """End the call. Idempotent."""
        self._session.hang_up()


class AsyncCalls:
    """The calls of a switch: `create`, `get`, `list`, `hangup`."""

    def __init__(self, switch: AsyncSwitch) -> None:
        self._switch = switch

    def create(
        self,
        body: Mapping[str, Any] | None = None,
        *,
        destination: object = None,
        source: object = None,
        actions: Sequence[Action | Mapping[str, Any]] | None = None,
    ) -> AsyncCall:
        """Place a call; returns at once, nothing here waits for the network.

        Args:
            body: The whole request as the tutorial's JSON object, instead of the keywords.
            destination: `"tel:+E164"`, `"+E164"`, `"sip:user@host[:port][;transport=...]"`, an `Address`, or its JSON object.
            source: Who calls; the `caller_id` of the switch by default.
            actions: What to do after the answer; with none the call is hung up then.

        Raises:
            InvalidRequest: the request is wrong; names every fault.
            CapacityError: no room for the call now.
            SwitchClosed: the switch is not open.
        """
        exchange = self._switch.exchange
        keywords = {"destination": destination, "source": source, "actions": actions}
        if body is not None:
            if doubled := [name for name, value in keywords.items() if value is not None]:
                raise InvalidRequest([Fault(name, "is given beside a whole request") for name in doubled])
            if not isinstance(body, Mapping):
                raise InvalidRequest(f"a request is an object, not {type(body).__name__}")
        return AsyncCall(exchange.place(parse_request(body if body is not None else keywords)))

    async def get(self, call_id: str) -> CallRecord:
        """The record of a call, live or over.

        Raises:
            CallNotFound: no call has this id.
        """
        if session := self._switch.exchange.live(call_id):
            return session.record
        record = await self._switch.store.get(call_id)
        if record is None:
            raise CallNotFound(call_id)
        return record

    async def list(self, page_size: int = DEFAULT_PAGE_SIZE, page_token: str | None = None) -> Page:
        """One page of calls, newest first.

        Args:
            page_size: 1 to 100; more is 100.
            page_token: `next_page_token` of the page before; None for the newest.

        Raises:
            InvalidRequest: the size is less than 1, or the token is no time.
        """
        if isinstance(page_size, bool) or page_size < 1:
            raise InvalidRequest([Fault("page_size", f"must be a number from 1 to 100, not {page_size!r}")])
        if page_token and not _TIME.fullmatch(page_token):
            raise InvalidRequest([Fault("page_token", f"{page_token!r} is not a next_page_token")])
        _ = self._switch.exchange
        return await self._switch.store.list(page_size, page_token or None)

    async def hangup(self, call_id: str) -> CallRecord:
        """End a call; one that is over stays as it is.

        Raises:
            CallNotFound: no call has this id.
        """
        if session := self._switch.exchange.live(call_id):
            session.hang_up()
        return await self.get(call_id)


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
            tls_ca_file=config.tls_ca_file,
        )
    )
