"""The switch: what a user opens to place calls. This is the asyncio form; `sipcore.Switch` is the same for synchronous code."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from media import AudioLibrary, MediaError, Synthesizer
from sipcore.actions import Action
from sipcore.clock import Clock, SystemClock
from sipcore.config import Config, load_config, make_config
from sipcore.engine import Engine, Event
from sipcore.errors import CallNotFound, ConfigError, Fault, InvalidRequest, SwitchClosed, SwitchDraining
from sipcore.events import CallEvent, CallHangup
from sipcore.exchange import Exchange
from sipcore.record import CallRecord, Page
from sipcore.request import parse_request, parse_requests
from sipcore.session import Session
from sipcore.store import DEFAULT_PAGE_SIZE
from sipcore.store_thread import StoreThread

log = logging.getLogger(__name__)

DEBIAN_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"  # Debian's OpenSSL knows a folder only, and PJSIP wants a file
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)


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
        self._is_open, self._is_draining = True, False
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
        exchange = self._exchange
        if exchange is None or not self._is_open:
            return
        self._is_open = False
        loop = asyncio.get_running_loop()
        grace_s = self.config.grace_s if grace_s is None else grace_s
        deadline = loop.time() + grace_s
        await exchange.hang_up_all(grace_s)
        await self.engine.close(max(0.0, deadline - loop.time()))
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

    @property
    def event_url(self) -> str:
        """Where the events of the call are to be sent (`sipcore serve` does); empty: nowhere."""
        return self._session.event_url

    @property
    def first_play_at(self) -> datetime | None:
        """When the first sound was ordered; `None` when there was none yet."""
        return self._session.first_play_at

    @property
    def history(self) -> tuple[CallEvent, ...]:
        """Every event so far; complete when the last one is `CallHangup`."""
        return tuple(self._session.history)

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
        user_id: int = 1,
    ) -> AsyncCall:
        """Place a call; returns at once, nothing here waits for the network.

        Args:
            body: The whole request as the tutorial's JSON object, instead of the keywords.
            destination: `"tel:+E164"`, `"+E164"`, `"sip:user@host[:port][;transport=...]"`, an `Address`, or its JSON object.
            source: Who calls; the `caller_id` of the switch by default.
            actions: What to do after the answer; with none the call is hung up then.
            user_id: Whose call it is.

        Raises:
            InvalidRequest: the request is wrong; names every fault.
            CapacityError: no room for the call now.
            SwitchClosed: the switch is not open, or about to close.
        """
        exchange = self._taking()
        keywords = {"destination": destination, "source": source, "actions": actions}
        if body is not None:
            if doubled := [name for name, value in keywords.items() if value is not None]:
                raise InvalidRequest([Fault(name, "is given beside a whole request") for name in doubled])
            _check_object(body)
        return AsyncCall(exchange.place(parse_request(body if body is not None else keywords, user_id)))

    def create_all(self, body: Mapping[str, Any], *, user_id: int = 1) -> list[AsyncCall]:
        """Place the calls of a request of `POST /v1.0/calls`: one, or with `destinations` one to each. All of them, or none.

        Raises:
            InvalidRequest: the request is wrong; names every fault.
            CapacityError: no room for all of them now.
            SwitchClosed: the switch is not open, or about to close.
        """
        exchange = self._taking()
        _check_object(body)
        return [AsyncCall(session) for session in exchange.place_all(parse_requests(body, user_id))]

    def live(self, call_id: str) -> AsyncCall | None:
        """A call that is not over; `None` when there is none of this id."""
        session = self._switch.session(call_id)
        return None if session is None else AsyncCall(session)

    def live_records(self) -> tuple[CallRecord, ...]:
        """The records of every call that is not over."""
        return tuple(session.record for session in self._switch.sessions())

    async def get(self, call_id: str, *, user_id: int | None = None) -> CallRecord:
        """The record of a call, live or over; with `user_id` only of this user's.

        Raises:
            CallNotFound: no call has this id.
        """
        session = self._switch.exchange.live(call_id)
        record = session.record if session is not None else await self._switch.store.get(call_id)
        if record is None or user_id not in {None, record.user_id}:
            raise CallNotFound(call_id)
        return record

    async def list(self, page_size: int = DEFAULT_PAGE_SIZE, page_token: str | None = None, *, user_id: int | None = None) -> Page:
        """One page of calls, newest first.

        Args:
            page_size: 1 to 100; more is 100.
            page_token: `next_page_token` of the page before; None for the newest.
            user_id: Whose calls; `None` for everybody's.

        Raises:
            InvalidRequest: the size is less than 1, or the token is no time.
        """
        _check_paging(page_size, page_token)
        _ = self._switch.exchange
        return await self._switch.store.list(page_size, page_token or None, user_id)

    async def hangup(self, call_id: str, *, user_id: int | None = None) -> CallRecord:
        """End a call; one that is over stays as it is. With `user_id` only of this user's.

        Raises:
            CallNotFound: no call has this id.
        """
        session = self._switch.exchange.live(call_id)
        if session is not None and user_id in {None, session.record.user_id}:
            session.hang_up()
        return await self.get(call_id, user_id=user_id)

    def _taking(self) -> Exchange:
        exchange = self._switch.exchange
        if not self._switch.takes_calls:
            raise SwitchDraining("the switch is about to close and takes no new calls")
        return exchange


def _check_object(body: object) -> None:
    if not isinstance(body, Mapping):
        raise InvalidRequest(f"a request is an object, not {type(body).__name__}")


def _check_paging(page_size: object, page_token: object) -> None:
    if isinstance(page_size, bool) or not isinstance(page_size, int) or page_size < 1:
        raise InvalidRequest([Fault("page_size", f"must be a number from 1 to 100, not {page_size!r}")])
    if page_token and not (isinstance(page_token, str) and _is_time(page_token)):
        raise InvalidRequest([Fault("page_token", f"{page_token!r} is not a next_page_token")])


def _is_time(text: str) -> bool:
    if not _TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text.ljust(26, "0") if "." in text else text)
    except ValueError:
        return False
    return True


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
