"""Session timers that are too short (RFC 4028): refused here, so that no offer, no call and no worker comes of such an INVITE."""

from __future__ import annotations

from typing import Final

from sipcore.frontdoor.message import Message, is_tagged

LEAST_S: Final = 90
"""Seconds: the least that anybody may ask for (RFC 4028 §4)."""


def too_short(request: Message, least_s: int) -> tuple[tuple[str, str], ...]:
    """The headers of a 422, or none when the INVITE may pass (RFC 4028 §9).

    A caller who does not say that it knows session timers could not make anything of a 422, so an interval that a proxy has put into its
    INVITE is raised in place, as a proxy on the way would have done (RFC 4028 §8.1).

    Args:
        request: a well-formed INVITE that opens a call.
        least_s: our minimum; 0: we have no session timers, and any interval passes.
    """
    interval = request.get("Session-Expires")
    if interval is None or not least_s:
        return ()
    asked_s, least_s = _seconds(interval), max(least_s, LEAST_S, _seconds(request.get("Min-SE") or "0"))
    if asked_s >= least_s:
        return ()
    if is_tagged(request, ("Supported", "Require"), "timer"):
        return (("Min-SE", str(least_s)),)
    _, semicolon, params = interval.partition(";")
    request.set("Session-Expires", f"{least_s}{semicolon}{params}")
    return ()


def _seconds(value: str) -> int:
    """Of `1800;refresher=uac`, which `wellformed` has checked."""
    return int(value.partition(";")[0].partition("(")[0])
