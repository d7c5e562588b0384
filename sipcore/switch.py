"""The switch: what a user opens to place calls. This is the asyncio form; `sipcore.Switch` is the same for synchronous code."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, overload

from media import AudioLibrary, EspeakSynthesizer, Limits, MediaError, PiperSynthesizer, Synthesizer, VoiceRefused
from sipcore.actions import ListItem, parse_actions
from sipcore.call_page import CallPage, draw_call, waveform
from sipcore.calls import AsyncCall, AsyncCalls
from sipcore.clock import Clock, SystemClock
from sipcore.conferences.access import AsyncConferences
from sipcore.config import Config, load_config, make_config
from sipcore.dialed import DialedCall, dial_request
from sipcore.engine import Acceptance, Engine, Event, Offer, Refusal
from sipcore.errors import ConfigError, Fault, InvalidRequest, SwitchClosed
from sipcore.events import CallEvent, Registration
from sipcore.exchange import Exchange
from sipcore.flight.log import FlightLog
from sipcore.flight.svg import draw_svg
from sipcore.forks import HomeProcess
from sipcore.inbound import HANDLER_LEGS, Rule
from sipcore.performer import Performer
from sipcore.plan import Plan, make_plan
from sipcore.recordings.access import AsyncRecordings
from sipcore.session import RETRY_AFTER_S, SERVER_ERROR, SERVICE_UNAVAILABLE, Session
from sipcore.store_thread import StoreThread
from sipcore.trunk import Trunks
from sipcore.wire import TracedMessage

if TYPE_CHECKING:
    from sipcore.load.plan import LoadPlan
    from sipcore.load.report import LoadReport
    from sipcore.load.run import LoadProgress

log = logging.getLogger(__name__)

CallHandler = Callable[[AsyncCall], Awaitable[None]]


class SwitchWatcher(Protocol):
    """Hears of the switches of this process: for test tools."""

    def switch_opened(self, switch: AsyncSwitch) -> None:
        """A switch has opened; on its event loop."""

    async def switch_closes(self, switch: AsyncSwitch) -> None:
        """Every call of it has been hung up, and its engine is still there."""


WATCHERS: Final[list[SwitchWatcher]] = []
"""Who puts itself in here takes itself out again."""


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
        self.recordings = AsyncRecordings(self)
        self.conferences = AsyncConferences(self)
        self._clock: Clock = clock or SystemClock()
        self._given_engine = engine
        self._synthesizer = synthesizer
        self._exchange: Exchange | None = None
        self._names: asyncio.Task[None] | None = None
        self._given_rules: list[Rule] = []
        self._home = HomeProcess()
        self._is_open = False
        self._has_engine = False
        """Also while the switch closes and hangs up."""
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
        """`host:port` of our signalling, UDP and, unless `tcp` is off, TCP; empty while the switch is not open."""
        return self.engine.sip_address if self._is_open else ""

    @property
    def tls_address(self) -> str:
        """`host:port` where SIP over TLS is listened for, the real port; empty while the switch is not open, or without TLS."""
        return self.engine.tls_address if self._is_open else ""

    @property
    def exchange(self) -> Exchange:
        """The live calls.

        Raises:
            SwitchClosed: the switch is not open.
        """
        self._home.check()
        if self._exchange is None or not self._is_open:
            raise SwitchClosed("the switch is not open: use it in a with block, or call open()")
        return self._exchange

    @property
    def clock(self) -> Clock:
        """The time of day."""
        return self._clock

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

    @property
    def registrations(self) -> Mapping[str, Registration]:
        """By name, how the trunks are registered that ask for it."""
        return {} if self._exchange is None else dict(self._exchange.registrations.states)

    def listen_registrations(self, listener: Callable[[Registration], None]) -> Callable[[], None]:
        """Call `listener` with every change of a registration, on the event loop; returns the function that stops it."""
        return self.exchange.registrations.listen(listener)

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
            self._home.check()
            return
        self._home = HomeProcess()
        config = self.config
        self.engine = self._given_engine or _default_engine(config)
        self.store = StoreThread(config.store)
        try:
            newest = await self.store.open(self._clock.now())
            library = new_library(config, self._synthesizer)
            await self.engine.start(self._on_event, self._on_offer)
            self._exchange = Exchange(config, self.engine, library, self.store, self._clock, newest, self._rules)
            self._exchange.as_call = self.calls.of
            await self._exchange.conferences.open()
            self._check_rules(self._exchange)
        except BaseException:
            if self._exchange is not None:
                await self._exchange.close()
                self._exchange = None
            await self.engine.close(0)
            await self.store.close()
            raise
        self._is_open, self._has_engine, self._is_draining, self._closing = True, True, False, None
        self._exchange.registrations.open()
        self._exchange.recorder.open()
        self._names = _follow_names(self.engine, config)
        log.info("open: SIP at %s, up to %d legs", self.sip_address, config.max_legs)
        for watcher in tuple(WATCHERS):
            watcher.switch_opened(self)

    @overload
    def on_call(
        self, *, to: str = "*", source: str = "*", trunk: str = "*", phone: str = "*", legs: int = HANDLER_LEGS
    ) -> Callable[[CallHandler], CallHandler]: ...

    @overload
    def on_call(self, *, to: str = "*", source: str = "*", trunk: str = "*", phone: str = "*", actions: Sequence[ListItem]) -> None: ...

    def on_call(
        self,
        *,
        to: str = "*",
        source: str = "*",
        trunk: str = "*",
        phone: str = "*",
        actions: Sequence[ListItem] | None = None,
        legs: int = HANDLER_LEGS,
    ) -> Callable[[CallHandler], CallHandler] | None:
        """Take calls from outside: with an action list, or as a decorator with an `async def handler(call)`.

        Rules are tried in the order they were given, those of the configuration after them; what no rule takes is refused with 404.
        Nothing is answered by itself. When a handler returns, its call is hung up; when the call ends, the handler is cancelled.

        Args:
            to: Pattern of the dialled number or user: `*` is any text, `?` one character; with an `@` it is the whole address.
            source: Pattern of who calls, in the same way.
            trunk: Pattern of the trunk's name; `?*` is any trunk, but no call without one.
            phone: Pattern of the account of a phone that proved itself.
            actions: What to do.
            legs: The most calls that a handler will have up at once, its own included; room for them is kept.

        Raises:
            InvalidRequest: the list is wrong, or cannot be done here; names every fault.
        """
        rule = Rule(to, source, trunk, phone)
        if actions is not None:
            self._add_rule(replace(rule, actions=parse_actions(actions)))
            return None

        def decorate(handler: CallHandler) -> CallHandler:
            if not (inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))):  # noqa: B004
                raise TypeError(f"a handler of calls is an async def function, not {handler!r}")
            self._add_rule(replace(rule, handler=lambda session: handler(self.calls.of(session)), handler_legs=legs))
            return handler

        return decorate

    def dial(
        self,
        destination: object,
        *,
        ring_timeout_s: float | None = None,
        source: object = None,
        trunk: str | None = None,
        variables: Mapping[str, str] | None = None,
        legs: int = HANDLER_LEGS,
    ) -> DialedCall:
        """Place a call that a block of code handles: `async with switch.dial("tel:+8210...") as call: ...`.

        The block is entered at the answer. Leaving it hangs up, whatever the reason, and returns when the call is over.

        Args:
            destination: As that of `calls.create`, like `source`, `trunk` and `variables`.
            ring_timeout_s: How long it may take to be answered, in seconds; `dial_timeout_s` of the switch by default.
            legs: The most calls that the block will have up at once, its own included; room for them is kept.

        Raises:
            InvalidRequest: the request is wrong; names every fault. Entering it raises the others.
            CapacityError: no room for the call now.
            CallFailed: the call is over without an answer.
            SwitchClosed: the switch is not open, or about to close.
        """
        return DialedCall(self.calls, dial_request(destination, source, trunk, variables, legs, ring_timeout_s))

    async def page(self, call_id: str) -> CallPage:
        """What a notebook shows of a call: its facts, its SIP messages as a ladder, its recordings as waveforms.

        Raises:
            CallNotFound: no call has this id.
        """
        record, quality = await self.calls.get(call_id), await self.calls.quality(call_id)
        ladder = draw_svg(await self.calls.flight(call_id))
        recordings = [await self.recordings.get(recording_id) for recording_id in record.recording_ids]
        files = [(self.recordings.path(one), f"recording {one.id}") for one in recordings if one.filename]
        waveforms = [await asyncio.to_thread(waveform, path, title) for path, title in files]
        return CallPage(draw_call(record, quality, ladder_svg=ladder, waveforms=waveforms))

    async def plan(self, actions: Sequence[ListItem]) -> Plan:
        """What a list would do: checks it as `create` does, and measures its prompts, which are then ready; `str` of it is a table.

        Raises:
            InvalidRequest: `create` would refuse it, or a file in it is no audio; names every fault.
            SwitchClosed: the switch is not open.
        """
        exchange = self.exchange
        parsed = parse_actions(actions)
        exchange.check_rule(Rule(actions=parsed))
        return await make_plan(parsed, exchange)

    async def load(self, plan: LoadPlan, on_progress: Callable[[LoadProgress], None] | None = None) -> LoadReport:
        """Place the calls of a load test, and say what became of them; `str` of it is a table.

        Whoever cancels this hangs up what is up; `sipcore.load.LoadRun` can be stopped, and tells what there is until then.

        Raises:
            InvalidRequest: the plan is wrong, or more than this switch can do; names every fault, before the first call.
            SwitchClosed: the switch is not open, or about to close.
        """
        from sipcore.load.run import LoadRun  # few switches need it

        return await LoadRun(self, plan, on_progress).report()

    def performer(self, session: Session) -> Performer:
        """What carries out the actions of a call."""
        assert self._exchange is not None, "there are no calls before the switch is open"
        return self._exchange.performer(session)

    def session(self, call_id: str) -> Session | None:
        """A call that is not over, also while the switch closes."""
        return None if self._exchange is None else self._exchange.live(call_id)

    def sessions(self) -> tuple[Session, ...]:
        """Every call that is not over, also while the switch closes."""
        return () if self._exchange is None else self._exchange.sessions()

    async def trace(self, call_id: str) -> tuple[TracedMessage, ...]:
        """The SIP messages of a call, as `calls.trace`, which asks first whether there is such a call."""
        tracing = getattr(self.engine, "trace", None) if self._has_engine else None  # engines need not have it
        return () if tracing is None else tuple(await tracing(call_id))

    def now(self) -> datetime:
        """The time of day, by the clock of the switch."""
        return self._clock.now()

    @property
    def flights(self) -> FlightLog:
        """What is remembered of calls, also while the switch closes.

        Raises:
            SwitchClosed: it was not open yet.
        """
        if self._exchange is None:
            raise SwitchClosed("the switch is not open: use it in a with block, or call open()")
        return self._exchange.flights

    async def _tell_watchers(self) -> None:
        for watcher in tuple(WATCHERS):
            try:
                await watcher.switch_closes(self)
            except Exception:
                log.exception("a watcher of switches failed")

    def reload_tls(self) -> None:
        """Read the certificate files of the front door again, for new connections; what cannot be used is logged and changes nothing."""
        reload = getattr(self.engine, "reload_tls", None) if self._is_open else None  # engines need not have it
        if reload is not None:
            reload()

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
        if self._exchange is None or not self._home.is_here:
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
            if self._names is not None:
                self._names.cancel()
            exchange.registrations.close()
            await exchange.hang_up_all(grace_s)
            await self._tell_watchers()
        finally:
            self._has_engine = False
            try:
                await self.engine.close(max(0.0, deadline - loop.time()))
            finally:
                await exchange.close()
                await self.store.close()
                log.info("closed")

    def listen(self, listener: Callable[[CallEvent], None]) -> Callable[[], None]:
        """Call `listener` with every event of every call, on the event loop; returns the function that stops it."""
        return self.exchange.listen(listener)

    def _add_rule(self, rule: Rule) -> None:
        if self._is_open:
            self.exchange.check_rule(rule)
        self._given_rules.append(rule)

    def _rules(self) -> Iterator[Rule]:
        yield from self._given_rules
        for index, rule in enumerate(self.config.inbound):
            yield Rule(rule.to, rule.source, rule.trunk, rule.phone, rule.actions, place=f"inbound[{index}]")

    def _check_rules(self, exchange: Exchange) -> None:
        faults: list[Fault] = []
        for rule in self._rules():
            try:
                exchange.check_rule(rule)
            except InvalidRequest as error:
                faults += error.faults
        if faults:
            raise ConfigError(faults)

    def _on_event(self, event: Event) -> None:
        if self._exchange is not None:
            self._exchange.on_event(event)

    def _on_offer(self, offer: Offer) -> Acceptance | Refusal:
        if self._exchange is None or not self.takes_calls:
            return Refusal(SERVICE_UNAVAILABLE, headers=(("Retry-After", str(RETRY_AFTER_S)),))
        try:
            return self._exchange.receive(offer)
        except Exception:
            log.exception("a call from %s could not be taken", offer.source)
            return Refusal(SERVER_ERROR)


def new_library(config: Config, synthesizer: Synthesizer | None = None) -> AudioLibrary:
    """The audio of a switch with these settings; `close` must follow.

    Raises:
        ConfigError: the cache or the voice cannot be used.
    """
    try:
        return AudioLibrary(
            config.cache_dir.expanduser(),
            config.media_root.expanduser(),
            allow_private_urls=config.allow_private_urls,
            synthesizer=synthesizer or _synthesizer_of(config),
            cache_max_bytes=config.cache_max_mb * 2**20,
            limits=Limits(text_max_chars=config.flow.max_text_chars, pauses_max_s=config.flow.max_pauses_s),
        )
    except OSError as error:
        raise ConfigError([Fault("cache_dir", f"{config.cache_dir}: {error.strerror or error}")]) from None
    except VoiceRefused as error:
        raise ConfigError([Fault("voice", str(error))]) from None


def _default_engine(config: Config) -> Engine:
    # Here, so that a switch on another engine works where PJSIP is not installed.
    from sipcore.carrier import default_engine

    return default_engine(config)


def _follow_names(engine: Engine, config: Config) -> asyncio.Task[None] | None:
    """Keep an engine that wants to know told of what the names of trunks resolve to."""
    tell = getattr(engine, "set_trunks", None)
    if tell is None:
        return None
    from sipcore.trunk_sources import TrunkSources  # with the DNS library, which other engines do not need

    sources = TrunkSources(Trunks.of(config, engine.sip_address.rpartition(":")[0]), tell)
    return asyncio.create_task(sources.keep(), name="sipcore trunk names")


def _synthesizer_of(config: Config) -> Synthesizer:
    espeak = EspeakSynthesizer()
    return PiperSynthesizer(Path(config.voice).expanduser(), espeak) if config.voice else espeak
