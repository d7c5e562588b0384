"""What is dropped unread when more arrives than can be looked at."""

from __future__ import annotations

import pytest

from sipcore.frontdoor.shedding import BEHIND_S, TRUNKS_SPARED_S, Shedding
from sipcore.frontdoor.sources import Sources
from sipcore.wire import DoorTrunk

TRUNK = DoorTrunk("provider", ("192.0.2.0/24",))


@pytest.mark.parametrize(
    ("start", "is_dropped"),
    [
        (b"INVITE sip:1000@198.51.100.1 SIP/2.0", True),
        (b"OPTIONS sip:198.51.100.1 SIP/2.0", True),
        (b"REGISTER sip:198.51.100.1 SIP/2.0", True),
        (b"INVITE sip:7-0123456789abcdef0123@198.51.100.1 SIP/2.0", False),  # within a dialog
        (b"BYE sip:7-0123456789abcdef0123@198.51.100.1 SIP/2.0", False),
        (b"ACK sip:1000@198.51.100.1 SIP/2.0", False),
        (b"CANCEL sip:1000@198.51.100.1 SIP/2.0", False),
        (b"SIP/2.0 200 OK", False),
        (b"", False),
    ],
)
def test_only_what_opens_something_and_only_of_strangers(start: bytes, is_dropped: bool) -> None:
    shedding = Shedding(Sources((TRUNK,), ()))
    assert shedding.drops(start, "203.0.113.9", BEHIND_S) is is_dropped
    assert not shedding.drops(start, "192.0.2.9", BEHIND_S)
    assert shedding.count == is_dropped
    assert shedding.drops(start, "192.0.2.9", TRUNKS_SPARED_S) is is_dropped, "a trunk's, when it has been sent again"
