"""How an idle worker sleeps: the clock of PJSIP's bridge, 50 wake-ups a second, runs only while there are legs.

What remains is the thread that receives media: it looks around every 10 ms, sockets or not, and PJSIP has no setting for that.
"""

from __future__ import annotations

import time
from typing import Any, Final

REST_AFTER_S: Final = 2.0
"""From the last leg to the stop of the clock. A stopped bridge only queues what it is asked to connect, so this is long enough for all that
is queued to be carried out, and for every player's burial."""


class BridgeClock:
    """Starts and stops the null sound device, which drives the bridge. Owner thread only."""

    def __init__(self, endpoint: Any) -> None:
        self._devices = endpoint.audDevManager()
        self._devices.setNoDev()
        self._is_running = False
        self._needed_at = 0.0

    def run(self) -> None:
        """Be running; to be said before a dial and whenever a leg is there."""
        self._needed_at = time.monotonic()
        if not self._is_running:
            self._devices.setNullDev()
            self._is_running = True

    def rest(self) -> None:
        """Stop, when it was not needed for a while; to be said whenever no leg is there."""
        if self._is_running and time.monotonic() - self._needed_at >= REST_AFTER_S:
            self._devices.setNoDev()
            self._is_running = False
