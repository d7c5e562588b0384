"""`GET /metrics` in the text format of Prometheus. Names and meanings are in `docs/http.md`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest
from prometheus_client import Counter as PrometheusCounter
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sipcore import events
from sipcore.call import LIVE
from sipcore.calls import AsyncCall
from sipcore.http.sse import EventStreams
from sipcore.http.webhooks import Webhooks
from sipcore.record import CallRecord
from sipcore.switch import AsyncSwitch

_SETUP_BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 60)
_AUDIO_BUCKETS_S: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_MOS_BUCKETS: Final = (1.5, 2.0, 2.5, 3.0, 3.5, 3.8, 4.0, 4.2, 4.3, 4.4, 4.5)
_JITTER_BUCKETS_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counts what happens to calls; the gauges are read when somebody asks."""

    def __init__(self, switch: AsyncSwitch, webhooks: Webhooks, streams: EventStreams) -> None:
        registry = self._registry = CollectorRegistry(auto_describe=False)
        registry.register(_Now(switch, webhooks, streams))
        self._created = PrometheusCounter("sipcore_calls_created", "Calls that were accepted.", registry=registry)
        self._ended = PrometheusCounter("sipcore_calls_ended", "Calls that are over.", ["reason", "by"], registry=registry)
        self._setup = Histogram(
            "sipcore_call_setup_seconds",
            "From the creation of a call to its ringing or answer.",
            buckets=_SETUP_BUCKETS_S,
            registry=registry,
        )
        self._audio = Histogram(
            "sipcore_answer_to_audio_seconds", "From the answer to the first sound we send.", buckets=_AUDIO_BUCKETS_S, registry=registry
        )
        self._jitter = Histogram("sipcore_rtp_jitter_seconds", "Mean jitter of a call.", buckets=_JITTER_BUCKETS_S, registry=registry)
        self._mos = Histogram("sipcore_call_mos", "Mean opinion score of a call, by the E-model.", buckets=_MOS_BUCKETS, registry=registry)
        self._received = PrometheusCounter("sipcore_rtp_packets_received", "RTP packets of calls that are over.", registry=registry)
        self._lost = PrometheusCounter("sipcore_rtp_packets_lost", "RTP packets that did not come.", registry=registry)
        self._refused = PrometheusCounter("sipcore_http_errors", "Answers that are errors.", ["code", "reason"], registry=registry)
        self._media_at: dict[str, datetime] = {}

    def render(self) -> bytes:
        """The text."""
        return generate_latest(self._registry)

    def refused(self, code: int, reason: str) -> None:
        """An answer was an error."""
        self._refused.labels(str(code), reason).inc()

    def watch(self, event: events.CallEvent, call: AsyncCall | None) -> None:
        """Take an event of a call."""
        match event:
            case events.CallCreated():
                self._created.inc()
            case events.CallRinging(record=record) if record.direction == "outgoing":
                self._setup.observe(_seconds(record.tm_create, event.at))
            case events.CallAnswered(record=record) if record.tm_ringing is None:
                self._setup.observe(_seconds(record.tm_create, event.at))
            case events.CallMediaStarted():
                self._media_at.setdefault(event.call_id, event.at)
            case events.CallHangup(record=record):
                self._end(record, None if call is None else call.first_play_at, self._media_at.pop(event.call_id, None))

    def _end(self, record: CallRecord, played_at: datetime | None, media_at: datetime | None) -> None:
        self._ended.labels(str(record.hangup_reason), record.hangup_by).inc()
        if record.tm_progressing and played_at and media_at:
            self._audio.observe(_seconds(record.tm_progressing, max(played_at, media_at)))
        if statistics := record.statistics:
            self._received.inc(statistics.rx_packets)
            self._lost.inc(max(0, statistics.rx_lost))
            self._jitter.observe(statistics.rx_jitter_ms / 1000)
        if (quality := record.quality) and quality.mos is not None:
            self._mos.observe(quality.mos)


@dataclass(slots=True, eq=False)
class _Now(Collector):
    switch: AsyncSwitch
    webhooks: Webhooks
    streams: EventStreams

    def collect(self) -> Iterator[Metric]:
        """What is true at this moment."""
        records = self.switch.calls.live_records()
        by_status = Counter(str(record.status) for record in records)
        calls = GaugeMetricFamily("sipcore_calls", "Calls now, by status.", labels=["status"])
        for status in sorted(LIVE):
            calls.add_metric([str(status)], by_status[str(status)])
        yield calls
        yield GaugeMetricFamily("sipcore_legs_in_use", "Legs reserved or up.", value=self.switch.legs_in_use)
        yield GaugeMetricFamily("sipcore_legs_capacity", "The most legs at once.", value=self.switch.config.max_legs)
        registrations = GaugeMetricFamily("sipcore_registration", "Whether the trunk is registered.", labels=["trunk"])
        for trunk, state in self.switch.registrations.items():
            registrations.add_metric([trunk], state.is_registered)
        yield registrations
        yield CounterMetricFamily("sipcore_worker_restarts", "Workers that were lost and replaced.", value=self.switch.workers_lost)
        spoken = CounterMetricFamily("sipcore_tts", "Texts that were spoken, by where the audio came from.", labels=["source"])
        for source, count in self.switch.speech_counts().items():
            spoken.add_metric([source], count)
        yield spoken
        hooks = CounterMetricFamily("sipcore_webhooks", "Webhooks, by what became of them.", labels=["outcome"])
        for outcome in ("delivered", "failed", "dropped"):
            hooks.add_metric([outcome], self.webhooks.counts[outcome])
        yield hooks
        yield GaugeMetricFamily("sipcore_webhooks_waiting", "Webhooks that are not delivered yet.", value=self.webhooks.waiting)
        yield GaugeMetricFamily("sipcore_event_streams", "Clients that follow the events.", value=self.streams.open_streams)


def _seconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds())
