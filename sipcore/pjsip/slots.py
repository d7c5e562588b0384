"""How many of PJSIP's call slots are taken.

After our own hang-up PJSIP reports the call as disconnected at once, and nothing more (RFC 3261 §15.1.1: the session ends when the BYE
goes out). Its slot stays taken until the BYE is answered, or the CANCEL has led to a final answer: 32 s when the far end is dead.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pjsua2 as pj


def slot_counter() -> Callable[[], int] | None:
    """A function that counts the slots, for the owner thread; `None` where the library does not export it.

    pjsua2 has no such call; `unsigned pjsua_call_get_count(void)` of PJSUA-LIB takes and returns no structure, so nothing in it can shift.
    """
    try:
        library = ctypes.CDLL(pj._pjsua2.__file__)  # noqa: SLF001 - the compiled library
        count = library.pjsua_call_get_count
    except (AttributeError, OSError):
        return None
    count.argtypes, count.restype = (), ctypes.c_uint
    return lambda: int(count())
