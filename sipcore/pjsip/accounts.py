"""PJSIP accounts: one per distinct `engine.Account`, kept for the next call, never more than PJSIP holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Set as AbstractSet
from typing import Any, Final

import pjsua2 as pj

from sipcore.engine import Account
from sipcore.wire import WorkerSettings

from .guard import guarded
from .refusal import RefusedCall, Worker

MAX_ACCOUNTS: Final = 6
"""PJSIP's table holds 8 and creating a ninth aborts; one is the worker's own, one is spare."""


class LocalAccount(pj.Account):  # type: ignore[misc]
    """A PJSIP account that accepts nothing from outside by itself."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker

    def report_fault(self, where: str, details: str) -> None:
        """For the guard."""
        self._worker.report_fault(where, details)

    @guarded
    def onIncomingCall(self, prm: Any) -> None:
        """Refuse: no inbound calls yet (404, RFC 3261 §21.4.5)."""
        RefusedCall.keep(self, self._worker, prm.callId)

    @guarded
    def onIncomingSubscribe(self, prm: Any) -> None:
        """Refuse: by default PJSIP grants presence to anyone."""
        prm.code = pj.PJSIP_SC_FORBIDDEN

    @guarded
    def onInstantMessage(self, prm: Any) -> None:
        """Not ours."""


class AccountBook:
    """Finds or creates the PJSIP account of a call."""

    def __init__(self, worker: Worker, settings: WorkerSettings) -> None:
        self._worker = worker
        self._settings = settings
        self._book: OrderedDict[Account, LocalAccount] = OrderedDict()
        self._own = self._create(Account())  # takes what arrives from outside, and refuses it

    def account_for(self, account: Account, in_use: AbstractSet[Account]) -> LocalAccount:
        """The PJSIP account; the one unused for longest makes room, unless a live call is in `in_use` with it.

        Raises:
            ValueError: every account is in use by a live call.
            pj.Error: PJSIP does not take the account (a bad route).
        """
        if account == Account():
            return self._own
        found = self._book.get(account)
        if found is None:
            self._make_room(in_use)
            found = self._book[account] = self._create(account)
        self._book.move_to_end(account)
        return found

    def close(self) -> None:
        """Drop every account; only without live calls."""
        for account in (*self._book.values(), self._own):
            account.shutdown()
        self._book.clear()

    def _make_room(self, in_use: AbstractSet[Account]) -> None:
        if len(self._book) < MAX_ACCOUNTS:
            return
        idle = next((account for account in self._book if account not in in_use), None)
        if idle is None:
            raise ValueError(f"more than {MAX_ACCOUNTS} accounts at once in one worker")
        self._book.pop(idle).shutdown()

    def _create(self, account: Account) -> LocalAccount:
        created = LocalAccount(self._worker)
        created.create(self._config(account), account == Account())
        return created

    def _config(self, account: Account) -> Any:
        settings = self._settings
        config = pj.AccountConfig()
        config.idUri = "sip:sipcore@localhost"  # each call brings its own From
        config.regConfig.registerOnAdd = False
        if account.username:
            credential = pj.AuthCredInfo("digest", account.realm, account.username, 0, account.password)
            config.sipConfig.authCreds.append(credential)
        if account.route_uri is not None:
            config.sipConfig.proxies.append(loose_route(account.route_uri))
        nat = config.natConfig
        nat.iceEnabled = False
        nat.contactRewriteUse = nat.viaRewriteUse = nat.sdpNatRewriteUse = 0  # our addresses come from the configuration
        rtp = config.mediaConfig.transportConfig
        rtp.port = settings.rtp_port_first
        rtp.portRange = max(settings.rtp_port_last - settings.rtp_port_first - 2, 1)  # PJSIP may go one pair beyond
        rtp.boundAddress = "" if settings.sip_host == "0.0.0.0" else settings.sip_host  # noqa: S104 - compared
        rtp.publicAddress = settings.public_address
        return config


def loose_route(uri: str) -> str:
    """A Route header value with `lr` (RFC 3261 §19.1.1)."""
    bare = uri.strip().removeprefix("<").removesuffix(">")
    has_lr = any(parameter.strip().lower().split("=")[0] == "lr" for parameter in bare.split(";")[1:])
    return f"<{bare}>" if has_lr else f"<{bare};lr>"
