"""Keeps what Python knows of PJSIP's clock thread from one callback to the next.

A thread that is not Python's own gets a thread state for each callback, which is destroyed at its end: that was half of what a frame of
live audio cost. Entered once more and never left, the state stays, as long as the thread does and a little longer: nobody can destroy it
when PJSIP ends the thread, so some kilobytes stay behind for each thread, and only so many are kept.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Final

MAX_KEPT: Final = 256
"""Clock threads of one worker's life: one for each time that it had calls after a rest."""


class _Here(threading.local):
    """Of the running thread; forgotten together with its state."""

    is_kept = False


_here = _Here()
_kept: list[int] = []


def keep_thread_state() -> None:
    """To be said in a callback, on the thread that PJSIP calls it on; cheap when it is done already."""
    if not _here.is_kept and len(_kept) < MAX_KEPT:
        ctypes.pythonapi.PyGILState_Ensure()  # and no Release
        _here.is_kept = True
        _kept.append(threading.get_native_id())
