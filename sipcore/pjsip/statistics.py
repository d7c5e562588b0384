"""RTP counters of a leg. PJSIP starts a new stream, with new counters, at every re-INVITE; the sum is ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sipcore.engine import RtpStatistics


def add_stream(total: RtpStatistics, codec: str, stat: Any) -> RtpStatistics:
    """`total` plus a stream that ends; jitter and round trip are those of the last stream that has any.

    Args:
        total: What the streams before it did.
        codec: RTP name of the stream's codec.
        stat: `pj.StreamStat`, readable inside `onStreamDestroyed` only.
    """
    tx, rx = stat.rtcp.txStat, stat.rtcp.rxStat
    jitter, rtt = rx.jitterUsec, stat.rtcp.rttUsec
    return replace(
        total,
        codec=codec or total.codec,
        tx_packets=total.tx_packets + tx.pkt,
        tx_bytes=total.tx_bytes + tx.bytes,
        rx_packets=total.rx_packets + rx.pkt,
        rx_bytes=total.rx_bytes + rx.bytes,
        rx_lost=total.rx_lost + rx.loss,
        rx_discarded=total.rx_discarded + rx.discard,
        rx_reordered=total.rx_reordered + rx.reorder,
        rx_duplicates=total.rx_duplicates + rx.dup,
        rx_jitter_ms=jitter.mean / 1000 if jitter.n else total.rx_jitter_ms,
        rtt_ms=rtt.last / 1000 if rtt.n else total.rtt_ms,
    )
