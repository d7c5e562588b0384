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
STALE_S: Final = 0.5
"""What has waited for so long has been sent again (T1, RFC 3261 §17.1.1.2), and its copy is in the queue: not even a trunk's is looked at.
Else a flood of a trunk leaves ten seconds of work, and calls are opened that nobody waits for."""

_OPENING: Final = re.compile(rb"(?:INVITE|OPTIONS|REGISTER|SUBSCRIBE|MESSAGE|PUBLISH|NOTIFY) sips?:(?!\d{1,9}-[0-9a-f]{20}@)")
"""Start of a request outside of dialogs: one within names a worker."""


def is_opening(data: bytes) -> bool:
    """True for a request that would open something."""
    return _OPENING.match(data) is not None


class Shedding:
    """Decides by the first bytes of a datagram and its source.

    Attributes:
        count: Datagrams dropped.
    """

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.count = 0

    def drops(self, data: bytes, host: str, waited_s: float) -> bool:
        """Whether a datagram from this address can be spared that has waited for so long."""
        if not is_opening(data) or (waited_s < STALE_S and self.sources.is_trunk(host)):
            return False
        self.count += 1
        return True
