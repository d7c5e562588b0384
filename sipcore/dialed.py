"""`async with switch.dial(...) as call`: a call of one block of code, which begins at the answer and never outlives the block."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType

from sipcore.call import HangupReason
from sipcore.calls import AsyncCall, AsyncCalls
from sipcore.errors import CallFailed, Fault, InvalidRequest
from sipcore.request import CallRequest, parse_request
from sipcore.session import Session


def dial_request(
    destination: object, source: object, trunk: str | None, variables: Mapping[str, str] | None, legs: int, ring_timeout_s: float | None
) -> CallRequest:
    """The request of a call that a block of code handles.

    Raises:
        InvalidRequest: names every fault.
    """
    faults: list[Fault] = []
    if ring_timeout_s is not None and not _is_positive(ring_timeout_s):
        faults.append(Fault("ring_timeout_s", f"must be a number of seconds more than 0, not {ring_timeout_s!r}"))
    if type(legs) is not int or legs < 1:
        faults.append(Fault("legs", "a call has at least one leg, its own"))
    try:
        request = parse_request({"destination": destination, "source": source, "trunk": trunk, "variables": variables})
    except InvalidRequest as error:
        raise InvalidRequest([*error.faults, *faults]) from None
    if faults:
        raise InvalidRequest(faults)
    return replace(request, is_handled=True, legs=legs, ring_timeout_s=ring_timeout_s)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


class DialedCall:
    """What `switch.dial` returns: enter it once.

    Entering returns the call when it is answered. Leaving hangs it up and returns when it is over; after an exception the record says
    `failed`. Whoever is cancelled while it dials or talks has the call ended too (CANCEL, BYE).
    """

    def __init__(self, calls: AsyncCalls, request: CallRequest) -> None:
        self._calls = calls
        self._request = request
        self._session: Session | None = None

    async def __aenter__(self) -> AsyncCall:
        if self._session is not None:
            raise RuntimeError("a dialed call is entered once; dial again for another one")
        session = self._session = self._calls.place(self._request)
        try:
            is_answered = await asyncio.shield(session.answered)
        except BaseException:
            await self._end(HangupReason.NORMAL)
            raise
        if not is_answered:
            record = await asyncio.shield(session.over)
            raise CallFailed(str(record.hangup_reason), record.sip_code)
        return self._calls.of(session)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self._end(HangupReason.FAILED if isinstance(error, Exception) else HangupReason.NORMAL)

    async def _end(self, reason: HangupReason) -> None:
        """Bounded by `hangup_timeout_s`, after which the call is over whatever the far end says."""
        assert self._session is not None
        self._session.hang_up(reason)
        await asyncio.shield(self._session.over)
