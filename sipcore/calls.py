"""The calls of a switch, as the user handles them: place, look up, list, end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from sipcore.actions import Action
from sipcore.errors import CallNotFound, Fault, InvalidRequest, SwitchDraining
from sipcore.events import CallEvent, CallHangup
from sipcore.exchange import Exchange
from sipcore.record import CallRecord, Page
from sipcore.request import parse_request, parse_requests
from sipcore.session import Session
from sipcore.store import DEFAULT_PAGE_SIZE
from sipcore.store_thread import StoreThread

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)


class CallsHost(Protocol):
    """What the calls need of their switch."""

    store: StoreThread

    @property
    def exchange(self) -> Exchange:
        """The live calls; raises `SwitchClosed` while the switch is not open."""

    @property
    def takes_calls(self) -> bool:
        """Whether new calls are taken."""

    def session(self, call_id: str) -> Session | None:
        """A call that is not over, also while the switch closes."""

    def sessions(self) -> tuple[Session, ...]:
        """Every call that is not over, also while the switch closes."""


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

    def __init__(self, switch: CallsHost) -> None:
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
