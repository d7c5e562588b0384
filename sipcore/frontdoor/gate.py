"""Who may open a call: limits for strangers, trunks by source, phones by digest, open networks; everybody else is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sipcore.frontdoor.digest import Digest, Proof
from sipcore.frontdoor.incoming import Incoming
from sipcore.frontdoor.limits import SourceLimits, Verdict, is_scanner
from sipcore.frontdoor.message import Message
from sipcore.frontdoor.seal import Seal
from sipcore.frontdoor.shedding import is_opening
from sipcore.frontdoor.sources import Sources
from sipcore.wire import DoorSettings, DoorTrunk

_DRAINED_S: Final = 0.05
"""So long a source that is beyond its limit is not even read: a flood costs next to nothing then."""
_MAX_DRAINED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Admitted:
    """The call may be offered."""

    trunk: str = ""
    username: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """It may not."""

    code: int
    headers: tuple[tuple[str, str], ...] = ()


class Gate:
    """Decides by source and credentials."""

    __slots__ = ("_digest", "_drained", "_has_phones", "_limits", "_open_networks", "_sources")

    def __init__(self, settings: DoorSettings, seal: Seal) -> None:
        self._limits = SourceLimits(settings.limits.source_rate, settings.limits.source_burst)
        self._digest = Digest(seal, settings.phones)
        self._has_phones = bool(settings.phones)
        self._open_networks = settings.open_networks
        self._sources = Sources(settings.trunks, settings.open_networks)
        self._drained: dict[str, float] = {}

    def set_trunks(self, trunks: tuple[DoorTrunk, ...]) -> None:
        """From now on these are the trunks."""
        self._sources = Sources(trunks, self._open_networks)

    def is_drained(self, data: bytes, host: str, now: float) -> bool:
        """True for a datagram that would be dropped by `verdict` after it was read."""
        return now < self._drained.get(host, now) and is_opening(data)

    def verdict(self, message: Message | None, host: str, now: float) -> Verdict:
        """What a request outside of dialogs, or something unreadable, is worth; trunks may always."""
        if self._sources.is_trunk(host):
            return Verdict.PASS
        is_scan = message is not None and is_scanner(message)
        verdict = self._limits.ban(host, now) if is_scan else self._limits.take(host, now)
        if verdict is not Verdict.PASS:
            if len(self._drained) >= _MAX_DRAINED:
                self._drained.clear()
            self._drained[host] = now + _DRAINED_S
        return verdict

    def judge(self, invite: Incoming, caller: str, now: float) -> Admitted | Refused:
        """Whose call it is; `caller` is the user part of its From.

        A trunk's first. Then a phone's, which has to prove itself wherever it is. Then an open network's, whose
        callers may say any name but a phone's.
        """
        trunk = self._sources.trunk_of(invite.host, invite.user)
        if trunk:
            return Admitted(trunk=trunk)
        checked = self._digest.check(invite.request, invite.host, now)
        if checked.proof is Proof.GOOD and checked.phone is not None:
            return Admitted(username=checked.phone.username)
        is_open = self._sources.is_open(invite.host)
        if is_open and checked.proof is Proof.MISSING and not self._digest.knows(caller):
            return Admitted()
        if not self._has_phones:
            return Admitted() if is_open else Refused(403)
        username = checked.phone.username if checked.phone is not None else caller
        realm = checked.phone.realm if checked.phone is not None else self._digest.realm_for(caller)
        return Refused(401, self._digest.challenges(username, realm, invite.host, now, is_stale=checked.proof is Proof.STALE))

    def expire(self, now: float) -> None:
        """Forget what is over."""
        self._drained = {host: until for host, until in self._drained.items() if until > now}
