"""What the front door remembers: for each INVITE that would open a call, where it went, while its transaction lives.

Everything else can be read from the messages. Bounded: what was refused and is longest ago goes first.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from sipcore.frontdoor.message import CSeq, Message, NameAddr
from sipcore.frontdoor.seal import COOKIE
from sipcore.frontdoor.via import Via

if TYPE_CHECKING:
    from sipcore.frontdoor.incoming import Incoming

OVER_S: Final = 32.0
"""64*T1 after a final answer (RFC 3261 §17.2.1): retransmissions, and the ACK of a refusal, come no later."""
ASKED_S: Final = 32.0
"""An INVITE that the control process does not answer is given up."""
RINGING_S: Final = 300.0
"""Since the last sign of life: a CANCEL must find its way while it rings (timer C is more than three minutes, RFC 3261 §16.6)."""
MAX_RINGING: Final = 5_000
MAX_OVER: Final = 50_000


class Phase(Enum):
    """How far an INVITE is."""

    ASKED = "asked"
    RINGING = "ringing"
    ANSWERED = "answered"
    REFUSED = "refused"


@dataclass(slots=True, eq=False)
class Entry:
    """One INVITE transaction."""

    key: str
    merged_key: str
    phase: Phase
    used_at: float
    invite: Incoming | None
    """None when it has its final answer, or is known from the control process only."""
    cancel: Incoming | None = None
    """A CANCEL that came before the answer of the control process."""
    worker_id: int = 0
    call_id: str = ""
    refusal: tuple[int, str, tuple[tuple[str, str], ...]] = (0, "", ())


@dataclass(slots=True)
class Transactions:
    """The table. Each phase is in the order of last use, so what is over stands first."""

    _phases: dict[Phase, OrderedDict[str, Entry]] = field(default_factory=lambda: {phase: OrderedDict() for phase in Phase})
    _merged: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self._phases.values()))

    @property
    def asked(self) -> int:
        """INVITEs that wait for the control process."""
        return len(self._phases[Phase.ASKED])

    def find(self, key: str) -> Entry | None:
        """The entry of this transaction."""
        for entries in self._phases.values():
            if (entry := entries.get(key)) is not None:
                return entry
        return None

    def is_merged(self, entry_key: str, merged_key: str) -> bool:
        """True when the same request lives here already under another branch: it came twice, by two ways (RFC 3261 §8.2.2.2)."""
        return self._merged.get(merged_key, entry_key) != entry_key

    def add(self, entry: Entry) -> None:
        """Take a new one; the one longest unused goes when there are too many."""
        self._phases[entry.phase][entry.key] = entry
        self._merged.setdefault(entry.merged_key, entry.key)
        self._bound(entry.phase)

    def move(self, entry: Entry, phase: Phase, now: float) -> None:
        """It is in another phase now, or was used again."""
        self._phases[entry.phase].pop(entry.key, None)
        entry.phase, entry.used_at = phase, now
        if phase in (Phase.ANSWERED, Phase.REFUSED):
            entry.cancel = entry.invite = None
        if phase is Phase.REFUSED:
            self._unmerge(entry)  # who was refused may come again by another way
        self._phases[phase][entry.key] = entry
        self._bound(phase)

    def expire(self, now: float) -> list[Entry]:
        """Forget what is over; returns the ones that the control process has left without an answer."""
        left = self._older(Phase.ASKED, now - ASKED_S)
        self._older(Phase.RINGING, now - RINGING_S)
        self._older(Phase.ANSWERED, now - OVER_S)
        self._older(Phase.REFUSED, now - OVER_S)
        return left

    def ringing_at(self, worker_ids: set[int]) -> list[Entry]:
        """INVITEs without a final answer at these workers."""
        return [entry for entry in self._phases[Phase.RINGING].values() if entry.worker_id in worker_ids]

    def _older(self, phase: Phase, limit: float) -> list[Entry]:
        entries = self._phases[phase]
        gone: list[Entry] = []
        while entries and (first := next(iter(entries.values()))).used_at < limit:
            gone.append(self._forget(first))
        return gone

    def _bound(self, phase: Phase) -> None:
        entries = self._phases[phase]
        limit = MAX_RINGING if phase in (Phase.ASKED, Phase.RINGING) else MAX_OVER
        while len(entries) > limit:
            self._forget(next(iter(entries.values())))

    def _forget(self, entry: Entry) -> Entry:
        del self._phases[entry.phase][entry.key]
        self._unmerge(entry)
        return entry

    def _unmerge(self, entry: Entry) -> None:
        if self._merged.get(entry.merged_key) == entry.key:
            del self._merged[entry.merged_key]


def transaction_key(request: Message, top: Via, cseq: CSeq) -> str:
    """What an INVITE, its retransmissions, its CANCEL and the ACK of its refusal have in common (RFC 3261 §17.2.3).

    Beside branch and sent-by, Call-ID and CSeq number are in it: they are the same in all of those, and not all clients make branches
    that differ. Without the magic cookie it is what RFC 2543 compared, without the To tag, which the ACK alone has.
    """
    common = (request.get("Call-ID") or "", str(cseq.number), top.sent_by.lower())
    if top.branch.startswith(COOKIE):
        return _hash("3261", top.branch, *common)
    return _hash("2543", request.request_uri, NameAddr.parse(request.get("From") or "").tag, str(top.branch), *common)


def merged_key(sip_call_id: str, from_tag: str, cseq: CSeq) -> str:
    """What a request keeps on all the ways it takes (RFC 3261 §8.2.2.2)."""
    return _hash("merged", sip_call_id, from_tag, str(cseq.number))


def _hash(*parts: str) -> str:
    text = "\0".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=15).hexdigest()
