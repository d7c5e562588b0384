"""What a load test has found: the calls, percentiles of their figures, and whether those are good enough. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sipcore.errors import Fault, InvalidRequest
from sipcore.load.loaded import LoadedCall
from sipcore.load.plan import LoadPlan

LATE_MS: Final = 100.0
"""A call that begins so much later than planned is one that the test itself was too slow for."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Percentiles by nearest rank: each is a value that was measured. All `nan` when `count` is 0."""

    count: int
    minimum: float
    p50: float
    p90: float
    p99: float
    maximum: float


def distribution(values: Iterable[float | None]) -> Distribution:
    """Of the values that there are."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return Distribution(0, math.nan, math.nan, math.nan, math.nan, math.nan)
    p50, p90, p99 = (percentile(known, share) for share in (50, 90, 99))
    return Distribution(len(known), known[0], p50, p90, p99, known[-1])


def percentile(known: Sequence[float], share: float) -> float:
    """The smallest of the sorted values that `share` percent of them do not exceed."""
    return known[max(0, math.ceil(share / 100 * len(known)) - 1)]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """A load test that is over."""

    plan: LoadPlan
    calls: tuple[LoadedCall, ...]
    """In the order in which they began."""
    started_at: datetime
    duration_s: float
    is_interrupted: bool = False
    """Somebody ended it before all calls were placed or over."""

    @property
    def answered(self) -> int:
        """Calls that were answered."""
        return sum(call.is_answered for call in self.calls)

    @property
    def failed(self) -> int:
        """Calls that failed; see `LoadedCall.failure`."""
        return sum(bool(call.failure) for call in self.calls)

    @property
    def failures(self) -> dict[str, int]:
        """How many calls failed for which reason, the most frequent first."""
        return dict(Counter(call.failure for call in self.calls if call.failure).most_common())

    @property
    def silent(self) -> int:
        """Answered calls without any RTP of the far end."""
        return sum(call.is_silent for call in self.calls)

    @property
    def late(self) -> int:
        """Calls that began more than 100 ms after their time."""
        return sum(call.late_ms > LATE_MS for call in self.calls)

    @property
    def most_at_once(self) -> int:
        """The most calls that were up or dialled at one time."""
        return max((count for _, count in at_once(self.calls)), default=0)

    @property
    def loss_percent(self) -> float:
        """Of all RTP packets of all calls that should have been played, those that were not."""
        heard = [call.quality for call in self.calls if call.quality is not None]
        expected = sum(quality.received + quality.lost for quality in heard)
        return 100 * sum(quality.lost + quality.discarded for quality in heard) / expected if expected else 0.0

    @property
    def figures(self) -> dict[str, Distribution]:
        """Percentiles by name: `setup_ms`, `answer_ms`, `first_audio_ms`, `loss_percent`, `jitter_ms`, `mos`, `late_ms`."""
        heard = [call.quality for call in self.calls if call.quality is not None and call.quality.received]
        return {
            "setup_ms": distribution(call.setup_ms for call in self.calls),
            "answer_ms": distribution(call.answer_ms for call in self.calls),
            "first_audio_ms": distribution(call.first_audio_ms for call in self.calls),
            "loss_percent": distribution(quality.loss_percent for quality in heard),
            "jitter_ms": distribution(quality.jitter_ms for quality in heard),
            "mos": distribution(quality.mos for quality in heard),
            "late_ms": distribution(call.late_ms for call in self.calls),
        }

    def __str__(self) -> str:
        return "\n".join(summary(self))


def at_once(calls: Iterable[LoadedCall]) -> list[tuple[float, int]]:
    """How many calls there were from which second on."""
    changes = sorted([(call.started_s, 1) for call in calls if call.call_id] + [(call.ended_s, -1) for call in calls if call.call_id])
    steps, count = [], 0
    for second, change in changes:
        count += change
        steps.append((second, count))
    return steps


def summary(report: LoadReport) -> Iterator[str]:
    """The report as lines of text."""
    calls = len(report.calls)
    yield f"{calls} calls in {report.duration_s:.1f} s, at most {report.most_at_once} at once" + (
        f"; interrupted, {report.plan.calls} were planned" if report.is_interrupted else ""
    )
    yield f"{report.answered} answered, {report.failed} failed, {report.silent} answered without audio, {report.late} begun late"
    yield f"{'':16}{'calls':>7}{'p50':>10}{'p90':>10}{'p99':>10}{'max':>10}"
    for name, figure in report.figures.items():
        if figure.count:
            numbers = (figure.p50, figure.p90, figure.p99, figure.maximum)
            if name == "mos":  # the worst ones are the small ones
                p90, p99 = _from_below(report, 90, 99)
                numbers = (figure.p50, p90, p99, figure.minimum)
            yield f"{name:16}{figure.count:>7}" + "".join(f"{number:>10.2f}" for number in numbers)
    for reason, count in report.failures.items():
        yield f"failed {count:>7}  {reason}"


def _from_below(report: LoadReport, *shares: float) -> Iterator[float]:
    scores = sorted((call.quality.mos for call in report.calls if call.quality and call.quality.mos is not None), reverse=True)
    for share in shares:
        yield percentile(scores, share)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What a load test has to reach; `None`: nothing is asked."""

    max_failed: str = "0"
    """Calls that may fail: a number, or `1%`."""
    max_p99_setup_ms: float | None = None
    max_p99_answer_ms: float | None = None
    max_p99_first_audio_ms: float | None = None
    max_p99_jitter_ms: float | None = None
    max_loss_percent: float | None = None
    """Of all packets of all calls."""
    min_mos: float | None = None
    """99 of 100 calls have at least this."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One threshold, and what was measured."""

    name: str
    limit: str
    measured: str
    is_met: bool

    def __str__(self) -> str:
        return f"{self.name}: {self.measured}, limit {self.limit}" + ("" if self.is_met else ": NOT met")


