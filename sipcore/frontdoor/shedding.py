"""What is dropped unread when more arrives than can be looked at: requests that would open something, those of strangers first. Pure.

Without it the queue of the socket overflows, and what belongs to calls that go on is lost with the rest. Who is dropped sends again
(RFC 3261 §17.1.1.2), and by then there may be time.
"""

from __future__ import annotations

import re
from typing import Final

from .sources import Sources

BEHIND_S: Final = 0.03
"""A socket that has not been empty for so long is behind."""
TRUNKS_SPARED_S: Final = 0.5
"""Behind for so long, what trunks open goes, too, until the queue is empty: it has been sent again by then (T1, RFC 3261 §17.1.1.2). The queue
holds ten seconds of work, and an answer that comes so late opens a call that nobody waits for."""

_OPENING: Final = re.compile(rb"(?:INVITE|OPTIONS|REGISTER|SUBSCRIBE|MESSAGE|PUBLISH|NOTIFY) sips?:(?!\d{1,9}-[0-9a-f]{20}@)")
"""Start of a request outside of dialogs: one within names a worker."""


class Shedding:
    """Decides by the first bytes of a datagram and its source.

    Attributes:
        count: Datagrams dropped.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.count = 0

    def drops(self, data: bytes, host: str, behind_s: float) -> bool:
        """Whether a datagram from this address can be spared by a socket that is behind for so long."""
        if _OPENING.match(data) is None or (behind_s < TRUNKS_SPARED_S and self.sources.is_trunk(host)):
            return False
        self.count += 1
        return True
