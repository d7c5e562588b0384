"""How good a call is for us to hear: what its RTP did, and the mean opinion score that the E-model makes of it. Pure.

The E-model wants the delay from mouth to ear, of which RTCP tells only the part in the network: half the round trip. To it come a packet of
20 ms at the sender, and a jitter buffer that holds twice the jitter, 20 ms at least. Without RTCP the network counts as 0 ms.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from media.emodel import codec_is_known, estimate
from sipcore.engine import RtpStatistics

_PACKET_MS: Final = 20.0
_LEAST_BUFFER_MS: Final = 20.0
_BUFFERED_JITTERS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Quality:
    """The numbers of a call, from its begin until now or its end."""

    codec: str
    """RTP name, `PCMU/8000`."""
    received: int
    """RTP packets."""
    lost: int
    """Packets that did not come."""
    discarded: int
    """Packets that came, but too late or too many at once to be played."""
    loss_percent: float
    """What was not played of what was sent to us: lost and discarded."""
    jitter_ms: float
    """Mean interarrival jitter (RFC 3550 §6.4.1)."""
    round_trip_ms: float | None
    """By RTCP; `None`: the far end sends none."""
    r_factor: float | None
    """E-model rating, 0 to 93.2; `None`: nothing was received, or the model has no values for the codec."""
    mos: float | None
    """Estimated mean opinion score, 1 to 4.41; `None` as `r_factor`."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object with these names."""
        return asdict(self)


def quality_of(statistics: RtpStatistics) -> Quality:
    """The quality of a call with these counters."""
    lost = max(0, statistics.rx_lost)  # duplicates make the counter of RFC 3550 negative
    missing = lost + max(0, statistics.rx_discarded)
    expected = statistics.rx_packets + lost
    loss_percent = min(100.0, 100 * missing / expected) if expected else 0.0
    round_trip_ms = statistics.rtt_ms or None
    r_factor = mos = None
    if statistics.rx_packets and codec_is_known(statistics.codec):
        rating = estimate(
            statistics.codec, loss_percent=loss_percent, one_way_delay_ms=_mouth_to_ear_ms(statistics.rx_jitter_ms, round_trip_ms)
        )
        r_factor, mos = round(rating.r, 1), round(rating.mos, 2)
    return Quality(
        codec=statistics.codec,
        received=statistics.rx_packets,
        lost=lost,
        discarded=statistics.rx_discarded,
        loss_percent=round(loss_percent, 3),
        jitter_ms=round(statistics.rx_jitter_ms, 3),
        round_trip_ms=None if round_trip_ms is None else round(round_trip_ms, 3),
        r_factor=r_factor,
        mos=mos,
    )


def _mouth_to_ear_ms(jitter_ms: float, round_trip_ms: float | None) -> float:
    buffered_ms = max(_LEAST_BUFFER_MS, _BUFFERED_JITTERS * jitter_ms)
    return (round_trip_ms or 0.0) / 2 + _PACKET_MS + buffered_ms
