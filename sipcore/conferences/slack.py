"""How much earlier audio could go on: the depth of a room's buffers, in frames of 20 ms, follows what was needed of it. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from media.wav import Samples
from sipcore.liveaudio.audiowire import TICK_S

MARGIN_S: Final = 0.01
"""A frame is left out only if each of those before was ready by so much more than a frame: the next ones will not be missing then."""
_PATIENCE_TICKS: Final = 100
_MAX_PATIENCE_TICKS: Final = 6000
_PROOF: Final = 10
"""A frame was rightly left out when none was missing for so many times the patience."""
_QUIET: Final = 300
"""-41 dBFS: nobody hears when 20 ms of it are missing."""
_LOUD_TICKS: Final = 500
"""So long a quiet frame is waited for; then any one is left out."""


class Slack:
    """One way of one member's audio: says when a frame can be left out, to be 20 ms earlier from then on.

    That is so when every frame of some time, two seconds at first, was there by more than 20 ms before it was needed. When one is missing
    soon after a frame was left out, it was wrong to do so, and the time is doubled, to two minutes at most; when none is missing for long,
    it was right, and the time is halved. So what happens seldom is no reason to be late for ever, and what happens often is.

    Attributes:
        missing: So many frames were not there in time.
    """

    def __init__(self) -> None:
        self.missing = 0
        self._patience_ticks = _PATIENCE_TICKS
        self._spare_ticks = 0
        self._unproved_ticks = 0
        """For so long it is not known yet whether the last one was rightly left out."""

    def miss(self) -> None:
        """A frame was not there when it was needed."""
        self.missing += 1
        if self._unproved_ticks:
            self._patience_ticks = min(2 * self._patience_ticks, _MAX_PATIENCE_TICKS)
        self._spare_ticks = self._unproved_ticks = 0

    def can_spare(self, early_s: float, frame: Samples) -> bool:
        """Whether this frame, which is there `early_s` before it is needed, can be left out."""
        if self._unproved_ticks:
            self._unproved_ticks -= 1
            if not self._unproved_ticks:
                self._patience_ticks = max(self._patience_ticks // 2, _PATIENCE_TICKS)
        self._spare_ticks = self._spare_ticks + 1 if early_s > TICK_S + MARGIN_S else 0
        waited_ticks = self._spare_ticks - self._patience_ticks
        if waited_ticks < 0 or (waited_ticks < _LOUD_TICKS and not _is_quiet(frame)):
            return False
        self._spare_ticks = 0
        self._unproved_ticks = _PROOF * self._patience_ticks
        return True


def _is_quiet(frame: Samples) -> bool:
    return int(np.abs(frame.astype(np.int32)).max(initial=0)) < _QUIET
