"""PJSIP accounts: one per distinct `engine.Account`, kept for the next call, never more than PJSIP holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, Final

import pjsua2 as pj

from sipcore.engine import Account
from sipcore.wire import WorkerSettings

from .guard import guarded
from .refusal import Worker

MAX_ACCOUNTS: Final = 8
"""PJSIP's table; creating a ninth aborts."""

MIN_SE_S: Final = 90
"""RFC 4028 §4: less is not allowed, and aborts PJSIP."""

_PRACK_USE: Final = {"off": pj.PJSUA_100REL_NOT_USED, "supported": pj.PJSUA_100REL_OPTIONAL, "required": pj.PJSUA_100REL_MANDATORY}

_SRTP_USE: Final = {"off": pj.PJMEDIA_SRTP_DISABLED, "optional": pj.PJMEDIA_SRTP_OPTIONAL, "required": pj.PJMEDIA_SRTP_MANDATORY}
_SUITES: Final = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32")


class LocalAccount(pj.Account):  # type: ignore[misc]
    """A PJSIP account that accepts nothing from outside by itself.

    Attributes:
        account: What it was made from.
    """

    def __init__(self, worker: Worker, account: Account) -> None:
        super().__init__()
        self.account = account
        self._worker = worker

    def report_fault(self, where: str, details: str) -> None:
        """For the guard."""
        self._worker.report_fault(where, details)

    @guarded
    def onIncomingCall(self, prm: Any) -> None:
        """One that is expected becomes a leg, another is refused (404, RFC 3261 §21.4.5)."""
        self._worker.arrived(self, prm)

    @guarded
    def onIncomingSubscribe(self, prm: Any) -> None:
        """Refuse: by default PJSIP grants presence to anyone."""
        prm.code = pj.PJSIP_SC_FORBIDDEN

    @guarded
    def onInstantMessage(self, prm: Any) -> None:
        """Not ours."""


class AccountPlaces:
    """Counts the accounts of the process, whoever made them."""

    def __init__(self) -> None:
        self._taken = 0

    @property
    def is_full(self) -> bool:
        """Whether one more would abort PJSIP."""
        return self._taken >= MAX_ACCOUNTS

    def take(self) -> None:
        """One is being created."""
        self._taken += 1

    def give_back(self) -> None:
        """One was shut down."""
        self._taken -= 1


class AccountBook:
    """Finds or creates the PJSIP account of a call."""

    def __init__(self, worker: Worker, settings: WorkerSettings, places: AccountPlaces) -> None:
        self._worker = worker
        self._settings = settings
        self._places = places
        self._book: OrderedDict[Account, LocalAccount] = OrderedDict()
        self._own = self._create(Account())  # takes what arrives from outside
        self._own_with_keys = self._create(Account(srtp="optional")) if settings.srtp else self._own

    def own_id(self, srtp: str) -> int:
        """PJSIP's number of the account for a call from outside; whether keys are required the leg checks by itself."""
        return int((self._own if srtp == "off" else self._own_with_keys).getId())

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
            if self._places.is_full:
                self._make_room(in_use)
            found = self._book[account] = self._create(account)
        self._book.move_to_end(account)
        return found

    def divert(self, local: LocalAccount, route_uri: str) -> None:
        """Send what this account dials somewhere else, until `undivert`; dialogs that are open keep their route."""
        local.modify(account_config(replace(local.account, route_uri=route_uri), self._settings))

    def undivert(self, local: LocalAccount) -> None:
        """Take `divert` back."""
        local.modify(account_config(local.account, self._settings))

    def close(self) -> None:
        """Drop every account; only without live calls."""
        for account in (*self._book.values(), self._own_with_keys, self._own):
            account.shutdown()
        self._book.clear()

    def _make_room(self, in_use: AbstractSet[Account]) -> None:
        idle = next((account for account in self._book if account not in in_use), None)
        if idle is None:
            raise ValueError(f"more than {MAX_ACCOUNTS} accounts at once in one worker")
        self._book.pop(idle).shutdown()
        self._places.give_back()

    def _create(self, account: Account) -> LocalAccount:
        created = LocalAccount(self._worker, account)
        created.create(account_config(account, self._settings), account == Account())
        self._places.take()
        return created


def account_config(account: Account, settings: WorkerSettings) -> Any:
    """What PJSIP is told of an account."""
    config = pj.AccountConfig()
    config.idUri = "sip:sipcore@localhost"  # each call brings its own From
    config.regConfig.registerOnAdd = False
    if account.username:
        credential = pj.AuthCredInfo("digest", account.realm, account.username, 0, account.password)
        config.sipConfig.authCreds.append(credential)
    route_uri = account.route_uri or (f"sip:127.0.0.1:{settings.door_port};lr" if settings.door_port else None)
    if route_uri is not None:
        config.sipConfig.proxies.append(loose_route(route_uri))
    nat = config.natConfig
    nat.iceEnabled = False
    nat.contactRewriteUse = nat.viaRewriteUse = nat.sdpNatRewriteUse = 0  # our addresses come from the configuration
    _set_dialog(config.callConfig, settings)
    _set_media(config.mediaConfig, settings)
    _set_keys(config.mediaConfig, account.srtp)
    return config


def _set_dialog(dialog: Any, settings: WorkerSettings) -> None:
    """Session timers (RFC 4028) and reliable provisional answers (RFC 3262)."""
    min_se_s = max(settings.session_min_se_s, MIN_SE_S)
    dialog.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL if settings.session_expires_s else pj.PJSUA_SIP_TIMER_INACTIVE
    dialog.timerMinSESec = min_se_s
    dialog.timerSessExpiresSec = max(settings.session_expires_s, min_se_s)
    dialog.prackUse = _PRACK_USE[settings.reliable_provisional]


def _set_media(media: Any, settings: WorkerSettings) -> None:
    host = settings.media_host or settings.sip_host
    rtp = media.transportConfig
    rtp.port = settings.rtp_port_first
    rtp.portRange = max(settings.rtp_port_last - settings.rtp_port_first - 2, 1)  # PJSIP may go one pair beyond
    rtp.boundAddress = "" if host == "0.0.0.0" else host  # noqa: S104 - compared
    rtp.publicAddress = settings.public_address


def _set_keys(media: Any, srtp: str) -> None:
    """SDES (RFC 4568). Two suites: with PJSIP's four our SDP is too long for `onCallSdpCreated`."""
    media.srtpUse = _SRTP_USE[srtp]
    media.srtpSecureSignaling = 0  # SIP is on loopback here; how it goes on from there is the front door's
    for name in _SUITES:
        suite = pj.SrtpCrypto()
        suite.name = name
        media.srtpOpt.cryptos.append(suite)
    media.srtpOpt.keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)


def loose_route(uri: str) -> str:
    """A Route header value with `lr` (RFC 3261 §19.1.1)."""
    bare = uri.strip().removeprefix("<").removesuffix(">")
    has_lr = any(parameter.strip().lower().split("=")[0] == "lr" for parameter in bare.split(";")[1:])
    return f"<{bare}>" if has_lr else f"<{bare};lr>"
