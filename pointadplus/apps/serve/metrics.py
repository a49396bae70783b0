"""What Prometheus is told, from a registry of each application's own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .queue import WorkQueue

_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)  # a scoring takes seconds, not ms


class Metrics:
    """Counters, histograms and gauges of one application."""

    def __init__(self, queue: WorkQueue) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "pointadplus_requests", "Requests answered; 499: the client hung up.", ["endpoint", "status"],
            registry=registry,
        )  # fmt: skip
        self.rejected = Counter("pointadplus_rejected", "Scans without scores.", ["reason"], registry=registry)
        self.request_seconds = Histogram(
            "pointadplus_request_seconds", "From a request's first byte to its answer.", ["endpoint"],
            buckets=_SECONDS, registry=registry,
        )  # fmt: skip
        self.scoring_seconds = Histogram(
            "pointadplus_scoring_seconds", "Of the detector alone.", buckets=_SECONDS, registry=registry
        )
        waiting = Gauge("pointadplus_queue", "Requests that wait, or are on their way in.", registry=registry)
        waiting.set_function(lambda: queue.waiting)
        abandoned = Gauge(
            "pointadplus_abandoned", "1 while a scoring that nobody waits for holds the thread.", registry=registry
        )
        abandoned.set_function(lambda: queue.abandoned)

    def exposition(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)
