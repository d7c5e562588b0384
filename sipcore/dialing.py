"""How calls leave: over which trunk, and when its limits allow it; and where to go on after a redirection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from sipcore import call, engine
from sipcore.addresses import Address
from sipcore.admission import Admission, Full, Granted, Limit, Verdict, WaitUntil
from sipcore.errors import CapacityError, Fault, InvalidRequest
from sipcore.inbound import lenient_address
from sipcore.session import Session
from sipcore.trunk import Trunk, Trunks

log = logging.getLogger(__name__)

_NO_TRUNK = "a telephone number needs a trunk, and this switch has none; dial sip:user@host, or configure trunk"


class Dialing:
    """The way out of one switch."""

    def __init__(self, trunks: Trunks) -> None:
        self._trunks = trunks
        self._admission = Admission({trunk.name: Limit(trunk.config.max_calls, trunk.config.calls_per_second) for trunk in trunks})
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._redirects: dict[str, int] = {}

    def route(self, destination: Address, name: str = "") -> Trunk | None:
        """The trunk of a call; `None` goes straight to where the address says.

        Raises:
            InvalidRequest: there is no such trunk (the fault is at `trunk`), or none that takes the call (at `destination`).
        """
        if destination.type == "tel" and not any(True for _ in self._trunks):
            raise InvalidRequest([Fault("destination", f"{destination}: {_NO_TRUNK}")])
        return self._trunks.choose(destination, name)

    def source(self, trunk: Trunk | None) -> Address:
        """Who calls over this trunk, when nobody said."""
        return self._trunks.source(trunk)

    def transfer_uri(self, target: Address) -> str:
        """The URI that a far end is to call."""
        return self._trunks.dial("", "", self._trunks.source(None), target).request_uri

    def admit(self, calls: Mapping[str, Trunk | None]) -> None:
        """Count these calls, by id, in the limits of their trunks: all of them, or none.

        Raises:
            CapacityError: a trunk takes no more.
        """
        for call_id, trunk in calls.items():
            verdict = self._ask(trunk, call_id)
            if isinstance(verdict, Full):
                for admitted in calls:
                    self._admission.release(admitted)
                raise CapacityError(1, verdict.in_use, verdict.limit, f"{verdict.what} over trunk {verdict.trunk}")

    def start(self, session: Session) -> None:
        """Dial, now or when it is the call's turn; nothing when it was ended before."""
        if session.record.status != call.Status.DIALING:
            return
        verdict = self._ask(self._trunks.get(session.trunk), session.id)
        match verdict:
            case Granted():
                self._dial(session, session.record.destination)
            case WaitUntil():
                log.debug("call %s: waits for its turn on trunk %s", session.id, session.trunk)
                self._timers[session.id] = self._loop.call_at(verdict.at, self._again, session)
            case Full():
                session.end(call.Ended(0, f"trunk {verdict.trunk} takes no more calls", is_failure=True))

    def leave(self, call_id: str) -> None:
        """The call is over. Idempotent."""
        if timer := self._timers.pop(call_id, None):
            timer.cancel()
        self._redirects.pop(call_id, None)
        self._admission.release(call_id)

    def redirected(self, session: Session, event: engine.CallDisconnected) -> bool:
        """Go on where a 3xx answer points to, through the same trunk, if it allows that (RFC 3261 §8.1.3.4); False when not."""
        trunk = self._trunks.get(session.trunk)
        followed = self._redirects.get(session.id, 0)
        is_ours = session.record.direction == "outgoing" and session.record.status in call.UNANSWERED
        if not (is_ours and event.sip_code // 100 == 3 and event.redirect_uri and trunk and followed < trunk.config.redirects):
            return False
        target = lenient_address(event.redirect_uri)
        try:
            dial = self._trunks.dial(session.id, session.group_id, session.record.source, target, session.trunk, session.extras)
        except InvalidRequest as error:
            log.warning("call %s: redirected to %s: %s", session.id, target, error)
            return False
        log.info("call %s: redirected to %s", session.id, target)
        self._redirects[session.id] = followed + 1
        session.redial(dial)
        return True

    def _again(self, session: Session) -> None:
        self._timers.pop(session.id, None)
        self.start(session)

    def _ask(self, trunk: Trunk | None, call_id: str) -> Verdict:
        return Granted() if trunk is None else self._admission.ask(trunk.name, call_id, self._loop.time())

    def _dial(self, session: Session, destination: Address) -> None:
        session.dial(self._trunks.dial(session.id, session.group_id, session.record.source, destination, session.trunk, session.extras))