def check_thresholds(thresholds: Thresholds) -> None:
    """Whether they can be.

    Raises:
        InvalidRequest: one cannot; names every fault.
    """
    faults = []
    try:
        if allowed_failures(thresholds.max_failed, 100) < 0:
            raise ValueError
    except ValueError:
        faults.append(Fault("max_failed", f"must be a number of calls, or a share like 1%, not {thresholds.max_failed!r}"))
    for name in Thresholds.__slots__:
        value = getattr(thresholds, name)
        if isinstance(value, float | int) and not (0 <= value < math.inf):
            faults.append(Fault(name, f"must be 0 or more, not {value:g}"))
    if faults:
        raise InvalidRequest(faults)


def allowed_failures(text: str, calls: int) -> float:
    """How many of so many calls may fail.

    Raises:
        ValueError: the text is no number and no share.
    """
    if text.endswith("%"):
        share = float(text[:-1])
        if not 0 <= share <= 100:
            raise ValueError(text)
        return share / 100 * calls
    return int(text)


def judge(report: LoadReport, thresholds: Thresholds) -> tuple[Verdict, ...]:
    """What was asked, and whether it was reached; a figure that could not be measured does not reach its threshold."""
    return tuple(_verdicts(report, thresholds))


def _verdicts(report: LoadReport, wanted: Thresholds) -> Iterator[Verdict]:
    calls = len(report.calls)
    share = f" ({100 * report.failed / calls:.2f}%)" if calls else ""
    is_met = calls > 0 and report.failed <= allowed_failures(wanted.max_failed, calls)
    yield Verdict("max_failed", wanted.max_failed, f"{report.failed} of {calls}{share}", is_met)
    figures = report.figures
    for name in ("setup_ms", "answer_ms", "first_audio_ms", "jitter_ms"):
        limit = getattr(wanted, f"max_p99_{name}")
        if limit is not None:
            yield _within(f"max_p99_{name}", figures[name].p99, limit)
    if wanted.max_loss_percent is not None:
        measured = report.loss_percent if figures["loss_percent"].count else math.nan
        yield _within("max_loss_percent", measured, wanted.max_loss_percent)
    if wanted.min_mos is not None:
        worst = next(_from_below(report, 99)) if figures["mos"].count else math.nan
        yield Verdict("min_mos", f"{wanted.min_mos:g}", _number(worst), worst >= wanted.min_mos)


def _within(name: str, measured: float, limit: float) -> Verdict:
    return Verdict(name, f"{limit:g}", _number(measured), measured <= limit)


def _number(measured: float) -> str:
    return "not measured" if math.isnan(measured) else f"{measured:.2f}"
