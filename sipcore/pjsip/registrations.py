"""Registrations with providers (RFC 3261 §10): PJSIP refreshes them, trying again after a refusal is ours."""

from __future__ import annotations

import time
from typing import Any, Final, Protocol

import pjsua2 as pj

from sipcore import engine
from sipcore.wire import WorkerSettings

from .accounts import AccountPlaces, account_config
from .guard import guarded
from .siptext import readable

MAX_RETRY_S: Final = 600.0


class RegistrationHost(Protocol):
    """What registrations need of their worker."""

    settings: WorkerSettings

    def emit(self, event: engine.Event) -> None:
        """Send an event to the control process."""

    def report_fault(self, where: str, details: str) -> None:
        """Tell the control process; must not raise."""


class Registration(pj.Account):  # type: ignore[misc]
    """One registration: a PJSIP account for nothing else.

    Attributes:
        order: What was asked for.
        is_over: It is taken back; the account can be shut down, outside of callbacks.
        retry_at_s: When to try again (monotonic); `None`: nothing to do.
    """

    def __init__(self, order: engine.Register, host: RegistrationHost, local: str) -> None:
        super().__init__()
        self.order = order
        self.is_over = False
        self.retry_at_s: float | None = None
        self._host = host
        self._is_leaving = self._is_registered = False
        self._delay_s = float(order.retry_s)
        self.create(self._config(local), False)  # noqa: FBT003 - not the default account

    def report_fault(self, where: str, details: str) -> None:
        """For the guard."""
        self._host.report_fault(where, details)

    def send(self) -> None:
        """REGISTER, now."""
        self.retry_at_s = None
        try:
            self.setRegistration(True)
        except pj.Error as error:
            self._failed(500, readable(error.reason))

    def take_back(self) -> None:
        """REGISTER with Expires 0; `is_over` when it is answered, or given up."""
        if self._is_leaving:
            return
        self._is_leaving, self.retry_at_s = True, None
        try:
            self.setRegistration(False)
        except pj.Error:  # there is nothing to take back
            self._gone(200, "OK")

    def give_way(self) -> None:
        """As `take_back`, but one that has failed, with nothing on its way, is over at once: its registrar may never answer."""
        if self.retry_at_s is not None:
            self.is_over, self.retry_at_s = True, None
        else:
            self.take_back()

    @guarded
    def onRegState(self, prm: Any) -> None:
        """An answer to REGISTER, or none in time (408)."""
        code, phrase = prm.code, readable(prm.reason)
        if self._is_leaving:
            self._gone(code, phrase)
        elif code // 100 == 2 and prm.expiration > 0:
            self._delay_s = float(self.order.retry_s)
            if not self._is_registered:
                self._is_registered = True
                self._host.emit(engine.RegistrationChanged(self.order.trunk, True, code, phrase, prm.expiration))  # noqa: FBT003
        else:
            self._failed(code, phrase)

    @guarded
    def onIncomingCall(self, prm: Any) -> None:
        """Calls come to the worker's own account."""

    @guarded
    def onIncomingSubscribe(self, prm: Any) -> None:
        """Refuse: by default PJSIP grants presence to anyone."""
        prm.code = pj.PJSIP_SC_FORBIDDEN

    @guarded
    def onInstantMessage(self, prm: Any) -> None:
        """Not ours."""

    def _failed(self, code: int, phrase: str) -> None:
        self._is_registered = False
        self.retry_at_s = time.monotonic() + self._delay_s
        self._delay_s = min(self._delay_s * 2, MAX_RETRY_S)
        self._host.emit(engine.RegistrationChanged(self.order.trunk, False, code, phrase))  # noqa: FBT003

    def _gone(self, code: int, phrase: str) -> None:
        if not self.is_over:
            self.is_over, self._is_registered = True, False
            self._host.emit(engine.RegistrationChanged(self.order.trunk, False, code, phrase))  # noqa: FBT003

    def _config(self, local: str) -> Any:
        order = self.order
        config = account_config(order.account, self._host.settings)
        config.idUri = f"<{order.address_of_record}>"
        config.sipConfig.contactForced = f"<sip:{order.contact_user}@{local}>"
        register = config.regConfig
        register.registrarUri = order.registrar_uri
        register.timeoutSec = order.expires_s
        register.retryIntervalSec = register.firstRetryIntervalSec = register.randomRetryIntervalSec = 0
        register.dropCallsOnFail = False
        register.proxyUse = 2  # the account's own route (PJSUA_REG_USE_ACC_PROXY)
        return config


class Registrations:
    """All of one worker. Owner thread only.

    Args:
        host: The worker.
        local: Its SIP `host:port`, for the Contact.
        places: PJSIP's table of accounts.
    """

    def __init__(self, host: RegistrationHost, local: str, places: AccountPlaces) -> None:
        self._host = host
        self._places = places
        self._local = local
        self._live: dict[str, Registration] = {}
        self._next: dict[str, engine.Register] = {}

    @property
    def is_empty(self) -> bool:
        """Whether every one is taken back."""
        return not self._live

    @property
    def next_due_s(self) -> float | None:
        """When `tend` has to try again (monotonic); `None`: no need. What is over it sees whenever it is called."""
        return min((line.retry_at_s for line in self._live.values() if line.retry_at_s is not None), default=None)

    def register(self, order: engine.Register) -> None:
        """Start one; a changed order takes the old one back first, so that its last REGISTER cannot overtake."""
        line = self._live.get(order.trunk)
        if line is not None:
            self._next[order.trunk] = order
            line.give_way()
        elif self._places.is_full:
            self._refuse(order, "no room for one more registration in this worker")
        else:
            self._start(order)

    def unregister(self, trunk: str) -> None:
        """End one; ignored when it is not there."""
        self._next.pop(trunk, None)
        if line := self._live.get(trunk):
            line.take_back()

    def take_all_back(self) -> None:
        """End them all."""
        for trunk in list(self._live):
            self.unregister(trunk)

    def tend(self, now_s: float) -> None:
        """Shut down what is over, send again what is due. Not inside a callback."""
        for trunk in [trunk for trunk, line in self._live.items() if line.is_over]:
            self._live.pop(trunk).shutdown()  # no name for it here: one that is collected later shuts down whoever has its number by then
            self._places.give_back()
            if order := self._next.pop(trunk, None):
                self._start(order)
        for line in self._live.values():
            if line.retry_at_s is not None and line.retry_at_s <= now_s:
                line.send()

    def _start(self, order: engine.Register) -> None:
        try:
            line = Registration(order, self._host, self._local)
        except pj.Error as error:
            self._refuse(order, readable(error.reason))
            return
        self._live[order.trunk] = line
        self._places.take()
        line.send()

    def _refuse(self, order: engine.Register, reason: str) -> None:
        self._host.emit(engine.RegistrationChanged(order.trunk, False, 0, reason))  # noqa: FBT003
