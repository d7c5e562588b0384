"""What our BYE and CANCEL say of their cause: the Reason header (RFC 3326)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sipcore.call import HangupReason

ANSWERED_ELSEWHERE: Final = 'SIP;cause=200;text="Call completed elsewhere"'
"""For the CANCEL of one of several that were rung at once: phones then list no missed call (RFC 3326 §1)."""

_CAUSES: Final[Mapping[HangupReason, str]] = {
    HangupReason.NORMAL: 'Q.850;cause=16;text="Normal call clearing"',
    HangupReason.BUSY: 'Q.850;cause=17;text="User busy"',
    HangupReason.NOANSWER: 'Q.850;cause=19;text="No answer from user"',
    HangupReason.TIMEOUT: 'Q.850;cause=31;text="Normal, unspecified"',
    HangupReason.FAILED: 'Q.850;cause=41;text="Temporary failure"',
    HangupReason.AMD: 'Q.850;cause=16;text="Normal call clearing"',
}


def reason_of_bye(reason: HangupReason) -> str:
    """The value for a BYE; empty where there is nothing to tell."""
    return _CAUSES.get(reason, "")
