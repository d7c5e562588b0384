"""What a bad network does to packets: loses, delays, reorders and doubles them; the same from the same seed.

Pure: when a packet is sent goes in, when it arrives comes out, as often as it arrives. Whoever has sockets carries it out.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_MOST_DELAY_MS: Final = 60_000.0


@dataclass(frozen=True, slots=True)
class Impairment:
    """A bad network, in one direction. Without arguments it is a good one.

    Shares are from 0 to 1 of all packets, times count from the first packet.
    """

    loss: float = 0.0
    """Share of packets lost."""
    mean_burst: float = 1.0
    """Packets lost in a row, on average; 1 loses each by itself, more makes bursts (the model of Gilbert and Elliott)."""
    delay_ms: float = 0.0
    """Of every packet."""
    jitter_ms: float = 0.0
    """Each packet takes up to this longer, evenly spread. None overtakes another: a packet waits for the one before."""
    reorder: float = 0.0
    """Share of packets that are overtaken by those after them."""
    reorder_ms: float = 30.0
    """How long such a packet is held back: with 20 ms packets the next one passes it."""
    duplicate: float = 0.0
    """Share of packets that arrive twice."""
    gaps: Sequence[tuple[float, float]] = ()
    """From when to when (s) nothing arrives of what is sent."""
    delays: Sequence[tuple[float, float]] = ()
    """Steps of the delay: from when (s), and how many ms it is from then on, instead of `delay_ms`; in order of time."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("loss", "reorder", "duplicate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share of packets, 0 to 1, not {getattr(self, name)!r}")
        for name in ("delay_ms", "jitter_ms", "reorder_ms"):
            _check_delay(name, getattr(self, name))
        if self.mean_burst < 1:
            raise ValueError(f"mean_burst is 1 packet or more, not {self.mean_burst!r}")
        if 0 < self.loss < 1 and self.loss > self.mean_burst / (self.mean_burst + 1):
            raise ValueError(
                f"bursts of {self.mean_burst:g} packets lose at most {self.mean_burst / (self.mean_burst + 1):.0%}, not {self.loss:.0%}"
            )
        for start_s, end_s in self.gaps:
            if not 0 <= start_s < end_s:
                raise ValueError(f"a gap goes from a time to a later one, not from {start_s!r} s to {end_s!r} s")
        if list(self.delays) != sorted(self.delays):
            raise ValueError(f"delays are in order of time, not {self.delays!r}")
        for _, delay_ms in self.delays:
            _check_delay("a step of delays", delay_ms)

    def start(self) -> Impairer:
        """Begin with a first packet."""
        return Impairer(self)


class Impairer:
    """An `Impairment` at work on one stream of packets, given in the order of their sending."""

    def __init__(self, impairment: Impairment) -> None:
        self._impairment = impairment
        # A source of chance for each question, so that one answer does not change the others: with more jitter the same packets are lost.
        self._loss, self._jitter, self._reorder, self._duplicate = (
            random.Random(f"{impairment.seed} {name}")  # noqa: S311
            for name in ("loss", "jitter", "reorder", "duplicate")
        )
        self._is_in_burst = False
        self._first_s: float | None = None
        self._latest_s = 0.0

    def deliver(self, now_s: float) -> tuple[float, ...]:
        """Return when a packet sent now arrives: at no time, at one, or at two; by the clock of `now_s` (s)."""
        it = self._impairment
        if self._first_s is None:
            self._first_s = self._latest_s = now_s
        since_s = now_s - self._first_s
        is_lost = self._is_lost()
        jitter_ms = self._jitter.uniform(0, it.jitter_ms)
        is_overtaken = self._reorder.random() < it.reorder
        is_doubled = self._duplicate.random() < it.duplicate
        if is_lost or any(start_s <= since_s < end_s for start_s, end_s in it.gaps):
            return ()
        arrival_s = max(self._latest_s, now_s + (self._delay_ms(since_s) + jitter_ms) / 1000)
        if is_overtaken:
            arrival_s += it.reorder_ms / 1000
        else:
            self._latest_s = arrival_s
        return (arrival_s, arrival_s) if is_doubled else (arrival_s,)

    def _is_lost(self) -> bool:
        """Gilbert's two states: in one everything arrives, in the other nothing does."""
        it, chance = self._impairment, self._loss.random()
        if it.loss in (0, 1):
            return it.loss == 1
        if it.mean_burst == 1:
            return chance < it.loss
        if self._is_in_burst:
            self._is_in_burst = chance >= 1 / it.mean_burst
        else:
            self._is_in_burst = chance < it.loss / (1 - it.loss) / it.mean_burst
        return self._is_in_burst

    def _delay_ms(self, since_s: float) -> float:
        return next((delay_ms for from_s, delay_ms in reversed(self._impairment.delays) if from_s <= since_s), self._impairment.delay_ms)


def _check_delay(name: str, delay_ms: float) -> None:
    if not 0 <= delay_ms <= _MOST_DELAY_MS:
        raise ValueError(f"{name} is from 0 to {_MOST_DELAY_MS:g} ms, not {delay_ms!r}")
