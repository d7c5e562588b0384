"""Notices that RTP of a leg stops, or comes from somewhere else. Pure: what PJSIP counts goes in, events come out."""

from __future__ import annotations

from ipaddress import ip_address

from sipcore import engine


class RtpWatch:
    """One leg's. Times are monotonic seconds.

    Args:
        call_id: Of the events.
        timeout_s: Silence that is reported; 0: none is.
    """

    def __init__(self, call_id: str, timeout_s: float) -> None:
        self._call_id = call_id
        self._timeout_s = timeout_s
        self._source = ""
        self._packets = -1
        self._heard_at = 0.0
        self._is_reported = False

    def negotiated(self, remote: str) -> None:
        """The SDP names `host:port` for the far end's media, from now on.

        A private address in it is taken for a phone behind NAT (RFC 1918): the first packet then says where it really is.
        """
        self._source = "" if _is_private(remote) else remote

    def look(self, packets: int, source: str, now_s: float, *, is_expected: bool) -> list[engine.Event]:
        """What has changed since the last look.

        Args:
            packets: RTP packets of the stream that runs now; starts again with each re-INVITE.
            source: Where the last one came from, `host:port`; empty: none came.
            now_s: The time.
            is_expected: The leg is answered and nobody is on hold.
        """
        return [*self._silence(packets, now_s, is_expected), *self._move(packets, source)]

    def _silence(self, packets: int, now_s: float, is_expected: bool) -> list[engine.Event]:
        if packets != self._packets or not is_expected:
            self._packets, self._heard_at, self._is_reported = packets, now_s, False
            return []
        silent_s = now_s - self._heard_at
        if self._is_reported or not self._timeout_s or silent_s < self._timeout_s:
            return []
        self._is_reported = True
        return [engine.RtpSilent(self._call_id, silent_s)]

    def _move(self, packets: int, source: str) -> list[engine.Event]:
        if packets <= 0 or not source or source == self._source or source.startswith("0.0.0.0:"):
            return []
        expected, self._source = self._source, source
        return [engine.RtpSourceChanged(self._call_id, expected, source)] if expected else []


def _is_private(remote: str) -> bool:
    try:
        address = ip_address(remote.rpartition(":")[0])
    except ValueError:
        return True
    return address.is_unspecified or (address.is_private and not address.is_loopback)
