"""A call that we dialled."""

from __future__ import annotations

from typing import Any, Final

import pjsua2 as pj

from sipcore import engine
from sipcore.wire import CALL_HEADER

from .accounts import LocalAccount
from .leg import Leg, LegOwner
from .localaddress import local_address_towards, next_hop_host
from .siptext import contact_uri_of, q850_cause_of, readable, status_of

_TOO_MANY: Final = 70010  # PJ_ETOOMANY


class OutgoingLeg(Leg):
    """The caller's side of an INVITE.

    Attributes:
        dial: What it was dialled with.
    """

    def __init__(self, dial: engine.Dial, local: LocalAccount, owner: LegOwner) -> None:
        super().__init__(owner, dial.call_id, dial.codecs, local)
        self.dial = dial
        self._is_started = self._is_proceeding = False
        if self.needs_address:
            self._local_address = local_address_towards(next_hop_host(dial.account.route_uri, dial.request_uri))

    def start(self) -> bool:
        """Send the INVITE; what goes wrong at once is reported as `CallDisconnected`.

        Returns:
            False when PJSIP has no free slot: try later.
        """
        options = pj.CallOpParam(useDefaultCallSetting=True)
        options.opt.audioCount, options.opt.videoCount = 1, 0
        options.txOption.localUri = self.dial.from_uri
        for name, value in (*self.dial.headers, *self._private_headers()):
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            options.txOption.headers.append(header)
        try:
            self.makeCall(f"<{self.dial.request_uri}>", options)
        except pj.Error as error:
            if error.status == _TOO_MANY and not self._is_over:
                return False
            self.fail(f"{readable(error.reason)} ({error.status})")
        self._is_started = True
        return True

    def _private_headers(self) -> tuple[tuple[str, str], ...]:
        """For the front door, which takes them out."""
        return ((CALL_HEADER, self.call_id),) if self._owner.settings.door_port else ()

    def _end(self, code: int = 0) -> None:
        """CANCEL before the answer, BYE after it.

        The rest is PJSIP's, unseen by us: the CANCEL waits for a first provisional answer (RFC 3261 §9.1), a 200 that crosses it gets its
        ACK and a BYE, and the slot is free when that is done, at the latest after timer B, 32 s.
        """
        if self._is_started:
            super()._end(code)
        else:
            self.fail("hung up before the INVITE was sent")

    def _answered(self, status: tuple[int, str]) -> None:
        super()._answered(status)
        if self._is_answered or status[0] >= 200:
            return
        self._is_proceeding = True
        if status[0] >= 100:  # the pool keeps a 100 to itself: a sign of life of the next hop
            self._owner.emit(engine.CallProvisional(self.call_id, *status))

    def _disconnect(self, info: Any, text: str) -> None:
        if self._is_answered:
            self._disconnect_answered(info, text)
            return
        if self._is_hung_up and not self._is_proceeding:  # no CANCEL went out, so no 487 can come (RFC 3261 §9.1)
            self._finish(0, "", error="hung up before any answer came")
            return
        last_reason = readable(info.lastReason)
        if self._is_hung_up:  # 487 is what our CANCEL asks for (RFC 3261 §9.2); PJSIP does not tell what really came
            self._finish(info.lastStatusCode, last_reason)
            return
        code, phrase = status_of(text) or (0, "")
        error = "" if code else f"no final answer: {info.lastStatusCode} {last_reason}"
        redirect_uri = contact_uri_of(text) if 300 <= code < 400 else ""
        self._finish(code, phrase, q850_cause_of(text), error, redirect_uri)
