"""The one guard around every function PJSIP calls.

An exception that leaves a callback is swallowed by SWIG, but keeps the frame and with it PJSIP objects alive past `libDestroy`, which
aborts; in some callbacks it is a crash, and `SystemExit` hangs for ever. So none may leave.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar, cast


class ReportsFaults(Protocol):
    """What the guarded methods belong to."""

    def report_fault(self, where: str, details: str) -> None:
        """Tell the control process; must not raise."""


P = ParamSpec("P")
S = TypeVar("S", bound=ReportsFaults)


def guarded(callback: Callable[Concatenate[S, P], None]) -> Callable[Concatenate[S, P], None]:
    """Let nothing out of `callback`: what it raises becomes an `EngineFault` event."""

    @wraps(callback)
    def guard(self: S, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            callback(self, *args, **kwargs)
        except BaseException:  # noqa: BLE001 - see the module docstring
            self.report_fault(callback.__qualname__, traceback.format_exc(limit=8))
            for name in ("last_type", "last_value", "last_traceback"):
                if hasattr(sys, name):
                    delattr(sys, name)

    return cast("Callable[Concatenate[S, P], None]", guard)
