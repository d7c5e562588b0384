"""How good it sounded: what the packets say by the E-model, and what the ear says by PESQ."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from media import emodel

from . import matching
from .capture import Capture

if TYPE_CHECKING:
    from sipcore.testing.phone.rtp import ReceivedPacket

JITTER_BUFFER_MS: Final = 60.0
"""A packet later than this, against the quickest, is taken as lost: what a telephone's jitter buffer can wait."""
_PACKET_MS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a capture sounded. Numbers of packets are `None` for a sound file, which has none."""

    mos: float
    """Mean opinion score, 1 to 4.4: by the E-model from the packets, by PESQ when there are none."""
    r: float | None = None
    """The E-model's rating factor, 0 to 93."""
    codec: str = ""
    packets: int | None = None
    lost: int | None = None
    """Sequence numbers that never came."""
    late: int | None = None
    """Packets that came too late to be played."""
    loss_percent: float | None = None
    """Lost and late, of all that were sent."""
    burst_ratio: float | None = None
    """Mean length of the losses by what it would be at random; 1 is random, more is bursts."""
    jitter_ms: float | None = None
    """Interarrival jitter (RFC 3550 §6.4.1), its largest value."""
    pesq: float | None = None
    """MOS-LQO of ITU-T P.862.1, 1 to 4.6; `None` without a reference, or without the package `pesq`."""


def rate(capture: Capture, reference: Capture | None = None, *, network_delay_ms: float = 0.0) -> Quality:
    """Rate a capture. `network_delay_ms` is added to the delay of packets and jitter buffer, which is all that can be seen here.

    Raises:
        ValueError: there is nothing to rate it by; the message says what is missing.
    """
    pesq = None if reference is None else _pesq(capture, reference)
    if capture.packets:
        return _by_packets(capture, pesq, network_delay_ms)
    if pesq is not None:
        return Quality(pesq, pesq=pesq)
    missing = "a reference" if reference is None else "the package pesq (pip install pesq; it needs a C compiler)"
    raise ValueError(f"{capture.name} has no RTP packets to rate it by: a sound file needs {missing}")


def _by_packets(capture: Capture, pesq: float | None, network_delay_ms: float) -> Quality:
    packets = _main_stream(capture.packets)
    if not emodel.codec_is_known(capture.codec):
        raise ValueError(f"{capture.name}: the E-model has no values for its codec {capture.codec!r}")
    numbers = _unwrapped([packet.sequence for packet in packets])
    fate = dict.fromkeys(range(min(numbers), max(numbers) + 1), "lost")
    for number, is_late in zip(numbers, _late(packets), strict=True):
        if fate[number] != "in time":
            fate[number] = "late" if is_late else "in time"
    outcomes = [fate[number] == "in time" for number in sorted(fate)]
    loss_percent = 100 * (1 - sum(outcomes) / len(outcomes))
    bursts = burst_ratio(outcomes)
    delay_ms = _PACKET_MS + JITTER_BUFFER_MS + network_delay_ms
    rating = emodel.estimate(capture.codec, loss_percent=loss_percent, one_way_delay_ms=delay_ms, burst_ratio=bursts)
    return Quality(
        rating.mos, rating.r, capture.codec, len(packets), list(fate.values()).count("lost"), list(fate.values()).count("late"),
        loss_percent, bursts, jitter_ms(packets), pesq,
    )  # fmt: skip


def _main_stream(packets: Sequence[ReceivedPacket]) -> list[ReceivedPacket]:
    """The packets of the SSRC that has most of them."""
    sources = [packet.ssrc for packet in packets]
    most = max(set(sources), key=sources.count)
    return [packet for packet in packets if packet.ssrc == most]


def _late(packets: Sequence[ReceivedPacket]) -> list[bool]:
    """Whether each packet came more than the jitter buffer after the time that the quickest one sets.

    Of a telephone-event only the first packet has its own time.
    """
    transit_ms = np.array(_transits_ms(packets))
    has_time_of_its_own = [not index or packet.timestamp != packets[index - 1].timestamp for index, packet in enumerate(packets)]
    return list((transit_ms - transit_ms.min() > JITTER_BUFFER_MS) & np.array(has_time_of_its_own))


def _transits_ms(packets: Sequence[ReceivedPacket]) -> list[float]:
    """Arrival less sending time, by the clock of 8 kHz; from an unknown zero."""
    first = packets[0]
    return [
        (packet.arrival_s - first.arrival_s) * 1000 - ((packet.timestamp - first.timestamp + 2**31) % 2**32 - 2**31) / 8
        for packet in packets
    ]


def jitter_ms(packets: Sequence[ReceivedPacket]) -> float:
    """Return the largest interarrival jitter (RFC 3550 §A.8). Packets of one telephone-event, with one timestamp, are counted once."""
    audio = [packet for index, packet in enumerate(packets) if not index or packet.timestamp != packets[index - 1].timestamp]
    jitter = largest = 0.0
    for before, after in pairwise(_transits_ms(audio)):
        jitter += (abs(after - before) - jitter) / 16
        largest = max(largest, jitter)
    return largest


def burst_ratio(outcomes: Sequence[bool]) -> float:
    """Return the mean length of a row of losses by what it is when losses fall at random (G.107 §3.5), 1 at least.

    `outcomes` says of each packet whether it was there.
    """
    losses = [index for index, is_there in enumerate(outcomes) if not is_there]
    if not losses or len(losses) == len(outcomes):
        return 1.0
    bursts = 1 + sum(after != before + 1 for before, after in pairwise(losses))
    at_random = 1 / (1 - len(losses) / len(outcomes))
    return max(1.0, len(losses) / bursts / at_random)


def _pesq(capture: Capture, reference: Capture) -> float | None:
    """PESQ, narrow band, of the part of the capture where the reference is."""
    if importlib.util.find_spec("pesq") is None:
        return None
    from pesq import pesq

    heard, wanted = (wave.at_rate(matching.RATE_HZ) for wave in (capture, reference))
    start = max(0, round(matching.find(heard, wanted, good=0.5).delay_s * matching.RATE_HZ))
    try:
        return float(pesq(matching.RATE_HZ, wanted, heard[start : start + len(wanted)], "nb"))
    except RuntimeError as error:  # all that it raises: too short, no speech in it
        told = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else str(error)
        raise ValueError(f"PESQ cannot rate {capture.name} against {reference.name}: {told}") from error


def _unwrapped(sequences: Sequence[int]) -> list[int]:
    extended = [sequences[0]]
    for earlier, later in pairwise(sequences):
        extended.append(extended[-1] + (later - earlier + 2**15) % 2**16 - 2**15)
    return extended
