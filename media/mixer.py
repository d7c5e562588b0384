"""Mixes the members of a conference: each hears all but itself. Pure: it has no clock, whoever owns one calls it once a tick."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .wav import Samples

_LOWEST: Final = -32768
_HIGHEST: Final = 32767


def mix_minus(spoken: Mapping[str, Samples], listeners: Collection[str] = ()) -> dict[str, Samples]:
    """What each member hears of one tick.

    The sum is exact, in 32 bits, and only what a member hears is brought back to 16: too loud is cut off and never wraps, and nobody's
    cutting off is heard in what another hears.

    Args:
        spoken: What each member says, frames of one length; who is silent or muted can be left out.
        listeners: Members that say nothing now and hear all.

    Returns:
        For each of both, everything but its own voice.

    Raises:
        ValueError: the frames are not of one length.
    """
    if not spoken:
        return {}
    if len({len(frame) for frame in spoken.values()}) > 1:
        raise ValueError("the frames of one tick have one length")
    total: NDArray[np.int32] = np.sum(np.stack(list(spoken.values())), axis=0, dtype=np.int32)
    heard = {name: _saturated(np.subtract(total, frame, dtype=np.int32)) for name, frame in spoken.items()}
    if silent := set(listeners) - set(spoken):
        heard |= dict.fromkeys(silent, _saturated(total))
    return heard


def _saturated(wide: NDArray[np.int32]) -> Samples:
    return np.clip(wide, _LOWEST, _HIGHEST).astype(np.int16)
